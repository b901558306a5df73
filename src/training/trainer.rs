// SPDX-License-Identifier: MPL-2.0
//! The training loop: one optimizer over all modules, checkpoints, validations and curves.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tch::Tensor;

use super::Error;
use super::average::{Average, assign, snapshot};
use super::curves::Curves;
use super::dataset::Photographs;
use super::divergence::Verdict;
use super::modules::Modules;
use super::objective::{Batch, Objective};
use super::optimizer::{Optimizer, gradients, norm};
use super::progress::{Progress, report_points, score_points};
use super::run::{Config, Event, Stage};
use super::schedule::Schedule;
use super::state::{Standing, State};
use super::validation::{Score, Validation};
use crate::network::{Grid, caught};

const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);
/// Steps from one point of the curves to the next.
const POINT_EVERY: u64 = 10;
const MOST_SETBACKS: usize = 5;

/// A stage of a run.
pub struct Trainer<'a> {
    config: Config,
    photographs: &'a Photographs,
    modules: Modules,
    variables: HashMap<String, Tensor>,
    average: Average,
    optimizer: Optimizer,
    objective: Objective,
    validation: Validation,
    standing: Standing,
}

impl<'a> Trainer<'a> {
    /// Prepares a stage, going on from the weights in the folders `resume`, the first that has them.
    ///
    /// # Errors
    /// [`Error::Patch`] and [`Error::NoRescaling`] for a grid that does not fit, those of
    /// [`Modules::resume`].
    pub fn new(
        config: Config,
        photographs: &'a Photographs,
        held_out: &Photographs,
        resume: &[PathBuf],
    ) -> Result<Self, Error> {
        config.check()?;
        tch::manual_seed(config.seed as i64);
        let own = config.grids.first().copied().filter(|_| config.own_hiding);
        let hiding = (config.stage != Stage::Rescaling).then_some(own);
        let rescaled: &[Grid] = if config.stage == Stage::Hiding { &[] } else { &config.grids };
        let mut modules = Modules::new(hiding, rescaled, config.blocks, config.device);
        modules.resume(resume)?;
        if config.stage == Stage::Hiding {
            modules.add_frozen(&config.grids, resume)?;
        }
        let variables = modules.store.variables();
        Ok(Self {
            average: Average::new(&variables),
            optimizer: Optimizer::new(config.method),
            objective: Objective::new(&config),
            validation: Validation::new(&config, held_out),
            standing: Standing::default(),
            config,
            photographs,
            modules,
            variables,
        })
    }

    /// Goes on where a run that was broken off stood, on the same curve.
    ///
    /// # Errors
    /// [`Error::State`] for a state that lacks a tensor or has one of another shape.
    pub fn restore(&mut self, state: &State) -> Result<(), Error> {
        let device = self.config.device;
        let averages = state.complete("average", &self.variables, device)?;
        assign(&self.variables, &state.complete("variable", &self.variables, device)?);
        self.average = Average::resumed(averages, state.average_updates());
        let (method, moved) = (self.config.method, state.optimizer_steps());
        let moments = |kind, of: &dyn Fn(&Tensor) -> bool| {
            let own = self.variables.iter().filter(|(name, t)| moved.contains_key(*name) && of(t));
            let own = own.map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
            state.complete(kind, &own, device)
        };
        self.optimizer = Optimizer {
            method,
            first: moments("first", &|_| true)?,
            second: moments("second", &|variable| !method.orthogonalises(variable))?,
            steps: moved.clone(),
        };
        self.standing = state.standing().clone();
        if let (true, Some(sensitivity)) = (self.config.noise_shaping, state.sensitivity()) {
            self.modules.shape_noise(sensitivity);
        }
        Ok(())
    }

    /// Trains until the budget is spent or `tell`, called after each step and validation, breaks
    /// off. Writes the averaged weights and the run's state at the start, every two minutes and
    /// when broken off; the weights alone when the budget is spent.
    ///
    /// # Errors
    /// [`Error::Network`] and [`Error::Io`] if something cannot be written, [`Error::Network`] if
    /// libtorch fails, [`Error::Diverged`].
    pub fn run(&mut self, tell: impl FnMut(Event) -> ControlFlow<()>) -> Result<(), Error> {
        caught(|| self.descend_until_spent(tell))
    }

