// SPDX-License-Identifier: MPL-2.0
//! From covers and their secrets to stegos.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInfo;
use rayon::prelude::*;

use super::covers::{Cover, Covers};
use super::held_events::HeldEvents;
use super::imp::{CAT, InvMihConceal};
use super::stills::Stills;
use crate::latency::{Pass, PassTime};
use crate::network::{Effort, Frame, Model, Mosaic, Scrambler};
use crate::settings::check_number;
use crate::video;

/// What belongs to one run, from READY to READY.
#[derive(Default)]
pub struct State {
    pub model: Option<Arc<Model>>,
    /// How many the model takes.
    pub secrets: usize,
    pub scrambler: Option<Arc<Scrambler>>,
    pub covers: Covers,
    /// Of the cover's stream.
    pub events: HeldEvents,
    pub stills: Option<Arc<Stills>>,
    /// Of the current secrets.
    pub mosaic: Option<Mosaic>,
    /// Counts what made mosaics out of date, one that is in the making too.
    pub forgotten: u32,
    pub batch_size: usize,
    /// For each stego.
    pub effort: Effort,
    pub batch: Vec<Paired>,
    /// The next cover, while applications are told of it.
    pub selected: Option<gst::Sample>,
    pub pass: PassTime,
    /// What the source pad has sent.
    pub sent_caps: Option<gst::Caps>,
    pub sent_segment: Option<gst::Segment>,
    /// The last flushing seek, which comes once from each sink.
    pub sought: Option<gst::Seqnum>,
}

/// A cover with what is hidden in it.
pub struct Paired {
    cover: Cover,
    frame: Frame,
    mosaic: Mosaic,
    /// The network's time for the mosaic.
    took: Duration,
}

/// What can be done now.
pub enum Step {
    Conceal(Vec<Paired>),
    Gap(Box<Cover>),
    Wait,
    End,
    /// Pads are missing after the cover's end, and the user was told.
    GiveUp,
}

impl State {
    fn model(&self) -> Result<Arc<Model>, gst::ErrorMessage> {
        self.model.clone().ok_or_else(|| {
            gst::error_msg!(gst::CoreError::StateChange, ("the element is not started"))
        })
    }

    /// Whether `secret_number` may be added now.
    pub fn check_new_pad(&self, number: usize) -> Result<(), gst::ErrorMessage> {
        if self.stills.is_some() {
            return Err(gst::error_msg!(
                gst::LibraryError::Settings,
                ("secret_{number} comes too late: the secrets of secret-location are in use")
            ));
        }
        match &self.model {
            Some(_) => check_number("secret", number, self.secrets),
            None => Ok(()),
        }
    }

    /// Whether a cover may go through the network together with those of the batch.
    fn fits_batch(&self, cover: &Cover) -> bool {
        let size = |info: &VideoInfo| (info.width(), info.height());
        let same = |paired: &Paired| size(&paired.cover.picture.info) == size(&cover.picture.info);
        !cover.picture.is_gap() && self.batch.iter().all(same)
    }

    /// Forgets the covers.
    pub fn flush(&mut self) {
        self.covers.flush();
        self.events.flush();
        self.batch.clear();
        self.sent_segment = None;
    }

    /// The secrets are others from now on.
    pub fn forget_mosaic(&mut self) {
        self.mosaic = None;
        self.forgotten += 1;
    }
}

impl InvMihConceal {
    /// Takes covers whose secrets are there, a batch of them if there are as many or no more are to
    /// be waited for. Where the next cover is `late`, secrets that have not come do not hold it.
    pub(super) fn next_step(&self, mut late: bool) -> Result<Step, gst::ErrorMessage> {
        loop {
            let cover = self.next_cover(late)?;
            late = false;
            let batched = !self.state.lock().unwrap().batch.is_empty();
            let Some(cover) = cover else {
                return Ok(if batched && !self.awaits_covers() {
                    Step::Conceal(self.take_batch())
                } else if !batched && self.cover_ended() {
                    Step::End
                } else if self.gave_up() {
                    Step::GiveUp
                } else {
                    Step::Wait
                });
            };
            if batched && !self.state.lock().unwrap().fits_batch(&cover) {
                self.state.lock().unwrap().covers.put_back(cover);
                return Ok(Step::Conceal(self.take_batch()));
            }
            if cover.picture.is_gap() {
                return Ok(Step::Gap(Box::new(cover)));
            }
            self.tell_selection(&cover);
            let Some(paired) = self.pair(cover)? else {
                return Ok(Step::Wait);
            };
            let mut state = self.state.lock().unwrap();
            if state.covers.is_current(&paired.cover) {
                state.batch.push(paired);
            }
            if state.batch.len() >= state.batch_size {
                return Ok(Step::Conceal(std::mem::take(&mut state.batch)));
            }
        }
    }

    pub(super) fn take_batch(&self) -> Vec<Paired> {
        std::mem::take(&mut self.state.lock().unwrap().batch)
    }

    fn cover_ended(&self) -> bool {
        self.cover_pad.is_eos() && self.state.lock().unwrap().covers.is_empty()
    }

    /// Whether a batch waits for more covers: not live, not at the end, not while pads are missing.
    fn awaits_covers(&self) -> bool {
        !self.cover_pad.is_eos() && self.obj().latency().is_none() && self.missing().is_empty()
    }

