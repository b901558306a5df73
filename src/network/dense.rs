// SPDX-License-Identifier: MPL-2.0
//! Dense block: the function φ, ρ or ψ of an InvBlock (Eq. 1 and 2; paper reference 17, as in
//! Invertible Image Rescaling, <https://arxiv.org/abs/2005.05650>).

#[cfg(feature = "cuda-kernels")]
use std::sync::OnceLock;

use tch::nn::{self, Init};
use tch::{Device, Kind, Tensor};

use super::effect::Effect;
#[cfg(any(test, feature = "cuda-kernels"))]
use super::kernels;
#[cfg(feature = "cuda-kernels")]
use super::kernels::gpu::{Found, Gpu};
use super::precision::Precision;

/// Feature maps that each of the first four convolutions adds.
const GROWTH: i64 = 32;
const CONVOLUTIONS: i64 = 5;
const NEGATIVE_SLOPE: f64 = 0.2;
/// What all numbers of channels are a multiple of on a GPU.
const CUDA_CHANNELS: i64 = 8;
/// Bytes of a feature map that a CPU computes at once: all maps together are then less than the largest
/// block that the allocator keeps (see [`device`](super::device)).
const STRIP_BYTES: i64 = 1 << 17;

/// Five 3×3 convolutions, each fed with the input and every earlier feature map. Once weights that are
/// frozen have been used they must not change.
#[derive(Debug)]
pub struct DenseBlock {
    convolutions: Vec<Convolution>,
    #[cfg(feature = "cuda-kernels")]
    packed: OnceLock<kernels::Block>,
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

    fn forward(&self, x: &Tensor, zeros: &Zeros) -> Tensor {
        let (weight, bias) = (self.weight.to_kind(x.kind()), self.bias.to_kind(x.kind()));
        let outputs = (-weight.size()[0]).rem_euclid(zeros.multiple);
        let (weight, bias) = match (zeros.count, outputs) {
            (0, 0) => (weight, bias),
            _ => (
                zeros.inserted(&weight).constant_pad_nd([0, 0, 0, 0, 0, 0, 0, outputs]),
                bias.constant_pad_nd([0, outputs]),
            ),
        };
        x.conv2d(&weight, Some(&bias), 1, 1, 1, 1)
    }
}

/// Channels of zeros behind a block's input. A GPU's matrix units take bf16 channels, innermost in memory,
/// by eights: others go the slow way.
struct Zeros {
    multiple: i64,
    inputs: i64,
    count: i64,
}

impl Zeros {
    /// What makes `inputs` channels a multiple of a number.
    fn behind(inputs: i64, multiple: i64) -> Self {
        Self { multiple, inputs, count: (-inputs).rem_euclid(multiple) }
    }

    /// Channels, dimension 1, with the zeros where the input ends.
    fn inserted(&self, channels: &Tensor) -> Tensor {
        if self.count == 0 {
            return channels.shallow_clone();
        }
        let rest = channels.size()[1] - self.inputs;
        let input = channels.narrow(1, 0, self.inputs);
        let input = input.constant_pad_nd([0, 0, 0, 0, 0, self.count]);
        match rest {
            0 => input,
            _ => Tensor::cat(&[input, channels.narrow(1, self.inputs, rest)], 1),
        }
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
        Self {
            convolutions,
            #[cfg(feature = "cuda-kernels")]
            packed: OnceLock::new(),
        }
    }

    /// Multiplications at one position of the feature maps.
    pub fn multiplications(&self) -> usize {
        self.convolutions.iter().map(|convolution| convolution.weight.numel()).sum()
    }

    /// What the output for x N×inputs×H×W makes of a path N×outputs×H×W, all f32, convolutions in
    /// `precision`.
    pub fn apply(&self, x: &Tensor, effect: Effect, path: &Tensor, precision: Precision) -> Tensor {
        #[cfg(feature = "cuda-kernels")]
        if let Some(path) = self.apply_by_kernels(x, effect, path, precision) {
            return path;
        }
        effect.on(path, &self.forward(x, precision))
    }

    /// The same by the crate's own kernels; `None` where these are not for it, or gradients are wanted.
    #[cfg(feature = "cuda-kernels")]
    fn apply_by_kernels(
        &self,
        x: &Tensor,
        effect: Effect,
        path: &Tensor,
        precision: Precision,
    ) -> Option<Tensor> {
        let weight = &self.convolutions[0].weight;
        if x.requires_grad() || path.requires_grad() || weight.requires_grad() {
            return None;
        }
        let gpu = gpu(x.device(), precision)?.ok()?;
        let packed = self.packed.get_or_init(|| self.packed());
        Some(packed.apply(x, effect, path, |kernel| gpu.launch(kernel)))
    }

    /// The output N×outputs×H×W, f32, for x N×inputs×H×W by libtorch, convolutions in `precision`.
    fn forward(&self, x: &Tensor, precision: Precision) -> Tensor {
        let x = precision.laid_out(&x.to_kind(precision.kind()));
        if x.device() != Device::Cpu {
            return self.convolved(&x, CUDA_CHANNELS).to_kind(Kind::Float);
        }
        let size = x.size();
        let (height, row) = (size[2], size[0] * size[3]);
        let positions = STRIP_BYTES / x.kind().elt_size_in_bytes() as i64;
        let rows = (positions / row).max(4 * CONVOLUTIONS);
        if rows >= height {
            return self.convolved(&x, 1).to_kind(Kind::Float);
        }
        let strips: Vec<_> =
            (0..height).step_by(rows as usize).map(|top| self.strip(&x, top, rows)).collect();
        Tensor::cat(&strips, 2).to_kind(Kind::Float)
    }

