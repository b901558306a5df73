// SPDX-License-Identifier: MPL-2.0
//! What leaves the element: stegos with their format, gaps, messages, and the latency.

use std::time::Duration;

use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::covers::Cover;
use super::imp::{CAT, InvMihConceal};
use super::picture::Picture;
use super::stego::Paired;
use crate::latency::{Pass, frame_duration};
use crate::stats::nanoseconds;

impl InvMihConceal {
    /// Counts a stego and posts its message if one is wanted.
    pub(super) fn count(&self, stego: &Cover, inference: Duration, psnr: f64) {
        self.stats.lock().unwrap().count(inference, Some(psnr));
        if !self.settings.lock().unwrap().post_messages {
            return;
        }
        let timestamp = stego.picture.buffer.pts();
        let segment = stego.picture.segment.downcast_ref::<gst::ClockTime>();
        let structure = gst::Structure::builder("invmihconceal")
            .field_if_some("timestamp", timestamp)
            .field_if_some("stream-time", segment.and_then(|own| own.to_stream_time(timestamp)))
            .field_if_some("running-time", segment.and_then(|own| own.to_running_time(timestamp)))
            .field_if_some("duration", stego.picture.buffer.duration())
            .field("inference-time", nanoseconds(inference))
            .field("cover-psnr", psnr)
            .build();
        let element = self.obj();
        let message = gst::message::Element::builder(structure).src(&*element).build();
        // Without a bus nobody wants it.
        let _ = element.post_message(message);
    }

    /// Takes the time of one pass of the network, and announces the latency anew if it has grown.
    pub(super) fn measured(&self, pass: Pass, time: Duration) {
        let grown = self.state.lock().unwrap().pass.measured(pass, time);
        if grown {
            self.announce_latency();
        }
    }

    /// Announces how long after a cover its stego may come: while a pass runs, as many covers as one
    /// takes may come and wait for the next, or at a variable frame rate any one. Meanwhile the secrets of
    /// the cover's time may come too.
    pub(super) fn announce_latency(&self) {
        let latency = {
            let state = self.state.lock().unwrap();
            let frame = state.covers.info().and_then(|info| frame_duration(info.fps()));
            let pass = state.pass.announced();
            let wait = frame.map(|frame| frame.saturating_mul(state.batch_size as u64));
            wait.unwrap_or(pass).saturating_add(pass)
        };
        gst::debug!(CAT, imp = self, "latency {latency}");
        self.obj().set_latency(latency, latency);
    }

    /// Sends a stego on, unless a flush of the cover has overtaken it.
    pub(super) fn send(&self, stego: Cover) -> Result<gst::FlowSuccess, gst::FlowError> {
        if !self.state.lock().unwrap().covers.is_current(&stego) {
            gst::debug!(CAT, imp = self, "a flush has overtaken {:?}", stego.picture.buffer);
            return Ok(gst::FlowSuccess::Ok);
        }
        gst::log!(CAT, imp = self, "sending {:?}", stego.picture.buffer);
        self.send_starts(stego.number);
        self.send_format(&stego);
        self.finish_buffer(stego.picture.buffer)
    }

    /// Conceals a batch and sends its stegos on.
    pub(super) fn send_stegos(&self, batch: Vec<Paired>) -> Result<(), gst::FlowError> {
        let stegos = self.conceal(batch).map_err(|error| self.failed(error))?;
        let mut sent = stegos.into_iter().map(|stego| self.send(stego).map(drop));
        sent.try_for_each(|flow| flow.map_err(|flow| self.not_taken(flow)))
    }

    /// Ends the stream with a message on the bus, after the stegos of the covers before the fault.
    pub(super) fn failed_after_batch(&self, error: gst::ErrorMessage) -> gst::FlowError {
        let batch = self.take_batch();
        if !batch.is_empty()
            && let Err(flow) = self.send_stegos(batch)
        {
            return flow;
        }
        self.failed(error)
    }

    /// Ends the stream with a message on the bus.
    fn failed(&self, error: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(error);
        gst::FlowError::Error
    }

    /// Sends a gap on, after its segment if that is new, and the events before it.
    pub(super) fn send_gap(&self, gap: &Cover) {
        self.send_starts(gap.number);
        let new_segment = self.send_format(gap);
        let src_pad = self.obj().src_pad().clone();
        let seqnum = self.cover_pad.sticky_event::<gst::event::Segment>(0);
        let seqnum = seqnum.map(|segment| segment.seqnum());
        if new_segment {
            let segment = gst::event::Segment::builder(&gap.picture.segment).seqnum_if_some(seqnum);
            src_pad.push_event(segment.build());
        }
        self.send_events();
        if let Some(start) = gap.picture.buffer.pts() {
            let event = gst::event::Gap::builder(start).duration(gap.picture.buffer.duration());
            src_pad.push_event(event.seqnum_if_some(seqnum).build());
        }
    }

    /// Sends a cover's segment and caps if they are new; the base class keeps the segment until the
    /// next frame. Returns whether the segment is new.
    fn send_format(&self, cover: &Cover) -> bool {
        let Picture { caps, segment, .. } = &cover.picture;
        let (new_segment, new_caps) = {
            let mut state = self.state.lock().unwrap();
            let old_segment = state.sent_segment.replace(segment.clone());
            let old_caps = state.sent_caps.replace(caps.clone());
            (old_segment.as_ref() != Some(segment), old_caps.as_ref() != Some(caps))
        };
        if new_segment && let Some(time) = segment.downcast_ref::<gst::ClockTime>() {
            self.obj().update_segment(time);
        }
        if new_caps {
            gst::debug!(CAT, imp = self, "caps {caps}");
            self.obj().set_src_caps(caps);
        }
        new_segment
    }
}
