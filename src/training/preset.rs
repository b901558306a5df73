// SPDX-License-Identifier: MPL-2.0
//! Recipes: the paper's, and the one behind the shipped weights.

use clap::ValueEnum;

use super::losses::{Measure, Weights};
use super::optimizer::Method;
use super::run::Stage;
use super::schedule::Shape;

/// A recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Eq. 3 of the paper.
    ///
    /// With its λ, Adam at 2e-4 halved four times over the whole run (paper, section 3.1). What the
    /// paper leaves open is as in the other recipe: a warm-up, clipped gradients, averaged weights,
    /// half of the mosaics scrambled, β2 = 0.99, and noise for hiding while rescaling is trained alone.
    Paper,
    /// The recipe of models/README.md.
    ///
    /// No divergence term, the cover's error weighed against what enhancement leaves of the secrets', stegos
    /// that carry digits, Muon, a cosine to zero.
    Shipped,
}

impl Preset {
    /// The stages of a whole run with their shares of the budget: each module alone for 30K of the
    /// paper's iterations, then both for 20K.
    pub const STAGES: [(Stage, f64); 3] =
        [(Stage::Hiding, 0.375), (Stage::Rescaling, 0.375), (Stage::Joint, 0.25)];

    /// Weights of a stage's loss, with another one for the cover than the recipe's if it is given.
    pub fn weights(self, stage: Stage, cover: Option<f64>) -> Weights {
        match self {
            Self::Paper => Weights {
                measure: Measure::Paper,
                divergence: 1.0,
                secret: 1.0,
                guide: 4.0,
                mosaic: 5.0,
                cover: cover.unwrap_or(1.0),
                cover_low: 1.0,
            },
            Self::Shipped => balanced(stage, cover.unwrap_or(0.5)),
        }
    }

    /// Peak learning rate.
    pub fn rate(self) -> f64 {
        match self {
            Self::Paper => 2e-4,
            Self::Shipped => 4e-4,
        }
    }

    /// The optimizer.
    pub fn method(self) -> Method {
        match self {
            Self::Paper => Method::Adam,
            Self::Shipped => Method::Muon,
        }
    }

    /// While both modules are trained, the loss of every so-manieth secret is taken. Rescaling works
    /// on as many positions as hiding has pixels, four times as many as hiding, so that a step that
    /// follows all secrets spends most of its time there, and hiding needs more steps.
    pub fn stride(self) -> usize {
        match self {
            Self::Paper => 1,
            Self::Shipped => 4,
        }
    }

    /// Whether stegos are rounded so that reveal hears the error least; the paper rounds to the
    /// nearest.
    pub fn noise_shaping(self) -> bool {
        self == Self::Shipped
    }

    /// Whether stegos carry digits as enhanced ones do, here any. The paper's do not.
    pub fn carrying(self) -> bool {
        self == Self::Shipped
    }

    /// How the rate falls within a stage. The paper halves it every 10K of its 50K iterations.
    pub fn shape(self, stage: Stage) -> Shape {
        match (self, stage) {
            (Self::Paper, Stage::Joint) => Shape::Halving { before: 3, within: 2 },
            (Self::Paper, _) => Shape::Halving { before: 0, within: 3 },
            (Self::Shipped, _) => Shape::Cosine,
        }
    }
}

/// The shipped recipe's, `cover` for the decibels of covers beside those of secrets. At 39 dB a squared
/// error takes thirty times the weight of an evened one to pull as much. The guide is light, since what
/// tiles hold beyond the bicubic ones is what brings details back.
fn balanced(stage: Stage, cover: f64) -> Weights {
    let squared = 30.0 * cover;
    let joint = Weights {
        measure: Measure::Even,
        divergence: 0.0,
        secret: 1.0,
        guide: 0.1,
        mosaic: 1.5,
        cover,
        cover_low: squared / 4.0,
    };
    match stage {
        // The mosaic's error stands for the secrets'. Logarithms would pull a cover that has got bad,
        // as it does at first, less the worse it is.
        Stage::Hiding => Weights { measure: Measure::Paper, mosaic: 30.0, cover: squared, ..joint },
        Stage::Rescaling | Stage::Joint => joint,
    }
}
