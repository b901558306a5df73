// SPDX-License-Identifier: MPL-2.0
//! The element: pads, properties, and one stego for every cover.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::covers::has_segment;
use super::settings::Settings;
use super::stego::{State, Step};
use super::stills::Stills;
use super::wait::Wait;
use crate::numbers::PadNumbers;
use crate::settings::check_number;
use crate::stats::Stats;
use crate::video;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "invmihconceal",
        gst::DebugColorFlags::empty(),
        Some("Hides secrets in a cover"),
    )
});

pub struct InvMihConceal {
    pub(super) cover_pad: gst_base::AggregatorPad,
    pub(super) settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
    pub(super) stats: Mutex<Stats>,
    pub(super) wait: Mutex<Wait>,
    /// What is wrong with the streams that came: it ends the stego's.
    pub(super) fault: Mutex<Option<gst::ErrorMessage>>,
    numbers: PadNumbers,
    /// Whether the user was told that caps were refused.
    refused: AtomicBool,
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
            stats: Mutex::default(),
            wait: Mutex::default(),
            fault: Mutex::default(),
            numbers: PadNumbers::new("secret", &CAT),
            refused: AtomicBool::default(),
        }
    }
}

impl ObjectImpl for InvMihConceal {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let own = [
                glib::ParamSpecBoolean::builder("force-live")
                    .nick("Force live")
                    .blurb(
                        "Always behave as in a live pipeline: a cover waits for its secrets no \
                         longer than the latency, then their last frames serve. Set when the \
                         element is made",
                    )
                    .construct_only()
                    .build(),
                Stats::property(
                    "; cover-psnr, the mean over the stegos in dB (gdouble), once there is one",
                ),
            ];
            Settings::properties().into_iter().chain(own).collect()
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "force-live" => {
                self.obj().set_force_live(value.get().expect("type checked by GObject"));
            }
            name => self.settings.lock().unwrap().set(name, value),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "force-live" => self.obj().is_force_live().to_value(),
            "stats" => self.stats.lock().unwrap().structure().to_value(),
            name => self.settings.lock().unwrap().get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().add_pad(&self.cover_pad).expect("the first pad of its name");
        self.wait_anew_when_unlinked(self.cover_pad.upcast_ref());
        let weak = self.downgrade();
        // The base class sends the segment with a frame, and events may not come before it.
        self.obj().src_pad().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(imp) = weak.upgrade() {
                imp.send_events();
            }
            gst::PadProbeReturn::Ok
        });
    }
}

impl GstObjectImpl for InvMihConceal {}

impl ElementImpl for InvMihConceal {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "InvMIH conceal",
                "Filter/Effect/Video",
                "Hides 4, 6, 8, 9 or 16 pictures or videos in a cover",
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

