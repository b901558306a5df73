// SPDX-License-Identifier: MPL-2.0
//! The terms of the objective (paper, Eq. 3) and their weights.

use tch::{Kind, Reduction, Tensor};

use super::dataset::bicubic;
use crate::network::Grid;
use crate::network::decomposition::{Decomposition, picture_means};

/// Bins of the intensity histograms.
const BINS: i64 = 32;

/// How the errors of covers and of secrets are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Eq. 3: a cover's squared, a secret's absolute.
    Paper,
    /// Both by `evened`.
    Even,
}

/// Weights of the terms, all of them means over pixels.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// Of the terms with `secret` and `cover`.
    pub measure: Measure,
    /// JS(p(secret), p(recovered)).
    pub divergence: f64,
    /// λ1: |secret − recovered|.
    pub secret: f64,
    /// λ2: ‖mosaic − bicubic‖² over its tiles; where errors are evened, times mn/4 so that a coarser
    /// grid is guided as much.
    pub guide: f64,
    /// λ3: ‖mosaic − recovered mosaic‖².
    pub mosaic: f64,
    /// ‖cover − stego‖².
    pub cover: f64,
    /// ‖LL(cover) − LL(stego)‖².
    pub cover_low: f64,
}

/// A batch's pictures on their way through the network, all in [0, 1].
pub struct Passage {
    /// B×3×H×W.
    pub cover: Tensor,
    /// B×3×H×W, before quantisation. The loss is taken here, so that values outside [0, 1] are
    /// drawn back: in black and white areas the quantised stego would show no error.
    pub concealed: Tensor,
    /// B×3×H×W, quantised.
    pub stego: Tensor,
    /// B×3×H×W.
    pub mosaic: Tensor,
    /// B×3×H×W.
    pub recovered_mosaic: Tensor,
}

impl Weights {
    /// What the cover and the mosaic lose.
    pub fn hiding(&self, passage: &Passage, wavelet: &Decomposition) -> Tensor {
        let low = |picture: &Tensor| wavelet.forward(picture).narrow(1, 0, 3);
        let cover = match self.measure {
            Measure::Paper => squared(&passage.cover, &passage.concealed),
            Measure::Even => evened(&mean_squares(&passage.cover, &passage.concealed)),
        };
        let cover = cover * self.cover;
        // The orthonormal LL is twice a block's mean: a quarter makes it a mean in [0, 1].
        let cover_low =
            squared(&low(&passage.cover), &low(&passage.concealed)) * (self.cover_low / 4.0);
        let mosaic = squared(&passage.mosaic, &passage.recovered_mosaic) * self.mosaic;
        cover + cover_low + mosaic
    }

    /// What secrets K×3×H×W lose, and how far their tiles are from the guide. Where errors are evened, what is `left` of
    /// them counts, the mean square of each.
    pub fn rescaling(
        &self,
        secrets: &Tensor,
        recovered: &Tensor,
        tiles: &Tensor,
        grid: Grid,
        left: impl Fn(&Tensor) -> Tensor,
    ) -> Tensor {
        let guide = squared(tiles, &bicubic_tiles(secrets, grid));
        let (error, weight) = match self.measure {
            Measure::Paper => (secrets.l1_loss(recovered, Reduction::Mean), self.guide),
            Measure::Even => {
                let left = left(&(secrets - recovered));
                (evened(&left), self.guide * grid.secrets() as f64 / 4.0)
            }
        };
        let loss = error * self.secret + guide * weight;
        if self.divergence == 0.0 {
            return loss;
        }
        loss + divergence(secrets, recovered) * self.divergence
    }
}

/// The tiles of K×3×H×W secrets made with the bicubic filter: K×3×(H/m)×(W/n).
pub fn bicubic_tiles(secrets: &Tensor, grid: Grid) -> Tensor {
    let size = secrets.size();
    bicubic(secrets, size[2] / grid.rows() as i64, size[3] / grid.columns() as i64)
}

