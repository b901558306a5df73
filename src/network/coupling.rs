// SPDX-License-Identifier: MPL-2.0
//! InvBlock: the affine coupling that both modules are stacked from (Eq. 1 and 2).

use tch::nn;
use tch::{Kind, Tensor, with_grad};

use super::dense::DenseBlock;
use super::effect::Effect;
use super::precision::Precision;

/// Channels, bound of the exponent and start of a stack's blocks.
#[derive(Clone, Copy, Debug)]
pub struct InvBlockConfig {
    /// Channels of the path l.
    pub low: i64,
    /// Channels of the path h.
    pub high: i64,
    /// ρ stays within ±clamp, so that the exponent cannot blow up.
    pub clamp: f64,
    /// Hidden layers start at Xavier × gain.
    pub gain: f64,
}

/// One invertible block over the pair (l, h).
#[derive(Debug)]
pub struct InvBlock {
    phi: DenseBlock,
    rho: DenseBlock,
    psi: DenseBlock,
    clamp: f64,
}

impl InvBlock {
    fn new(path: &nn::Path, config: InvBlockConfig) -> Self {
        let InvBlockConfig { low, high, clamp, gain } = config;
        Self {
            phi: DenseBlock::new(&(path / "phi"), high, low, gain),
            rho: DenseBlock::new(&(path / "rho"), low, high, gain),
            psi: DenseBlock::new(&(path / "psi"), low, high, gain),
            clamp,
        }
    }

    /// Eq. 1: l += φ(h), h = h ⊙ exp(ρ(l)) + ψ(l).
    fn forward(&self, low: &Tensor, high: &Tensor, precision: Precision) -> (Tensor, Tensor) {
        let low = self.forward_low(low, high, precision);
        let high = self.rho.apply(&low, Effect::Multiply(self.clamp), high, precision);
        let high = self.psi.apply(&low, Effect::Add, &high, precision);
        (low, high)
    }

    /// The l of [`forward`](Self::forward) alone.
    fn forward_low(&self, low: &Tensor, high: &Tensor, precision: Precision) -> Tensor {
        self.phi.apply(high, Effect::Add, low, precision)
    }

    /// Eq. 2, the exact inverse: h = (h − ψ(l)) ⊘ exp(ρ(l)), l −= φ(h).
    fn inverse(&self, low: &Tensor, high: &Tensor, precision: Precision) -> (Tensor, Tensor) {
        let high = self.inverse_high(low, high, precision);
        let low = self.phi.apply(&high, Effect::Subtract, low, precision);
        (low, high)
    }

    /// The h of [`inverse`](Self::inverse) alone.
    fn inverse_high(&self, low: &Tensor, high: &Tensor, precision: Precision) -> Tensor {
        let high = self.psi.apply(low, Effect::Subtract, high, precision);
        self.rho.apply(low, Effect::Divide(self.clamp), &high, precision)
    }

    /// The gradient of a loss in the inputs of [`inverse`](Self::inverse), given that in its outputs.
    fn inverse_gradient(
        &self,
        (low, high): &(Tensor, Tensor),
        (low_gradient, high_gradient): &(Tensor, Tensor),
        precision: Precision,
    ) -> (Tensor, Tensor) {
        let inputs = [low, high].map(|input| input.detach().set_requires_grad(true));
        // libtorch goes back from a number: one with these gradients in the outputs.
        let loss = with_grad(|| {
            let (low, high) = self.inverse(&inputs[0], &inputs[1], precision);
            (low * low_gradient).sum(Kind::Float) + (high * high_gradient).sum(Kind::Float)
        });
        let gradients = Tensor::run_backward(&[loss], &inputs, false, false);
        let [low, high] = gradients.try_into().expect("a gradient for each input");
        (low, high)
    }
}

/// A stack of InvBlocks, run forwards to conceal and backwards to reveal.
#[derive(Debug)]
pub struct InvBlocks(Vec<InvBlock>);

