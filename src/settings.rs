// SPDX-License-Identifier: MPL-2.0
//! The properties that both elements have, and the model that they choose.

use std::path::PathBuf;
use std::sync::Arc;

use gst::glib;
use gst::prelude::*;

use crate::network::{self, Grid, Model, Scrambler, device};

const DEFAULT_SECRETS: u32 = 4;
const DEFAULT_DEVICE: &str = "auto";

/// Which weights run where.
#[derive(Clone)]
pub struct ModelSettings {
    secrets: u32,
    location: Option<PathBuf>,
    device: String,
    /// Never given out again.
    passphrase: Option<Vec<u8>>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            secrets: DEFAULT_SECRETS,
            location: None,
            device: DEFAULT_DEVICE.into(),
            passphrase: None,
        }
    }
}

impl ModelSettings {
    /// `secrets`, `model-location`, `device` and `passphrase`, anew for each class.
    pub fn properties() -> Vec<glib::ParamSpec> {
        vec![
            glib::ParamSpecUInt::builder("secrets")
                .nick("Secrets")
                .blurb("How many secrets one cover hides: 4, 6, 8, 9 or 16")
                .default_value(DEFAULT_SECRETS)
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("model-location")
                .nick("Model location")
                .blurb(
                    "Folder of weights; by default INVMIH_MODEL_PATH, the installed data \
                     folder, then the source tree of the plugin",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("device")
                .nick("Device")
                .blurb(
                    "Where the network runs: auto (CUDA if there is any), cpu, cuda or \
                     cuda:INDEX; a device that is named and absent is an error",
                )
                .default_value(Some(DEFAULT_DEVICE))
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("passphrase")
                .nick("Passphrase")
                .blurb(
                    "Scrambles what is hidden, so that only the same passphrase reveals it; \
                     none if empty. It keeps others out who have this plugin, and is no cipher",
                )
                .write_only()
                .mutable_ready()
                .build(),
        ]
    }

    /// Sets one of the [properties](Self::properties).
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "secrets" => self.secrets = value.get().expect("type checked by GObject"),
            "model-location" => self.location = value.get().expect("type checked by GObject"),
            "device" => {
                let device = bytes(value).map(|name| String::from_utf8_lossy(&name).into_owned());
                self.device = device.unwrap_or_else(|| DEFAULT_DEVICE.into());
            }
            "passphrase" => self.passphrase = bytes(value),
            _ => unreachable!("GObject knows the properties"),
        }
    }

    /// One of the [properties](Self::properties).
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "secrets" => self.secrets.to_value(),
            "model-location" => self.location.to_value(),
            "device" => self.device.to_value(),
            _ => unreachable!("GObject knows the properties"),
        }
    }

    /// What scrambles the mosaic, if there is a passphrase.
    pub fn scrambler(&self) -> Result<Option<Scrambler>, network::Error> {
        Scrambler::optional(self.passphrase.as_deref())
    }

    /// The grid for `secrets`.
    pub fn grid(&self) -> Result<Grid, network::Error> {
        Grid::for_secrets(self.secrets)
    }

    /// The model for these settings.
    pub fn open(&self) -> Result<Arc<Model>, network::Error> {
        let device = device::parse(&self.device)?;
        Model::open(self.location.as_deref(), self.grid()?, device)
    }
}

/// A string as a program in C may set it, of any encoding.
fn bytes(value: &glib::Value) -> Option<Vec<u8>> {
    let text: Option<PathBuf> = value.get().expect("type checked by GObject");
    text.map(|text| text.into_os_string().into_encoded_bytes())
}

/// Refuses a pad `NAME_number` that is past the last secret.
pub fn check_number(name: &str, number: usize, secrets: usize) -> Result<(), gst::ErrorMessage> {
    if number < secrets {
        return Ok(());
    }
    let last = secrets - 1;
    Err(gst::error_msg!(
        gst::LibraryError::Settings,
        ("{name}_{number} is one too many: secrets={secrets} has {name}_0 to {name}_{last}")
    ))
}

/// What the network says becomes the text of the element's error, whose domain and code say who can help:
/// other settings, other files, other streams, or none of these.
impl From<network::Error> for gst::ErrorMessage {
    fn from(error: network::Error) -> Self {
        use network::Error;
        match &error {
            Error::Secrets(_) | Error::Grid { .. } | Error::GridName(_) | Error::DeviceName(_) => {
                gst::error_msg!(gst::LibraryError::Settings, ("{error}"))
            }
            Error::DeviceAbsent { .. } | Error::WeightsMissing { .. } => {
                gst::error_msg!(gst::ResourceError::NotFound, ("{error}"))
            }
            Error::WeightsIo { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
            Error::WeightsContent { .. } => gst::error_msg!(gst::ResourceError::Read, ("{error}")),
            Error::FrameBytes { .. } | Error::FrameSmall { .. } | Error::FrameSize { .. } => {
                gst::error_msg!(gst::StreamError::Format, ("{error}"))
            }
            Error::SecretCount { .. }
            | Error::Passphrase(_)
            | Error::Exit
            | Error::Torch(_)
            | Error::Internal(_) => {
                gst::error_msg!(gst::LibraryError::Failed, ("{error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error that an element with some settings posts.
    fn refused(change: impl FnOnce(&mut ModelSettings)) -> gst::glib::Error {
        gst::init().unwrap();
        let mut settings = ModelSettings::default();
        change(&mut settings);
        let error = gst::ErrorMessage::from(settings.open().unwrap_err());
        let bin = gst::Bin::new();
        let bus = gst::Bus::new();
        bin.set_bus(Some(&bus));
        bin.post_error_message(error);
        match bus.pop().unwrap().view() {
            gst::MessageView::Error(error) => error.error(),
            _ => unreachable!("an error was posted"),
        }
    }

    #[test]
    fn what_the_network_refuses_has_its_domain() {
        let secrets = refused(|settings| settings.secrets = 5);
        assert!(secrets.matches(gst::LibraryError::Settings));
        let device = refused(|settings| settings.device = "toaster".into());
        assert!(device.matches(gst::LibraryError::Settings));
        let device = refused(|settings| settings.device = "cuda:99".into());
        assert!(device.matches(gst::ResourceError::NotFound));
        let folder = tempfile::tempdir().unwrap();
        let located = |settings: &mut ModelSettings| settings.location = Some(folder.path().into());
        assert!(refused(located).matches(gst::ResourceError::NotFound));
        for name in ["hiding.safetensors", "rescaling-2x2.safetensors"] {
            std::fs::write(folder.path().join(name), "no weights").unwrap();
        }
        assert!(refused(located).matches(gst::ResourceError::Read));
    }
}