/// Jensen-Shannon divergence in nats between the intensities of pictures, N×3×H×W in [0, 1], mean
/// over the channels.
fn divergence(a: &Tensor, b: &Tensor) -> Tensor {
    let (p, q) = (histograms(a), histograms(b));
    let middle = (&p + &q) * 0.5;
    let relative = |from: &Tensor| (from * (from / &middle).log()).sum(Kind::Float);
    (relative(&p) + relative(&q)) * (0.5 / 3.0)
}

/// A differentiable histogram a channel, 3×[`BINS`], each summing to 1: a value is shared between
/// the two bins next to it.
fn histograms(pictures: &Tensor) -> Tensor {
    let values = pictures.clamp(0.0, 1.0).transpose(0, 1).reshape([3, -1]) * (BINS - 1) as f64;
    let bins: Vec<_> = (0..BINS)
        .map(|bin| {
            let share = ((&values - bin as f64).abs() * -1.0 + 1.0).relu();
            share.mean_dim([1i64].as_slice(), false, Kind::Float)
        })
        .collect();
    // No bin is empty, so that the logarithm exists.
    let counts = Tensor::stack(&bins, 1) + 1e-6;
    let total = counts.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
    counts / total
}

/// The mean squared errors of N pictures as a mean PSNR counts them: by the logarithm of each one's, so
/// that a dB of a picture that comes back well counts as much as one of a picture that comes back badly.
/// Below 40 dB; above it less and less. Of the size of a mean absolute error.
fn evened(errors: &Tensor) -> Tensor {
    const FLOOR: f64 = 1e-4;
    const SIZE: f64 = 7.5e-3;
    (errors / FLOOR).log1p().mean(Kind::Float) * SIZE
}

/// The mean squared error of each of N pictures N×3×H×W, N×1×1×1.
fn mean_squares(a: &Tensor, b: &Tensor) -> Tensor {
    picture_means(&(a - b).square())
}

/// The mean squared error of two tensors of one shape.
pub fn squared(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).square().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn uniform(from: f64, to: f64) -> Tensor {
        Tensor::linspace(from, to, 3 * 1024, (Kind::Float, Device::Cpu))
            .view([1, 32, 32, 3])
            .permute([0, 3, 1, 2])
    }

    #[test]
    fn divergence_is_zero_for_equal_and_ln_2_for_disjoint_intensities() {
        let value = |a: &Tensor, b: &Tensor| divergence(a, b).double_value(&[]);
        assert!(value(&uniform(0.0, 1.0), &uniform(0.0, 1.0)).abs() < 1e-6);
        let apart = value(&uniform(0.0, 0.3), &uniform(0.7, 1.0));
        assert!((apart - 2f64.ln()).abs() < 1e-3, "{apart}");
    }

    #[test]
    fn divergence_has_a_gradient() {
        let recovered = uniform(0.2, 0.6).set_requires_grad(true);
        divergence(&uniform(0.0, 1.0), &recovered).backward();
        assert!(recovered.grad().abs().max().double_value(&[]) > 0.0);
    }

    #[test]
    fn a_decibel_counts_alike_in_good_pictures_and_in_bad_ones() {
        let black = Tensor::zeros([1, 3, 4, 4], (Kind::Float, Device::Cpu));
        let evened = |other: &Tensor| evened(&mean_squares(other, &other.zeros_like()));
        let loss = |psnr: f64| evened(&(&black + 10f64.powf(-psnr / 20.0)));
        let decibel = |psnr: f64| (loss(psnr - 1.0) - loss(psnr)).double_value(&[]);
        let (bad, good) = (decibel(20.0), decibel(30.0));
        assert!(good > 0.9 * bad && bad > good && decibel(50.0) < 0.2 * bad, "{bad}, {good}");
        // The mean of pictures, not of their errors.
        let both = Tensor::cat(&[&black + 0.1, &black + 0.01], 0);
        let mean = evened(&both) * 2.0 - loss(20.0) - loss(40.0);
        assert!(mean.abs().double_value(&[]) < 1e-6);
    }
}
