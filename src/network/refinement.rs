// SPDX-License-Identifier: MPL-2.0
//! Refinement: the stego that the network makes in one pass is fitted to its very cover and secrets,
//! by gradient descent through reveal.
//!
//! What is descended is the aim of Eq. 3 as decibels count it: the logarithm of each picture's squared
//! error, a dB of the stego as much as one of the secrets' mean.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::decomposition::picture_means;
use super::hiding::Hiding;
use super::mosaic::{cut, splice};
use super::rescaling::Rescaling;
use super::scrambling::Scrambling;
use super::{Grid, Precision, exit};

/// More gradient steps than any stego gains by.
pub const MOST_STEPS: u32 = 1000;
/// How far the first step goes, root of the mean square; the length of the others falls to zero.
const FIRST_STEP: f64 = 0.2 / 255.0;
const MOMENTUM: f64 = 0.5;
/// Added to squared errors: those of 40 dB count half. Otherwise a cover that hardly anything can be hidden
/// in would gain most by hiding nothing.
const FLOOR: f64 = 1e-4;

/// What reveals.
pub struct Revealing<'a> {
    /// Stego to mosaic.
    pub hiding: &'a Hiding,
    /// Tiles to secrets.
    pub rescaling: &'a Rescaling,
    /// Of the mosaic.
    pub grid: Grid,
    /// Of the convolutions.
    pub precision: Precision,
    /// How many tiles go through rescaling at once.
    pub together: usize,
}

/// What stegos of one mosaic are refined for.
#[derive(Debug)]
pub struct Refinement {
    /// Gradient steps.
    pub steps: u32,
    /// The secrets, N×3×H×W of bytes on the network's device.
    pub secrets: Tensor,
    /// Of the mosaic, if a passphrase scrambles it.
    pub scrambling: Option<Arc<Scrambling>>,
}

/// Shares the secrets, which are never written.
impl Clone for Refinement {
    fn clone(&self) -> Self {
        let (secrets, scrambling) = (self.secrets.shallow_clone(), self.scrambling.clone());
        Self { secrets, scrambling, ..*self }
    }
}

/// Logarithms of errors.
#[derive(Clone, Copy)]
struct Loss {
    cover: f64,
    /// The mean.
    secrets: f64,
}

impl Loss {
    /// What the cover's part counts beside the secrets', on the way from a given stego: the side that
    /// has lost counts double.
    fn cover_weight(&self, given: &Self) -> f64 {
        match (self.cover > given.cover, self.secrets > given.secrets) {
            (true, false) => 2.0,
            (false, true) => 0.5,
            _ => 1.0,
        }
    }
}

/// The stego of least loss among those that lost on neither side.
struct Best {
    given: Loss,
    loss: Loss,
    stego: Tensor,
}

impl Best {
    fn new(given: &Tensor, loss: Loss) -> Self {
        Self { given: loss, loss, stego: given.shallow_clone() }
    }

    fn consider(&mut self, stego: &Tensor, loss: Loss) {
        let lost = loss.cover > self.given.cover || loss.secrets > self.given.secrets;
        if !lost && loss.cover + loss.secrets < self.loss.cover + self.loss.secrets {
            (self.loss, self.stego) = (loss, stego.shallow_clone());
        }
    }
}

impl Refinement {
    /// A stego 1×3×H×W in [0, 1] that is nearer to its cover 1×3×H×W and reveals more of its secrets
    /// than the given one, or that one; not yet rounded either. Ends early, with the best so far, once
    /// `wanted` says no.
    pub fn refined(
        &self,
        network: &Revealing,
        given: &Tensor,
        cover: &Tensor,
        wanted: &dyn Fn() -> bool,
    ) -> Tensor {
        let mut stego = given.clamp(0.0, 1.0);
        let mut best: Option<Best> = None;
        let mut direction = stego.zeros_like();
        // The last of them shows where the steps led.
        for step in (0..=self.steps).take_while(|_| wanted() && !exit::has_begun()) {
            let rounded = network.hiding.quantise(&stego);
            let (secrets_gradient, secrets) = self.secrets_gradient(network, &rounded);
            let loss = Loss { cover: log_errors(&rounded, cover), secrets };
            let best = best.get_or_insert_with(|| Best::new(&stego, loss));
            best.consider(&stego, loss);

            let weight = loss.cover_weight(&best.given);
            let gradient = secrets_gradient + log_error_gradients(&rounded, cover) * weight;
            let gradient = network.hiding.preconditioned(gradient);
            let unit = &gradient / (gradient.square().mean(Kind::Float).sqrt() + 1e-30);
            direction = direction.lerp(&unit, 1.0 - MOMENTUM);
            let bias = 1.0 - MOMENTUM.powi(step as i32 + 1);
            let length = FIRST_STEP * (1.0 - f64::from(step) / f64::from(self.steps)) / bias;
            stego = (stego - &direction * length).clamp(0.0, 1.0);
        }
        best.map_or(stego, |best| best.stego)
    }

    /// The gradient of the secrets' loss in a stego, and the loss.
    fn secrets_gradient(&self, network: &Revealing, stego: &Tensor) -> (Tensor, f64) {
        let mut loss = 0.0;
        let answer = |mosaic: &Tensor| {
            let gradient;
            (gradient, loss) = self.mosaic_gradient(network, &self.unscrambled(mosaic));
            match &self.scrambling {
                Some(scrambling) => scrambling.unscramble_gradient(&gradient),
                None => gradient,
            }
        };
        let gradient = network.hiding.reveal_gradient(stego, network.precision, answer);
        (gradient, loss)
    }

