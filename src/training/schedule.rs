// SPDX-License-Identifier: MPL-2.0
//! The learning rate over the budget of time or steps.

use std::f64::consts::PI;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Share of the budget in which the rate rises from zero: the optimizer starts without moments.
const WARM_UP: f64 = 0.05;
/// Share of the budget after which the rate falls.
const PLATEAU: f64 = 0.4;

/// What a run may spend.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Budget {
    /// Wall-clock time.
    Time(Duration),
    /// Optimizer steps.
    Steps(u64),
}

/// `85 minutes`, `1000 steps`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{:.4} minutes", time.as_secs_f64() / 60.0),
            Self::Steps(steps) => write!(f, "{steps} steps"),
        }
    }
}

/// How the rate falls, after a short rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A plateau, then a cosine to zero.
    Cosine,
    /// Halved `before` the start, then after each of `within` equal parts.
    Halving {
        /// Halvings that earlier stages have had.
        before: i32,
        /// Parts of this stage.
        within: i32,
    },
}

/// The rate over the real budget.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    shape: Shape,
    peak: f64,
    budget: Budget,
    started: Instant,
    /// Share of the budget spent and steps taken before that.
    before: (f64, u64),
}

impl Schedule {
    /// A schedule that starts now.
    pub fn new(shape: Shape, peak: f64, budget: Budget) -> Self {
        Self { shape, peak, budget, started: Instant::now(), before: (0.0, 0) }
    }

    /// The same from here on, where `progress` was spent in `step` steps before.
    pub fn resumed(self, progress: f64, step: u64) -> Self {
        Self { before: (progress, step), ..self }
    }

    /// Share of the budget spent after `step` steps; 1 and more is the end.
    pub fn progress(&self, step: u64) -> f64 {
        let (spent, taken) = self.before;
        match self.budget {
            Budget::Time(time) => spent + self.started.elapsed().div_duration_f64(time),
            Budget::Steps(steps) => {
                // In whole steps, so that an unbroken run has the very same rates.
                let spent = (spent * steps as f64).round() as u64;
                (spent + step - taken) as f64 / steps as f64
            }
        }
    }

    /// The learning rate at a share of the budget.
    pub fn rate(&self, progress: f64) -> f64 {
        let rise = (progress / WARM_UP).min(1.0);
        let factor = match self.shape {
            Shape::Cosine => {
                let falling = ((progress - PLATEAU) / (1.0 - PLATEAU)).clamp(0.0, 1.0);
                0.5 * (1.0 + (PI * falling).cos())
            }
            Shape::Halving { before, within } => {
                let part = (progress * f64::from(within)).floor() as i32;
                0.5_f64.powi(before + part.min(within - 1))
            }
        };
        self.peak * rise * factor
    }

    /// Lowers the rate of all that is left.
    pub fn halve(&mut self) {
        self.peak *= 0.5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_rises_stays_and_falls_to_zero() {
        let schedule = Schedule::new(Shape::Cosine, 2.0, Budget::Steps(1000));
        assert_eq!(schedule.rate(0.0), 0.0);
        assert_eq!(schedule.rate(schedule.progress(25)), 1.0);
        assert_eq!(schedule.rate(schedule.progress(300)), 2.0);
        assert!((schedule.rate(schedule.progress(700)) - 1.0).abs() < 1e-12);
        assert!(schedule.rate(schedule.progress(1000)).abs() < 1e-12);
    }

    #[test]
    fn a_resumed_schedule_goes_on_where_it_stood() {
        let schedule = Schedule::new(Shape::Cosine, 2.0, Budget::Steps(7));
        let resumed = schedule.resumed(schedule.progress(3), 3);
        assert!((3..=7).all(|step| resumed.progress(step) == schedule.progress(step)));
        // The share counts where the budget is another.
        let shorter = Schedule::new(Shape::Cosine, 2.0, Budget::Steps(100)).resumed(0.5, 1000);
        assert_eq!(shorter.progress(1025), 0.75);
    }

    #[test]
    fn the_papers_rate_is_halved_four_times_in_all() {
        let rate = |before, within, progress| {
            Schedule::new(Shape::Halving { before, within }, 2e-4, Budget::Steps(1)).rate(progress)
        };
        assert_eq!([0.1, 0.4, 0.99].map(|p| rate(0, 3, p)), [2e-4, 1e-4, 5e-5]);
        assert_eq!([0.1, 0.6, 1.0].map(|p| rate(3, 2, p)), [2.5e-5, 1.25e-5, 1.25e-5]);
    }
}
