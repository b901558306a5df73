// SPDX-License-Identifier: MPL-2.0
//! From a cover and its secrets to a stego.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::batch::Prepared;
use super::covers::{Cover, Covers};
use super::imp::InvMihConceal;
use super::stills::Stills;
use crate::network::{Frame, Model, Mosaic, Scrambler};
use crate::stats::Stats;
use crate::video;

/// What belongs to one run, from READY to READY.
#[derive(Default)]
pub struct State {
    pub model: Option<Arc<Model>>,
    /// How many the model takes.
    pub secrets: usize,
    pub scrambler: Option<Arc<Scrambler>>,
    pub covers: Covers,
    pub stills: Option<Arc<Stills>>,
    /// Of the current secrets.
    pub mosaic: Option<Arc<Mosaic>>,
    /// Covers that wait for a full batch, with their secrets.
    pub batch: Vec<Prepared>,
    pub batch_size: usize,
    pub post_messages: bool,
    pub stats: Stats,
    /// Counts what made mosaics out of date, one that is in the making too.
    pub forgotten: u32,
    /// What the source pad has sent.
    pub sent_caps: Option<gst::Caps>,
    pub sent_segment: Option<gst::Segment>,
}

impl State {
    /// The secrets are others from now on.
    pub fn forget_mosaic(&mut self) {
        self.mosaic = None;
        self.forgotten += 1;
    }
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

    /// Reads a cover and its secrets; none if these have gone in the meantime, then the cover waits.
    pub(super) fn prepare(&self, cover: Cover) -> Result<Option<Prepared>, gst::ErrorMessage> {
        let (model, scrambler, stills, needed, kept, forgotten) = {
            let mut state = self.state.lock().unwrap();
            let model = state.model.clone().ok_or_else(|| {
                gst::error_msg!(gst::CoreError::StateChange, ("the element is not started"))
            })?;
            let (scrambler, stills) = (state.scrambler.clone(), state.stills.clone());
            (model, scrambler, stills, state.secrets, state.mosaic.take(), state.forgotten)
        };
        let frame = video::read(&cover.buffer, &cover.info)?;
        let size = (frame.width(), frame.height());
        let fits = |mosaic: &Mosaic| (mosaic.width(), mosaic.height()) == size;
        let mut inference = Duration::ZERO;
        let mosaic = match kept {
            Some(mosaic) if fits(&mosaic) && !self.has_fresh_secrets() => mosaic,
            _ => {
                let secrets = self.secrets(stills.as_deref(), size)?;
                if secrets.len() < needed {
                    self.state.lock().unwrap().covers.put_back(cover);
                    return Ok(None);
                }
                let started = Instant::now();
                let mosaic = model.mosaic(&secrets, scrambler.as_deref())?;
                inference = started.elapsed();
                Arc::new(mosaic)
            }
        };
        let mut state = self.state.lock().unwrap();
        if state.forgotten == forgotten {
            state.mosaic = Some(mosaic.clone());
        }
        Ok(Some(Prepared { cover, frame, mosaic, inference }))
    }

    fn has_fresh_secrets(&self) -> bool {
        self.secret_pads().iter().any(|pad| pad.imp().is_fresh())
    }

    /// The current secrets, stretched to the cover's size; fewer if a pad has gone or was flushed.
    fn secrets(
        &self,
        stills: Option<&Stills>,
        (width, height): (usize, usize),
    ) -> Result<Vec<Frame>, gst::ErrorMessage> {
        match stills {
            Some(stills) => stills.frames(width, height),
            None => {
                let pads = self.secret_pads();
                pads.iter().filter_map(|pad| pad.imp().frame(width, height).transpose()).collect()
            }
        }
    }

    /// Sends a cover's segment and caps if they are new; the base class keeps the segment until the
    /// next frame. Returns whether the segment is new.
    pub(super) fn send_format(&self, cover: &Cover) -> bool {
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
        segment
    }

    /// Sends a gap on, after its segment if that is new.
    pub(super) fn send_gap(&self, gap: &Cover) {
        if self.send_format(gap) {
            self.obj().src_pad().push_event(gst::event::Segment::new(&gap.segment));
        }
        if let Some(start) = gap.buffer.pts() {
            let event = gst::event::Gap::builder(start).duration(gap.buffer.duration()).build();
            self.obj().src_pad().push_event(event);
        }
    }
}
