// SPDX-License-Identifier: MPL-2.0
//! Events that come with the cover and with the secrets.

use gst::EventView;
use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::SecretPad;
use super::imp::{CAT, InvMihConceal};

impl InvMihConceal {
    /// Takes an event of a secret's stream, which ends here: nothing of it is the stego's.
    pub(super) fn secret_event(&self, pad: &SecretPad, event: gst::Event) -> bool {
        match event.view() {
            EventView::Caps(caps) => taken(pad, &event, pad.imp().set_caps(caps.caps())),
            EventView::FlushStart(_)
            | EventView::FlushStop(_)
            | EventView::StreamStart(_)
            | EventView::Segment(_)
            | EventView::Gap(_)
            | EventView::Eos(_) => self.parent_sink_event(pad.upcast_ref(), event),
            _ => true,
        }
    }

    /// Takes an event of the cover's stream.
    pub(super) fn cover_event(&self, event: gst::Event) -> bool {
        match event.view() {
            EventView::Caps(caps) => {
                let caps = self.state.lock().unwrap().covers.set_caps(caps.caps());
                self.announce_latency();
                return taken(&self.cover_pad, &event, caps);
            }
            EventView::Tag(_) => {
                self.tags.lock().unwrap().push(event);
                return true;
            }
            EventView::StreamStart(_) => self.start_stream(&event),
            EventView::FlushStop(_) => self.state.lock().unwrap().flush(),
            _ => {}
        }
        self.parent_sink_event(&self.cover_pad, event)
    }

    /// Sends the start of another stream on, with which the tags of the old one end; the base class
    /// sends that of the first.
    fn start_stream(&self, start: &gst::Event) {
        self.tags.lock().unwrap().clear();
        let src_pad = self.obj().src_pad().clone();
        if src_pad.sticky_event::<gst::event::StreamStart>(0).is_some() {
            self.state.lock().unwrap().sent_segment = None;
            src_pad.push_event(start.clone());
        }
    }

    /// Sends the cover's tags on, after its segment.
    pub(super) fn send_tags(&self) {
        let tags = std::mem::take(&mut *self.tags.lock().unwrap());
        for event in tags {
            self.obj().src_pad().push_event(event);
        }
    }

    /// Sends the tags on that came after the last frame.
    pub(super) fn send_last_tags(&self) {
        if self.state.lock().unwrap().sent_segment.is_some() {
            self.send_tags();
        }
    }
}

/// Whether caps were taken; says why not.
fn taken(
    pad: &impl IsA<gst::Pad>,
    event: &gst::Event,
    caps: Result<(), gst::glib::BoolError>,
) -> bool {
    caps.inspect_err(|error| gst::error!(CAT, obj = pad, "{error}: {event:?}")).is_ok()
}
