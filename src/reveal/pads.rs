// SPDX-License-Identifier: MPL-2.0
//! Source pads that are added while stegos run: what came before them, they have to be told.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::InvMihReveal;

impl InvMihReveal {
    /// Adds a pad, which gets its form of the events that the stego's pad has.
    pub(super) fn add_src_pad(&self, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        pad.set_active(true)?;
        self.sink_pad.sticky_events_foreach(|event| {
            if let Ok(event) = self.event_for(pad, event) {
                let _ = pad.store_sticky_event(&event);
            }
            std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
        });
        self.obj().add_pad(pad)?;
        self.state.lock().unwrap().add_pad(pad);
        Ok(())
    }

    /// Gives a pad the start of the stream, if it came while the pad was being added.
    pub(super) fn catch_up_with_start(&self, pad: &gst::Pad) {
        let start = self.sink_pad.sticky_event::<gst::event::StreamStart>(0).map(gst::Event::from);
        if pad.stream_id().is_none()
            && let Some(start) = start
            && let Ok(start) = self.event_for(pad, &start)
        {
            pad.push_event(start);
        }
    }

    /// Gives a pad what came while it was being added.
    pub(super) fn catch_up(&self, pad: &gst::Pad, caps: &gst::Caps) {
        self.catch_up_with_start(pad);
        if pad.current_caps().as_ref() != Some(caps) {
            pad.push_event(gst::event::Caps::new(caps));
        }
        let of = |pad: &gst::Pad| pad.sticky_event::<gst::event::Segment>(0);
        let segment = of(&self.sink_pad);
        let own = of(pad);
        if let Some(segment) = segment
            && own.is_none_or(|own| own.segment() != segment.segment())
        {
            pad.push_event(segment);
        }
    }
}
