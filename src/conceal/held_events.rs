// SPDX-License-Identifier: MPL-2.0
//! Events of the cover's stream that leave in their order with the covers.

use std::collections::VecDeque;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::imp::InvMihConceal;

/// Events that wait for the covers before them.
#[derive(Debug, Default)]
pub struct HeldEvents {
    /// Each with the number of the cover after it.
    queue: VecDeque<(u64, gst::Event)>,
    /// The number of the cover that is being sent.
    due: u64,
}

impl HeldEvents {
    /// Forgets what a flush ends; what is sticky outlasts it.
    pub fn flush(&mut self) {
        self.queue.retain(|(_, event)| event.is_sticky());
    }

    /// Takes those that are due.
    fn take(&mut self) -> Vec<gst::Event> {
        self.take_first(self.due_count())
    }

    /// Takes those that are due up to the last start of a stream.
    fn take_starts(&mut self) -> Vec<gst::Event> {
        let is_start =
            |(_, event): &(u64, gst::Event)| event.type_() == gst::EventType::StreamStart;
        let last = self.queue.range(..self.due_count()).rposition(is_start);
        self.take_first(last.map_or(0, |last| last + 1))
    }

    fn due_count(&self) -> usize {
        self.queue.partition_point(|(number, _)| *number <= self.due)
    }

    fn take_first(&mut self, count: usize) -> Vec<gst::Event> {
        self.queue.drain(..count).map(|(_, event)| event).collect()
    }
}

impl InvMihConceal {
    /// Lets an event wait for the covers before it, and for a first segment.
    pub(super) fn hold_event(&self, event: gst::Event) {
        let waits = {
            let mut state = self.state.lock().unwrap();
            let number = state.covers.next_number();
            state.events.queue.push_back((number, event));
            !state.covers.is_empty() || !state.batch.is_empty() || state.sent_segment.is_none()
        };
        if !waits {
            self.send_last_events();
        }
    }

    /// Sends what came before a cover on, up to the last start of a stream: the cover's caps and segment
    /// follow it. The base class sends the start of the first stream.
    pub(super) fn send_starts(&self, number: u64) {
        let starts = {
            let mut state = self.state.lock().unwrap();
            state.events.due = number;
            state.events.take_starts()
        };
        let src_pad = self.obj().src_pad().clone();
        let begun = src_pad.sticky_event::<gst::event::StreamStart>(0).is_some();
        if !begun || starts.is_empty() {
            return;
        }
        self.state.lock().unwrap().sent_segment = None;
        for event in starts {
            src_pad.push_event(event);
        }
    }

    /// Sends the rest of what came before the cover that is being sent on, after its segment.
    pub(super) fn send_events(&self) {
        let events = self.state.lock().unwrap().events.take();
        for event in events {
            self.obj().src_pad().push_event(event);
        }
    }

    /// Sends on what came after the last cover.
    pub(super) fn send_last_events(&self) {
        self.send_starts(u64::MAX);
        if self.state.lock().unwrap().sent_segment.is_some() {
            self.send_events();
        }
    }
}
