// SPDX-License-Identifier: MPL-2.0
//! What a training run is told and what it reports.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::Error;
use super::losses::Weights;
use super::modules::Blocks;
use super::optimizer::Method;
use super::preset::Preset;
use super::schedule::{Budget, Shape};
use super::validation::Score;
use crate::network::Grid;
use crate::network::weights::Module;

/// Which modules a run trains (paper, section 3.1: each alone, then jointly).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Hiding alone, on mosaics of the rescaling modules that it goes on from, bicubic ones without.
    Hiding,
    /// Rescaling alone, on mosaics with noise in place of hiding.
    Rescaling,
    /// Both.
    Joint,
}

impl Stage {
    /// What comes back in the stage, to be told with its PSNR: `mosaic` or `secret`.
    pub fn recovered(self) -> &'static str {
        match self {
            Self::Hiding => "mosaic",
            Self::Rescaling | Self::Joint => "secret",
        }
    }
}

/// `hiding`, `rescaling`, `joint`.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hiding => "hiding",
            Self::Rescaling => "rescaling",
            Self::Joint => "joint",
        })
    }
}

/// All that a stage of a run is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// All stages of the run in their order.
    pub stages: Vec<Stage>,
    /// The stage at hand: which modules are trained.
    pub stage: Stage,
    /// Grids; one is drawn each step.
    pub grids: Vec<Grid>,
    /// InvBlocks of fresh or growing modules.
    pub blocks: Blocks,
    /// Time or steps.
    pub budget: Budget,
    /// The optimizer.
    pub method: Method,
    /// Peak learning rate.
    pub rate: f64,
    /// How the rate falls.
    pub shape: Shape,
    /// Covers a step; secrets, while rescaling is trained alone.
    pub batch: usize,
    /// While both modules are trained, the loss of every so-manieth secret is taken.
    pub stride: usize,
    /// Whether stegos are rounded so that reveal hears the error least, or to the nearest.
    pub noise_shaping: bool,
    /// Whether they carry digits, as enhanced stegos do.
    pub carrying: bool,
    /// Whether the hiding module is for the one grid alone.
    pub own_hiding: bool,
    /// Side of the square patches in pixels.
    pub patch: i64,
    /// Weights of the loss.
    pub weights: Weights,
    /// Where the modules run.
    pub device: Device,
    /// Seed of patches and fresh weights.
    pub seed: u64,
    /// Folder that the averaged weights are written to.
    pub out: PathBuf,
}

impl Config {
    /// A stage alone by a recipe: an hour on the CPU, the paper's numbers of InvBlocks, patches of
    /// 144 pixels, a step's of one cover, or of one secret where rescaling is trained alone.
    pub fn of(preset: Preset, stage: Stage, grids: Vec<Grid>, out: &Path) -> Self {
        Self {
            stages: vec![stage],
            stage,
            grids,
            blocks: Blocks { hiding: 16, rescaling: 8 },
            budget: Budget::Time(Duration::from_secs(3600)),
            method: preset.method(),
            rate: preset.rate(),
            shape: preset.shape(stage),
            batch: 1,
            stride: preset.stride(),
            noise_shaping: preset.noise_shaping(),
            carrying: preset.carrying(),
            own_hiding: false,
            patch: 144,
            weights: preset.weights(stage, None),
            device: Device::Cpu,
            seed: 1,
            out: out.into(),
        }
    }

    /// The hiding module that the stage trains.
    pub(super) fn hiding(&self) -> Option<Module> {
        let own = self.grids.first().copied().filter(|_| self.own_hiding);
        (self.stage != Stage::Rescaling).then_some(Module::Hiding(own))
    }

    /// What the stage trains or makes tiles with.
    pub fn modules(&self) -> Vec<Module> {
        let rescaling = self.grids.iter().map(|&grid| Module::Rescaling(grid));
        self.hiding().into_iter().chain(rescaling).collect()
    }

    /// Fails for grids that cannot be trained with this patch, and for a hiding module of its own for
    /// several grids or where none is trained.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.own_hiding && self.grids.len() != 1 {
            return Err(Error::OwnHiding(self.grids.len()));
        }
        if self.own_hiding && self.stages == [Stage::Rescaling] {
            return Err(Error::NoHiding);
        }
        for grid in &self.grids {
            if grid.secrets() == 1 {
                return Err(Error::NoRescaling);
            }
            let (width, height) = grid.smallest_frame();
            for step in [width as i64, height as i64] {
                if self.patch < step || self.patch % step != 0 {
                    let grid = grid.to_string();
                    return Err(Error::Patch { patch: self.patch, grid, step });
                }
            }
        }
        Ok(())
    }
}

/// What a run tells while it goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step was taken.
    Step(Report),
    /// The averaged weights were measured on the photographs held out.
    Validation(Vec<Score>),
}

/// A run's state after a step, for display.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Steps taken, skipped ones included.
    pub step: u64,
    /// Share of the budget spent, 1 at the end.
    pub progress: f64,
    /// Learning rate.
    pub rate: f64,
    /// Running mean of the loss.
    pub loss: f64,
    /// Running mean of the stego's PSNR in dB; NaN while rescaling is trained alone.
    pub cover: f64,
    /// Running mean of the recovered secrets' PSNR in dB; the mosaic's while hiding is trained alone.
    pub secret: f64,
    /// Cover pixels a second since the stage began or was gone on with; while rescaling is trained
    /// alone, those of secrets.
    pub pixels_per_second: f64,
    /// Steps left out because their loss was not finite or their gradient of no use.
    pub skipped: u64,
    /// Times that the run went back to the last good state.
    pub setbacks: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_that_cannot_be_trained_are_refused() {
        let config = |grid: &str, patch| {
            let grids = vec![grid.parse().unwrap()];
            Config { patch, ..Config::of(Preset::Paper, Stage::Joint, grids, Path::new("")) }
        };
        assert!(config("3x2", 24).check().is_ok());
        let message = config("3x2", 26).check().unwrap_err().to_string();
        assert!(message.contains("26") && message.contains("3x2") && message.contains('6'));
        let mut several = config("2x2", 24);
        several.own_hiding = true;
        assert!(several.check().is_ok());
        let rescaling = Config { stages: vec![Stage::Rescaling], ..several.clone() };
        assert!(rescaling.check().unwrap_err().to_string().contains("--own-hiding"));
        several.grids.push("3x2".parse().unwrap());
        assert!(several.check().unwrap_err().to_string().contains("2 grids"));
        assert!(config("1x1", 24).check().unwrap_err().to_string().contains("1x1"));
    }
}
