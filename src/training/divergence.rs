// SPDX-License-Identifier: MPL-2.0
//! Tells a loss that blows up from one that wanders.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Losses that the median is taken over.
const WINDOW: usize = 101;
/// Latest losses that are judged together: a few hard patches are no blow-up.
const LATEST: usize = 10;
const LIMIT: f64 = 5.0;

/// What to do with a step, by its loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take it.
    Step,
    /// Leave it out: its loss is not finite.
    Skip,
    /// Go back to the last good state.
    GoBack,
}

/// The losses of the last steps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch(VecDeque<f64>);

impl Watch {
    /// Judges a step's loss, with those just before it, against the running median. One that is not
    /// finite counts as larger than any other.
    pub fn judge(&mut self, loss: f64) -> Verdict {
        let usual = if loss.is_finite() { Verdict::Step } else { Verdict::Skip };
        self.0.push_back(if loss.is_finite() { loss } else { f64::MAX });
        if self.0.len() > WINDOW {
            self.0.pop_front();
        }
        if self.0.len() < LATEST {
            return usual;
        }
        let latest = median(self.0.iter().rev().take(LATEST));
        let settled = self.0.len() == WINDOW;
        if latest == f64::MAX || settled && latest > LIMIT * median(self.0.iter()) {
            self.0.clear();
            return Verdict::GoBack;
        }
        usual
    }

    /// Counts the step judged last as larger than any other after all: its gradient was of no use.
    pub fn discard(&mut self) {
        if let Some(last) = self.0.back_mut() {
            *last = f64::MAX;
        }
    }
}

/// The middle one of some losses or norms.
pub(super) fn median<'a>(losses: impl Iterator<Item = &'a f64>) -> f64 {
    let mut sorted: Vec<_> = losses.copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blow_up_is_told_from_a_few_hard_patches() {
        let mut watch = Watch::default();
        for _ in 0..WINDOW {
            assert_eq!(watch.judge(1.0), Verdict::Step);
        }
        assert_eq!(watch.judge(f64::NAN), Verdict::Skip);
        for loss in [&[90.0, 1.0].repeat(3)[..], &[1.0; LATEST]].concat() {
            assert_eq!(watch.judge(loss), Verdict::Step);
        }
        let until = (1..=LATEST).find(|_| watch.judge(6.0) == Verdict::GoBack);
        assert_eq!(until, Some(LATEST / 2));
        assert_eq!(watch.judge(6.0), Verdict::Step);
    }

    #[test]
    fn gradients_that_stay_useless_are_a_blow_up_whatever_the_loss() {
        let mut watch = Watch::default();
        let mut verdict = || {
            let verdict = watch.judge(1e20);
            watch.discard();
            verdict
        };
        let until = (1..=WINDOW).find(|_| verdict() == Verdict::GoBack);
        assert_eq!(until, Some(LATEST));
    }

    #[test]
    fn losses_that_stay_infinite_are_a_blow_up_from_the_start() {
        let mut watch = Watch::default();
        let verdicts: Vec<_> = (0..LATEST).map(|_| watch.judge(f64::INFINITY)).collect();
        let skipped = [Verdict::Skip; LATEST - 1];
        assert_eq!(verdicts, [&skipped[..], &[Verdict::GoBack]].concat());
    }
}
