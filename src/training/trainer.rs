// SPDX-License-Identifier: MPL-2.0
//! The training loop: one optimizer over all modules, the stego quantised before reveal, z = 0.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tch::nn::{Adam, Optimizer, OptimizerConfig};
use tch::{Tensor, no_grad};

use super::Error;
use super::average::{Average, snapshot};
use super::clipping::Clip;
use super::dataset::Photographs;
use super::divergence::{Verdict, Watch};
use super::losses::{Passage, bicubic_tiles, psnr};
use super::modules::Modules;
use super::run::{Config, Report, Stage};
use super::schedule::Schedule;
use crate::network::decomposition::Decomposition;
use crate::network::mosaic::{cut, splice};
use crate::network::passphrase::Key;
use crate::network::quantisation::quantise;
use crate::network::rescaling::Rescaling;
use crate::network::scrambling::Scrambling;
use crate::network::{Grid, Precision, caught};

/// Deviation of the noise, in [0, 1], that stands for hiding while rescaling is trained alone: 40 dB.
const JITTER: f64 = 0.01;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);
const MOST_SETBACKS: usize = 5;

/// A run.
pub struct Trainer<'a> {
    config: Config,
    photographs: &'a Photographs,
    modules: Modules,
    variables: HashMap<String, Tensor>,
    average: Average,
    optimizer: Optimizer,
    clip: Clip,
    wavelet: Decomposition,
    precision: Precision,
    rng: StdRng,
}

impl<'a> Trainer<'a> {
    /// Prepares a run, going on from the weights in the folders `resume`, the first that has them.
    ///
    /// # Errors
    /// [`Error::Patch`] and [`Error::NoRescaling`] for a grid that does not fit, those of
    /// [`Modules::resume`].
    pub fn new(
        config: Config,
        photographs: &'a Photographs,
        resume: &[PathBuf],
    ) -> Result<Self, Error> {
        config.check()?;
        tch::manual_seed(config.seed as i64);
        let hiding = config.stage != Stage::Rescaling;
        let rescaled: &[Grid] = if config.stage == Stage::Hiding { &[] } else { &config.grids };
        let modules = Modules::new(hiding, rescaled, config.blocks, config.device);
        modules.resume(resume)?;
        let variables = modules.store.variables();
        let optimizer = Adam::default()
            .beta2(0.99)
            .build(&modules.store, config.rate)
            .map_err(crate::network::Error::from)?;
        Ok(Self {
            average: Average::new(&variables),
            wavelet: Decomposition::haar(config.device),
            precision: Precision::best(config.device),
            rng: StdRng::seed_from_u64(config.seed),
            config,
            photographs,
            modules,
            variables,
            optimizer,
            clip: Clip::default(),
        })
    }

    /// Trains until the budget is spent or `report`, called after each step, breaks off; writes the
    /// averaged weights every two minutes and at the end.
    ///
    /// # Errors
    /// [`Error::Network`] if a checkpoint cannot be written or libtorch fails, [`Error::Diverged`].
    pub fn run(&mut self, report: impl FnMut(&Report) -> ControlFlow<()>) -> Result<(), Error> {
        caught(|| self.descend_until_spent(report))
    }

    fn descend_until_spent(
        &mut self,
        mut report: impl FnMut(&Report) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut schedule = Schedule::new(self.config.shape, self.config.rate, self.config.budget);
        let (started, mut saved) = (Instant::now(), Instant::now());
        let (mut watch, mut setbacks, mut skipped) = (Watch::default(), 0, 0);
        let mut good = snapshot(&self.variables);
        let mut mean: Option<[f64; 3]> = None;
        let pixels = (self.config.batch as i64 * self.config.patch.pow(2)) as f64;
        let mut step = 0;
        loop {
            let progress = schedule.progress(step);
            if progress >= 1.0 {
                break;
            }
            self.optimizer.set_lr(schedule.rate(progress));
            let (loss, cover, secret) = self.loss();
            let value = loss.double_value(&[]);
            match watch.judge(value) {
                Verdict::Step => self.descend(&loss),
                Verdict::Skip => skipped += 1,
                Verdict::GoBack => {
                    setbacks += 1;
                    if setbacks > MOST_SETBACKS {
                        return Err(Error::Diverged(setbacks));
                    }
                    self.restore(&good);
                    schedule.halve();
                }
            }
            step += 1;
            if value.is_finite() {
                mean = Some(running(mean, [value, cover, secret]));
            }
            let [loss, cover, secret] = mean.unwrap_or([f64::NAN; 3]);
            let go_on = report(&Report {
                step,
                progress: schedule.progress(step),
                rate: schedule.rate(progress),
                loss,
                cover,
                secret,
                pixels_per_second: step as f64 * pixels / started.elapsed().as_secs_f64(),
                skipped,
                setbacks,
            });
            if go_on.is_break() {
                break;
            }
            if saved.elapsed() > CHECKPOINT_EVERY {
                self.modules.save(&self.config.out, self.average.tensors())?;
                good = snapshot(&self.variables);
                saved = Instant::now();
            }
        }
        self.modules.save(&self.config.out, self.average.tensors())
    }

