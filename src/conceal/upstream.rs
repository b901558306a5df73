// SPDX-License-Identifier: MPL-2.0
//! Events and queries that come from downstream: what concerns the stream is the cover's to answer,
//! seeks are for all sources.

use gst::prelude::*;
use gst_base::subclass::prelude::*;

use super::imp::InvMihConceal;

impl InvMihConceal {
    pub(super) fn upstream_event(&self, event: gst::Event) -> bool {
        match event.view() {
            // A cover that its decoder skips is a stego less.
            gst::EventView::Qos(_) => true,
            // The caps are the cover's.
            gst::EventView::Reconfigure(_) => self.cover_pad.push_event(event),
            gst::EventView::Seek(seek) if seek.get().1.contains(gst::SeekFlags::FLUSH) => {
                self.seek(event)
            }
            _ => self.parent_src_event(event),
        }
    }

    /// Seeks all sources. The base class goes on once all pads were flushed: those of secrets whose
    /// source does not seek, a still for example, are flushed here, and their last frames serve on.
    fn seek(&self, seek: gst::Event) -> bool {
        let fixed: Vec<_> =
            self.secret_pads().into_iter().filter(|pad| !can_seek(pad.upcast_ref())).collect();
        let seqnum = seek.seqnum();
        let sought = self.parent_src_event(seek);
        if sought {
            fixed.iter().for_each(|pad| flush(pad.upcast_ref(), seqnum));
        }
        sought
    }

    /// Whether and where the stream can be sought, where it is and how long, are the cover's.
    pub(super) fn upstream_query(&self, query: &mut gst::QueryRef) -> bool {
        match query.type_() {
            gst::QueryType::Seeking | gst::QueryType::Position | gst::QueryType::Duration => {
                self.cover_pad.peer_query(query)
            }
            _ => self.parent_src_query(query),
        }
    }
}

fn can_seek(pad: &gst::Pad) -> bool {
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    pad.peer_query(&mut query) && query.result().0
}

/// Flushes a sink pad whose source does not; its segment and end stay.
fn flush(pad: &gst::Pad, seqnum: gst::Seqnum) {
    let segment = pad.sticky_event::<gst::event::Segment>(0).map(gst::Event::from);
    let end = pad.sticky_event::<gst::event::Eos>(0).map(gst::Event::from);
    pad.send_event(gst::event::FlushStart::builder().seqnum(seqnum).build());
    pad.send_event(gst::event::FlushStop::builder(true).seqnum(seqnum).build());
    for event in segment.into_iter().chain(end) {
        pad.send_event(event);
    }
}
