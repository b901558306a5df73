// SPDX-License-Identifier: MPL-2.0
//! Quantisation to what an 8-bit file holds (paper, section 2, "quantization block").

use tch::Tensor;

/// Clamps to [0, 1] and rounds to 1/255. The gradient passes straight through the rounding, not
/// through the clamping: what lies outside is lost to the file.
pub fn quantise(picture: &Tensor) -> Tensor {
    straight_through(picture, |levels| to_bytes(&levels, None))
}

/// What the bytes of a stego have to leave as remainders when they are divided by a base.
#[derive(Debug)]
pub struct Digits {
    /// From 0 to below the base, or [`FREE`]; of the stego's size.
    pub values: Tensor,
    /// 2 for bits.
    pub base: u8,
    /// With a passphrase: tiles are scattered, and nothing makes up for what the digits do to them.
    pub sealed: bool,
}

impl Digits {
    /// Those of some of the bytes, or in another order.
    pub(super) fn map(&self, change: impl FnOnce(&Tensor) -> Tensor) -> Self {
        Self { values: change(&self.values), ..*self }
    }
}

/// Levels to whole ones of 0 to 255 that carry what digits there are.
pub(super) fn to_bytes(levels: &Tensor, digits: Option<&Digits>) -> Tensor {
    let nearest = levels.round().clamp(0.0, 255.0);
    match digits {
        Some(Digits { values, base, .. }) => {
            let base = f64::from(*base);
            let most = ((values * -1.0 + 255.0) / base).floor();
            let times = ((levels - values) / base).round().clamp_min(0.0).minimum(&most);
            (times * base + values).where_self(&values.ge(0.0), &nearest)
        }
        None => nearest,
    }
}

/// In place of a digit: none has to be there.
pub const FREE: f32 = -1.0;

/// Clamps to [0, 1] and rounds levels of 0 to 255 in some way, as if it were not for the gradient.
pub(super) fn straight_through(picture: &Tensor, round: impl Fn(Tensor) -> Tensor) -> Tensor {
    let clamped = picture.clamp(0.0, 1.0);
    let rounded = round(clamped.detach() * 255.0) / 255.0;
    &clamped + (rounded - clamped.detach())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_decide_remainders() {
        let levels = Tensor::from_slice(&[-3.0f32, 12.4, 12.4, 12.4, 254.9, 300.0, 0.2]);
        let carried = |digits: [f32; 7], base| {
            let digits = Digits { values: Tensor::from_slice(&digits), base, sealed: false };
            Vec::<f32>::try_from(to_bytes(&levels, Some(&digits))).unwrap()
        };
        let bits = carried([1.0, 0.0, 1.0, FREE, 0.0, 1.0, FREE], 2);
        assert_eq!(bits, [1.0, 12.0, 13.0, 12.0, 254.0, 255.0, 0.0]);
        let threes = carried([2.0, 1.0, 2.0, FREE, 1.0, 2.0, 2.0], 3);
        assert_eq!(threes, [2.0, 13.0, 11.0, 12.0, 253.0, 254.0, 2.0]);
    }

    #[test]
    fn values_become_bytes_and_the_gradient_passes_inside() {
        let x = Tensor::from_slice(&[-0.5f32, 0.303, 1.7]).set_requires_grad(true);
        let y = quantise(&x);
        let bytes = Vec::<f32>::try_from(&y * 255.0).unwrap();
        assert!((bytes[0]).abs() < 1e-4 && (bytes[1] - 77.0).abs() < 1e-4);
        assert!((bytes[2] - 255.0).abs() < 1e-4);
        y.sum(tch::Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [0.0, 1.0, 0.0]);
    }
}
