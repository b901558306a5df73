// SPDX-License-Identifier: MPL-2.0
//! `secret_%u`: one secret, converted and scaled to the cover's size.

use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::{VideoConverter, VideoFormat, VideoFrameRef, VideoInfo};

use super::covers;
use super::imp::CAT;
use super::picture::{Format, Picture, is_gap};
use crate::network::Frame;
use crate::numbers::number_of;
use crate::video;

/// With fewer lines the two fields of an interlaced frame may take scaling filters of different
/// lengths, which libgstvideo does not allow.
const FIELD_LINES: u32 = 5;

#[derive(Default)]
struct State {
    format: Format,
    /// From before a flush, if none has come since: then it serves if none comes at all.
    current: Option<Picture>,
    /// Whether a frame came since the start or the last flush.
    begun: bool,
    /// Whether one of the stream did that is under way.
    stream_begun: bool,
    /// Whether nobody has asked for the current frame yet.
    fresh: bool,
    converter: Option<VideoConverter>,
}

#[derive(Default)]
pub struct SecretPad {
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for SecretPad {
    const NAME: &'static str = "GstInvMihConcealSecretPad";
    type Type = super::SecretPad;
    type ParentType = gst_base::AggregatorPad;
}

impl ObjectImpl for SecretPad {}
impl GstObjectImpl for SecretPad {}
impl PadImpl for SecretPad {}

impl AggregatorPadImpl for SecretPad {
    fn flush(&self, aggregator: &gst_base::Aggregator) -> Result<gst::FlowSuccess, gst::FlowError> {
        {
            let mut state = self.state.lock().unwrap();
            (state.begun, state.stream_begun) = (false, false);
        }
        let flow = self.parent_flush(aggregator);
        // New ones may have been dropped on their way behind the frames.
        if let Some(caps) = self.obj().current_caps()
            && let Err(error) = self.set_caps(&caps)
        {
            gst::warning!(CAT, imp = self, "caps {caps}: {error}");
        }
        flow
    }
}

impl SecretPad {
    /// u of `secret_u`.
    pub fn number(&self) -> Option<usize> {
        number_of("secret", &self.obj().name())
    }

    /// Takes the caps of the frames to come; refused ones leave these without.
    pub fn set_caps(&self, caps: &gst::CapsRef) -> Result<(), glib::BoolError> {
        self.state.lock().unwrap().format.set(caps)
    }

    /// The next frame is its stream's first.
    pub fn start_stream(&self) {
        self.state.lock().unwrap().stream_begun = false;
    }

    /// Forgets all frames.
    pub fn reset(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// Makes the latest frame at or before a running time the current one; false while it is still
    /// to come, unless it is `late`: then the current one serves. The first frame also serves every
    /// time before it, the last one every time after it and every gap.
    pub fn advance(
        &self,
        time: gst::Signed<gst::ClockTime>,
        late: bool,
    ) -> Result<bool, gst::ErrorMessage> {
        let pad = self.obj();
        let mut state = self.state.lock().unwrap();
        while let Some(buffer) = pad.peek_buffer() {
            let Some(shown) = covers::shown(pad.upcast_ref(), &buffer, !state.stream_begun)? else {
                return Ok(false);
            };
            let gap = is_gap(&buffer);
            if state.begun
                && (shown.from > time || gap && shown.until.is_none_or(|until| until > time))
            {
                return Ok(true);
            }
            if !gap {
                state.current = Some(state.format.picture(&*pad, buffer)?);
                state.fresh = true;
                (state.begun, state.stream_begun) = (true, true);
            }
            pad.drop_buffer();
        }
        if pad.is_eos() && state.current.is_none() {
            return Err(gst::error_msg!(
                gst::StreamError::WrongType,
                ("{} ended without a frame", pad.name())
            ));
        }
        Ok(pad.is_eos() || late && state.begun)
    }

    /// The current frame as it is shown to applications.
    pub fn sample(&self) -> Option<gst::Sample> {
        self.state.lock().unwrap().current.as_ref().map(Picture::sample)
    }

    /// Whether the current frame was never asked for.
    pub fn is_fresh(&self) -> bool {
        self.state.lock().unwrap().fresh
    }

    /// Whether there is a frame that serves if no other comes.
    pub fn has_frame(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.current.is_some() && (state.begun || self.obj().is_eos())
    }

    /// Whether the source has ended; frames may still wait here.
    pub fn has_ended(&self) -> bool {
        self.obj().sticky_event::<gst::event::Eos>(0).is_some()
    }

    /// Whether the source has ended with a frame, which [`keep_last`](Self::keep_last) brings through
    /// a flush.
    pub fn keeps_its_frame(&self) -> bool {
        self.has_ended()
            && (self.obj().has_buffer() || self.state.lock().unwrap().current.is_some())
    }

    /// Makes the last of the frames that wait here the current one: a flush would lose them.
    pub fn keep_last(&self) {
        let mut state = self.state.lock().unwrap();
        while let Some(buffer) = self.obj().pop_buffer() {
            if !is_gap(&buffer)
                && let Ok(picture) = state.format.picture(&*self.obj(), buffer)
            {
                state.current = Some(picture);
                state.fresh = true;
            }
        }
    }

    /// The current frame, stretched to a cover's size; none before the first.
    pub fn frame(&self, width: usize, height: usize) -> Result<Option<Frame>, gst::ErrorMessage> {
        let name = self.obj().name();
        let failed = |why: &str| gst::error_msg!(gst::StreamError::Format, ("{name}: {why}"));
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let Some(Picture { buffer, info, .. }) = &state.current else {
            return Ok(None);
        };
        if info.is_interlaced() && (info.height() < FIELD_LINES || height < FIELD_LINES as usize) {
            let sizes = format!("{} lines to {height} lines", info.height());
            return Err(failed(&format!("an interlaced frame cannot be scaled from {sizes}")));
        }
        let target = rgb(info, width, height).map_err(|error| failed(&error.message))?;
        state.fresh = false;
        if info == &target {
            return video::read(buffer, info).map(Some);
        }

        let fits = |made: &VideoConverter| made.in_info() == info && made.out_info() == &target;
        if !state.converter.as_ref().is_some_and(fits) {
            let made = VideoConverter::new(info, &target, None);
            state.converter = Some(made.map_err(|error| failed(&error.message))?);
        }
        let unmapped = |_| failed("a frame cannot be mapped");
        let source = video::map(buffer, info)?;
        let mut stretched =
            gst::Buffer::with_size(target.size()).map_err(|error| failed(&error.message))?;
        if let Some(converter) = &state.converter {
            let stretched = stretched.make_mut();
            let mut stretched =
                VideoFrameRef::from_buffer_ref_writable(stretched, &target).map_err(unmapped)?;
            converter.frame_ref(&source, &mut stretched);
        }
        video::read(&stretched, &target).map(Some)
    }
}

/// Full-range RGB of a size, with the source's frame rate and interlacing, which the converter
/// cannot change.
fn rgb(source: &VideoInfo, width: usize, height: usize) -> Result<VideoInfo, glib::BoolError> {
    VideoInfo::builder(VideoFormat::Rgb, width as u32, height as u32)
        .fps(source.fps())
        .interlace_mode(source.interlace_mode())
        .build()
}
