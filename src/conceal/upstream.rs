// SPDX-License-Identifier: MPL-2.0
//! Events and queries that come from downstream: what concerns the stream is the cover's to answer,
//! seeks are for all sources.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;

use super::SecretPad;
use super::imp::{CAT, InvMihConceal};

impl InvMihConceal {
    pub(super) fn upstream_event(&self, mut event: gst::Event) -> bool {
        match event.view() {
            // A cover that its decoder skips is a stego less.
            gst::EventView::Qos(_) => true,
            gst::EventView::Latency(_) => self.parent_src_event(event),
            gst::EventView::Seek(seek) => {
                let (_, flags, _, start, ..) = seek.get();
                // The end of a secret's segment does not say whether frames follow, and rates that
                // change at once would be each source's own.
                let refused = gst::SeekFlags::SEGMENT | gst::SeekFlags::INSTANT_RATE_CHANGE;
                if start.format() != gst::Format::Time || flags.intersects(refused) {
                    return false;
                }
                let flags = exact(flags);
                event.make_mut().structure_mut().set("flags", flags);
                gst::debug!(CAT, imp = self, "seek {event:?}");
                self.seek(event, flags.contains(gst::SeekFlags::FLUSH))
            }
            // Caps, key frames, and what is to be seen are the cover's.
            _ => self.cover_pad.push_event(event),
        }
    }

    /// Seeks all sources that can. After a flush the base class goes on once all pads were flushed, so
    /// those of secrets whose source cannot seek, a still for example, are flushed here, and their last
    /// frames serve on.
    fn seek(&self, seek: gst::Event, flushes: bool) -> bool {
        let seqnum = seek.seqnum();
        if self.state.lock().unwrap().sought == Some(seqnum) {
            return true;
        }
        if !can_seek(&self.cover_pad) {
            return false;
        }
        let fixed = self.fixed_secrets();
        if let Some(pad) = holds_back(&fixed) {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Seek,
                (
                    "no seek: the source of {} cannot seek, and its last frame has not come yet",
                    pad.name()
                )
            );
            return false;
        }
        self.state.lock().unwrap().sought = Some(seqnum);
        // The base class would send the seek to them, and stop for good when it fails.
        let kept: Vec<_> = fixed.iter().filter_map(|pad| keep_from(&pad.peer()?, seqnum)).collect();
        let sought = self.parent_src_event(seek);
        for (source, probe) in kept {
            source.remove_probe(probe);
        }
        if sought && flushes {
            for pad in &fixed {
                pad.imp().keep_last();
                flush(pad, seqnum);
            }
        } else if !sought {
            // Some sources have sought, and after a flush the base class has stopped.
            gst::element_imp_error!(
                self,
                gst::ResourceError::Seek,
                ("a source of the cover or of a secret refused to seek")
            );
        }
        sought
    }

    /// The secrets whose source cannot seek.
    fn fixed_secrets(&self) -> Vec<SecretPad> {
        let mut pads = self.secret_pads();
        pads.retain(|pad| !can_seek(pad));
        pads
    }

    /// Where the stream is, how long, and where it can be sought if no secret holds it back, are the
    /// cover's.
    pub(super) fn upstream_query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Seeking(seeking) => {
                let answered = self.cover_pad.peer_query(seeking.query_mut());
                let (seekable, start, end) = seeking.result();
                let refused = seeking.format() != gst::Format::Time
                    || seekable && holds_back(&self.fixed_secrets()).is_some();
                seeking.set(seekable && !refused, start, end);
                answered
            }
            gst::QueryViewMut::Position(_) | gst::QueryViewMut::Duration(_) => {
                self.cover_pad.peer_query(query)
            }
            _ => self.parent_src_query(query),
        }
    }
}

/// The flags of a seek that brings all sources to one time: each has its key frames elsewhere.
fn exact(mut flags: gst::SeekFlags) -> gst::SeekFlags {
    flags.remove(gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_NEAREST);
    flags | gst::SeekFlags::ACCURATE
}

/// Of secrets whose source cannot seek, one that has no last frame to serve on.
fn holds_back(fixed: &[SecretPad]) -> Option<&SecretPad> {
    fixed.iter().find(|pad| !pad.imp().keeps_its_frame())
}

fn can_seek(pad: &impl IsA<gst::Pad>) -> bool {
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    pad.peer_query(&mut query) && query.result().0
}

/// Lets a source believe that an event from downstream was handled.
fn keep_from(source: &gst::Pad, seqnum: gst::Seqnum) -> Option<(gst::Pad, gst::PadProbeId)> {
    let probe = source.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        match info.event().is_some_and(|event| event.seqnum() == seqnum) {
            true => gst::PadProbeReturn::Handled,
            false => gst::PadProbeReturn::Ok,
        }
    })?;
    Some((source.clone(), probe))
}

/// Flushes a sink pad whose source does not; its segment and end stay, as if sent after the seek.
fn flush(pad: &impl IsA<gst::Pad>, seqnum: gst::Seqnum) {
    let segment = pad.sticky_event::<gst::event::Segment>(0).map(gst::Event::from);
    let end = pad.sticky_event::<gst::event::Eos>(0).map(gst::Event::from);
    pad.send_event(gst::event::FlushStart::builder().seqnum(seqnum).build());
    pad.send_event(gst::event::FlushStop::builder(true).seqnum(seqnum).build());
    for mut event in segment.into_iter().chain(end) {
        event.make_mut().set_seqnum(seqnum);
        pad.send_event(event);
    }
}
