// SPDX-License-Identifier: MPL-2.0
//! What enhancement leaves of the secrets' errors, as far as training can foresee it.
//!
//! A stego's digits hold so many bits of what reveal misses. An ideal coder spends ½·log2(1 + v/θ) of them on a
//! frequency where v is missing and leaves vθ/(v + θ), with the θ that makes all fit ("reverse water-filling", Cover
//! and Thomas, Elements of Information Theory, section 10.3.3): much that is missing in one place costs less than
//! little in many.

use std::f64::consts::LN_2;

use tch::{Device, Tensor, no_grad};

use crate::network::decomposition::picture_means;
use crate::network::enhancement::Transform;

/// Halvings that find θ.
const HALVINGS: usize = 16;
/// The powers of e beside the mean of what is missing between which θ lies.
const BETWEEN: (f64, f64) = (-12.0, 6.0);
/// Blocks that a coder knows a block from: so many in a row and in a column with itself.
const NEIGHBOURS: i64 = 3;

/// Of errors K×3×H×W of secrets with so many bits a value, the mean square of each that is left, K×1×1×1.
///
/// The gradient is that of the least that can be left within the same number of bits.
#[derive(Debug)]
pub struct Remainder(Transform);

impl Remainder {
    /// On a device.
    pub fn new(device: Device) -> Self {
        Self(Transform::new(device))
    }

    /// See above.
    pub fn of(&self, errors: &Tensor, bits: f64) -> Tensor {
        let missing = around(&self.0.bands(errors).square());
        let level = no_grad(|| level(&missing, bits));
        let cost = picture_means(&((&missing / &level).log1p() * &level));
        let left = no_grad(|| picture_means(&(&missing * &level / (&missing + &level))));
        &cost - cost.detach() + left
    }
}

/// The mean of K×B×H×W over each block's neighbours.
fn around(energies: &Tensor) -> Tensor {
    let (side, pad) = ([NEIGHBOURS; 2], [NEIGHBOURS / 2; 2]);
    energies.avg_pool2d(side, [1, 1], pad, false, false, None::<i64>)
}

/// θ of each of K pictures, K×1×1×1, for so many bits a value.
fn level(missing: &Tensor, bits: f64) -> Tensor {
    let middle = picture_means(missing).clamp_min(1e-12).log();
    let (mut low, mut high) = (&middle + BETWEEN.0, &middle + BETWEEN.1);
    for _ in 0..HALVINGS {
        let tried = (&low + &high) / 2.0;
        let spent = picture_means(&(missing / tried.exp()).log1p()) / (2.0 * LN_2);
        let much = spent.gt(bits);
        low = tried.where_self(&much, &low);
        high = high.where_self(&much, &tried);
    }
    high.exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn noise() -> Tensor {
        tch::manual_seed(5);
        Tensor::randn([2, 3, 64, 48], (Kind::Float, Device::Cpu)) * 0.02
    }

    fn left(errors: &Tensor, bits: f64) -> Vec<f64> {
        let left = Remainder::new(Device::Cpu).of(errors, bits).to_kind(Kind::Double);
        Vec::try_from(left.flatten(0, 3)).unwrap()
    }

    #[test]
    fn of_noise_bits_leave_what_theory_says() {
        let noise = noise();
        let whole = noise.square().mean(Kind::Float).double_value(&[]);
        for bits in [0.25, 1.0 / 9.0, 1.0 / 16.0] {
            // A quarter for each bit a value, and the pictures one by one.
            let expected = whole / 4_f64.powf(bits);
            for left in
                left(&Tensor::cat(&[&noise, &(&noise * 3.0)], 0), bits).chunks(2).enumerate()
            {
                let (number, [first, second]) = left else { unreachable!() };
                let expected = expected * [1.0, 9.0][number];
                for left in [first, second] {
                    assert!((left / expected - 1.0).abs() < 0.1, "{left} {expected}");
                }
            }
        }
    }

    #[test]
    fn of_errors_in_one_place_less_is_left() {
        let noise = noise();
        let place = noise.zeros_like();
        let part = |tensor: &Tensor| tensor.narrow(2, 16, 16).narrow(3, 16, 16);
        // As much in all: a twelfth of the area.
        part(&place).copy_(&(part(&noise) * 12_f64.sqrt()));
        assert!(left(&place, 0.25)[0] < 0.5 * left(&noise, 0.25)[0]);
    }

    #[test]
    fn the_gradient_is_that_of_the_least_that_can_be_left() {
        let errors = noise().narrow(0, 0, 1).set_requires_grad(true);
        Remainder::new(Device::Cpu).of(&errors, 0.25).sum(Kind::Float).backward();
        let (gradient, errors) = (errors.grad(), errors.detach());
        // In the direction of a smooth picture, which takes more than its share of bits.
        let direction = errors.ones_like() * 1e-3;
        let foretold = (&gradient * &direction).sum(Kind::Float).double_value(&[]);
        let [more, less] = [1.0, -1.0].map(|sign| left(&(&errors + &direction * sign), 0.25)[0]);
        let measured = (more - less) / 2.0;
        assert!((foretold / measured - 1.0).abs() < 0.25, "{foretold} {measured}");
    }
}
