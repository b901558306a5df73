// SPDX-License-Identifier: MPL-2.0
//! PSNRs on photographs that are not trained on, every few minutes of a run.

use std::time::{Duration, Instant};

use tch::{Tensor, no_grad};

use super::dataset::Photographs;
use super::modules::Modules;
use super::objective::{Batch, Objective, every};
use super::run::Config;
use crate::network::Grid;

/// The shortest time from one validation to the next.
const SHORTEST: Duration = Duration::from_secs(120);
/// Validations are as many times their own length apart: they take at most 2 % of a run.
const SPARSENESS: u32 = 49;
/// Covers that each grid is measured on.
const COVERS: usize = 2;

/// What one grid scores.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The grid.
    pub grid: Grid,
    /// PSNR of the 8-bit stegos in dB; NaN while rescaling is trained alone.
    pub cover: f64,
    /// PSNR of the 8-bit recovered secrets in dB; the mosaics' while hiding is trained alone.
    pub secret: f64,
}

/// The same patches each time, and when the time has come.
pub struct Validation {
    batches: Vec<Batch>,
    due: Instant,
}

impl Validation {
    /// The middles of photographs, a batch a grid: the first ones are the covers, the others their
    /// secrets, from the first on and round again.
    pub fn new(config: &Config, photographs: &Photographs) -> Self {
        let others = photographs.len().saturating_sub(COVERS).max(1);
        let batch = |&grid: &Grid| {
            let secrets = (0..COVERS * grid.secrets()).map(|place| COVERS + place % others);
            let secrets = photographs.middles(secrets, config.patch);
            Batch {
                grid,
                covers: photographs.middles(0..COVERS, config.patch),
                followed: every(1, 0, &secrets),
                secrets,
                scrambling: None,
            }
        };
        Self { batches: config.grids.iter().map(batch).collect(), due: Instant::now() + SHORTEST }
    }

    /// Whether the next validation is due.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// How reveal answers errors in these photographs' stegos.
    pub fn sensitivity(&self, objective: &Objective, modules: &Modules) -> Tensor {
        objective.sensitivity(modules, &self.batches)
    }

    /// Measures each grid in turn.
    pub fn measure(&mut self, objective: &Objective, modules: &Modules) -> Vec<Score> {
        let started = Instant::now();
        let score = |batch: &Batch| {
            // The same jitter each time.
            tch::manual_seed(0);
            let [_, cover, secret] = no_grad(|| objective.outcome(modules, batch)).values();
            Score { grid: batch.grid, cover, secret }
        };
        let scores = self.batches.iter().map(score).collect();
        self.due = Instant::now() + SHORTEST.max(SPARSENESS * started.elapsed());
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::preset::Preset;
    use crate::training::run::Stage;
    use indicatif::ProgressBar;
    use std::path::Path;
    use tch::Device;

    #[test]
    fn no_cover_is_among_the_secrets() {
        let folder = tempfile::tempdir().unwrap();
        for level in 0..17u8 {
            let path = folder.path().join(format!("{level}.png"));
            image::RgbImage::from_pixel(24, 24, image::Rgb([level; 3])).save(path).unwrap();
        }
        let folders = [folder.path().into()];
        let progress = ProgressBar::hidden();
        let photographs = Photographs::load(&folders, 24, Device::Cpu, &progress).unwrap();
        let grids = ["2x2", "3x3", "4x4"].map(|grid| grid.parse().unwrap()).into();
        let config = Config::of(Preset::Shipped, Stage::Joint, grids, Path::new(""));
        let validation = Validation::new(&Config { patch: 24, ..config }, &photographs);
        for Batch { grid, covers, secrets, .. } in &validation.batches {
            assert_eq!(secrets.size()[0], (COVERS * grid.secrets()) as i64);
            let levels = |pictures: &Tensor| {
                let means = pictures.mean_dim([1i64, 2, 3].as_slice(), false, None);
                Vec::<f32>::try_from(means).unwrap()
            };
            let (covers, secrets) = (levels(covers), levels(secrets));
            assert!(covers.iter().all(|cover| !secrets.contains(cover)), "{grid}");
        }
    }
}
