// SPDX-License-Identifier: MPL-2.0
//! The element: pads, properties, and the secrets of every stego.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::UniqueFlowCombiner;
use gst_video::VideoInfo;

use super::output::{Output, share};
use super::session::{Pictures, Session, secret_of};
use crate::latency::{Pass, PassTime, frame_duration};
use crate::numbers::PadNumbers;
use crate::settings::{ModelSettings, check_number};
use crate::stats::Stats;
use crate::video;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "invmihreveal",
        gst::DebugColorFlags::empty(),
        Some("Reveals the secrets in a stego"),
    )
});

#[derive(Clone, Default)]
struct Settings {
    model: ModelSettings,
    output: Output,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) session: Option<Session>,
    stego: Option<VideoInfo>,
    /// Those that frames go to: a pad that is being released is no longer among them.
    pads: Vec<gst::Pad>,
    flows: UniqueFlowCombiner,
    pub(super) pass: PassTime,
}

impl State {
    /// `src`, the first to be added, comes last: where it gives all secrets one after the other, what
    /// takes them may block before it has them all, until the other pads have had theirs.
    pub(super) fn add_pad(&mut self, pad: &gst::Pad) {
        self.pads.insert(self.pads.len().saturating_sub(1), pad.clone());
        self.flows.add_pad(pad);
    }

    fn remove_pad(&mut self, pad: &gst::Pad) {
        self.pads.retain(|own| own != pad);
        self.flows.remove_pad(pad);
    }

    /// What a push means for the stego's stream; none where the pad was released meanwhile.
    fn flow(
        &mut self,
        pad: &gst::Pad,
        pushed: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Option<Result<gst::FlowSuccess, gst::FlowError>> {
        self.pads.contains(pad).then(|| self.flows.update_pad_flow(pad, pushed))
    }
}

pub struct InvMihReveal {
    pub(super) sink_pad: gst::Pad,
    src_pad: gst::Pad,
    settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
    stats: Mutex<Stats>,
    numbers: PadNumbers,
    /// Whether the user was told that caps were refused.
    pub(super) refused: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for InvMihReveal {
    const NAME: &'static str = "GstInvMihReveal";
    type Type = super::InvMihReveal;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("a template of this class");
        let sink_pad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, stego| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.chain(&stego),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.query(pad, query))
            })
            .build();
        let src_pad = Self::src_pad_builder(&template("src")).build();
        Self {
            sink_pad,
            src_pad,
            settings: Mutex::default(),
            state: Mutex::default(),
            stats: Mutex::default(),
            numbers: PadNumbers::new("src", &CAT),
            refused: AtomicBool::default(),
        }
    }
}

impl ObjectImpl for InvMihReveal {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let output = glib::ParamSpecEnum::builder::<Output>("output")
                .nick("Output")
                .blurb("How the pad src gives the secrets; src_0 and so on give one each")
                .mutable_ready()
                .build();
            let stats = Stats::property("");
            ModelSettings::properties().into_iter().chain([output, stats]).collect()
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap();
        match pspec.name() {
            "output" => settings.output = value.get().expect("type checked by GObject"),
            name => settings.model.set(name, value),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "output" => self.settings.lock().unwrap().output.to_value(),
            "stats" => self.stats.lock().unwrap().structure().to_value(),
            name => self.settings.lock().unwrap().model.get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink_pad, &self.src_pad] {
            self.obj().add_pad(pad).expect("the first pad of its name");
        }
        self.state.lock().unwrap().add_pad(&self.src_pad);
    }
}

impl GstObjectImpl for InvMihReveal {}

impl ElementImpl for InvMihReveal {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "InvMIH reveal",
                "Filter/Effect/Video",
                "Reveals the 4, 6, 8, 9 or 16 pictures or videos that invmihconceal hid in a stego",
                "The gst-plugin-invmih authors",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, presence| {
                gst::PadTemplate::new(name, direction, presence, &video::caps())
                    .expect("a well-formed template")
            };
            vec![
                template("src_%u", gst::PadDirection::Src, gst::PadPresence::Request),
                template("sink", gst::PadDirection::Sink, gst::PadPresence::Always),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always),
            ]
        });
        TEMPLATES.as_ref()
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let number = self.numbers.reserve(self, name, |number| {
            match &self.state.lock().unwrap().session {
                Some(session) => check_number("src", number, session.grid.secrets()),
                None => Ok(()),
            }
        })?;
        let pad = Self::src_pad_builder(template).name(format!("src_{number}")).build();
        if let Err(error) = self.add_src_pad(&pad) {
            gst::error!(CAT, obj = pad, "{error}");
            self.numbers.give_back(&pad);
            return None;
        }
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.state.lock().unwrap().remove_pad(pad);
        let _ = pad.set_active(false);
        let _ = self.obj().remove_pad(pad);
        self.numbers.give_back(pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            self.start().map_err(|error| {
                self.post_error_message(error);
                gst::StateChangeError
            })?;
        }
        let changed = self.parent_change_state(transition);
        let failed = transition == gst::StateChange::ReadyToPaused && changed.is_err();
        if failed || transition == gst::StateChange::PausedToReady {
            self.stop();
        }
        changed
    }
}

