// SPDX-License-Identifier: MPL-2.0
//! How reveal amplifies errors of the stego.

use tch::{Kind, Tensor};

use crate::network::Precision;
use crate::network::hiding::Hiding;

/// The mean of JᵀJ over the 2×2 blocks of some stegos N×3×H×W, J being the Jacobian of reveal: 12×12
/// in the order of `pixel_unshuffle`. It is estimated as the covariance of Jᵀw with white noise w.
pub fn sensitivity(
    hiding: &Hiding,
    stegos: impl Iterator<Item = Tensor>,
    precision: Precision,
) -> Tensor {
    tch::manual_seed(0);
    let covariances = stegos.map(|stego| {
        let stego = stego.detach().set_requires_grad(true);
        let mosaic = hiding.reveal(&stego, precision);
        let loss = (&mosaic * mosaic.randn_like()).sum(Kind::Float);
        let answers = Tensor::run_backward(&[loss], &[&stego], false, false);
        let blocks = answers[0].pixel_unshuffle(2).transpose(0, 1).flatten(1, 3);
        blocks.matmul(&blocks.tr()) / blocks.size()[1] as f64
    });
    let covariances: Vec<_> = covariances.collect();
    Tensor::stack(&covariances, 0).mean_dim(0, false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::coupling::tests::randomise;
    use crate::network::hiding::Hiding;
    use tch::Device;
    use tch::nn::VarStore;

    /// An error δ in the stego makes one of δᵀJᵀJδ in the mosaic, measured by making one.
    #[test]
    fn it_foretells_the_error_of_the_mosaic() {
        let store = VarStore::new(Device::Cpu);
        let hiding = Hiding::new(&store.root(), 2, 2.0);
        randomise(&store);
        let stego = Tensor::rand([4, 3, 32, 32], (Kind::Float, Device::Cpu));
        let matrix = sensitivity(&hiding, std::iter::once(stego.copy()), Precision::F32);
        assert_eq!(matrix.size(), [12, 12]);
        let error = stego.randn_like() * 1e-3;
        let reveal = |stego: &Tensor| tch::no_grad(|| hiding.reveal(stego, Precision::F32));
        let measured = (reveal(&(&stego + &error)) - reveal(&stego)).square().sum(Kind::Float);
        let blocks = error.pixel_unshuffle(2).transpose(0, 1).flatten(1, 3);
        let foretold = (matrix.matmul(&blocks) * blocks).sum(Kind::Float);
        let ratio = (foretold / measured).double_value(&[]);
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
    }
}
