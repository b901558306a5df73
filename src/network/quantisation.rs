// SPDX-License-Identifier: MPL-2.0
//! Quantisation to what an 8-bit file holds (paper, section 2, "quantization block").

use tch::Tensor;

/// Clamps to [0, 1] and rounds to 1/255. The gradient passes straight through the rounding, not
/// through the clamping: what lies outside is lost to the file.
pub fn quantise(picture: &Tensor) -> Tensor {
    straight_through(picture, |levels| to_bytes(&levels, None))
}

/// Levels to whole ones of 0 to 255. Where `bits` are 0 or 1, of that parity; where they are [`FREE`], any.
pub(super) fn to_bytes(levels: &Tensor, bits: Option<&Tensor>) -> Tensor {
    let nearest = levels.round().clamp(0.0, 255.0);
    match bits {
        Some(bits) => {
            let bound = ((levels - bits) / 2.0).round().clamp(0.0, 127.0) * 2.0 + bits;
            bound.where_self(&bits.ge(0.0), &nearest)
        }
        None => nearest,
    }
}

/// In place of a bit: none has to be there.
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
    fn bits_decide_parity() {
        let levels = Tensor::from_slice(&[-3.0f32, 12.4, 12.4, 12.4, 254.9, 300.0, 0.2]);
        let bits = Tensor::from_slice(&[1.0f32, 0.0, 1.0, FREE, 0.0, 1.0, FREE]);
        let bytes = Vec::<f32>::try_from(to_bytes(&levels, Some(&bits))).unwrap();
        assert_eq!(bytes, [1.0, 12.0, 13.0, 12.0, 254.0, 255.0, 0.0]);
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
