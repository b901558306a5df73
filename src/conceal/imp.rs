// SPDX-License-Identifier: MPL-2.0
//! The element: pads, properties, and one stego for every cover.

use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::covers::is_gap;
use super::stego::State;
use super::stills::Stills;
use super::wait::Wait;
use crate::settings::{ModelSettings, check_number};
use crate::stats::Stats;
use crate::video;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "invmihconceal",
        gst::DebugColorFlags::empty(),
        Some("Hides secrets in a cover"),
    )
});

const DEFAULT_BATCH_SIZE: u32 = 1;

#[derive(Clone)]
struct Settings {
    model: ModelSettings,
    secret_location: Option<String>,
    batch_size: u32,
    post_messages: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: ModelSettings::default(),
            secret_location: None,
            batch_size: DEFAULT_BATCH_SIZE,
            post_messages: false,
        }
    }
}

pub struct InvMihConceal {
    pub(super) cover_pad: gst_base::AggregatorPad,
    settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
    pub(super) wait: Mutex<Wait>,
}

#[glib::object_subclass]
impl ObjectSubclass for InvMihConceal {
    const NAME: &'static str = "GstInvMihConceal";
    type Type = super::InvMihConceal;
    type ParentType = gst_base::Aggregator;

    fn with_class(class: &Self::Class) -> Self {
        let template = class.pad_template("sink").expect("a template of this class");
        Self {
            cover_pad: gst::PadBuilder::from_template(&template).build(),
            settings: Mutex::default(),
            state: Mutex::default(),
            wait: Mutex::default(),
        }
    }
}

impl ObjectImpl for InvMihConceal {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let location = glib::ParamSpecString::builder("secret-location")
                .nick("Secret location")
                .blurb(
                    "Where the secrets lie if no secret pad is linked: a folder, whose first PNG \
                     and JPEG files by name are taken, or a pattern such as photos/%02d.png, \
                     counted from 0",
                )
                .mutable_ready()
                .build();
            let batch_size = glib::ParamSpecUInt::builder("batch-size")
                .nick("Batch size")
                .blurb(
                    "How many covers go through the network together; a live stream does not \
                     wait for them",
                )
                .minimum(1)
                .maximum(64)
                .default_value(DEFAULT_BATCH_SIZE)
                .mutable_ready()
                .build();
            let post_messages = glib::ParamSpecBoolean::builder("post-messages")
                .nick("Post messages")
                .blurb("Post an element message invmihconceal for each stego, with its PSNR")
                .mutable_ready()
                .build();
            let own = [location, batch_size, post_messages, Stats::property()];
            ModelSettings::properties().into_iter().chain(own).collect()
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap();
        match pspec.name() {
            "secret-location" => {
                settings.secret_location = value.get().expect("type checked by GObject");
            }
            "batch-size" => {
                settings.batch_size = value.get().expect("type checked by GObject");
            }
            "post-messages" => {
                settings.post_messages = value.get().expect("type checked by GObject");
            }
            name => settings.model.set(name, value),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return self.state.lock().unwrap().stats.structure().to_value();
        }
        let settings = self.settings.lock().unwrap();
        match pspec.name() {
            "secret-location" => settings.secret_location.to_value(),
            "batch-size" => settings.batch_size.to_value(),
            "post-messages" => settings.post_messages.to_value(),
            name => settings.model.get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().add_pad(&self.cover_pad).expect("the first pad of its name");
    }
}

impl GstObjectImpl for InvMihConceal {}

impl ElementImpl for InvMihConceal {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "InvMIH conceal",
                "Filter/Effect/Video",
                "Hides 4, 6, 8, 9 or 16 pictures or videos in a cover of the same size",
                "The gst-plugin-invmih authors",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst_video::VideoCapsBuilder::new().build();
            let template = |name, direction, presence, caps, pad_type| {
                gst::PadTemplate::with_gtype(name, direction, presence, caps, pad_type)
                    .expect("a well-formed template")
            };
            let (sink, src) = (gst::PadDirection::Sink, gst::PadDirection::Src);
            let always = gst::PadPresence::Always;
            let plain = gst_base::AggregatorPad::static_type();
            // `secret_%u` has to come before `sink`, or `src ! c.` finds no pad once `sink` is taken.
            vec![
                template(
                    "secret_%u",
                    sink,
                    gst::PadPresence::Request,
                    &any,
                    super::SecretPad::static_type(),
                ),
                template("sink", sink, always, &video::caps(), plain),
                template("src", src, always, &video::caps(), plain),
            ]
        });
        TEMPLATES.as_ref()
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.parent_release_pad(pad);
        self.state.lock().unwrap().forget_mosaic();
    }
}

