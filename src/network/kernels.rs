// SPDX-License-Identifier: MPL-2.0
//! A dense block by CUDA kernels of this crate. Its feature maps lie in one buffer from the start, into
//! which each convolution writes its own, as bf16: nothing is concatenated, and neither LeakyReLU nor
//! bias nor what becomes of the output is a pass of its own. For inference alone.

use std::ffi::{c_int, c_void};
use std::ptr;

use tch::{Kind, Tensor};

use super::effect::Effect;
use super::precision::innermost;

#[cfg(feature = "cuda-kernels")]
pub mod gpu;
#[cfg(test)]
mod tests;

/// What a block of threads computes, in x and y, and its threads; convolution.cu's WIDTH, HEIGHT and THREADS.
const PIXELS: (i64, i64) = (16, 32);
const THREADS: u32 = 256;
/// Input channels that it takes at once and that lie side by side in memory, STEP there: those of a block
/// must be whole steps.
pub const STEP: i64 = 16;
/// Channels of 16 bytes, HALF there.
const HALF: i64 = STEP / 2;
/// Output channels of a tile of its matrix products, and the most tiles, TILES there.
const TILE: i64 = 8;
const MOST_TILES: i64 = 4;
/// Steps that lie in shared memory together, STAGES there.
const STAGES: i64 = 3;
const TAPS: i64 = 9;

/// Where a block's output y goes: `result` becomes `path` · exp(exponent · tanh(y / 2)) + sum · y. Both are
/// N×H×W×outputs, f32.
#[repr(C)]
#[derive(Clone, Copy)]
struct Output {
    path: *const c_void,
    result: *mut c_void,
    sum: f32,
    exponent: f32,
}

impl Output {
    /// Of all but a block's last convolution.
    const NONE: Self = Self { path: ptr::null(), result: ptr::null_mut(), sum: 0.0, exponent: 0.0 };

    fn new(effect: Effect, path: &Tensor, result: &Tensor) -> Self {
        let (sum, exponent) = match effect {
            Effect::Add => (1.0, 0.0),
            Effect::Subtract => (-1.0, 0.0),
            Effect::Multiply(clamp) => (0.0, clamp as f32),
            Effect::Divide(clamp) => (0.0, -clamp as f32),
        };
        Self { path: path.data_ptr(), result: result.data_ptr(), sum, exponent }
    }
}

/// convolution.cu's argument. The kernel `input` finds x at its output's path, and of `outputs` channels.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Arguments {
    maps: *mut c_void,
    weights: *const c_void,
    bias: *const c_void,
    output: Output,
    height: c_int,
    width: c_int,
    planes: c_int,
    inputs: c_int,
    outputs: c_int,
    groups: c_int,
}

/// A kernel of convolution.cu and how it is started.
pub struct Launch {
    /// Its name.
    pub kernel: &'static str,
    /// Blocks in x, y and z.
    pub blocks: [u32; 3],
    /// Threads of each.
    pub threads: u32,
    /// Bytes of shared memory of each.
    pub shared: u32,
    /// What it works on.
    pub arguments: Arguments,
}

/// One convolution of a block as the kernels want it.
#[derive(Debug)]
struct Convolution {
    /// groups × steps × taps × 2 × 8 tiles × 8, bf16.
    weights: Tensor,
    /// groups × 8 tiles, f32.
    bias: Tensor,
    outputs: i64,
    groups: i64,
    tiles: i64,
}

impl Convolution {
    /// Of 32 outputs, whose maps are written behind its inputs: a thread has two columns of each
    /// tile, and its channels are to be side by side.
    fn hidden(weight: &Tensor, bias: &Tensor) -> Self {
        let reordered = |x: &Tensor| {
            let (size, order) = (x.size(), [1, 0, 2, 3]);
            x.view([4, MOST_TILES, 2, -1]).permute(order).reshape(size)
        };
        Self::new(&reordered(weight), &reordered(bias))
    }

    /// Of weights outputs×channels×3×3, the channels whole steps.
    fn new(weight: &Tensor, bias: &Tensor) -> Self {
        let (outputs, channels) = (weight.size()[0], weight.size()[1]);
        let groups = ceil(outputs, TILE * MOST_TILES);
        let tiles = ceil(outputs, TILE * groups);
        let missing = groups * tiles * TILE - outputs;
        let weights = weight
            .constant_pad_nd([0, 0, 0, 0, 0, 0, 0, missing])
            .view([groups, tiles * TILE, channels / STEP, 2, HALF, TAPS])
            .permute([0, 2, 5, 3, 1, 4])
            .to_kind(Kind::BFloat16)
            .contiguous();
        let bias = bias.constant_pad_nd([0, missing]).to_kind(Kind::Float).contiguous();
        Self { weights, bias, outputs, groups, tiles }
    }