impl InvBlocks {
    /// `count` blocks named `blocks.0`, `blocks.1`, … under `path`.
    pub fn new(path: &nn::Path, count: usize, config: InvBlockConfig) -> Self {
        let block = |k| InvBlock::new(&(path / "blocks" / k), config);
        Self((0..count as i64).map(block).collect())
    }

    /// (l, h) forwards through every block, in f32 with convolutions in `precision`: the last l. Both
    /// modules drop the last h, which would take two thirds of a block's work.
    pub fn forward_low(&self, low: &Tensor, high: &Tensor, precision: Precision) -> Tensor {
        let start = (precision.laid_out(low), precision.laid_out(high));
        let Some((last, blocks)) = self.0.split_last() else {
            return start.0;
        };
        let (low, high) =
            blocks.iter().fold(start, |(low, high), block| block.forward(&low, &high, precision));
        last.forward_low(&low, &high, precision)
    }

    /// (l, h) backwards through every block.
    pub fn inverse(&self, low: &Tensor, high: &Tensor, precision: Precision) -> (Tensor, Tensor) {
        inverse_through(&self.0, low, high, precision)
    }

    /// The h of [`inverse`](Self::inverse) alone.
    pub fn inverse_high(&self, low: &Tensor, high: &Tensor, precision: Precision) -> Tensor {
        let Some((first, blocks)) = self.0.split_first() else {
            return precision.laid_out(high);
        };
        let (low, high) = inverse_through(blocks, low, high, precision);
        first.inverse_high(&low, &high, precision)
    }

    /// Multiplications of [`forward_low`](Self::forward_low) at one position of the feature maps.
    pub fn forward_low_multiplications(&self) -> usize {
        let dropped =
            self.0.last().map_or(0, |last| last.rho.multiplications() + last.psi.multiplications());
        self.inverse_multiplications() - dropped
    }

    /// Multiplications of [`inverse`](Self::inverse) at one position of the feature maps.
    pub fn inverse_multiplications(&self) -> usize {
        let functions = self.0.iter().flat_map(|block| [&block.phi, &block.rho, &block.psi]);
        functions.map(DenseBlock::multiplications).sum()
    }

    /// Multiplications of [`inverse_high`](Self::inverse_high) at one position of the feature maps.
    pub fn inverse_high_multiplications(&self) -> usize {
        let dropped = self.0.first().map_or(0, |first| first.phi.multiplications());
        self.inverse_multiplications() - dropped
    }

    /// The gradient of a loss in the inputs of [`inverse`](Self::inverse); `answer` says what it is in
    /// the outputs. One block after the other is computed again to go back through it, so that no
    /// more than one's feature maps are held.
    pub fn inverse_gradient(
        &self,
        low: &Tensor,
        high: &Tensor,
        precision: Precision,
        answer: impl FnOnce(&Tensor, &Tensor) -> (Tensor, Tensor),
    ) -> (Tensor, Tensor) {
        let mut state = (precision.laid_out(low), precision.laid_out(high));
        let mut inputs = Vec::with_capacity(self.0.len());
        for block in self.0.iter().rev() {
            let outputs = block.inverse(&state.0, &state.1, precision);
            inputs.push(std::mem::replace(&mut state, outputs));
        }
        let start = answer(&state.0, &state.1);
        let last_first = self.0.iter().zip(inputs.into_iter().rev());
        last_first.fold(start, |gradient, (block, inputs)| {
            block.inverse_gradient(&inputs, &gradient, precision)
        })
    }
}