    /// Loss, cover PSNR and secret PSNR of a random batch.
    fn loss(&mut self) -> (Tensor, f64, f64) {
        let grid = self.config.grids[self.rng.random_range(0..self.config.grids.len())];
        match self.config.stage {
            Stage::Hiding => self.hiding_loss(grid),
            Stage::Rescaling => self.rescaling_loss(grid),
            Stage::Joint => self.joint_loss(grid),
        }
    }

    fn hiding_loss(&mut self, grid: Grid) -> (Tensor, f64, f64) {
        let mosaic = splice(&bicubic_tiles(&self.secrets(grid), grid).clamp(0.0, 1.0), grid);
        let passage = self.passage(mosaic);
        let loss = self.config.weights.hiding(&passage, &self.wavelet);
        let secret = psnr(&passage.mosaic, &passage.recovered_mosaic);
        (loss, psnr(&passage.cover, &passage.stego), secret)
    }

    fn rescaling_loss(&mut self, grid: Grid) -> (Tensor, f64, f64) {
        // Each secret is rescaled by itself: a batch need not fill a mosaic.
        let Config { batch, patch, .. } = self.config;
        let secrets = self.photographs.patches(batch, patch, &mut self.rng);
        let tiles = self.rescaling(grid).downscale(&secrets, self.precision);
        let received = &tiles + tiles.randn_like() * JITTER;
        let recovered = self.rescaling(grid).upscale(&received, self.precision);
        let loss = self.config.weights.rescaling(&secrets, &recovered, &tiles, grid);
        (loss, f64::NAN, psnr(&secrets, &recovered))
    }

    fn joint_loss(&mut self, grid: Grid) -> (Tensor, f64, f64) {
        let secrets = self.secrets(grid);
        let tiles = self.rescaling(grid).downscale(&secrets, self.precision);
        let passage = self.passage(splice(&tiles, grid));
        let received = cut(&passage.recovered_mosaic, grid);
        let recovered = self.rescaling(grid).upscale(&received, self.precision);
        let weights = self.config.weights;
        let loss = weights.hiding(&passage, &self.wavelet)
            + weights.rescaling(&secrets, &recovered, &tiles, grid);
        (loss, psnr(&passage.cover, &passage.stego), psnr(&secrets, &recovered))
    }

    /// A mosaic through conceal, an 8-bit file and reveal; half of the time scrambled on the way,
    /// so that a passphrase costs little.
    fn passage(&mut self, mosaic: Tensor) -> Passage {
        let Config { batch, patch, device, .. } = self.config;
        let cover = self.photographs.patches(batch, patch, &mut self.rng);
        let scrambling = self.rng.random::<bool>().then(|| {
            let key = Key::from_bytes(self.rng.random());
            Scrambling::new(&key, patch as usize, patch as usize, device)
        });
        let hiding = self.modules.hiding.as_ref().expect("this stage has a hiding module");
        let hidden = match &scrambling {
            Some(scrambling) => scrambling.scramble(&mosaic),
            None => mosaic.shallow_clone(),
        };
        let concealed = hiding.conceal(&cover, &hidden, self.precision);
        let stego = quantise(&concealed);
        let recovered = hiding.reveal(&stego, self.precision);
        let recovered_mosaic = match &scrambling {
            Some(scrambling) => scrambling.unscramble(&recovered),
            None => recovered,
        };
        Passage { cover, concealed, stego, mosaic, recovered_mosaic }
    }