    /// Reads the first channels of some maps and writes behind them, or the block's output.
    fn launch(&self, maps: &Maps, inputs: i64, output: Option<Output>) -> Launch {
        let [pictures, _, height, width] = maps.size();
        let kernel = match (output, self.tiles) {
            (None, _) => "hidden",
            (Some(_), 1) => "last_1",
            (Some(_), 2) => "last_2",
            (Some(_), 3) => "last_3",
            (Some(_), _) => "last_4",
        };
        let x = ceil(width, PIXELS.0) * self.groups;
        Launch {
            kernel,
            blocks: [x, ceil(height, PIXELS.1), pictures].map(|blocks| blocks as u32),
            threads: THREADS,
            shared: shared(self.tiles),
            arguments: Arguments {
                weights: self.weights.data_ptr(),
                bias: self.bias.data_ptr(),
                output: output.unwrap_or(Output::NONE),
                inputs: inputs as c_int,
                outputs: self.outputs as c_int,
                groups: self.groups as c_int,
                ..maps.arguments()
            },
        }
    }
}

/// A block's feature maps N×planes×H×W×[`STEP`], bf16.
struct Maps(Tensor);

impl Maps {
    /// N, planes, H and W.
    fn size(&self) -> [i64; 4] {
        dimensions(&self.0.select(4, 0))
    }

    /// What every kernel is told of them.
    fn arguments(&self) -> Arguments {
        let [_, planes, height, width] = self.size();
        Arguments {
            maps: self.0.data_ptr(),
            weights: ptr::null(),
            bias: ptr::null(),
            output: Output::NONE,
            height: height as c_int,
            width: width as c_int,
            planes: planes as c_int,
            inputs: 0,
            outputs: 0,
            groups: 0,
        }
    }

    /// Rounds x N×H×W×inputs, f32, to the first channels, with zeros behind it.
    fn take(&self, x: &Tensor, channels: i64) -> Launch {
        let [pictures, height, width, inputs] = dimensions(x);
        let threads = height * width * channels / HALF;
        let output = Output { path: x.data_ptr(), ..Output::NONE };
        Launch {
            kernel: "input",
            blocks: [ceil(threads, THREADS.into()), 1, pictures].map(|blocks| blocks as u32),
            threads: THREADS,
            shared: 0,
            arguments: Arguments {
                output,
                inputs: channels as c_int,
                outputs: inputs as c_int,
                ..self.arguments()
            },
        }
    }
}

/// A dense block's weights as the kernels want them.
#[derive(Debug)]
pub struct Block {
    hidden: Vec<Convolution>,
    last: Convolution,
}

impl Block {
    /// Of the convolutions' weights and biases, the last one's apart; behind the block's input there are
    /// channels of zeros that make it whole [steps](STEP).
    pub fn new(hidden: &[(Tensor, &Tensor)], last: (Tensor, &Tensor)) -> Self {
        let hidden = hidden.iter().map(|(weight, bias)| Convolution::hidden(weight, bias));
        Self { hidden: hidden.collect(), last: Convolution::new(&last.0, last.1) }
    }

    /// What the output for x N×inputs×H×W makes of a path N×outputs×H×W, all f32.
    pub fn apply(
        &self,
        x: &Tensor,
        effect: Effect,
        path: &Tensor,
        launch: impl Fn(&Launch),
    ) -> Tensor {
        let Self { hidden, last } = self;
        let (x, path) = (innermost(x), innermost(path));
        assert_eq!([x.kind(), path.kind()], [Kind::Float; 2]);
        let [pictures, height, width, inputs] = dimensions(&x);
        assert_eq!(path.size(), [pictures, height, width, last.outputs]);
        let mut channels = ceil(inputs, STEP) * STEP;
        let all = channels + hidden.iter().map(|convolution| convolution.outputs).sum::<i64>();
        let size = [pictures, all / STEP, height, width, STEP];
        let maps = Maps(Tensor::empty(size, (Kind::BFloat16, x.device())));
        launch(&maps.take(&x, channels));
        for convolution in hidden {
            launch(&convolution.launch(&maps, channels, None));
            channels += convolution.outputs;
        }
        let result = path.empty_like();
        launch(&last.launch(&maps, channels, Some(Output::new(effect, &path, &result))));
        result.permute([0, 3, 1, 2])
    }
}

/// Bytes of shared memory for the patches and the weights of all stages, convolution.cu's Stage.
fn shared(tiles: i64) -> u32 {
    let patch = 2 * (PIXELS.0 + 2) * (PIXELS.1 + 2);
    (STAGES * 2 * HALF * (patch + TAPS * 2 * TILE * tiles)) as u32
}

fn ceil(number: i64, divisor: i64) -> i64 {
    (number as u64).div_ceil(divisor as u64) as i64
}

fn dimensions(maps: &Tensor) -> [i64; 4] {
    maps.size().try_into().expect("feature maps have four dimensions")
}
