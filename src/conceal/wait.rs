// SPDX-License-Identifier: MPL-2.0
//! Waiting for pads that may be linked late, and telling the user when they are not.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::imp::{CAT, InvMihConceal};

/// How long pads may be missing before anyone is told.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(5);

#[derive(Default)]
pub struct Wait {
    /// How many secret pads have to be linked; none while the element is stopped.
    needed: Option<usize>,
    timer: Option<gst::SingleShotClockId>,
    overdue: bool,
    cover_ended: bool,
    /// Whether all stegos are out: nothing is missed until a cover comes again.
    done: bool,
    /// Whether secrets hold a cover no longer than the latency, as of the last frame.
    pub live: bool,
    /// Whether the error after the last cover was posted.
    gave_up: bool,
    /// That downstream refused a stego, which the cover's source was told and has to report.
    refused: Option<gst::FlowError>,
}

impl InvMihConceal {
    /// Waits for the cover and for `secret_0` to the last of `needed` from now on.
    pub(super) fn start_waiting(&self, needed: usize) {
        *self.wait.lock().unwrap() = Wait { needed: Some(needed), ..Wait::default() };
        self.wait_anew();
    }

    /// Waits anew whenever a pad is unlinked.
    pub(super) fn wait_anew_when_unlinked(&self, pad: &gst::Pad) {
        let weak = self.downgrade();
        pad.connect_unlinked(move |_, _| {
            if let Some(imp) = weak.upgrade() {
                imp.wait_anew();
            }
        });
    }

    /// Gives the user time again, if the element is started: a pad has gone.
    pub(super) fn wait_anew(&self) {
        let mut wait = self.wait.lock().unwrap();
        if wait.needed.is_none() || wait.done {
            return;
        }
        let clock = gst::SystemClock::obtain();
        let timer = clock.new_single_shot_id(clock.time() + PATIENCE);
        let weak = self.downgrade();
        let armed = timer.wait_async(move |_, _, timer| {
            if let Some(imp) = weak.upgrade() {
                imp.timed_out(timer);
            }
        });
        if let Err(error) = armed {
            gst::warning!(CAT, imp = self, "no timer for missing pads: {error:?}");
        }
        wait.overdue = false;
        if let Some(old) = wait.timer.replace(timer) {
            old.unschedule();
        }
    }

    /// The user had time enough, unless it was given anew in the meantime.
    fn timed_out(&self, timer: &gst::ClockId) {
        {
            let mut wait = self.wait.lock().unwrap();
            if wait.timer.as_deref() != Some(timer) {
                return;
            }
            wait.overdue = true;
        }
        self.report_missing();
    }

    /// No cover comes any more: what is missing now is an error, and a refusal that its source has not
    /// seen is for nobody else to report.
    pub(super) fn cover_ends(&self) {
        let refused = {
            let mut wait = self.wait.lock().unwrap();
            wait.cover_ended = true;
            wait.refused
        };
        match refused {
            Some(refusal) => {
                self.report_refusal(refusal);
                // The base class has stopped.
                self.obj().src_pad().push_event(gst::event::Eos::new());
            }
            None => self.report_missing(),
        }
    }

    /// Keeps that downstream refused a stego until the cover ends; true if it has.
    pub(super) fn remember_refusal(&self, refusal: gst::FlowError) -> bool {
        let mut wait = self.wait.lock().unwrap();
        wait.refused = Some(refusal);
        wait.cover_ended
    }

    /// More covers may come.
    pub(super) fn cover_comes(&self) {
        let done = {
            let mut wait = self.wait.lock().unwrap();
            (wait.cover_ended, wait.gave_up, wait.refused) = (false, false, None);
            std::mem::take(&mut wait.done)
        };
        if done {
            self.wait_anew();
        }
    }

    /// All stegos are out.
    pub(super) fn stop_waiting_until_cover_comes(&self) {
        let timer = {
            let mut wait = self.wait.lock().unwrap();
            (wait.done, wait.overdue) = (true, false);
            wait.timer.take()
        };
        if let Some(timer) = timer {
            timer.unschedule();
        }
    }

    /// Whether there was time enough to link what is missing.
    pub(super) fn is_overdue(&self) -> bool {
        self.wait.lock().unwrap().overdue
    }

    /// Whether an error has said what is missing.
    pub(super) fn gave_up(&self) -> bool {
        self.wait.lock().unwrap().gave_up
    }

    pub(super) fn stop_waiting(&self) {
        let wait = std::mem::take(&mut *self.wait.lock().unwrap());
        if let Some(timer) = wait.timer {
            timer.unschedule();
        }
    }

    /// The secret pads that are not linked and have no frame that serves on: an ended secret may be
    /// unlinked, and in a live pipeline any that has begun.
    pub(super) fn missing(&self) -> Vec<usize> {
        let (needed, live) = {
            let wait = self.wait.lock().unwrap();
            (wait.needed.unwrap_or_default(), wait.live)
        };
        let serves = |pad: &super::SecretPad| {
            (live || pad.imp().has_ended()) && (pad.has_buffer() || pad.imp().has_frame())
        };
        let linked: Vec<_> = self
            .secret_pads()
            .iter()
            .filter(|pad| pad.is_linked() || serves(pad))
            .filter_map(|pad| pad.imp().number())
            .collect();
        (0..needed).filter(|number| !linked.contains(number)).collect()
    }

    /// Says what is missing, if there was time enough to link it: a warning while covers may still
    /// come, an error after the last.
    pub(super) fn report_missing(&self) {
        let missing = self.missing();
        let (needed, cover_ended) = {
            let wait = self.wait.lock().unwrap();
            if !wait.overdue {
                return;
            }
            (wait.needed.unwrap_or_default(), wait.cover_ended)
        };
        let mut texts = vec![];
        if !cover_ended && !self.cover_pad.is_linked() {
            texts.push(
                "the cover is missing: link it to the pad sink, as 8-bit RGB (an unnamed link of \
                 anything else, YUV for example, takes a secret pad)"
                    .to_string(),
            );
        }
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|number| format!("secret_{number}")).collect();
            texts.push(format!(
                "{} of {needed} secret pads are linked: link {} or, without secret pads, set secret-location to {needed} pictures",
                needed - missing.len(),
                names.join(", ")
            ));
        }
        if texts.is_empty() {
            return;
        }
        let text = texts.join("; ");
        if cover_ended {
            self.wait.lock().unwrap().gave_up = true;
            gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{text}"));
        } else {
            gst::element_imp_warning!(self, gst::ResourceError::NotFound, ("{text}"));
        }
    }
}