/// (l, h) backwards through some blocks.
fn inverse_through(
    blocks: &[InvBlock],
    low: &Tensor,
    high: &Tensor,
    precision: Precision,
) -> (Tensor, Tensor) {
    let start = (precision.laid_out(low), precision.laid_out(high));
    blocks.iter().rev().fold(start, |(low, high), block| block.inverse(&low, &high, precision))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    /// Draws every variable at random, the last convolutions too: at zero a block is the identity.
    pub fn randomise(store: &VarStore) {
        tch::manual_seed(7);
        for (_, mut variable) in store.variables() {
            let _ = tch::no_grad(|| variable.uniform_(-0.03, 0.03));
        }
    }

    /// sin(start), sin(start + 1), …
    fn wave(shape: &[i64], start: i64) -> Tensor {
        let count = shape.iter().product::<i64>();
        Tensor::arange_start(start, start + count, (Kind::Float, Device::Cpu)).sin().view(shape)
    }

    /// ```python
    /// def wave(*shape, start):
    ///     return torch.sin(torch.arange(torch.Size(shape).numel()) + start).reshape(shape)
    /// def dense(x, inputs, outputs, start):
    ///     for k in range(5):
    ///         out = 32 if k < 4 else outputs
    ///         y = F.conv2d(x, wave(out, inputs + 32 * k, 3, 3, start=start) / 20,
    ///                      wave(out, start=start) / 20, padding=1)
    ///         x = torch.cat((x, F.leaky_relu(y, 0.2)), 1) if k < 4 else y
    ///     return x
    /// low, high = wave(1, 2, 2, 2, start=3), wave(1, 3, 2, 2, start=4)
    /// low = low + dense(high, 3, 2, 0)
    /// scale = torch.exp(2 * (2 * torch.sigmoid(dense(low, 2, 3, 1)) - 1))
    /// high = high * scale + dense(low, 2, 3, 2)
    /// print(low.flatten().tolist(), high.flatten().tolist())
    /// ```
    #[test]
    fn an_inv_block_agrees_with_pytorch() {
        let store = VarStore::new(Device::Cpu);
        let config = InvBlockConfig { low: 2, high: 3, clamp: 2.0, gain: 1.0 };
        let block = InvBlock::new(&store.root(), config);
        for (name, mut variable) in store.variables() {
            let start = ["phi", "rho", "psi"].iter().position(|own| name.starts_with(own)).unwrap();
            let values = wave(&variable.size(), start as i64) / 20.0;
            tch::no_grad(|| variable.copy_(&values));
        }
        let (low, high) =
            block.forward(&wave(&[1, 2, 2, 2], 3), &wave(&[1, 3, 2, 2], 4), Precision::F32);
        let expected_low = [
            0.3463931, -0.7635668, -1.181878, -0.3077574, 0.4621216, 0.8407059, 0.6782428,
            -0.2906763,
        ];
        let expected_high = [
            -0.7827593, -1.0069886, -0.1933531, 0.7553537, 0.9641658, 0.3564426, -0.5786008,
            -1.0334037, -0.5283659, 0.3640064, 0.8894, 0.6373841,
        ];
        let error = |actual: &Tensor, expected: &[f32]| {
            (actual.reshape([-1]) - Tensor::from_slice(expected)).abs().max().double_value(&[])
        };
        assert!(error(&low, &expected_low) < 1e-5, "{low}");
        assert!(error(&high, &expected_high) < 1e-5, "{high}");
    }

    impl InvBlocks {
        /// (l, h) forwards through every block.
        pub fn forward(&self, low: &Tensor, high: &Tensor) -> (Tensor, Tensor) {
            let start = (low.shallow_clone(), high.shallow_clone());
            let precision = Precision::F32;
            self.0.iter().fold(start, |(low, high), block| block.forward(&low, &high, precision))
        }
    }

    #[test]
    fn a_fresh_block_is_the_identity() {
        let store = VarStore::new(Device::Cpu);
        let config = InvBlockConfig { low: 3, high: 9, clamp: 1.0, gain: 1.0 };
        let blocks = InvBlocks::new(&store.root(), 2, config);
        let (low, high) = (wave(&[1, 3, 4, 4], 0), wave(&[1, 9, 4, 4], 1));
        assert_eq!(blocks.forward(&low, &high), (low, high));
    }
}
