// SPDX-License-Identifier: MPL-2.0
//! A batch through the network: what it loses, and how good stego and secrets are.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tch::{Device, Kind, Tensor, no_grad};

use super::dataset::Photographs;
use super::losses::{Passage, Weights, bicubic_tiles, squared};
use super::modules::Modules;
use super::remainder::Remainder;
use super::run::{Config, Stage};
use super::sensitivity::sensitivity;
use crate::network::decomposition::Decomposition;
use crate::network::enhancement::base;
use crate::network::mosaic::{cut, splice};
use crate::network::passphrase::Key;
use crate::network::quantisation::{Digits, quantise};
use crate::network::rescaling::Rescaling;
use crate::network::scrambling::Scrambling;
use crate::network::{Grid, Precision, decibels};

/// Deviation of the noise, in [0, 1], that stands for hiding while rescaling is trained alone: 40 dB.
const JITTER: f64 = 0.01;

/// Pictures that go through the network together.
pub struct Batch {
    /// The secrets' grid.
    pub grid: Grid,
    /// B×3×H×W in [0, 1].
    pub covers: Tensor,
    /// B·N×3×H×W in [0, 1]; B×3×H×W while rescaling is trained alone.
    pub secrets: Tensor,
    /// Of the mosaics, if they are hidden scrambled.
    pub scrambling: Option<Scrambling>,
    /// Indices of the secrets whose loss is taken, while both modules are trained.
    pub followed: Tensor,
}

impl Batch {
    /// The batch of a step: a random grid and patches, half of the time scrambled so that a
    /// passphrase costs little. It depends on seed, stage and step alone, so that a run can go on.
    pub fn random(config: &Config, photographs: &Photographs, step: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&config.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&step.to_le_bytes());
        seed[16] = config.stage as u8;
        let mut rng = StdRng::from_seed(seed);
        let Config { batch, patch, device, .. } = *config;
        let grid = config.grids[rng.random_range(0..config.grids.len())];
        let secrets = match config.stage {
            // Each is rescaled by itself and need not fill a mosaic.
            Stage::Rescaling => batch,
            Stage::Hiding | Stage::Joint => batch * grid.secrets(),
        };
        let secrets = photographs.patches(secrets, patch, &mut rng);
        let covers = photographs.patches(batch, patch, &mut rng);
        let scrambling = rng.random::<bool>().then(|| {
            let key = Key::from_bytes(rng.random());
            Scrambling::new(&key, patch as usize, patch as usize, device)
        });
        let followed = every(config.stride, rng.random_range(0..config.stride), &secrets);
        // For libtorch's own random numbers: the jitter.
        tch::manual_seed(rng.random());
        Self { grid, covers, secrets, scrambling, followed }
    }

    /// Of the digits that its stegos carry.
    fn base(&self) -> u8 {
        base(self.grid, self.sealed())
    }

    /// Whether its mosaics are hidden scrambled.
    fn sealed(&self) -> bool {
        self.scrambling.is_some()
    }
}

/// Indices of every so-manieth of some pictures, from the given one on; at least of one.
pub fn every(stride: usize, first: usize, pictures: &Tensor) -> Tensor {
    let count = pictures.size()[0];
    let first = (first as i64).min(count - 1);
    Tensor::arange_start_step(first, count, stride as i64, (Kind::Int64, pictures.device()))
}

/// What came of a batch.
pub struct Outcome {
    /// The objective, to descend.
    pub loss: Tensor,
    /// Squared error of the 8-bit stegos; NaN while rescaling is trained alone.
    cover: Tensor,
    /// Squared error of the 8-bit recovered secrets; the mosaics' while hiding is trained alone.
    secret: Tensor,
}

impl Outcome {
    /// The loss, and the PSNRs in dB of stegos and secrets, read from the device at once.
    pub fn values(&self) -> [f64; 3] {
        let read = Tensor::stack(&[&self.loss, &self.cover, &self.secret].map(Tensor::detach), 0);
        let read = read.to_kind(Kind::Double).to_device(Device::Cpu);
        let [loss, cover, secret] = [0, 1, 2].map(|place| read.double_value(&[place]));
        [loss, decibels(cover), decibels(secret)]
    }
}

/// What a stage trains for.
pub struct Objective {
    stage: Stage,
    weights: Weights,
    wavelet: Decomposition,
    remainder: Remainder,
    carrying: bool,
    precision: Precision,
}

impl Objective {
    /// The objective of a run.
    pub fn new(config: &Config) -> Self {
        Self {
            stage: config.stage,
            weights: config.weights,
            wavelet: Decomposition::haar(config.device),
            remainder: Remainder::new(config.device),
            carrying: config.carrying,
            precision: Precision::best(config.device),
        }
    }

    /// Takes a batch through the modules that the stage trains.
    pub fn outcome(&self, modules: &Modules, batch: &Batch) -> Outcome {
        match self.stage {
            Stage::Hiding => self.hiding(modules, batch),
            Stage::Rescaling => self.rescaling(trained(modules, batch.grid), batch),
            Stage::Joint => self.joint(modules, batch),
        }
    }

