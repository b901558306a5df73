// SPDX-License-Identifier: MPL-2.0
//! Adam (Kingma and Ba, 2015).

use tch::Tensor;

const BETA1: f64 = 0.9;
/// Of the running mean of squares.
pub const BETA2: f64 = 0.99;
const EPSILON: f64 = 1e-8;

/// Takes gradients of any shape into their moments, for the step of this number, counted from 1.
/// Returns what to go against, times the rate.
pub fn direction(gradient: &Tensor, first: &mut Tensor, second: &mut Tensor, step: u64) -> Tensor {
    let _ = first.lerp_(gradient, 1.0 - BETA1);
    let _ = second.lerp_(&gradient.square(), 1.0 - BETA2);
    // The moments start at zero: both are divided by the weight that gradients have had so far.
    let weight = |beta: f64| 1.0 - beta.powf(step as f64);
    let deviation = second.sqrt() / weight(BETA2).sqrt() + EPSILON;
    &*first / deviation / weight(BETA1)
}
