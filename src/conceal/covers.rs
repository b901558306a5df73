// SPDX-License-Identifier: MPL-2.0
//! Covers that wait for their secrets, and the time that decides which secrets are theirs.

use std::collections::VecDeque;

use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInfo;

use super::picture::{Format, Picture};

/// While secret pads are missing for long, covers up to this size are taken in, so that the end of a
/// still or of a short video is seen; then the cover's stream is blocked.
const HELD_BYTES: usize = 64 << 20;

/// One frame of the cover's stream and what is needed to send it on.
#[derive(Debug)]
pub struct Cover {
    pub picture: Picture,
    pub time: gst::Signed<gst::ClockTime>,
    /// How many came before it since the start.
    pub number: u64,
    /// How many flushes were before it.
    flushes: u32,
}

/// Covers in their order.
#[derive(Debug, Default)]
pub struct Covers {
    queue: VecDeque<Cover>,
    format: Format,
    /// Whether a frame came since the start of the stream or the last flush.
    begun: bool,
    /// How many came from the pad since the start.
    taken: u64,
    flushes: u32,
}

impl Covers {
    /// Takes the caps of the frames to come; refused ones leave these without.
    pub fn set_caps(&mut self, caps: &gst::CapsRef) -> Result<(), gst::glib::BoolError> {
        self.format.set(caps)
    }

    /// Of the frames to come.
    pub fn info(&self) -> Option<&VideoInfo> {
        self.format.info()
    }

    /// The next to come from the pad is its stream's first.
    pub fn start_stream(&mut self) {
        self.begun = false;
    }

    /// The number of the next to come from the pad.
    pub fn next_number(&self) -> u64 {
        self.taken
    }

    /// Forgets the covers, not their format.
    pub fn flush(&mut self) {
        self.queue.clear();
        self.begun = false;
        self.flushes += 1;
    }

    /// Whether no flush came after a cover.
    pub fn is_current(&self, cover: &Cover) -> bool {
        cover.flushes == self.flushes
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The running time of the next cover, which may still be on the pad.
    pub fn next_time(
        &self,
        pad: &gst_base::AggregatorPad,
    ) -> Result<Option<gst::Signed<gst::ClockTime>>, gst::ErrorMessage> {
        if let Some(cover) = self.queue.front() {
            return Ok(Some(cover.time));
        }
        match pad.peek_buffer() {
            Some(buffer) => Ok(shown(pad, &buffer, !self.begun)?.map(|shown| shown.from)),
            None => Ok(None),
        }
    }

    /// The next cover, from the pad if none is held.
    pub fn next(
        &mut self,
        pad: &gst_base::AggregatorPad,
    ) -> Result<Option<Cover>, gst::ErrorMessage> {
        match self.queue.pop_front() {
            Some(cover) => Ok(Some(cover)),
            None => self.take(pad),
        }
    }

    /// Lets a cover wait again, before all others, unless it was flushed.
    pub fn put_back(&mut self, cover: Cover) {
        if self.is_current(&cover) {
            self.queue.push_front(cover);
        }
    }

    /// Takes the pad's next cover to let it wait, as far as there is room; false if none was taken.
    pub fn hold(&mut self, pad: &gst_base::AggregatorPad) -> Result<bool, gst::ErrorMessage> {
        let held: usize = self.queue.iter().map(|cover| cover.picture.buffer.size()).sum();
        if held >= HELD_BYTES {
            return Ok(false);
        }
        let cover = self.take(pad)?;
        let taken = cover.is_some();
        self.queue.extend(cover);
        Ok(taken)
    }

    fn take(&mut self, pad: &gst_base::AggregatorPad) -> Result<Option<Cover>, gst::ErrorMessage> {
        let Some(buffer) = pad.peek_buffer() else {
            return Ok(None);
        };
        let Some(Shown { from: time, .. }) = shown(pad, &buffer, !self.begun)? else {
            return Ok(None);
        };
        pad.drop_buffer();
        let picture = self.format.picture(pad, buffer)?;
        self.begun = true;
        let number = self.taken;
        self.taken += 1;
        Ok(Some(Cover { picture, time, number, flushes: self.flushes }))
    }
}

/// When a frame is shown, in running time.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub from: gst::Signed<gst::ClockTime>,
    /// The same where its duration is not known; none where it has no end.
    pub until: Option<gst::Signed<gst::ClockTime>>,
}

/// When a frame is shown. A stream's first frame may come without a timestamp, as a single
/// picture does: then it stands at the start of its segment. Nothing is known if the pad was flushed since
/// the frame was first looked at: the base class keeps such a frame until it is given the word back.
pub fn shown(
    pad: &gst_base::AggregatorPad,
    buffer: &gst::BufferRef,
    first: bool,
) -> Result<Option<Shown>, gst::ErrorMessage> {
    let (name, segment) = (pad.name(), pad.segment());
    if segment.format() == gst::Format::Undefined {
        return Ok(None);
    }
    let segment = segment.downcast::<gst::ClockTime>().map_err(|segment| {
        let format = segment.format();
        gst::error_msg!(
            gst::StreamError::Format,
            ("{name}: the segment is in {format:?}, it has to be in Time")
        )
    })?;
    let timestamp = match buffer.pts() {
        None if first => segment.start(),
        timestamp => timestamp,
    };
    let time = timestamp.and_then(|timestamp| segment.to_running_time_full(timestamp));
    let time = time.ok_or_else(|| {
        gst::error_msg!(
            gst::StreamError::Format,
            ("{name}: a frame after the first has no timestamp")
        )
    })?;
    let lasts = gst::Signed::Positive(lasts(buffer, segment.rate()));
    // Played in reverse, a frame begins with its end.
    Ok(Some(match segment.rate() < 0.0 {
        true => Shown { from: time.checked_sub(lasts).unwrap_or(time), until: Some(time) },
        false => Shown { from: time, until: time.checked_add(lasts) },
    }))
}

/// How long a frame lasts at a rate; not at all where its duration is not known.
fn lasts(buffer: &gst::BufferRef, rate: f64) -> gst::ClockTime {
    let duration = buffer.duration().unwrap_or_default();
    let lasts = (duration.nseconds() as f64 / rate.abs()) as u64;
    gst::ClockTime::from_nseconds(lasts.min(gst::ClockTime::MAX.nseconds()))
}

/// Whether it is known yet, or again after a flush, when a pad's frames are shown.
pub fn has_segment(pad: &gst_base::AggregatorPad) -> bool {
    pad.segment().format() != gst::Format::Undefined
}