    /// The gradient of the secrets' loss in an unscrambled mosaic, and the loss.
    fn mosaic_gradient(&self, network: &Revealing, mosaic: &Tensor) -> (Tensor, f64) {
        let mut loss = 0.0;
        let gradients = self.tiles(network, mosaic).map(|(tiles, secrets)| {
            let answer = |revealed: &Tensor| {
                loss += log_errors(revealed, &secrets);
                log_error_gradients(revealed, &secrets)
            };
            network.rescaling.upscale_gradient(&tiles, network.precision, answer)
        });
        let gradients = Tensor::cat(&gradients.collect::<Vec<_>>(), 0);
        let count = network.grid.secrets() as f64;
        (splice(&gradients, network.grid) / count, loss / count)
    }

    fn unscrambled(&self, mosaic: &Tensor) -> Tensor {
        match &self.scrambling {
            Some(scrambling) => scrambling.unscramble(mosaic),
            None => mosaic.shallow_clone(),
        }
    }

    /// The tiles of a mosaic, some at a time, with the secrets in [0, 1] that they should become.
    fn tiles(
        &self,
        network: &Revealing,
        mosaic: &Tensor,
    ) -> impl Iterator<Item = (Tensor, Tensor)> {
        let together = network.together as i64;
        let secrets = self.secrets.split(together, 0).into_iter();
        let secrets = secrets.map(|some| some.to_kind(Kind::Float) / 255.0);
        cut(mosaic, network.grid).split(together, 0).into_iter().zip(secrets)
    }
}

/// The squared error of each picture of K×3×H×W as a file holds it, K×1×1×1.
fn errors(pictures: &Tensor, wanted: &Tensor) -> Tensor {
    picture_means(&(pictures.clamp(0.0, 1.0) - wanted).square())
}

/// The sum of the logarithms of pictures' errors.
fn log_errors(pictures: &Tensor, wanted: &Tensor) -> f64 {
    (errors(pictures, wanted) + FLOOR).log().sum(Kind::Float).double_value(&[])
}

/// The gradient of [`log_errors`] in the pictures. None where they are outside [0, 1]: clamping mends it.
fn log_error_gradients(pictures: &Tensor, wanted: &Tensor) -> Tensor {
    let inside = pictures.clamp(0.0, 1.0).eq_tensor(pictures);
    let values = pictures.numel() as f64 / pictures.size()[0] as f64;
    (pictures - wanted) * inside * (2.0 / values) / (errors(pictures, wanted) + FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::coupling::tests::randomise;
    use crate::network::passphrase::Key;
    use tch::nn::VarStore;
    use tch::{Device, no_grad};

    fn picture(size: [i64; 4]) -> Tensor {
        Tensor::rand(size, (Kind::Float, Device::Cpu)) * 0.6 + 0.2
    }

    /// Against libtorch's own gradient, through the whole of reveal at once.
    #[test]
    fn the_gradient_is_that_of_the_secrets_error() {
        let grid = Grid::new(3, 2).unwrap();
        let store = VarStore::new(Device::Cpu);
        let (hiding, rescaling) = (
            Hiding::new(&store.root(), 2, 2.0),
            Rescaling::new(&(store.root() / "r"), grid, 2, 1.0),
        );
        randomise(&store);
        let network = Revealing {
            hiding: &hiding,
            rescaling: &rescaling,
            grid,
            precision: Precision::F32,
            together: 1,
        };
        let scrambling = Scrambling::new(&Key::from_bytes([5; 32]), 40, 36, Device::Cpu);
        let secrets = (picture([6, 3, 36, 40]) * 255.0).to_kind(Kind::Uint8);
        let refinement = Refinement { steps: 1, secrets, scrambling: Some(Arc::new(scrambling)) };
        // On bytes already, so that rounding moves nothing.
        let stego = (picture([1, 3, 36, 40]) * 255.0).round() / 255.0;
        let (actual, loss) = no_grad(|| refinement.secrets_gradient(&network, &stego));
        let all = Revealing { together: 6, ..network };
        let (together, _) = no_grad(|| refinement.secrets_gradient(&all, &stego));
        assert!((&together - &actual).abs().max().double_value(&[]) < 1e-6);

        let stego = stego.set_requires_grad(true);
        let mosaic = refinement.unscrambled(&hiding.reveal(&stego, Precision::F32));
        let errors = refinement.tiles(&network, &mosaic).map(|(tile, secret)| {
            let error = rescaling.upscale(&tile, Precision::F32).clamp(0.0, 1.0) - secret;
            (error.square().mean(Kind::Float) + FLOOR).log()
        });
        let expected_loss = Tensor::stack(&errors.collect::<Vec<_>>(), 0).mean(Kind::Float);
        assert!((expected_loss.double_value(&[]) - loss).abs() < 1e-4, "{loss}");
        expected_loss.backward();
        let expected = stego.grad();
        let error = (actual - &expected).norm() / expected.norm();
        assert!(error.double_value(&[]) < 1e-4, "{error}");
    }
}
