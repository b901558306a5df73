// SPDX-License-Identifier: MPL-2.0
//! Covers that go through the network together, and what is told about each stego.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::covers::Cover;
use super::imp::InvMihConceal;
use crate::network::{Frame, Mosaic};
use crate::stats::{nanoseconds, psnr};
use crate::video;

/// A cover with all that its stego is made from.
pub struct Prepared {
    pub cover: Cover,
    pub frame: Frame,
    pub mosaic: Arc<Mosaic>,
    /// Time in the network so far.
    pub inference: Duration,
}

impl InvMihConceal {
    /// Lets a cover wait for the rest of its batch; the batch is pushed once it is full, or at once
    /// in a live pipeline.
    pub(super) fn add_to_batch(
        &self,
        prepared: Prepared,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let live = self.obj().latency().is_some();
        let full = {
            let mut state = self.state.lock().unwrap();
            state.batch.push(prepared);
            state.batch.len() >= state.batch_size
        };
        match full || live {
            true => self.push_batch(),
            false => Err(gst_base::AGGREGATOR_FLOW_NEED_DATA),
        }
    }

    /// Whether a cover cannot join those that wait: a batch is of one size.
    pub(super) fn ends_batch(&self, cover: &Cover) -> bool {
        let state = self.state.lock().unwrap();
        state.batch.first().is_some_and(|first| first.cover.caps != cover.caps)
    }

    /// Conceals in the covers that wait, and pushes their stegos.
    pub(super) fn push_batch(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (model, batch) = {
            let mut state = self.state.lock().unwrap();
            (state.model.clone(), std::mem::take(&mut state.batch))
        };
        let Some(model) = model.filter(|_| !batch.is_empty()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let started = Instant::now();
        let pairs: Vec<_> = batch.iter().map(|p| (&p.frame, &*p.mosaic)).collect();
        let stegos = model
            .conceal_batch(&pairs)
            .map_err(|error| self.failed(gst::ErrorMessage::from(error)))?;
        let share = started.elapsed() / batch.len() as u32;
        for (prepared, stego) in batch.into_iter().zip(stegos) {
            self.push_stego(prepared, &stego, share)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn push_stego(
        &self,
        prepared: Prepared,
        stego: &Frame,
        share: Duration,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Prepared { mut cover, frame, inference, .. } = prepared;
        let error = frame.mean_squared_error(stego);
        let inference = inference + share;
        let post = {
            let mut state = self.state.lock().unwrap();
            state.stats.add(inference);
            state.stats.add_cover_error(error);
            state.post_messages
        };
        video::write(stego, cover.buffer.make_mut(), &cover.info).map_err(|e| self.failed(e))?;
        if post {
            self.post_stego_message(&cover, psnr(error), inference);
        }
        self.send_format(&cover);
        self.finish_buffer(cover.buffer)
    }

    fn post_stego_message(&self, cover: &Cover, psnr: f64, inference: Duration) {
        let timestamp = cover.buffer.pts();
        let stream_time = cover
            .segment
            .downcast_ref::<gst::ClockTime>()
            .and_then(|segment| segment.to_stream_time(timestamp));
        let structure = gst::Structure::builder("invmihconceal")
            .field_if_some("timestamp", timestamp)
            .field_if_some("stream-time", stream_time)
            .field_if_some("running-time", cover.time.positive())
            .field_if_some("duration", cover.buffer.duration())
            .field("cover-psnr", psnr)
            .field("inference-time", nanoseconds(inference))
            .build();
        let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
        // Nobody may listen.
        let _ = self.obj().post_message(message);
    }
}