impl InvMihReveal {
    fn src_pad_builder(template: &gst::PadTemplate) -> gst::PadBuilder<gst::Pad> {
        gst::Pad::builder_from_template(template)
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.query(pad, query))
            })
    }

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        let grid = settings.model.grid()?;
        for number in self.obj().src_pads().iter().filter_map(secret_of) {
            check_number("src", number, grid.secrets())?;
        }
        let model = settings.model.open()?;
        gst::info!(CAT, imp = self, "{model}");
        let scrambler = settings.model.scrambler()?.map(Arc::new);
        let output = settings.output;
        self.refused.store(false, Ordering::Relaxed);
        *self.stats.lock().unwrap() = Stats::default();
        self.state.lock().unwrap().session = Some(Session { model, grid, scrambler, output });
        Ok(())
    }

    fn stop(&self) {
        let mut state = self.state.lock().unwrap();
        state.session = None;
        state.stego = None;
        state.pass = PassTime::default();
        state.flows.reset();
    }

    fn sink_event(&self, sink: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => {
                let info = match VideoInfo::from_caps(caps.caps()) {
                    Ok(info) => info,
                    Err(error) => {
                        gst::error!(CAT, obj = sink, "{}: {error}", caps.caps());
                        return false;
                    }
                };
                self.state.lock().unwrap().stego = Some(info);
                self.push_own_events(&event)
            }
            gst::EventView::StreamStart(_) | gst::EventView::Tag(_) => self.push_own_events(&event),
            gst::EventView::FlushStop(_) => {
                self.state.lock().unwrap().flows.reset();
                gst::Pad::event_default(sink, Some(&*self.obj()), event)
            }
            _ => gst::Pad::event_default(sink, Some(&*self.obj()), event),
        }
    }

    /// Counts a stego and its time in the network; tells the pipeline if all its time is longer than
    /// was announced.
    fn measured(&self, pass: Pass, time: Duration, inference: Duration) {
        self.stats.lock().unwrap().count(inference, None);
        let grown = self.state.lock().unwrap().pass.measured(pass, time);
        if grown {
            let element = self.obj();
            // Without a bus nobody has to know.
            let _ = element.post_message(gst::message::Latency::builder().src(&*element).build());
        }
    }

    fn chain(&self, stego: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (session, info, pads) = {
            let state = self.state.lock().unwrap();
            let session = state.session.clone().zip(state.stego.clone());
            let (session, info) = session.ok_or(gst::FlowError::NotNegotiated)?;
            (session, info, state.pads.clone())
        };
        let linked: Vec<_> = pads.iter().filter(|pad| pad.is_linked()).collect();
        let start = Instant::now();
        let pictures = session.pictures(stego, &info, &linked).map_err(|error| {
            self.post_error_message(error);
            gst::FlowError::Error
        })?;
        if !linked.is_empty() {
            let size = (info.width() as usize, info.height() as usize);
            let pass = Pass { size, pictures: pictures.secrets.len() };
            gst::log!(CAT, imp = self, "{} secrets of {stego:?}", pass.pictures);
            self.measured(pass, start.elapsed(), pictures.inference);
        }
        let mut combined = Err(gst::FlowError::NotLinked);
        for pad in &pads {
            let pushed = match linked.contains(&pad) {
                true => self.push_pictures(pad, &pictures, stego, &info),
                // It was linked during the pass.
                false if pad.is_linked() => Ok(gst::FlowSuccess::Ok),
                false => Err(gst::FlowError::NotLinked),
            };
            gst::trace!(CAT, obj = pad, "{pushed:?}");
            let Some(flow) = self.state.lock().unwrap().flow(pad, pushed) else {
                continue;
            };
            combined = flow;
            // What the pads after this one had before does not count until they have had their turn.
            if let Err(error) = pushed
                && !matches!(error, gst::FlowError::NotLinked | gst::FlowError::Eos)
            {
                return combined;
            }
        }
        combined
    }

    /// Pushes the pictures that belong on a pad.
    fn push_pictures(
        &self,
        pad: &gst::Pad,
        pictures: &Pictures,
        stego: &gst::BufferRef,
        info: &VideoInfo,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let caps = self.sink_pad.current_caps().ok_or(gst::FlowError::NotNegotiated)?;
        // A pad may have been linked that cannot have these caps.
        let caps = self.caps_for(pad, &caps).map_err(|error| {
            self.post_error_message(error);
            gst::FlowError::NotNegotiated
        })?;
        self.catch_up(pad, &caps);
        let pad_info = VideoInfo::from_caps(&caps).map_err(|_| gst::FlowError::NotNegotiated)?;
        let pictures = match secret_of(pad) {
            Some(number) => pictures.secrets.get(number..=number).unwrap_or_default(),
            None => pictures.joined.as_ref().map_or(&*pictures.secrets, std::slice::from_ref),
        };
        let duration = stego.duration().or_else(|| frame_duration(info.fps()));
        let backwards = self.plays_backwards();
        for turn in 0..pictures.len() {
            let index = if backwards { pictures.len() - 1 - turn } else { turn };
            let mut buffer = video::buffer(&pictures[index], &pad_info).map_err(|error| {
                self.post_error_message(error);
                gst::FlowError::Error
            })?;
            let target = buffer.make_mut();
            if turn == 0 {
                target.set_flags(stego.flags() & gst::BufferFlags::DISCONT);
            }
            let (start, length) = share(stego.pts(), duration, index, pictures.len());
            target.set_pts(start);
            target.set_duration(length);
            pad.push(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Whether stegos come from the last to the first.
    fn plays_backwards(&self) -> bool {
        let segment = self.sink_pad.sticky_event::<gst::event::Segment>(0);
        segment.is_some_and(|segment| segment.segment().rate() < 0.0)
    }
}
