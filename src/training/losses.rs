// SPDX-License-Identifier: MPL-2.0
//! The terms of the objective (paper, Eq. 3) and their weights.

use tch::{Kind, Reduction, Tensor};

use super::dataset::bicubic;
use crate::network::Grid;
use crate::network::decomposition::Decomposition;
use crate::network::mosaic::splice;

/// Weights of the terms, all of them means over pixels.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// λ1: |secret − recovered|.
    pub secret: f64,
    /// λ2: ‖mosaic − bicubic‖², times mn/4 so that a coarser grid is guided as much.
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
    /// B×3×H×W, quantised.
    pub stego: Tensor,
    /// B×3×H×W.
    pub mosaic: Tensor,
    /// B×3×H×W.
    pub recovered_mosaic: Tensor,
}

impl Weights {
    /// The shipped recipe. Squared errors are far smaller than absolute ones: with 30 for the
    /// cover, a dB of it and a dB of the secrets weigh about the same at 35 dB.
    pub fn balanced(cover: f64) -> Self {
        Self { secret: 1.0, guide: 4.0, mosaic: cover, cover, cover_low: cover / 4.0 }
    }

    /// What the cover and the mosaic lose.
    pub fn hiding(&self, passage: &Passage, wavelet: &Decomposition) -> Tensor {
        let low = |picture: &Tensor| wavelet.forward(picture).narrow(1, 0, 3);
        let cover = squared(&passage.cover, &passage.stego) * self.cover;
        // The orthonormal LL is twice a block's mean: a quarter makes it a mean in [0, 1].
        let cover_low =
            squared(&low(&passage.cover), &low(&passage.stego)) * (self.cover_low / 4.0);
        cover + cover_low + squared(&passage.mosaic, &passage.recovered_mosaic) * self.mosaic
    }

    /// What the secrets lose, and how far the mosaic is from its guide.
    pub fn rescaling(
        &self,
        secrets: &Tensor,
        recovered: &Tensor,
        mosaic: &Tensor,
        grid: Grid,
    ) -> Tensor {
        let guide = squared(mosaic, &bicubic_mosaic(secrets, grid));
        let weight = self.guide * grid.secrets() as f64 / 4.0;
        secrets.l1_loss(recovered, Reduction::Mean) * self.secret + guide * weight
    }
}

/// The mosaic of B·N×3×H×W secrets made with the bicubic filter: B×3×H×W.
pub fn bicubic_mosaic(secrets: &Tensor, grid: Grid) -> Tensor {
    let size = secrets.size();
    let (height, width) = (size[2] / grid.rows() as i64, size[3] / grid.columns() as i64);
    splice(&bicubic(secrets, height, width), grid)
}

/// PSNR in dB of pictures in [0, 1].
pub fn psnr(a: &Tensor, b: &Tensor) -> f64 {
    -10.0 * squared(&a.detach(), &b.detach()).double_value(&[]).log10()
}

fn squared(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).square().mean(Kind::Float)
}