    /// EOS ends the cover: the base class would send it on ahead of covers that are held.
    fn send_event(&self, event: gst::Event) -> bool {
        if event.type_() != gst::EventType::Eos {
            return self.parent_send_event(event);
        }
        let cover_pad = self.cover_pad.clone();
        // Its source may hold the pad until secrets come.
        self.obj().call_async(move |_| {
            cover_pad.send_event(event);
        });
        true
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.parent_release_pad(pad);
        self.numbers.give_back(pad);
        self.state.lock().unwrap().forget_mosaic();
        self.wait_anew();
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
                gst::warning!(CAT, imp = self, "secret pads win over secret-location={location:?}");
                None
            }
            None => None,
        };
        let model = settings.model.open()?;
        gst::info!(CAT, imp = self, "{model}");
        let model = Some(model);
        let scrambler = settings.model.scrambler()?.map(Arc::new);
        self.start_waiting(if stills.is_none() { secrets } else { 0 });
        self.refused.store(false, Ordering::Relaxed);
        *self.stats.lock().unwrap() = Stats::default();
        let (batch_size, effort) = (settings.batch_size as usize, settings.effort);
        *self.state.lock().unwrap() =
            State { model, secrets, scrambler, stills, batch_size, effort, ..State::default() };
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.stop_waiting();
        self.fault.lock().unwrap().take();
        *self.state.lock().unwrap() = State::default();
        self.secret_pads().iter().for_each(|pad| pad.imp().reset());
        Ok(())
    }

    fn flush(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.state.lock().unwrap().flush();
        Ok(gst::FlowSuccess::Ok)
    }

    fn next_time(&self) -> Option<gst::ClockTime> {
        self.next_deadline()
    }

    fn peek_next_sample(&self, pad: &gst_base::AggregatorPad) -> Option<gst::Sample> {
        self.selected_sample(pad)
    }

    fn create_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst_base::AggregatorPad> {
        let check = |number| self.state.lock().unwrap().check_new_pad(number);
        let number = self.numbers.reserve(self, name, check)?;
        let pad = gst::PadBuilder::<super::SecretPad>::from_template(template)
            .name(format!("secret_{number}"))
            .build();
        self.wait_anew_when_unlinked(pad.upcast_ref());
        // SAFETY: the pad is a valid object, and this only marks its one reference: the base class
        // takes it over as it does a new pad's in C. Unmarked, it would stay and leak the pad. The
        // element has no other pad of its name, with which the base class would drop the reference
        // and use the pad all the same.
        unsafe { glib::gobject_ffi::g_object_force_floating(pad.as_ptr().cast()) };
        Some(pad.upcast())
    }

    fn sink_event_pre_queue(
        &self,
        pad: &gst_base::AggregatorPad,
        event: gst::Event,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if pad == &self.cover_pad {
            match event.type_() {
                gst::EventType::Eos => self.cover_ends(),
                gst::EventType::StreamStart => self.cover_comes(),
                // Here, since later versions of the base class keep it until all pads were flushed.
                gst::EventType::FlushStop => {
                    self.cover_comes();
                    self.cover_flushed();
                }
                _ => {}
            }
        }
        self.parent_sink_event_pre_queue(pad, event)
    }

    fn sink_event(&self, pad: &gst_base::AggregatorPad, event: gst::Event) -> bool {
        // The base class takes a gap's segment for granted.
        if event.type_() == gst::EventType::Gap && !has_segment(pad) {
            return true;
        }
        match pad.downcast_ref() {
            Some(secret) => self.secret_event(secret, event),
            None => self.cover_event(event),
        }
    }

    fn sink_query(&self, pad: &gst_base::AggregatorPad, query: &mut gst::QueryRef) -> bool {
        if pad != &self.cover_pad {
            return self.parent_sink_query(pad, query);
        }
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let downstream = self.obj().src_pad().peer_query_caps(None);
                let common = video::caps().intersect(&downstream);
                if common.is_empty() {
                    video::refuse(&*self.obj(), *CAT, &downstream, &self.refused);
                }
                video::answer(caps, &common);
                true
            }
            gst::QueryViewMut::AcceptCaps(caps) if !caps.caps().can_intersect(&video::caps()) => {
                video::refuse(&*self.obj(), *CAT, caps.caps(), &self.refused);
                caps.set_result(false);
                true
            }
            _ => self.parent_sink_query(pad, query),
        }
    }

    fn src_event(&self, event: gst::Event) -> bool {
        self.upstream_event(event)
    }

    fn src_query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let upstream = self.cover_pad.peer_query_caps(None);
                video::answer(caps, &video::caps().intersect(&upstream));
                true
            }
            _ => self.upstream_query(query),
        }
    }

    fn propose_allocation(
        &self,
        pad: &gst_base::AggregatorPad,
        _decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        // One is queued on the pad while a batch, or the frame that serves, is held.
        let held = match pad == &self.cover_pad {
            true => self.state.lock().unwrap().batch_size as u32,
            false => 1,
        };
        let info = query.get().0.and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        if let Some(size) = info.and_then(|info| info.size().try_into().ok()) {
            query.add_allocation_pool(gst::BufferPool::NONE, size, held + 1, 0);
        }
        // A stego lies in memory as its cover does.
        if pad != &self.cover_pad || self.neighbour_takes_any_layout(query.get().0) {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
        }
        Ok(())
    }

    /// The caps are the cover's and sent with its frames.
    fn negotiate(&self) -> bool {
        true
    }

    fn clip(&self, pad: &gst_base::AggregatorPad, buffer: gst::Buffer) -> Option<gst::Buffer> {
        // Later it may have none because it was flushed.
        if !has_segment(pad) {
            self.refuse(pad.upcast_ref(), "frames come without a segment before them");
        }
        Some(buffer)
    }

    fn aggregate(&self, mut late: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        // Not held while frames are pushed: a flush takes it too.
        let fault = self.fault.lock().unwrap().take();
        if let Some(fault) = fault {
            return Err(self.failed_after_batch(fault));
        }
        self.wait.lock().unwrap().live = self.obj().latency().is_some();
        // Until there is no more to do: the base class may wait for frames on all pads.
        loop {
            // A seek and a stop wait for this task, while the cover's source may go on.
            if self.obj().src_pad().pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(gst::FlowError::Flushing);
            }
            match self.next_step(late).map_err(|error| self.failed_after_batch(error))? {
                Step::Conceal(batch) => self.send_stegos(batch)?,
                Step::Gap(gap) => self.send_gap(&gap),
                Step::Wait => return Err(gst_base::AGGREGATOR_FLOW_NEED_DATA),
                Step::End => {
                    self.end();
                    self.send_last_events();
                    return Err(gst::FlowError::Eos);
                }
                Step::GiveUp => return Err(gst::FlowError::Error),
            }
            late = false;
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

    /// Whether what takes the stegos reads from their buffers how they lie in memory.
    fn neighbour_takes_any_layout(&self, caps: Option<&gst::CapsRef>) -> bool {
        let caps = caps.map(ToOwned::to_owned);
        let mut query = gst::query::Allocation::new(caps.as_ref(), false);
        self.obj().src_pad().peer_query(&mut query)
            && query.find_allocation_meta::<gst_video::VideoMeta>().is_some()
    }
}
