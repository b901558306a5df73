// SPDX-License-Identifier: MPL-2.0
//! Dense block: the function φ, ρ or ψ of an InvBlock (Eq. 1 and 2; paper reference [17], as in
//! Invertible Image Rescaling, <https://arxiv.org/abs/2005.05650>).

use tch::nn::{self, Init};
use tch::{Kind, Tensor};

/// Feature maps that each of the first four convolutions adds.
const GROWTH: i64 = 32;
const CONVOLUTIONS: i64 = 5;
const NEGATIVE_SLOPE: f64 = 0.2;

/// Five 3×3 convolutions, each fed with the input and every earlier feature map.
#[derive(Debug)]
pub struct DenseBlock {
    convolutions: Vec<Convolution>,
}

#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Tensor,
}

impl Convolution {
    /// `gain` scales Xavier's bound; 0 starts at zero.
    fn new(path: &nn::Path, inputs: i64, outputs: i64, gain: f64) -> Self {
        let bound = gain * (6.0 / (9 * (inputs + outputs)) as f64).sqrt();
        let init = match gain {
            0.0 => Init::Const(0.0),
            _ => Init::Uniform { lo: -bound, up: bound },
        };
        Self {
            weight: path.var("weight", &[outputs, inputs, 3, 3], init),
            bias: path.zeros("bias", &[outputs]),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (self.weight.to_kind(x.kind()), self.bias.to_kind(x.kind()));
        x.conv2d(&weight, Some(&bias), 1, 1, 1, 1)
    }
}

impl DenseBlock {
    /// A block from `inputs` to `outputs` channels. Hidden layers start at Xavier × `gain`, the
    /// last at zero, so that a new InvBlock is the identity.
    pub fn new(path: &nn::Path, inputs: i64, outputs: i64, gain: f64) -> Self {
        let convolutions = (0..CONVOLUTIONS)
            .map(|k| {
                let path = path / "convs" / k;
                let fed = inputs + k * GROWTH;
                match k {
                    4 => Convolution::new(&path, fed, outputs, 0.0),
                    _ => Convolution::new(&path, fed, GROWTH, gain),
                }
            })
            .collect();
        Self { convolutions }
    }

    /// N×inputs×H×W to N×outputs×H×W, f32 in and out, convolutions in `precision` on
    /// channels-last memory.
    pub fn forward(&self, x: &Tensor, precision: Kind) -> Tensor {
        let mut maps = channels_last(&x.to_kind(precision));
        let [hidden @ .., last] = self.convolutions.as_slice() else {
            unreachable!("a dense block has {CONVOLUTIONS} convolutions");
        };
        for convolution in hidden {
            maps = Tensor::cat(&[&maps, &leaky_relu(&convolution.forward(&maps))], 1);
        }
        last.forward(&maps).to_kind(Kind::Float)
    }
}

/// LeakyReLU 0.2. tch's own takes no slope, its derivative does: applied to the very input it is the
/// function, in one pass forwards and one backwards.
fn leaky_relu(x: &Tensor) -> Tensor {
    x.detach().leaky_relu_backward(x, NEGATIVE_SLOPE, false)
}

/// The same values, channels innermost in memory; convolutions and `cat` keep it.
fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaky_relu_has_its_values_and_its_gradient() {
        let x = Tensor::from_slice(&[-3.0f32, 2.0]).set_requires_grad(true);
        let y = leaky_relu(&x);
        let (values, expected) = (Vec::<f32>::try_from(&y).unwrap(), [-0.6, 2.0]);
        assert!(values.iter().zip(expected).all(|(v, e)| (v - e).abs() < 1e-6), "{values:?}");
        y.sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [0.2, 1.0]);
    }
}