    fn descend_until_spent(
        &mut self,
        mut tell: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if self.modules.sensitivity().is_none() {
            self.shape_noise();
        }
        self.checkpoint()?;
        let mut curves = Curves::create(&self.config.out, &self.config.stage.to_string())?;
        let mut schedule = self.schedule();
        let mut saved = Instant::now();
        let mut good = snapshot(&self.variables);
        let mut progress = Progress::new(&self.config, self.standing.step);
        while self.standing.progress < 1.0 {
            let rate = schedule.rate(self.standing.progress);
            let values = self.step(rate, &mut schedule, &good)?;
            self.standing.step += 1;
            self.standing.progress = schedule.progress(self.standing.step);
            let report = progress.report(&self.standing, rate, values);
            if report.step.is_multiple_of(POINT_EVERY) {
                curves.add(report.step, &report_points(self.config.stage, &report))?;
            }
            if tell(Event::Step(report)).is_break() {
                return self.checkpoint();
            }
            if saved.elapsed() > CHECKPOINT_EVERY {
                self.checkpoint()?;
                good = snapshot(&self.variables);
                saved = Instant::now();
            }
            if self.validation.is_due() || self.standing.progress >= 1.0 {
                let scores = self.validate();
                curves.add(report.step, &score_points(self.config.stage, &scores))?;
                if tell(Event::Validation(scores)).is_break() {
                    return self.checkpoint();
                }
            }
        }
        self.modules.save(&self.config.out, self.average.tensors())
    }

    /// What is left of the rate's curve.
    fn schedule(&self) -> Schedule {
        let Config { shape, rate, budget, .. } = self.config;
        let Standing { progress, step, setbacks, .. } = self.standing;
        let mut schedule = Schedule::new(shape, rate, budget).resumed(progress, step);
        (0..setbacks).for_each(|_| schedule.halve());
        schedule
    }

    /// Loss, cover PSNR and secret PSNR of a step's batch; descends, or goes back to the last good
    /// values.
    fn step(
        &mut self,
        rate: f64,
        schedule: &mut Schedule,
        good: &HashMap<String, Tensor>,
    ) -> Result<[f64; 3], Error> {
        let batch = Batch::random(&self.config, self.photographs, self.standing.step);
        let outcome = self.objective.outcome(&self.modules, &batch);
        let value = outcome.loss.double_value(&[]);
        match self.standing.watch.judge(value) {
            Verdict::Step => self.descend(&outcome.loss, rate),
            Verdict::Skip => self.standing.skipped += 1,
            Verdict::GoBack => {
                self.standing.setbacks += 1;
                if self.standing.setbacks > MOST_SETBACKS {
                    return Err(Error::Diverged(self.standing.setbacks));
                }
                assign(&self.variables, good);
                schedule.halve();
            }
        }
        Ok([value, outcome.cover, outcome.secret])
    }

    /// One step along the clipped gradient.
    fn descend(&mut self, loss: &Tensor, rate: f64) {
        let gradients = gradients(loss, &self.variables);
        let norm = norm(&gradients);
        if let Some(limit) = self.standing.clip.limit(norm) {
            // The norm of no gradient is 0, and that asks for no scaling.
            let scale = if norm > limit { limit / norm } else { 1.0 };
            self.optimizer.step(&self.variables, &gradients, rate, scale);
            self.average.update(&self.variables);
        }
    }

    /// Measures the averaged weights.
    fn validate(&mut self) -> Vec<Score> {
        let values = snapshot(&self.variables);
        assign(&self.variables, self.average.tensors());
        self.shape_noise();
        let scores = self.validation.measure(&self.objective, &self.modules);
        assign(&self.variables, &values);
        scores
    }

