// SPDX-License-Identifier: MPL-2.0
//! The properties of `invmihconceal` that are set, beside `force-live`, which the base class keeps.

use std::path::PathBuf;

use gst::glib;
use gst::prelude::*;

use crate::network::{Effort, MOST_STEPS};
use crate::settings::ModelSettings;

const MOST_COVERS: u32 = 32;

#[derive(Clone)]
pub struct Settings {
    pub model: ModelSettings,
    pub secret_location: Option<PathBuf>,
    /// From 1 to 32.
    pub batch_size: u32,
    /// What is done for each stego besides the network's pass.
    pub effort: Effort,
    pub post_messages: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: ModelSettings::default(),
            secret_location: None,
            batch_size: 1,
            effort: Effort { refine: 0, enhance: true },
            post_messages: false,
        }
    }
}

impl Settings {
    pub fn properties() -> Vec<glib::ParamSpec> {
        let own = [
            glib::ParamSpecString::builder("secret-location")
                .nick("Secret location")
                .blurb(
                    "Where the secrets lie if there is no secret pad: a folder, whose first PNG \
                     and JPEG files by name are taken, or a pattern such as photos/%02d.png, \
                     counted from 0",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("batch-size")
                .nick("Batch size")
                .blurb(
                    "How many covers go through the network at once. A live pipeline never waits \
                     for more covers than are there, any other does until the cover's end",
                )
                .minimum(1)
                .maximum(MOST_COVERS)
                .default_value(1)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("refine")
                .nick("Refine")
                .blurb(
                    "Gradient steps by which each stego is fitted to its cover and secrets after the \
                     network has made it: it comes nearer to the cover and reveals more, and each \
                     step takes some four times as long as a reveal",
                )
                .maximum(MOST_STEPS)
                .default_value(0)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("enhance")
                .nick("Enhance")
                .blurb(
                    "Whether each stego carries in its low bits what reveal would miss of the secrets: \
                     they come back much better, and finding it out takes longer than the network's pass",
                )
                .default_value(true)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("post-messages")
                .nick("Post messages")
                .blurb(
                    "Whether to post an element message invmihconceal for each stego: timestamp, \
                     stream-time, running-time, duration, inference-time (guint64, ns) and \
                     cover-psnr (gdouble, dB)",
                )
                .mutable_playing()
                .build(),
        ];
        ModelSettings::properties().into_iter().chain(own).collect()
    }

    /// Sets one of the [properties](Self::properties).
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const CHECKED: &str = "type checked by GObject";
        match name {
            "secret-location" => self.secret_location = value.get().expect(CHECKED),
            "batch-size" => self.batch_size = value.get().expect(CHECKED),
            "refine" => self.effort.refine = value.get().expect(CHECKED),
            "enhance" => self.effort.enhance = value.get().expect(CHECKED),
            "post-messages" => self.post_messages = value.get().expect(CHECKED),
            name => self.model.set(name, value),
        }
    }

    /// One of the [properties](Self::properties).
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "secret-location" => self.secret_location.to_value(),
            "batch-size" => self.batch_size.to_value(),
            "refine" => self.effort.refine.to_value(),
            "enhance" => self.effort.enhance.to_value(),
            "post-messages" => self.post_messages.to_value(),
            name => self.model.get(name),
        }
    }
}
