// SPDX-License-Identifier: MPL-2.0
//! The state of an unfinished run, in one file beside its weights: enough to go on as if it had
//! not been broken off.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::Error;
use super::clipping::Clip;
use super::divergence::Watch;
use super::optimizer::Method;
use super::run::{Config, Stage};
use super::schedule::Budget;
use crate::network::tensor_file::{self, tensor};
use crate::network::weights::SENSITIVITY;

/// The version of the format written and read here.
const FORMAT: &str = "1";
const FILE: &str = "run.state";

/// Where a stage stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Steps taken.
    pub step: u64,
    /// Share of the stage's budget spent.
    pub progress: f64,
    /// Steps left out because their loss was not finite or their gradient of no use.
    pub skipped: u64,
    /// Times that the run went back to its last good state, its rate halved.
    pub setbacks: usize,
    /// The latest gradients' norms.
    pub clip: Clip,
    /// The latest losses.
    pub watch: Watch,
}

/// What has to be the same for a run to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    stages: Vec<Stage>,
    grids: Vec<String>,
    hiding_blocks: usize,
    rescaling_blocks: usize,
    method: Method,
    own_hiding: bool,
}

impl Plan {
    fn of(config: &Config) -> Self {
        Self {
            stages: config.stages.clone(),
            grids: config.grids.iter().map(ToString::to_string).collect(),
            hiding_blocks: config.blocks.hiding,
            rescaling_blocks: config.blocks.rescaling,
            method: config.method,
            own_hiding: config.own_hiding,
        }
    }
}

/// What may change while a run goes on, as the budget may; the user is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Terms {
    rate: f64,
    batch: usize,
    patch: i64,
    cover_weight: f64,
    seed: u64,
}

impl Terms {
    fn of(config: &Config) -> Self {
        let Config { rate, batch, patch, weights, seed, .. } = *config;
        Self { rate, batch, patch, cover_weight: weights.cover, seed }
    }