    fn hiding(&self, modules: &Modules, batch: &Batch) -> Outcome {
        let passage = self.passage(modules, batch, self.mosaic(modules, batch));
        Outcome {
            loss: self.weights.hiding(&passage, &self.wavelet),
            cover: squared(&passage.cover, &passage.stego),
            secret: squared(&passage.mosaic, &passage.recovered_mosaic),
        }
    }

    /// The batch's mosaic, without a gradient.
    fn mosaic(&self, modules: &Modules, batch: &Batch) -> Tensor {
        let Batch { grid, ref secrets, .. } = *batch;
        let tiles = match rescaling(modules, grid) {
            Some(module) => no_grad(|| module.downscale(secrets, self.precision)),
            None => bicubic_tiles(secrets, grid).clamp(0.0, 1.0),
        };
        splice(&tiles, grid)
    }

    /// How the hiding module's reveal answers errors in the stegos of some batches, for
    /// [`NoiseShaper`](crate::network::noise_shaping::NoiseShaper).
    pub fn sensitivity(&self, modules: &Modules, batches: &[Batch]) -> Tensor {
        let stegos = batches
            .iter()
            .map(|batch| no_grad(|| self.passage(modules, batch, self.mosaic(modules, batch))));
        let hiding = modules.hiding.as_ref().expect("this stage has a hiding module");
        sensitivity(hiding, stegos.map(|passage| passage.stego), self.precision)
    }

    fn rescaling(&self, module: &Rescaling, batch: &Batch) -> Outcome {
        let Batch { grid, ref secrets, .. } = *batch;
        let tiles = module.downscale(secrets, self.precision);
        let received = &tiles + tiles.randn_like() * JITTER;
        let recovered = module.upscale(&received, self.precision);
        Outcome {
            loss: self.weights.rescaling(secrets, &recovered, &tiles, grid, self.left(batch)),
            cover: Tensor::full([], f64::NAN, (Kind::Float, secrets.device())),
            secret: squared(secrets, &quantise(&recovered)),
        }
    }

    fn joint(&self, modules: &Modules, batch: &Batch) -> Outcome {
        let Batch { grid, ref secrets, .. } = *batch;
        let module = trained(modules, grid);
        let followed = |pictures: &Tensor| pictures.index_select(0, &batch.followed);
        let others = no_grad(|| module.downscale(secrets, self.precision));
        let secrets = followed(secrets);
        let tiles = module.downscale(&secrets, self.precision);
        let mosaic = splice(&others.index_copy(0, &batch.followed, &tiles), grid);
        let passage = self.passage(modules, batch, mosaic);
        let received = followed(&cut(&passage.recovered_mosaic, grid));
        let recovered = module.upscale(&received, self.precision);
        let loss = self.weights.hiding(&passage, &self.wavelet)
            + self.weights.rescaling(&secrets, &recovered, &tiles, grid, self.left(batch));
        Outcome {
            loss,
            cover: squared(&passage.cover, &passage.stego),
            secret: squared(&secrets, &quantise(&recovered)),
        }
    }

    /// What enhancement leaves of the errors of a batch's secrets.
    fn left(&self, batch: &Batch) -> impl Fn(&Tensor) -> Tensor {
        let bits = f64::from(batch.base()).log2() / batch.grid.secrets() as f64;
        move |errors| self.remainder.of(errors, bits)
    }

    /// A mosaic through conceal, an 8-bit file and reveal.
    fn passage(&self, modules: &Modules, batch: &Batch, mosaic: Tensor) -> Passage {
        let cover = batch.covers.shallow_clone();
        let hiding = modules.hiding.as_ref().expect("this stage has a hiding module");
        let hidden = match &batch.scrambling {
            Some(scrambling) => scrambling.scramble(&mosaic),
            None => mosaic.shallow_clone(),
        };
        let concealed = hiding.conceal(&cover, &hidden, self.precision);
        let stego = if self.carrying {
            hiding.carrying(&concealed, &any_digits(&concealed, batch))
        } else {
            hiding.quantise(&concealed)
        };
        let recovered = hiding.reveal(&stego, self.precision);
        let recovered_mosaic = match &batch.scrambling {
            Some(scrambling) => scrambling.unscramble(&recovered),
            None => recovered,
        };
        Passage { cover, concealed, stego, mosaic, recovered_mosaic }
    }
}

/// Digits that a batch's stegos of this size may have to carry.
fn any_digits(stego: &Tensor, batch: &Batch) -> Digits {
    let base = batch.base();
    let values = stego.detach().randint_like(base.into());
    Digits { values, base, sealed: batch.sealed() }
}

fn rescaling(modules: &Modules, grid: Grid) -> Option<&Rescaling> {
    let mut all = modules.rescaling.iter();
    all.find(|(own, _)| *own == grid).map(|(_, module)| module)
}

fn trained(modules: &Modules, grid: Grid) -> &Rescaling {
    rescaling(modules, grid).expect("this stage has a rescaling module for each grid")
}