    /// B·N×3×H×W patches.
    fn secrets(&mut self, grid: Grid) -> Tensor {
        let Config { batch, patch, .. } = self.config;
        self.photographs.patches(batch * grid.secrets(), patch, &mut self.rng)
    }

    fn rescaling(&self, grid: Grid) -> &Rescaling {
        let (_, module) = self
            .modules
            .rescaling
            .iter()
            .find(|(own, _)| *own == grid)
            .expect("this stage has a rescaling module for each grid");
        module
    }

    /// One step along the clipped gradient.
    fn descend(&mut self, loss: &Tensor) {
        self.optimizer.zero_grad();
        loss.backward();
        let norm = self.gradient_norm();
        if let Some(limit) = self.clip.limit(norm) {
            self.optimizer.clip_grad_norm(limit);
            self.optimizer.step();
            self.average.update(&self.variables);
        }
    }

    /// The norm of all gradients together.
    fn gradient_norm(&self) -> f64 {
        let gradients = self.variables.values().map(Tensor::grad).filter(Tensor::defined);
        let norms: Vec<_> = gradients.map(|gradient| gradient.norm()).collect();
        Tensor::stack(&norms, 0).norm().double_value(&[])
    }

    fn restore(&mut self, values: &HashMap<String, Tensor>) {
        no_grad(|| {
            for (name, variable) in &mut self.variables {
                variable.copy_(&values[name]);
            }
        });
    }
}

/// Mean over about the last fifty steps.
fn running(mean: Option<[f64; 3]>, values: [f64; 3]) -> [f64; 3] {
    let Some(mean) = mean else { return values };
    std::array::from_fn(|k| mean[k] + 0.02 * (values[k] - mean[k]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use tch::{Device, Kind};

    use crate::training::losses::Weights;
    use crate::training::modules::Blocks;
    use crate::training::schedule::{Budget, Shape};

    use indicatif::ProgressBar;

    fn config(out: &Path, stage: Stage) -> Config {
        Config {
            stage,
            grids: vec![Grid::new(2, 2).unwrap(), Grid::new(3, 2).unwrap()],
            blocks: Blocks { hiding: 2, rescaling: 1 },
            budget: Budget::Steps(20),
            rate: 1e-3,
            shape: Shape::Cosine,
            batch: 1,
            patch: 24,
            weights: Weights::balanced(30.0),
            device: Device::Cpu,
            seed: 3,
            out: out.into(),
        }
    }

    fn photographs(folder: &Path) -> Photographs {
        let value = |x, y| image::Rgb([x * 6, y * 7, x * y % 256].map(|v: u32| v as u8));
        image::RgbImage::from_fn(40, 32, value).save(folder.join("0.png")).unwrap();
        let progress = ProgressBar::hidden();
        Photographs::load(&[folder.into()], 24, Device::Cpu, &progress).unwrap()
    }

    #[test]
    fn every_parameter_of_every_module_moves() {
        let folder = tempfile::tempdir().unwrap();
        let (photographs, config) =
            (photographs(folder.path()), config(folder.path(), Stage::Joint));
        let mut trainer = Trainer::new(config, &photographs, &[]).unwrap();
        let before = snapshot(&trainer.variables);
        let mut steps = 0;
        trainer
            .run(|report| {
                steps = report.step;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(steps, 20);
        for (name, variable) in &trainer.variables {
            assert!(*variable != before[name], "{name} stayed");
        }
    }

    #[test]
    fn a_run_broken_off_saves_what_the_next_goes_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let (photographs, config) =
            (photographs(folder.path()), config(folder.path(), Stage::Joint));
        let mut first = Trainer::new(config.clone(), &photographs, &[]).unwrap();
        let mut steps = 0;
        let stop_early = |report: &Report| {
            steps = report.step;
            if steps == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        first.run(stop_early).unwrap();
        assert_eq!(steps, 5);
        let folders = ["nowhere".into(), folder.path().into()];
        let second = Trainer::new(config, &photographs, &folders).unwrap();
        for (name, average) in first.average.tensors() {
            let half = average.to_kind(Kind::Half).to_kind(Kind::Float);
            assert_eq!(second.variables[name], half, "{name}");
        }
    }
}