    /// The options, as they are typed, with their values.
    fn options(&self) -> [(&'static str, String); 5] {
        [
            ("--rate", self.rate.to_string()),
            ("--batch", self.batch.to_string()),
            ("--patch", self.patch.to_string()),
            ("cover's weight", self.cover_weight.to_string()),
            ("--seed", self.seed.to_string()),
        ]
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Description {
    plan: Plan,
    terms: Terms,
    budget: Budget,
    stage: Stage,
    standing: Standing,
    optimizer_steps: BTreeMap<String, u64>,
    average_updates: u64,
}

/// All that a run needs to go on.
pub struct State {
    path: PathBuf,
    description: Description,
    /// In f32: each variable's value, average and moments, as `KIND.NAME`.
    tensors: HashMap<String, Tensor>,
}

impl State {
    /// The state of a stage without its tensors, which [`put`](Self::put) adds.
    pub fn new(
        config: &Config,
        standing: Standing,
        optimizer_steps: BTreeMap<String, u64>,
        average_updates: u64,
    ) -> Self {
        let description = Description {
            plan: Plan::of(config),
            terms: Terms::of(config),
            budget: config.budget,
            stage: config.stage,
            standing,
            optimizer_steps,
            average_updates,
        };
        Self { path: config.out.join(FILE), description, tensors: HashMap::new() }
    }

    /// Adds named tensors of a kind, without a copy.
    pub fn put(&mut self, kind: &str, tensors: &HashMap<String, Tensor>) {
        let named = tensors.iter().map(|(name, t)| (format!("{kind}.{name}"), t.shallow_clone()));
        self.tensors.extend(named);
    }

    /// The tensors of a kind on a device, one for each variable and of its shape.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn complete(
        &self,
        kind: &str,
        variables: &HashMap<String, Tensor>,
        device: Device,
    ) -> Result<HashMap<String, Tensor>, Error> {
        let own = |(name, variable): (&String, &Tensor)| {
            let key = format!("{kind}.{name}");
            match self.tensors.get(&key) {
                Some(tensor) if tensor.size() == variable.size() => {
                    Ok((name.clone(), tensor.to_device(device)))
                }
                _ => {
                    let reason = format!("it has no tensor '{key}' of {:?}", variable.size());
                    Err(Error::State { path: self.path.clone(), reason })
                }
            }
        };
        variables.iter().map(own).collect()
    }

    /// Adds what the hiding module's stegos are rounded for.
    pub fn put_sensitivity(&mut self, sensitivity: &Tensor) {
        self.tensors.insert(SENSITIVITY.into(), sensitivity.shallow_clone());
    }

    /// What the hiding module's stegos are rounded for, if not to the nearest.
    pub fn sensitivity(&self) -> Option<&Tensor> {
        self.tensors.get(SENSITIVITY)
    }

    /// The stage that was under way.
    pub fn stage(&self) -> Stage {
        self.description.stage
    }

    /// Where it stands.
    pub fn standing(&self) -> &Standing {
        &self.description.standing
    }

    /// Steps that the optimizer has taken, by the variables' names.
    pub fn optimizer_steps(&self) -> &BTreeMap<String, u64> {
        &self.description.optimizer_steps
    }

    /// Updates that the averages have had.
    pub fn average_updates(&self) -> u64 {
        self.description.average_updates
    }

    /// Whether a run of the same stages, grids, blocks and optimizer can go on from here.
    pub fn fits(&self, config: &Config) -> bool {
        self.description.plan == Plan::of(config)
    }

    /// Whether losses and norms up to here are of no use from here on.
    pub fn is_of_other_terms(&self, config: &Config) -> bool {
        self.description.terms != Terms::of(config)
    }

    /// Whether the rate was another up to here.
    pub fn is_of_another_rate(&self, config: &Config) -> bool {
        self.description.terms.rate != config.rate
    }

    /// What is other than it was up to here and may be, as `--patch 144, so far 96`.
    pub fn changes(&self, config: &Config) -> Vec<String> {
        let options = |terms: &Terms, budget: Budget| {
            terms.options().into_iter().chain([("the stage's budget", budget.to_string())])
        };
        let before = options(&self.description.terms, self.description.budget);
        let changed = options(&Terms::of(config), config.budget).zip(before);
        changed
            .filter(|(now, before)| now != before)
            .map(|((name, now), (_, before))| format!("{name} {now}, so far {before}"))
            .collect()
    }

    /// The state in a folder, if an unfinished run left one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::State`] for a file that is not whole or of another make.
    pub fn open(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path, source }),
        };
        match parse(&bytes) {
            Ok((description, tensors)) => Ok(Some(Self { path, description, tensors })),
            Err(reason) => Err(Error::State { path, reason }),
        }
    }

    /// Writes the state to its run's folder, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`], a full disk for example.
    pub fn save(&self) -> Result<(), Error> {
        let failed = |source| Error::Io { path: self.path.clone(), source };
        let run = serde_json::to_string(&self.description).map_err(|error| failed(error.into()))?;
        let metadata = HashMap::from([("format".into(), FORMAT.into()), ("run".into(), run)]);
        tensor_file::write(&self.path, &self.tensors, metadata).map_err(failed)
    }

    /// Removes the state of a run that is finished.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { path, source: error })
            }
            _ => Ok(()),
        }
    }
}

/// The reason, on failure, completes "cannot be used: …".
fn parse(bytes: &[u8]) -> Result<(Description, HashMap<String, Tensor>), String> {
    let text = |error: safetensors::SafeTensorError| error.to_string();
    let file = SafeTensors::deserialize(bytes).map_err(text)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(text)?;
    let metadata = metadata.metadata().as_ref();
    let entry = |key: &str| {
        let value = metadata.and_then(|metadata| metadata.get(key));
        value.ok_or(format!("its metadata has no '{key}'"))
    };
    let format = entry("format")?;
    if format != FORMAT {
        return Err(format!("its format is version {format}, this program reads {FORMAT}"));
    }
    let description: Description =
        serde_json::from_str(entry("run")?).map_err(|error| format!("its 'run': {error}"))?;
    let Description { plan, stage, .. } = &description;
    if !plan.stages.contains(stage) {
        return Err(format!("its 'run' is in the stage {stage}, which it does not plan"));
    }
    let tensors = file.iter().map(|(name, view)| Ok((name.into(), tensor(name, &view)?)));
    Ok((description, tensors.collect::<Result<_, String>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::preset::Preset;

    #[test]
    fn a_stage_that_the_run_does_not_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = |stage| {
            let grids = vec!["2x2".parse().unwrap()];
            let recipe = Config::of(Preset::Shipped, stage, grids, folder.path());
            Config { stages: vec![Stage::Rescaling], ..recipe }
        };
        let save = |stage| {
            let (standing, steps) = (Standing::default(), BTreeMap::new());
            State::new(&config(stage), standing, steps, 0).save().unwrap();
            State::open(folder.path())
        };
        assert!(save(Stage::Rescaling).unwrap().is_some());
        let error = save(Stage::Joint).err().unwrap().to_string();
        assert!(error.contains("run.state") && error.contains("joint"), "{error}");
    }
}
