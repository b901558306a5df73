// SPDX-License-Identifier: MPL-2.0
//! Events that come with the cover and with the secrets.

use gst::EventView;
use gst::prelude::*;
use gst_base::subclass::prelude::*;

use super::SecretPad;
use super::imp::InvMihConceal;

impl InvMihConceal {
    /// Takes an event of a secret's stream, which ends here: nothing of it is the stego's.
    pub(super) fn secret_event(&self, pad: &SecretPad, mut event: gst::Event) -> bool {
        match event.view() {
            EventView::Caps(caps) => {
                self.taken(pad.upcast_ref(), caps, pad.imp().set_caps(caps.caps()))
            }
            // The base class numbers the stego's segment and end as the last segment of any pad.
            EventView::Segment(_) => {
                if let Some(cover) = self.cover_pad.sticky_event::<gst::event::Segment>(0) {
                    event.make_mut().set_seqnum(cover.seqnum());
                }
                self.parent_sink_event(pad.upcast_ref(), event)
            }
            EventView::StreamStart(_) => {
                pad.imp().start_stream();
                self.parent_sink_event(pad.upcast_ref(), event)
            }
            EventView::FlushStart(_)
            | EventView::FlushStop(_)
            | EventView::Gap(_)
            | EventView::Eos(_) => self.parent_sink_event(pad.upcast_ref(), event),
            _ => true,
        }
    }

    /// Takes an event of the cover's stream.
    pub(super) fn cover_event(&self, event: gst::Event) -> bool {
        match event.view() {
            EventView::Caps(caps) => {
                let result = self.state.lock().unwrap().covers.set_caps(caps.caps());
                self.announce_latency();
                return self.taken(self.cover_pad.upcast_ref(), caps, result);
            }
            // Before its caps nothing is known of what is missing.
            EventView::Gap(_) if self.state.lock().unwrap().covers.info().is_none() => return true,
            EventView::StreamStart(_) => {
                self.state.lock().unwrap().covers.start_stream();
                self.hold_event(event.clone());
            }
            EventView::FlushStop(_)
            | EventView::Segment(_)
            | EventView::Gap(_)
            | EventView::Eos(_) => {}
            _ if event.is_serialized() => {
                self.hold_event(event);
                return true;
            }
            _ => {}
        }
        self.parent_sink_event(&self.cover_pad, event)
    }

    /// Forgets the covers before a flush.
    pub(super) fn cover_flushed(&self) {
        self.state.lock().unwrap().flush();
        // New caps may have been dropped on their way behind the covers.
        if let Some(caps) = self.cover_pad.sticky_event::<gst::event::Caps>(0) {
            self.cover_event(caps.into());
        }
    }

    /// Ends the stream with the next call of `aggregate`: what comes to a pad cannot be used.
    pub(super) fn refuse(&self, pad: &gst::Pad, why: &str) {
        let text = format!("{}: {why}", pad.name());
        let fault = gst::error_msg!(gst::StreamError::Format, ("{text}"));
        self.fault.lock().unwrap().get_or_insert(fault);
    }

    /// Whether caps were taken; the stream ends if not. That they were refused never reaches the source: the
    /// base class took the event long ago, and frames of theirs follow.
    fn taken(
        &self,
        pad: &gst::Pad,
        caps: &gst::event::Caps,
        result: Result<(), gst::glib::BoolError>,
    ) -> bool {
        let refuse = |error| self.refuse(pad, &format!("caps {} ({error})", caps.caps()));
        result.map_err(refuse).is_ok()
    }
}
