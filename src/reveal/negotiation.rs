// SPDX-License-Identifier: MPL-2.0
//! Events and queries between the stego's pad and those of the secrets: formats are shared, sizes
//! and frame rates are each pad's own.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{CAT, InvMihReveal};
use super::output::{Output, secret_caps};
use super::session::secret_of;
use crate::video;

impl InvMihReveal {
    /// Gives each source pad its own form of an event; a pad that is not linked can do without.
    pub(super) fn push_own_events(&self, event: &gst::Event) -> bool {
        for pad in self.obj().src_pads() {
            if event.type_() != gst::EventType::StreamStart {
                self.catch_up_with_start(&pad);
            }
            match self.event_for(&pad, event) {
                Ok(event) => {
                    pad.push_event(event);
                }
                Err(error) if pad.is_linked() => {
                    self.post_error_message(error);
                    return false;
                }
                Err(error) => gst::warning!(CAT, obj = pad, "{error}"),
            }
        }
        true
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            // A stego that its decoder skips is lost with all its secrets.
            gst::EventView::Qos(_) => true,
            gst::EventView::Seek(seek)
                if seek.get().3.format() == gst::Format::Default && self.counts_more(pad) =>
            {
                false
            }
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// An event of the stego's stream as a source pad gives it on.
    pub(super) fn event_for(
        &self,
        pad: &gst::Pad,
        event: &gst::Event,
    ) -> Result<gst::Event, gst::ErrorMessage> {
        Ok(match event.view() {
            gst::EventView::StreamStart(start) => {
                let id = format!("{}/{}", start.stream_id(), pad.name());
                let builder = gst::event::StreamStart::builder(&id)
                    .seqnum(event.seqnum())
                    .flags(start.stream_flags());
                builder.group_id_if_some(start.group_id()).build()
            }
            gst::EventView::Caps(caps) => {
                let caps = self.caps_for(pad, caps.caps())?;
                gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build()
            }
            gst::EventView::Tag(tag) => {
                // Secrets are hidden the way up that they are; how the cover is turned is not theirs.
                let mut tags = tag.tag_owned();
                tags.make_mut().remove::<gst::tags::ImageOrientation>();
                gst::event::Tag::builder(tags).seqnum(event.seqnum()).build()
            }
            _ => event.clone(),
        })
    }

    /// The caps of a source pad for a stego's caps.
    pub(super) fn caps_for(
        &self,
        pad: &gst::Pad,
        stego: &gst::CapsRef,
    ) -> Result<gst::Caps, gst::ErrorMessage> {
        let session = self.state.lock().unwrap().session.clone();
        match session {
            Some(session) if secret_of(pad).is_none() => session.output.caps(stego, session.grid),
            _ => Ok(secret_caps(stego)),
        }
    }

    /// Formats pass through, sizes and frame rates may differ from pad to pad.
    pub(super) fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if is_in_frames(query) && self.counts_more(pad) {
            return false;
        }
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
                if caps.is_empty() {
                    self.refuse_formats(&others);
                }
                video::answer(query, &caps);
                true
            }
            gst::QueryViewMut::AcceptCaps(query)
                if pad.direction() == gst::PadDirection::Sink
                    && !query.caps().can_intersect(&video::caps()) =>
            {
                video::refuse(&*self.obj(), *CAT, query.caps(), &self.refused);
                query.set_result(false);
                true
            }
            gst::QueryViewMut::Latency(_) if pad.direction() == gst::PadDirection::Src => {
                self.latency(query)
            }
            gst::QueryViewMut::Allocation(query) if pad.direction() == gst::PadDirection::Sink => {
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// Whether a pad has several frames for each stego, so that a number of those says nothing of these.
    fn counts_more(&self, pad: &gst::Pad) -> bool {
        let state = self.state.lock().unwrap();
        let output = state.session.as_ref().map(|session| session.output);
        pad.direction() == gst::PadDirection::Src
            && secret_of(pad).is_none()
            && output == Some(Output::Sequence)
    }

    /// Says which neighbour takes no format that carries secrets.
    fn refuse_formats(&self, pads: &[gst::Pad]) {
        for pad in pads {
            let caps = pad.peer_query_caps(None);
            if !caps.can_intersect(&video::caps()) {
                video::refuse(&*self.obj(), *CAT, &caps, &self.refused);
            }
        }
    }

    /// A stego's secrets come as much later as the network takes.
    fn latency(&self, query: &mut gst::QueryRef) -> bool {
        if !self.sink_pad.peer_query(query) {
            return false;
        }
        if let gst::QueryViewMut::Latency(query) = query.view_mut() {
            let own = self.state.lock().unwrap().pass.announced();
            gst::debug!(CAT, imp = self, "own latency {own}");
            let (live, min, max) = query.result();
            query.set(live, min.saturating_add(own), max.map(|max| max.saturating_add(own)));
        }
        true
    }
}

/// Whether a query asks for a number of frames or for what one is in another format.
fn is_in_frames(query: &gst::QueryRef) -> bool {
    let frames = gst::Format::Default;
    match query.view() {
        gst::QueryView::Position(query) => query.format() == frames,
        gst::QueryView::Duration(query) => query.format() == frames,
        gst::QueryView::Seeking(query) => query.format() == frames,
        gst::QueryView::Convert(query) => {
            let (from, to) = query.get();
            from.format() == frames || to == frames
        }
        _ => false,
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
