// SPDX-License-Identifier: MPL-2.0
//! The element: pads, properties, and the secrets of every stego.

use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::UniqueFlowCombiner;
use gst_video::VideoInfo;

use super::output::{Output, share};
use super::session::{Pictures, Session, secret_of};
use crate::settings::{ModelSettings, check_number};
use crate::stats::Stats;
use crate::video;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "invmihreveal",
        gst::DebugColorFlags::empty(),
        Some("Reveals the secrets of a stego"),
    )
});

#[derive(Clone, Default)]
struct Settings {
    model: ModelSettings,
    output: Output,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    stego: Option<VideoInfo>,
    stats: Stats,
    flows: UniqueFlowCombiner,
}

pub struct InvMihReveal {
    sink_pad: gst::Pad,
    src_pad: gst::Pad,
    settings: Mutex<Settings>,
    state: Mutex<State>,
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
        Self { sink_pad, src_pad, settings: Mutex::default(), state: Mutex::default() }
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
            ModelSettings::properties().into_iter().chain([output, Stats::property()]).collect()
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
        if pspec.name() == "stats" {
            return self.state.lock().unwrap().stats.structure().to_value();
        }
        let settings = self.settings.lock().unwrap();
        match pspec.name() {
            "output" => settings.output.to_value(),
            name => settings.model.get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink_pad, &self.src_pad] {
            self.obj().add_pad(pad).expect("the first pad of its name");
        }
        self.state.lock().unwrap().flows.add_pad(&self.src_pad);
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
        let taken: Vec<_> = self.obj().src_pads().iter().filter_map(secret_of).collect();
        let asked = name.and_then(|name| name.strip_prefix("src_")?.parse().ok());
        let number = asked.or_else(|| (0..).find(|number| !taken.contains(number)))?;
        let session = self.state.lock().unwrap().session.clone();
        if let Some(session) = session
            && let Err(error) = check_number("src", number, session.grid.secrets())
        {
            self.post_error_message(error);
            return None;
        }
        let pad = Self::src_pad_builder(template).name(format!("src_{number}")).build();
        pad.set_active(true).ok()?;
        self.sink_pad.sticky_events_foreach(|event| {
            if let Some(event) = self.event_for(&pad, event) {
                let _ = pad.store_sticky_event(&event);
            }
            std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
        });
        self.obj().add_pad(&pad).ok()?;
        self.state.lock().unwrap().flows.add_pad(&pad);
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.state.lock().unwrap().flows.remove_pad(pad);
        let _ = pad.set_active(false);
        let _ = self.obj().remove_pad(pad);
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
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            let mut state = self.state.lock().unwrap();
            state.session = None;
            state.stego = None;
            state.flows.reset();
        }
        Ok(success)
    }
}

