// SPDX-License-Identifier: MPL-2.0
//! From a cover and its secrets to a stego.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::covers::{Cover, Covers};
use super::imp::InvMihConceal;
use super::stills::Stills;
use crate::network::{Frame, Model, Mosaic, Scrambler};
use crate::video;

/// What belongs to one run, from READY to READY.
#[derive(Default)]
pub struct State {
    pub model: Option<Arc<Model>>,
    /// How many the model takes.
    pub secrets: usize,
    pub scrambler: Option<Scrambler>,
    pub covers: Covers,
    pub stills: Option<Stills>,
    /// Of the current secrets.
    pub mosaic: Option<Mosaic>,
    /// What the source pad has sent.
    pub sent_caps: Option<gst::Caps>,
    pub sent_segment: Option<gst::Segment>,
}

impl InvMihConceal {
    /// The next cover, once its secrets are there.
    pub(super) fn next_cover(&self) -> Result<Option<Cover>, gst::ErrorMessage> {
        let missing = !self.missing().is_empty();
        let mut state = self.state.lock().unwrap();
        if missing {
            let held = state.covers.hold(&self.cover_pad)?;
            drop(state);
            if !held {
                // The base class would call again at once: it waits for frames, not for pads.
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(None);
        }
        let Some(time) = state.covers.next_time(&self.cover_pad)? else {
            return Ok(None);
        };
        if state.stills.is_none() {
            let pads = self.secret_pads();
            let ready = pads.iter().map(|pad| pad.imp().advance(time));
            if ready.collect::<Result<Vec<_>, _>>()?.contains(&false) {
                return Ok(None);
            }
        }
        state.covers.next(&self.cover_pad)
    }

    pub(super) fn conceal(&self, cover: Cover) -> Result<gst::Buffer, gst::ErrorMessage> {
        let mut state = self.state.lock().unwrap();
        let Cover { mut buffer, info, .. } = cover;
        let frame = video::read(&buffer, &info)?;
        let model = state.model.clone().ok_or_else(|| {
            gst::error_msg!(gst::CoreError::StateChange, ("the element is not started"))
        })?;
        let size = (frame.width(), frame.height());
        let mosaic = match state.mosaic.take() {
            Some(mosaic)
                if (mosaic.width(), mosaic.height()) == size && !self.has_fresh_secrets() =>
            {
                mosaic
            }
            _ => model.mosaic(&self.secrets(&state, size)?, state.scrambler.as_ref())?,
        };
        let stego = model.conceal(&frame, &mosaic)?;
        state.mosaic = Some(mosaic);
        video::write(&stego, buffer.make_mut(), &info)?;
        Ok(buffer)
    }

    fn has_fresh_secrets(&self) -> bool {
        self.secret_pads().iter().any(|pad| pad.imp().is_fresh())
    }

    /// The current secrets, stretched to the cover's size.
    fn secrets(
        &self,
        state: &State,
        (width, height): (usize, usize),
    ) -> Result<Vec<Frame>, gst::ErrorMessage> {
        match &state.stills {
            Some(stills) => stills.frames(width, height),
            None => self.secret_pads().iter().map(|pad| pad.imp().frame(width, height)).collect(),
        }
    }

    /// Sends a cover's segment and caps if they are new.
    pub(super) fn send_format(&self, cover: &Cover) {
        let (segment, caps) = {
            let mut state = self.state.lock().unwrap();
            let old_segment = state.sent_segment.replace(cover.segment.clone());
            let old_caps = state.sent_caps.replace(cover.caps.clone());
            (old_segment.as_ref() != Some(&cover.segment), old_caps.as_ref() != Some(&cover.caps))
        };
        if segment && let Some(time) = cover.segment.downcast_ref::<gst::ClockTime>() {
            self.obj().update_segment(time);
        }
        if caps {
            self.obj().set_src_caps(&cover.caps);
        }
    }

    pub(super) fn send_gap(&self, gap: &gst::BufferRef) {
        if let Some(start) = gap.pts() {
            let event = gst::event::Gap::builder(start).duration(gap.duration()).build();
            self.obj().src_pad().push_event(event);
        }
    }
}
