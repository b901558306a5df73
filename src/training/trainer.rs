// SPDX-License-Identifier: MPL-2.0
//! The training loop: one optimizer over all modules, checkpoints, validations and curves.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tch::Tensor;

use super::Error;
use super::average::{Average, assign, snapshot};
use super::curves::Curves;
use super::dataset::Photographs;
use super::divergence::Verdict;
use super::folders;
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
/// Steps from one measurement of reveal's sensitivity to the next.
const SHAPE_EVERY: u64 = 500;
const MOST_SETBACKS: usize = 5;

/// The values of a moment; the optimizer starts anew from there.
struct Snapshot {
    variables: HashMap<String, Tensor>,
    averages: HashMap<String, Tensor>,
}

/// What a run that blows up goes back to: the older of two snapshots, since it shows only some steps
/// after it began.
struct Good {
    older: Rc<Snapshot>,
    newer: Rc<Snapshot>,
}

impl Good {
    fn new(snapshot: Snapshot) -> Self {
        let older = Rc::new(snapshot);
        Self { newer: older.clone(), older }
    }

    fn add(&mut self, snapshot: Snapshot) {
        self.older = std::mem::replace(&mut self.newer, Rc::new(snapshot));
    }

    /// Without what came after the older one.
    fn forget_newer(&mut self) {
        self.newer = self.older.clone();
    }
}

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
    /// [`Error::Patch`], [`Error::NoRescaling`], [`Error::OwnHiding`] and [`Error::NoHiding`] for a
    /// configuration that does not fit, those of [`Modules::resume`].
    pub fn new(
        config: Config,
        photographs: &'a Photographs,
        held_out: &Photographs,
        resume: &[PathBuf],
    ) -> Result<Self, Error> {
        config.check()?;
        caught(|| Self::prepared(config, photographs, held_out, resume))
    }

    /// Fails as [`new`](Self::new) would, before the stages that come first have taken their time.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::OwnHidingWins`].
    pub fn check(config: &Config, resume: &[PathBuf]) -> Result<(), Error> {
        config.check()?;
        if config.stage != Stage::Rescaling && !config.own_hiding {
            folders::check_own_hiding(&config.out, &config.grids)?;
        }
        caught(|| modules(config, resume)).map(drop)
    }

    fn prepared(
        config: Config,
        photographs: &'a Photographs,
        held_out: &Photographs,
        resume: &[PathBuf],
    ) -> Result<Self, Error> {
        tch::manual_seed(config.seed as i64);
        let modules = modules(&config, resume)?;
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

    /// Goes on where a run that was broken off stood, on the same curve. On
    /// [other terms](State::is_of_other_terms) it is not held against what was before.
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
        if state.is_of_other_terms(&self.config) {
            // Losses and norms are of another size, and a rate that was lowered is not halved again.
            let Standing { step, progress, skipped, setbacks, .. } = self.standing;
            let setbacks = if state.is_of_another_rate(&self.config) { 0 } else { setbacks };
            self.standing = Standing { step, progress, skipped, setbacks, ..Standing::default() };
        }
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
        let mut good = Good::new(self.snapshot());
        let mut progress = Progress::new(&self.config, self.standing.step);
        while self.standing.progress < 1.0 {
            let rate = schedule.rate(self.standing.progress);
            let values = self.step(rate, &mut schedule, &mut good)?;
            self.standing.step += 1;
            self.standing.progress = schedule.progress(self.standing.step);
            if self.standing.step.is_multiple_of(SHAPE_EVERY) || self.standing.progress >= 1.0 {
                self.shape_noise();
            }
            let report = progress.report(&self.standing, rate, values);
            if report.step.is_multiple_of(POINT_EVERY) {
                curves.add(report.step, &report_points(self.config.stage, &report))?;
            }
            if tell(Event::Step(report)).is_break() {
                return self.checkpoint();
            }
            if saved.elapsed() > CHECKPOINT_EVERY {
                self.checkpoint()?;
                good.add(self.snapshot());
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
        good: &mut Good,
    ) -> Result<[f64; 3], Error> {
        let batch = Batch::random(&self.config, self.photographs, self.standing.step);
        let outcome = self.objective.outcome(&self.modules, &batch);
        let values = outcome.values();
        match self.standing.watch.judge(values[0]) {
            Verdict::Step => self.descend(&outcome.loss, rate),
            Verdict::Skip => self.standing.skipped += 1,
            Verdict::GoBack => self.go_back(schedule, good)?,
        }
        Ok(values)
    }

    /// Takes up the last good values, which stay in the folder also where the run gives up.
    fn go_back(&mut self, schedule: &mut Schedule, good: &mut Good) -> Result<(), Error> {
        assign(&self.variables, &good.older.variables);
        self.average.go_back(&good.older.averages);
        good.forget_newer();
        self.optimizer = Optimizer::new(self.config.method);
        self.shape_noise();
        if self.standing.setbacks == MOST_SETBACKS {
            self.checkpoint()?;
            return Err(Error::Diverged(MOST_SETBACKS));
        }
        self.standing.setbacks += 1;
        schedule.halve();
        self.checkpoint()
    }

    fn snapshot(&self) -> Snapshot {
        let averages = snapshot(self.average.tensors());
        Snapshot { variables: snapshot(&self.variables), averages }
    }

    /// One step along the clipped gradient; none if that is of no use.
    fn descend(&mut self, loss: &Tensor, rate: f64) {
        let gradients = gradients(loss, &self.variables);
        let norm = norm(&gradients);
        if let Some(limit) = self.standing.clip.limit(norm) {
            // The norm of no gradient is 0, and that asks for no scaling.
            let scale = if norm > limit { limit / norm } else { 1.0 };
            self.optimizer.step(&self.variables, &gradients, rate, scale);
            self.average.update(&self.variables);
        } else {
            self.standing.skipped += 1;
            self.standing.watch.discard();
        }
    }

    /// Measures the averaged weights.
    fn validate(&mut self) -> Vec<Score> {
        self.averaged(|trainer| trainer.validation.measure(&trainer.objective, &trainer.modules))
    }

    /// Has stegos rounded for the averaged hiding module.
    fn shape_noise(&mut self) {
        if self.config.noise_shaping && self.modules.hiding.is_some() {
            let measure = |trainer: &mut Self| {
                trainer.validation.sensitivity(&trainer.objective, &trainer.modules)
            };
            let sensitivity = self.averaged(measure);
            self.modules.shape_noise(&sensitivity);
        }
    }

    /// Something done with the averaged weights in place.
    fn averaged<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let values = snapshot(&self.variables);
        assign(&self.variables, self.average.tensors());
        let result = run(self);
        assign(&self.variables, &values);
        result
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
        state.save()
    }
}

/// The modules that a stage needs, going on from the weights in some folders.
fn modules(config: &Config, resume: &[PathBuf]) -> Result<Modules, Error> {
    let rescaled: &[Grid] = if config.stage == Stage::Hiding { &[] } else { &config.grids };
    let mut modules = Modules::new(config.hiding(), rescaled, config.blocks, config.device);
    modules.resume(resume)?;
    if config.stage == Stage::Hiding {
        modules.add_frozen(&config.grids, resume)?;
    }
    Ok(modules)
}

#[cfg(test)]
mod tests;