    /// Has stegos rounded for the hiding module as it is.
    fn shape_noise(&mut self) {
        if self.config.noise_shaping && self.modules.hiding.is_some() {
            let sensitivity = self.validation.sensitivity(&self.objective, &self.modules);
            self.modules.shape_noise(&sensitivity);
        }
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.modules.save(&self.config.out, self.average.tensors())?;
        let (steps, updates) = (self.optimizer.steps.clone(), self.average.updates());
        let mut state = State::new(&self.config, self.standing.clone(), steps, updates);
        state.put("variable", &self.variables);
        state.put("average", self.average.tensors());
        state.put("first", &self.optimizer.first);
        state.put("second", &self.optimizer.second);
        if let Some(sensitivity) = self.modules.sensitivity() {
            state.put_sensitivity(sensitivity);
        }
        state.save(&self.config.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use tch::{Device, Kind};

    use crate::network::weights::WeightsFile;
    use crate::training::modules::Blocks;
    use crate::training::optimizer::Method;
    use crate::training::preset::Preset;
    use crate::training::schedule::{Budget, Shape};

    use indicatif::ProgressBar;

    fn config(out: &Path, stage: Stage) -> Config {
        Config {
            stages: vec![stage],
            stage,
            grids: vec![Grid::new(2, 2).unwrap(), Grid::new(3, 2).unwrap()],
            blocks: Blocks { hiding: 2, rescaling: 1 },
            budget: Budget::Steps(20),
            method: Method::Muon,
            rate: 1e-3,
            shape: Shape::Cosine,
            batch: 1,
            stride: 4,
            noise_shaping: true,
            own_hiding: false,
            patch: 24,
            weights: Preset::Shipped.weights(Stage::Joint, None),
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

    /// Breaks a run off after some steps.
    fn stop_after(steps: u64) -> impl FnMut(Event) -> ControlFlow<()> {
        move |event| match event {
            Event::Step(report) if report.step == steps => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    #[test]
    fn every_parameter_of_every_module_moves() {
        let folder = tempfile::tempdir().unwrap();
        let (photographs, config) =
            (photographs(folder.path()), config(folder.path(), Stage::Joint));
        let mut trainer = Trainer::new(config, &photographs, &photographs, &[]).unwrap();
        let before = snapshot(&trainer.variables);
        let mut steps = 0;
        trainer
            .run(|event| {
                if let Event::Step(report) = event {
                    steps = report.step;
                }
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
        let mut first = Trainer::new(config.clone(), &photographs, &photographs, &[]).unwrap();
        first.run(stop_after(5)).unwrap();
        let folders = ["nowhere".into(), folder.path().into()];
        let second = Trainer::new(config, &photographs, &photographs, &folders).unwrap();
        for (name, average) in first.average.tensors() {
            let half = average.to_kind(Kind::Half).to_kind(Kind::Float);
            assert_eq!(second.variables[name], half, "{name}");
        }
    }

    #[test]
    fn hiding_alone_sees_the_tiles_of_rescaling_modules_and_leaves_them() {
        let [from, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let photographs = photographs(from.path());
        let of = |stage, out: &tempfile::TempDir, resume: &[PathBuf]| {
            Trainer::new(config(out.path(), stage), &photographs, &photographs, resume).unwrap()
        };
        of(Stage::Rescaling, &from, &[]).run(stop_after(3)).unwrap();
        let mut hiding = of(Stage::Hiding, &out, &[from.path().into()]);
        assert_eq!(hiding.modules.rescaling.len(), 2);
        assert!(hiding.variables.keys().all(|name| name.starts_with("hiding")));
        hiding.run(stop_after(1)).unwrap();
        assert!(!out.path().join("rescaling-2x2.safetensors").exists());
        let batch = Batch::random(&hiding.config, &photographs, 0);
        let loss = |trainer: &Trainer| {
            trainer.objective.outcome(&trainer.modules, &batch).loss.double_value(&[])
        };
        let with_tiles = loss(&hiding);
        hiding.modules.rescaling.clear();
        assert_ne!(loss(&hiding), with_tiles);
    }

    #[test]
    fn a_grids_own_hiding_module_starts_from_the_one_for_all() {
        let [from, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let photographs = photographs(from.path());
        let all = config(from.path(), Stage::Hiding);
        let mut own = Config { own_hiding: true, ..config(out.path(), Stage::Hiding) };
        own.grids.truncate(1);
        Trainer::new(all, &photographs, &photographs, &[]).unwrap().run(stop_after(3)).unwrap();
        let folders = [from.path().into()];
        let tuned = Trainer::new(own, &photographs, &photographs, &folders);
        tuned.unwrap().run(stop_after(1)).unwrap();
        let tensors = |folder: &Path, name: &str| {
            let file = WeightsFile::open(&folder.join(name)).unwrap();
            assert!(file.shaper(Device::Cpu).unwrap().is_some(), "{name}");
            file.shapes()
        };
        let [all, own] = [(&from, "hiding"), (&out, "hiding-2x2")]
            .map(|(folder, name)| tensors(folder.path(), &format!("{name}.safetensors")));
        assert_eq!(all, own);
        assert!(!out.path().join("hiding.safetensors").exists());
    }

    #[test]
    fn a_state_of_another_run_does_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let (photographs, config) =
            (photographs(folder.path()), config(folder.path(), Stage::Hiding));
        let mut trainer = Trainer::new(config.clone(), &photographs, &photographs, &[]).unwrap();
        trainer.run(stop_after(1)).unwrap();
        let state = State::open(folder.path()).unwrap().unwrap();
        let other = |change: fn(&mut Config)| {
            let mut other = config.clone();
            change(&mut other);
            other
        };
        assert!(state.fits(&other(|config| config.rate = 1.0)));
        assert!(!state.fits(&other(|config| config.blocks.hiding = 3)));
        assert!(!state.fits(&other(|config| config.grids.truncate(1))));
        assert!(!state.fits(&other(|config| config.stages.push(Stage::Joint))));
        State::remove(folder.path()).unwrap();
        assert!(State::open(folder.path()).unwrap().is_none());
    }
}