impl AggregatorImpl for InvMihConceal {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        let secrets = settings.model.grid()?.secrets();
        let pads = self.secret_pads();
        for number in pads.iter().filter_map(|pad| pad.imp().number()) {
            check_number("secret", number, secrets)?;
        }
        let stills = match &settings.secret_location {
            Some(location) if pads.is_empty() => Some(Arc::new(Stills::load(location, secrets)?)),
            Some(location) => {
                gst::warning!(CAT, imp = self, "secret pads win over secret-location={location}");
                None
            }
            None => None,
        };
        let model = settings.model.open()?;
        gst::info!(CAT, imp = self, "{model}");
        let model = Some(model);
        let scrambler = settings.model.scrambler()?.map(Arc::new);
        if stills.is_none() {
            self.start_waiting(secrets);
        }
        *self.state.lock().unwrap() = State {
            model,
            secrets,
            scrambler,
            stills,
            batch_size: settings.batch_size as usize,
            post_messages: settings.post_messages,
            ..State::default()
        };
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.stop_waiting();
        // What was done can still be asked for.
        let mut state = self.state.lock().unwrap();
        *state = State { stats: std::mem::take(&mut state.stats), ..State::default() };
        drop(state);
        self.secret_pads().iter().for_each(|pad| pad.imp().reset());
        Ok(())
    }

    fn flush(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.wait.lock().unwrap().cover_ended = false;
        let mut state = self.state.lock().unwrap();
        state.covers.flush();
        state.batch.clear();
        state.sent_segment = None;
        Ok(gst::FlowSuccess::Ok)
    }

    fn create_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst_base::AggregatorPad> {
        let taken: Vec<_> =
            self.secret_pads().iter().filter_map(|pad| pad.imp().number()).collect();
        let asked = name.and_then(|name| name.strip_prefix("secret_")?.parse().ok());
        let number = asked.or_else(|| (0..).find(|number| !taken.contains(number)))?;
        if let Err(error) = self.check_new_pad(number) {
            self.post_error_message(error);
            return None;
        }
        let pad = gst::PadBuilder::<super::SecretPad>::from_template(template)
            .name(format!("secret_{number}"))
            .build();
        // SAFETY: the pad is a valid object, and this only marks its one reference: the base class
        // takes it over as it does a new pad's in C. Unmarked, it would stay and leak the pad.
        unsafe { glib::gobject_ffi::g_object_force_floating(pad.as_ptr().cast()) };
        Some(pad.upcast())
    }

    fn sink_event_pre_queue(
        &self,
        pad: &gst_base::AggregatorPad,
        event: gst::Event,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if pad == &self.cover_pad && event.type_() == gst::EventType::Eos {
            self.wait.lock().unwrap().cover_ended = true;
            self.report_missing();
        }
        self.parent_sink_event_pre_queue(pad, event)
    }

    fn sink_event(&self, pad: &gst_base::AggregatorPad, event: gst::Event) -> bool {
        let gst::EventView::Caps(caps) = event.view() else {
            return self.parent_sink_event(pad, event);
        };
        let taken = match pad.downcast_ref::<super::SecretPad>() {
            Some(secret) => secret.imp().set_caps(caps.caps()),
            None => self.state.lock().unwrap().covers.set_caps(caps.caps()),
        };
        taken.inspect_err(|error| gst::error!(CAT, obj = pad, "{}: {error}", caps.caps())).is_ok()
    }

    fn sink_query(&self, pad: &gst_base::AggregatorPad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) if pad == &self.cover_pad => {
                let downstream = self.obj().src_pad().peer_query_caps(None);
                video::answer(caps, &video::caps().intersect(&downstream));
                true
            }
            _ => self.parent_sink_query(pad, query),
        }
    }

    fn src_query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let upstream = self.cover_pad.peer_query_caps(None);
                video::answer(caps, &video::caps().intersect(&upstream));
                true
            }
            _ => self.parent_src_query(query),
        }
    }

    fn propose_allocation(
        &self,
        _pad: &gst_base::AggregatorPad,
        _decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        Ok(())
    }

    /// The caps are the cover's and sent with its frames.
    fn negotiate(&self) -> bool {
        true
    }

    fn aggregate(&self, _timeout: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        let cover = self.next_cover().map_err(|error| self.failed(error))?;
        let Some(cover) = cover else {
            let ended = self.cover_pad.is_eos() && self.state.lock().unwrap().covers.is_empty();
            if !ended {
                return Err(gst_base::AGGREGATOR_FLOW_NEED_DATA);
            }
            self.push_batch()?;
            return Err(gst::FlowError::Eos);
        };
        let gap = is_gap(&cover.buffer);
        if gap || self.ends_batch(&cover) {
            self.push_batch()?;
        }
        if gap {
            self.send_gap(&cover);
            return Ok(gst::FlowSuccess::Ok);
        }
        match self.prepare(cover).map_err(|error| self.failed(error))? {
            Some(prepared) => self.add_to_batch(prepared),
            None => Err(gst_base::AGGREGATOR_FLOW_NEED_DATA),
        }
    }
}

impl InvMihConceal {
    pub(super) fn secret_pads(&self) -> Vec<super::SecretPad> {
        let pads = self.obj().sink_pads();
        let mut secrets: Vec<super::SecretPad> =
            pads.into_iter().filter_map(|pad| pad.downcast().ok()).collect();
        secrets.sort_by_key(|pad| pad.imp().number());
        secrets
    }

    /// Whether a pad may be added now.
    fn check_new_pad(&self, number: usize) -> Result<(), gst::ErrorMessage> {
        let state = self.state.lock().unwrap();
        if state.stills.is_some() {
            return Err(gst::error_msg!(
                gst::LibraryError::Settings,
                ("secret_{number} comes too late: the secrets of secret-location are in use")
            ));
        }
        match &state.model {
            Some(_) => check_number("secret", number, state.secrets),
            None => Ok(()),
        }
    }

    /// Ends the stream with a message on the bus.
    pub(super) fn failed(&self, error: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(error);
        gst::FlowError::Error
    }
}
