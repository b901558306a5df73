// SPDX-License-Identifier: MPL-2.0
//! Waiting for secret pads that may be linked late, and telling the user when they are not.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::InvMihConceal;

/// How long pads may be missing before anyone is told.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(5);

#[derive(Default)]
pub struct Wait {
    /// How many secret pads have to be linked.
    needed: usize,
    timer: Option<gst::SingleShotClockId>,
    overdue: bool,
    pub cover_ended: bool,
}

impl InvMihConceal {
    /// Waits for `secret_0` to the last of `needed` from now on.
    pub(super) fn start_waiting(&self, needed: usize) {
        let clock = gst::SystemClock::obtain();
        let timer = clock.new_single_shot_id(clock.time() + PATIENCE);
        let weak = self.downgrade();
        let armed = timer.wait_async(move |_, _, _| {
            if let Some(imp) = weak.upgrade() {
                imp.wait.lock().unwrap().overdue = true;
                imp.report_missing();
            }
        });
        if let Err(error) = armed {
            gst::warning!(gst::CAT_RUST, imp = self, "no timer for missing secrets: {error:?}");
        }
        let timer = Some(timer);
        *self.wait.lock().unwrap() = Wait { needed, timer, ..Wait::default() };
    }

    pub(super) fn stop_waiting(&self) {
        let wait = std::mem::take(&mut *self.wait.lock().unwrap());
        if let Some(timer) = wait.timer {
            timer.unschedule();
        }
    }

    /// The secret pads that are not linked and have no frame: an ended secret may be unlinked, its
    /// last frame serves on.
    pub(super) fn missing(&self) -> Vec<usize> {
        let linked: Vec<_> = self
            .secret_pads()
            .iter()
            .filter(|pad| pad.is_linked() || pad.imp().has_frame())
            .filter_map(|pad| pad.imp().number())
            .collect();
        let needed = self.wait.lock().unwrap().needed;
        (0..needed).filter(|number| !linked.contains(number)).collect()
    }

    /// Says what is missing, if there was time enough to link it: a warning while covers may still
    /// come, an error after the last.
    pub(super) fn report_missing(&self) {
        let missing = self.missing();
        let wait = self.wait.lock().unwrap();
        if missing.is_empty() || !wait.overdue {
            return;
        }
        let (needed, linked) = (wait.needed, wait.needed - missing.len());
        let names: Vec<_> = missing.iter().map(|number| format!("secret_{number}")).collect();
        let text = format!(
            "{linked} of {needed} secret pads are linked: link {} or set secret-location to {needed} pictures",
            names.join(", ")
        );
        let ended = wait.cover_ended;
        drop(wait);
        if ended {
            gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{text}"));
        } else {
            gst::element_imp_warning!(self, gst::ResourceError::NotFound, ("{text}"));
        }
    }
}