    /// The weights for the crate's own kernels.
    #[cfg(any(test, feature = "cuda-kernels"))]
    pub(super) fn packed(&self) -> kernels::Block {
        let [hidden @ .., last] = self.convolutions.as_slice() else {
            unreachable!("a dense block has {CONVOLUTIONS} convolutions");
        };
        let zeros = Zeros::behind(hidden[0].weight.size()[1], kernels::STEP);
        let filled = |own: &'_ Convolution| zeros.inserted(&own.weight);
        let hidden: Vec<_> = hidden.iter().map(|own| (filled(own), &own.bias)).collect();
        kernels::Block::new(&hidden, (filled(last), &last.bias))
    }

    /// Up to `rows` rows of the output from `top` on. A row depends on one more on each side with
    /// every convolution.
    fn strip(&self, x: &Tensor, top: i64, rows: i64) -> Tensor {
        let height = x.size()[2];
        let rows = rows.min(height - top);
        let (first, last) = ((top - CONVOLUTIONS).max(0), (top + rows + CONVOLUTIONS).min(height));
        self.convolved(&x.narrow(2, first, last - first), 1).narrow(2, top - first, rows)
    }

    /// With all channels a multiple of a number.
    fn convolved(&self, x: &Tensor, multiple: i64) -> Tensor {
        let [hidden @ .., last] = self.convolutions.as_slice() else {
            unreachable!("a dense block has {CONVOLUTIONS} convolutions");
        };
        let zeros = Zeros::behind(x.size()[1], multiple);
        let mut maps = zeros.inserted(x);
        for convolution in hidden {
            maps = Tensor::cat(&[&maps, &leaky_relu(&convolution.forward(&maps, &zeros))], 1);
        }
        last.forward(&maps, &zeros).narrow(1, 0, last.weight.size()[0])
    }
}

/// What computes dense blocks whose weights stay as they are: libtorch, or kernels of the crate.
pub fn computed_by(device: Device, precision: Precision) -> String {
    #[cfg(feature = "cuda-kernels")]
    match gpu(device, precision) {
        Some(Ok(_)) => return "own kernels".into(),
        Some(Err(reason)) => return format!("libtorch, not own kernels: {reason}"),
        None => {}
    }
    let _ = (device, precision);
    "libtorch".into()
}

/// The crate's own kernels, where they are for a device.
#[cfg(feature = "cuda-kernels")]
fn gpu(device: Device, precision: Precision) -> Option<Found> {
    match (device, precision) {
        (Device::Cuda(index), Precision::Bf16) => Some(Gpu::of(index)),
        _ => None,
    }
}

/// LeakyReLU 0.2. tch's own takes no slope, its derivative does: applied to the very input it is the
/// function, in one pass forwards and one backwards.
fn leaky_relu(x: &Tensor) -> Tensor {
    x.detach().leaky_relu_backward(x, NEGATIVE_SLOPE, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::coupling::tests::randomise;

    #[test]
    fn strips_join_without_seams() {
        let store = tch::nn::VarStore::new(Device::Cpu);
        let block = DenseBlock::new(&store.root(), 2, 3, 1.0);
        randomise(&store);
        let x = Tensor::rand([1, 2, 90, 2048], (Kind::Float, Device::Cpu));
        let whole = block.convolved(&x, 1);
        assert!(whole.abs().max().double_value(&[]) > 1e-3);
        for precision in [Precision::F32, Precision::F32Planes] {
            let error = (block.forward(&x, precision) - &whole).abs().max().double_value(&[]);
            assert!(error < 1e-5, "{precision:?}: {error}");
        }
    }

    #[test]
    fn channels_of_zeros_change_nothing() {
        let store = tch::nn::VarStore::new(Device::Cpu);
        let blocks = [(3, 9), (8, 16), (12, 3)].map(|(inputs, outputs)| {
            DenseBlock::new(&(store.root() / inputs), inputs, outputs, 1.0)
        });
        randomise(&store);
        for (block, inputs) in blocks.iter().zip([3, 8, 12]) {
            let x = Tensor::rand([2, inputs, 6, 5], (Kind::Float, Device::Cpu));
            let results = [1, CUDA_CHANNELS].map(|multiple| {
                store.variables().values_mut().for_each(Tensor::zero_grad);
                let y = block.convolved(&x, multiple);
                y.square().sum(Kind::Float).backward();
                (y, block.convolutions[1].weight.grad().copy())
            });
            let [(plain, plain_gradient), (filled, filled_gradient)] = results;
            assert_eq!(plain.size(), filled.size());
            let error = |a: &Tensor, b: &Tensor| ((a - b).norm() / b.norm()).double_value(&[]);
            assert!(error(&filled, &plain) < 1e-5);
            assert!(error(&filled_gradient, &plain_gradient) < 1e-5);
        }
    }

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