impl InvMihReveal {
    fn src_pad_builder(template: &gst::PadTemplate) -> gst::PadBuilder<gst::Pad> {
        gst::Pad::builder_from_template(template).query_function(|pad, parent, query| {
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
        let mut state = self.state.lock().unwrap();
        state.session = Some(Session { model, grid, scrambler, output });
        state.stats = Stats::default();
        Ok(())
    }

    fn sink_event(&self, sink: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => {
                let Ok(info) = VideoInfo::from_caps(caps.caps()) else {
                    return false;
                };
                self.state.lock().unwrap().stego = Some(info);
                self.push_own_events(&event)
            }
            gst::EventView::StreamStart(_) => self.push_own_events(&event),
            gst::EventView::FlushStop(_) => {
                self.state.lock().unwrap().flows.reset();
                gst::Pad::event_default(sink, Some(&*self.obj()), event)
            }
            _ => gst::Pad::event_default(sink, Some(&*self.obj()), event),
        }
    }

    /// Gives each source pad its own form of an event.
    fn push_own_events(&self, event: &gst::Event) -> bool {
        for pad in self.obj().src_pads() {
            match self.event_for(&pad, event) {
                Some(event) => pad.push_event(event),
                None => return false,
            };
        }
        true
    }

    /// An event of the stego's stream as a source pad gives it on.
    fn event_for(&self, pad: &gst::Pad, event: &gst::Event) -> Option<gst::Event> {
        match event.view() {
            gst::EventView::StreamStart(start) => {
                let id = format!("{}/{}", start.stream_id(), pad.name());
                let builder = gst::event::StreamStart::builder(&id)
                    .seqnum(event.seqnum())
                    .flags(start.stream_flags());
                Some(builder.group_id_if_some(start.group_id()).build())
            }
            gst::EventView::Caps(caps) => {
                let caps = self.caps_for(pad, caps.caps())?;
                Some(gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build())
            }
            _ => Some(event.clone()),
        }
    }

    fn caps_for(&self, pad: &gst::Pad, stego: &gst::CapsRef) -> Option<gst::Caps> {
        if secret_of(pad).is_some() {
            return Some(stego.to_owned());
        }
        let session = self.state.lock().unwrap().session.clone()?;
        session.output.caps(stego, session.grid)
    }

    /// Formats pass through, sizes and frame rates may differ from pad to pad.
    fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let others = match pad.direction() {
                    gst::PadDirection::Sink => self.obj().src_pads(),
                    _ => vec![self.sink_pad.clone()],
                };
                let linked = others.iter().filter(|other| other.is_linked());
                let caps = linked.fold(video::caps(), |caps, other| {
                    caps.intersect(&formats(&other.peer_query_caps(None)))
                });
                video::answer(query, &caps);
                true
            }
            gst::QueryViewMut::Allocation(query) if pad.direction() == gst::PadDirection::Sink => {
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn chain(&self, stego: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (session, info) = {
            let state = self.state.lock().unwrap();
            let session = state.session.clone().zip(state.stego.clone());
            session.ok_or(gst::FlowError::NotNegotiated)?
        };
        let pads = self.obj().src_pads();
        let linked: Vec<_> = pads.iter().filter(|pad| pad.is_linked()).collect();
        let pictures = session.pictures(stego, &info, &linked).map_err(|error| {
            self.post_error_message(error);
            gst::FlowError::Error
        })?;
        self.state.lock().unwrap().stats.add(pictures.inference);
        let mut combined = Err(gst::FlowError::NotLinked);
        // A pad may have been released in the meantime.
        for pad in pads.iter().filter(|pad| pad.parent().is_some()) {
            let pushed = match linked.contains(&pad) {
                true => self.push_pictures(pad, &pictures, stego, &info),
                false => Err(gst::FlowError::NotLinked),
            };
            combined = self.state.lock().unwrap().flows.update_pad_flow(pad, pushed);
            combined?;
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
        let pad_info = pad
            .current_caps()
            .and_then(|caps| VideoInfo::from_caps(&caps).ok())
            .ok_or(gst::FlowError::NotNegotiated)?;
        let pictures = match secret_of(pad) {
            Some(number) => pictures.secrets.get(number..=number).unwrap_or_default(),
            None => pictures.joined.as_ref().map_or(&*pictures.secrets, std::slice::from_ref),
        };
        let duration = stego.duration().or_else(|| frame_duration(info));
        for (index, picture) in pictures.iter().enumerate() {
            let mut buffer = video::buffer(picture, &pad_info).map_err(|error| {
                self.post_error_message(error);
                gst::FlowError::Error
            })?;
            let target = buffer.make_mut();
            if index == 0 {
                target.set_flags(stego.flags() & gst::BufferFlags::DISCONT);
            }
            let (start, length) = share(stego.pts(), duration, index, pictures.len());
            target.set_pts(start);
            target.set_duration(length);
            pad.push(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

/// The formats in some caps, whatever else these fix.
fn formats(caps: &gst::CapsRef) -> gst::Caps {
    let mut formats = caps.to_owned();
    for structure in formats.make_mut().iter_mut() {
        structure.filter_map_in_place(|field, value| (field.as_str() == "format").then_some(value));
    }
    formats
}

/// Of a constant frame rate.
fn frame_duration(info: &VideoInfo) -> Option<gst::ClockTime> {
    let fps = info.fps();
    let (frames, seconds) = (fps.numer() as u64, fps.denom() as u64);
    (frames > 0).then(|| gst::ClockTime::SECOND.mul_div_round(seconds, frames))?
}
