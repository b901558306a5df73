// SPDX-License-Identifier: MPL-2.0
//! The learning rate over the budget of time or steps.

use std::f64::consts::PI;
use std::time::{Duration, Instant};

/// Share of the budget in which the rate rises from zero: the optimizer starts without moments.
const WARM_UP: f64 = 0.01;
/// Share of the budget after which the rate falls.
const PLATEAU: f64 = 0.4;

/// What a run may spend.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// Wall-clock time.
    Time(Duration),
    /// Optimizer steps.
    Steps(u64),
}

/// Warm-up, plateau, then a cosine to zero over the real budget.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    peak: f64,
    budget: Budget,
    started: Instant,
}

impl Schedule {
    /// A schedule that starts now.
    pub fn new(peak: f64, budget: Budget) -> Self {
        Self { peak, budget, started: Instant::now() }
    }

    /// Share of the budget spent after `step` steps; 1 and more is the end.
    pub fn progress(&self, step: u64) -> f64 {
        match self.budget {
            Budget::Time(time) => self.started.elapsed().as_secs_f64() / time.as_secs_f64(),
            Budget::Steps(steps) => step as f64 / steps as f64,
        }
    }

    /// The learning rate at a share of the budget.
    pub fn rate(&self, progress: f64) -> f64 {
        let factor = if progress < WARM_UP {
            progress / WARM_UP
        } else if progress < PLATEAU {
            1.0
        } else {
            let falling = ((progress - PLATEAU) / (1.0 - PLATEAU)).min(1.0);
            0.5 * (1.0 + (PI * falling).cos())
        };
        self.peak * factor
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
    fn the_rate_rises_stays_and_falls_to_zero() {
        let schedule = Schedule::new(2.0, Budget::Steps(1000));
        assert_eq!(schedule.rate(0.0), 0.0);
        assert_eq!(schedule.rate(schedule.progress(5)), 1.0);
        assert_eq!(schedule.rate(schedule.progress(300)), 2.0);
        assert!((schedule.rate(schedule.progress(700)) - 1.0).abs() < 1e-12);
        assert!(schedule.rate(schedule.progress(1000)).abs() < 1e-12);
    }
}
