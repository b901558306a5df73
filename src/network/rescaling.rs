// SPDX-License-Identifier: MPL-2.0
//! Invertible Image Rescaling (IIR): secrets to tiles and back (paper, section 2).

use tch::nn;
use tch::{Kind, Tensor};

use super::Grid;
use super::coupling::{InvBlockConfig, InvBlocks};
use super::decomposition::Decomposition;
use super::precision::Precision;

/// Colour channels.
const RGB: i64 = 3;

/// R InvBlocks over the bands of D: l is the low band, h the rest.
#[derive(Debug)]
pub struct Rescaling {
    decomposition: Decomposition,
    blocks: InvBlocks,
    high: i64,
}

impl Rescaling {
    /// A module of `blocks` InvBlocks (paper: 8) whose exponent stays within ±`clamp`. The 1×1
    /// grid has nothing to rescale: no blocks, and it is the identity.
    pub fn new(path: &nn::Path, grid: Grid, blocks: usize, clamp: f64) -> Self {
        let high = RGB * grid.secrets() as i64 - RGB;
        let blocks = if high == 0 { 0 } else { blocks };
        // Xavier × 1: measured to learn far faster here than the × 0.1 of the hiding module.
        let config = InvBlockConfig { low: RGB, high, clamp, gain: 1.0 };
        Self {
            decomposition: Decomposition::block_mean(grid, path.device()),
            blocks: InvBlocks::new(path, blocks, config),
            high,
        }
    }

    /// Secrets N×3×H×W in [0, 1] to tiles N×3×(H/m)×(W/n), about [0, 1]; the high bands are
    /// dropped.
    pub fn downscale(&self, secrets: &Tensor, precision: Precision) -> Tensor {
        let bands = self.decomposition.forward(secrets);
        let (low, high) = (bands.narrow(1, 0, RGB), bands.narrow(1, RGB, self.high));
        self.blocks.forward_low(&low, &high, precision)
    }

    /// Tiles N×3×(H/m)×(W/n) to secrets N×3×H×W, with z = 0 in place of the high bands.
    pub fn upscale(&self, tiles: &Tensor, precision: Precision) -> Tensor {
        let (low, high) = self.blocks.inverse(tiles, &self.z(tiles), precision);
        self.decomposition.inverse(&Tensor::cat(&[low, high], 1))
    }

    /// Multiplications of [`downscale`](Self::downscale) and of [`upscale`](Self::upscale) for each pixel of
    /// a tile.
    pub fn multiplications(&self) -> (usize, usize) {
        (self.blocks.forward_low_multiplications(), self.blocks.inverse_multiplications())
    }

    /// The gradient of a loss in the tiles N×3×(H/m)×(W/n) that [`upscale`](Self::upscale) takes;
    /// `answer` says what it is in the secrets.
    pub fn upscale_gradient(
        &self,
        tiles: &Tensor,
        precision: Precision,
        answer: impl FnOnce(&Tensor) -> Tensor,
    ) -> Tensor {
        let answer = |low: &Tensor, high: &Tensor| {
            let secrets = answer(&self.decomposition.inverse(&Tensor::cat(&[low, high], 1)));
            let bands = self.decomposition.inverse_gradient(&secrets);
            (bands.narrow(1, 0, RGB), bands.narrow(1, RGB, self.high))
        };
        self.blocks.inverse_gradient(tiles, &self.z(tiles), precision, answer).0
    }

    fn z(&self, tiles: &Tensor) -> Tensor {
        let size = tiles.size();
        // Channels innermost, as most precisions want them.
        let z = [size[0], size[2], size[3], self.high];
        tiles.new_zeros(z, (Kind::Float, tiles.device())).permute([0, 3, 1, 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::coupling::tests::randomise;
    use tch::Device;
    use tch::nn::VarStore;

    fn module(grid: Grid, blocks: usize) -> (VarStore, Rescaling) {
        let store = VarStore::new(Device::Cpu);
        let module = Rescaling::new(&store.root(), grid, blocks, 1.0);
        (store, module)
    }

    #[test]
    fn parameters_are_the_papers() {
        let hiding = 4_050_240;
        let totals = [5_718_192, 5_888_064, 6_057_936, 6_142_872, 6_737_424];
        for (grid, total) in Grid::SHIPPED.into_iter().zip(totals) {
            let (store, _) = module(grid, 8);
            let parameters: usize = store.variables().values().map(Tensor::numel).sum();
            assert_eq!(hiding + parameters, total, "{grid}");
        }
    }

    #[test]
    fn it_inverts_itself_for_every_grid() {
        for (rows, columns) in (1..=5).flat_map(|m| (1..=5).map(move |n| (m, n))) {
            let grid = Grid::new(rows, columns).unwrap();
            let (store, module) = module(grid, 2);
            randomise(&store);
            // Tiles of 5×4: odd and even.
            let size = [1, 3, 5 * rows as i64, 4 * columns as i64];
            let secrets = Tensor::rand(size, (Kind::Float, Device::Cpu));
            let bands = module.decomposition.forward(&secrets);
            let (low, high) = (bands.narrow(1, 0, RGB), bands.narrow(1, RGB, module.high));
            let (tiles, rest) = module.blocks.forward(&low, &high);
            assert_eq!(tiles, module.downscale(&secrets, Precision::F32));
            assert_eq!(grid.secrets() > 1, (&tiles - &low).abs().max().double_value(&[]) > 1e-3);
            let (low, high) = module.blocks.inverse(&tiles, &rest, Precision::F32);
            let recovered = module.decomposition.inverse(&Tensor::cat(&[low, high], 1));
            let error = (recovered - secrets).abs().max().double_value(&[]);
            assert!(error < 1e-4, "{grid}: {error}");
        }
    }

    #[test]
    fn one_tile_is_the_identity() {
        let (store, module) = module(Grid::new(1, 1).unwrap(), 8);
        assert!(store.variables().is_empty());
        let secret = Tensor::rand([1, 3, 6, 4], (Kind::Float, Device::Cpu));
        let tile = module.downscale(&secret, Precision::F32);
        let error = (module.upscale(&tile, Precision::F32) - &secret).abs().max();
        assert!(error.double_value(&[]) < 1e-6);
        assert!((tile - secret).abs().max().double_value(&[]) < 1e-6);
    }
}
