// SPDX-License-Identifier: MPL-2.0
//! What a dense block's output makes of a path of its InvBlock (Eq. 1 and 2).

use tch::Tensor;

/// A term of Eq. 1 or of its inverse, Eq. 2, on a path x with a dense block's output y. A factor is exp of y
/// bounded to ±clamp: clamp · (2σ(y) − 1), which is clamp · tanh(y / 2).
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// x + y.
    Add,
    /// x − y.
    Subtract,
    /// x ⊙ exp of y, within ±clamp.
    Multiply(f64),
    /// x ⊘ exp of y, within ±clamp.
    Divide(f64),
}

impl Effect {
    /// On x and y, both N×C×H×W.
    pub fn on(self, x: &Tensor, y: &Tensor) -> Tensor {
        match self {
            Self::Add => x + y,
            Self::Subtract => x - y,
            Self::Multiply(clamp) => x * bounded_exp(y, clamp),
            Self::Divide(clamp) => x / bounded_exp(y, clamp),
        }
    }
}

fn bounded_exp(y: &Tensor, clamp: f64) -> Tensor {
    // In place where the gradient does not need the values: frames are large.
    let mut half = y * 0.5;
    let mut bounded = half.tanh_() * clamp;
    bounded.exp_()
}
