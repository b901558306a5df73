// SPDX-License-Identifier: MPL-2.0
//! What a stage's steps and validations add up to, for display and for the curves.

use std::time::Instant;

use super::run::{Config, Report, Stage};
use super::state::Standing;
use super::validation::Score;

/// Means over the latest steps, and the speed.
pub struct Progress {
    /// Cover pixels a step.
    pixels: f64,
    first_step: u64,
    started: Instant,
    /// NaN until there is a value.
    means: [f64; 3],
}

impl Progress {
    /// From now on, at a step.
    pub fn new(config: &Config, first_step: u64) -> Self {
        let pixels = (config.batch as i64 * config.patch.pow(2)) as f64;
        Self { pixels, first_step, started: Instant::now(), means: [f64::NAN; 3] }
    }

    /// After a step at a rate whose loss, cover PSNR and secret PSNR are `values`.
    pub fn report(&mut self, standing: &Standing, rate: f64, values: [f64; 3]) -> Report {
        self.means = std::array::from_fn(|k| running(self.means[k], values[k]));
        let [loss, cover, secret] = self.means;
        let steps = (standing.step - self.first_step) as f64;
        Report {
            step: standing.step,
            progress: standing.progress,
            rate,
            loss,
            cover,
            secret,
            pixels_per_second: steps * self.pixels / self.started.elapsed().as_secs_f64(),
            skipped: standing.skipped,
            setbacks: standing.setbacks,
        }
    }
}

/// Mean over about the last fifty steps. A value that is not finite is left out: a stego that is its
/// cover to the bit, for example.
fn running(mean: f64, value: f64) -> f64 {
    match (mean.is_finite(), value.is_finite()) {
        (_, false) => mean,
        (false, true) => value,
        (true, true) => mean + 0.02 * (value - mean),
    }
}

/// A report's points, by their curves' names.
pub fn report_points(stage: Stage, report: &Report) -> Vec<(String, f64)> {
    let recovered = format!("{} PSNR", stage.recovered());
    let points = [
        ("learning rate", report.rate),
        ("loss", report.loss),
        ("cover PSNR", report.cover),
        (&recovered, report.secret),
        ("pixels a second", report.pixels_per_second),
    ];
    let measured = points.into_iter().filter(|(_, value)| !value.is_nan());
    measured.map(|(name, value)| (format!("{stage}/{name}"), value)).collect()
}

/// A validation's points, by their curves' names.
pub fn score_points(stage: Stage, scores: &[Score]) -> Vec<(String, f64)> {
    let points = |score: &Score| {
        [("cover", score.cover), (stage.recovered(), score.secret)].map(|(picture, value)| {
            (format!("{stage} validation/{picture} PSNR {}", score.grid), value)
        })
    };
    scores.iter().flat_map(points).filter(|(_, value)| !value.is_nan()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Grid;

    #[test]
    fn curves_are_named_after_what_their_stage_recovers() {
        let grid = Grid::new(2, 2).unwrap();
        let names = |stage, cover| {
            let points = score_points(stage, &[Score { grid, cover, secret: 30.0 }]);
            points.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            names(Stage::Hiding, 40.0),
            "hiding validation/cover PSNR 2x2, hiding validation/mosaic PSNR 2x2"
        );
        assert_eq!(names(Stage::Rescaling, f64::NAN), "rescaling validation/secret PSNR 2x2");
    }

    #[test]
    fn a_stego_without_any_error_does_not_spoil_the_mean() {
        let means = [f64::NAN, f64::INFINITY, 30.0, f64::INFINITY, 40.0, f64::NAN]
            .iter()
            .scan(f64::NAN, |mean, &value| {
                *mean = running(*mean, value);
                Some(*mean)
            })
            .collect::<Vec<_>>();
        assert!(means[..2].iter().all(|mean| mean.is_nan()));
        assert_eq!(means[2..], [30.0, 30.0, 30.2, 30.2]);
    }
}
