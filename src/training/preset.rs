// SPDX-License-Identifier: MPL-2.0
//! Recipes: the paper's, and the one behind the shipped weights.

use super::losses::Weights;
use super::run::Stage;
use super::schedule::Shape;

/// A recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Eq. 3 with its λ, 2e-4 halved five times over the whole run (paper, section 3.1).
    Paper,
    /// No divergence term, the cover's error weighed against the secrets', a cosine to zero.
    Shipped,
}

impl Preset {
    /// The stages of a whole run with their shares of the budget: each module alone for 30K of the
    /// paper's iterations, then both for 20K.
    pub const STAGES: [(Stage, f64); 3] =
        [(Stage::Hiding, 0.375), (Stage::Rescaling, 0.375), (Stage::Joint, 0.25)];

    /// Weights of the loss.
    pub fn weights(self) -> Weights {
        match self {
            Self::Paper => Weights {
                divergence: 1.0,
                secret: 1.0,
                guide: 4.0,
                mosaic: 5.0,
                cover: 1.0,
                cover_low: 1.0,
            },
            Self::Shipped => Weights::balanced(30.0),
        }
    }

    /// Peak learning rate.
    pub fn rate(self) -> f64 {
        match self {
            Self::Paper => 2e-4,
            Self::Shipped => 4e-4,
        }
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