    /// The next cover, once its secrets are there.
    fn next_cover(&self, late: bool) -> Result<Option<Cover>, gst::ErrorMessage> {
        let missing = !self.missing().is_empty();
        let overdue = self.is_overdue();
        let mut state = self.state.lock().unwrap();
        if missing {
            // Until then the cover stays on its pad: the base class waits for a frame on each, also when
            // the last secret is linked at last.
            let held = overdue && state.covers.hold(&self.cover_pad)?;
            drop(state);
            gst::trace!(CAT, imp = self, "secrets are missing; cover held: {held}");
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
            let mut ready = true;
            // All of them: a source that gives several waits until each is taken.
            for pad in &pads {
                if !pad.imp().advance(time, late)? {
                    gst::log!(CAT, imp = self, "the cover of {time} waits for {}", pad.name());
                    ready = false;
                }
            }
            if !ready {
                return Ok(None);
            }
        }
        state.covers.next(&self.cover_pad)
    }

    /// The running time of the next cover less that of a pass, if all secrets have a frame that could
    /// serve it: to this the base class adds the latency, so that there is time for the pass. Nothing
    /// is waited for after the last cover.
    pub(super) fn next_deadline(&self) -> Option<gst::ClockTime> {
        if !self.missing().is_empty() {
            return None;
        }
        let state = self.state.lock().unwrap();
        let Some(time) = state.covers.next_time(&self.cover_pad).ok()? else {
            return self.cover_pad.is_eos().then_some(gst::ClockTime::ZERO);
        };
        let served = |pad: &super::SecretPad| pad.imp().has_frame() || pad.has_buffer();
        if state.stills.is_none() && !self.secret_pads().iter().all(served) {
            return None;
        }
        Some(time.positive().unwrap_or_default().saturating_sub(state.pass.announced()))
    }

    /// A cover with the mosaic of its secrets; none if these have gone in the meantime, then the
    /// cover waits.
    fn pair(&self, cover: Cover) -> Result<Option<Paired>, gst::ErrorMessage> {
        let (model, scrambler, stills, needed, effort, kept, forgotten) = {
            let mut state = self.state.lock().unwrap();
            let model = state.model()?;
            let (scrambler, stills) = (state.scrambler.clone(), state.stills.clone());
            let (kept, forgotten) = (state.mosaic.take(), state.forgotten);
            (model, scrambler, stills, state.secrets, state.effort, kept, forgotten)
        };
        let frame = video::read(&cover.picture.buffer, &cover.picture.info)?;
        let size = (frame.width(), frame.height());
        let fits = |mosaic: &Mosaic| (mosaic.width(), mosaic.height()) == size;
        let mut took = Duration::ZERO;
        let mosaic = match kept {
            Some(mosaic) if fits(&mosaic) && !self.has_fresh_secrets() => mosaic,
            _ => {
                let secrets = self.secrets(stills.as_deref(), size)?;
                if secrets.len() < needed {
                    self.state.lock().unwrap().covers.put_back(cover);
                    return Ok(None);
                }
                let start = Instant::now();
                let mosaic = model.mosaic_for(&secrets, scrambler.as_deref(), effort)?;
                took = start.elapsed();
                mosaic
            }
        };
        let mut state = self.state.lock().unwrap();
        if state.forgotten == forgotten {
            state.mosaic = Some(mosaic.clone());
        }
        Ok(Some(Paired { cover, frame, mosaic, took }))
    }

    /// The stegos of some covers of one size, in one pass of the network; counted and told of, not
    /// yet sent.
    pub(super) fn conceal(&self, batch: Vec<Paired>) -> Result<Vec<Cover>, gst::ErrorMessage> {
        let model = self.state.lock().unwrap().model()?;
        let pairs: Vec<_> = batch.iter().map(|paired| (&paired.frame, &paired.mosaic)).collect();
        let start = Instant::now();
        // Refinement can take minutes: who stops or seeks does not wait for it.
        let stegos = model.conceal_batch(&pairs, &|| self.is_wanted(&batch))?;
        if !self.is_wanted(&batch) {
            return Ok(vec![]);
        }
        let took = start.elapsed();
        gst::log!(CAT, imp = self, "{} stegos in {took:?}", stegos.len());
        let share = took / batch.len().max(1) as u32;
        let size = stegos.first().map_or((0, 0), |stego| (stego.width(), stego.height()));
        let pass = Pass { size, pictures: stegos.len() };
        self.measured(pass, took + batch.iter().map(|paired| paired.took).sum::<Duration>());
        let finished = batch.into_iter().zip(stegos).map(|(paired, stego)| {
            let Paired { mut cover, frame, took, .. } = paired;
            video::write(&stego, cover.picture.buffer.make_mut(), &cover.picture.info)?;
            self.count(&cover, share + took, frame.psnr(&stego));
            Ok(cover)
        });
        finished.collect()
    }

    /// Whether neither a stop nor flushes have made all stegos of a batch useless.
    fn is_wanted(&self, batch: &[Paired]) -> bool {
        let flushing = self.obj().src_pad().pad_flags().contains(gst::PadFlags::FLUSHING);
        let covers = &self.state.lock().unwrap().covers;
        !flushing && batch.iter().any(|paired| covers.is_current(&paired.cover))
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
                // Side by side: sixteen large ones take longer than a GPU conceals them.
                let pads = self.secret_pads().into_par_iter();
                let frames: Vec<_> = pads.map(|pad| pad.imp().frame(width, height)).collect();
                frames.into_iter().filter_map(Result::transpose).collect()
            }
        }
    }
}
