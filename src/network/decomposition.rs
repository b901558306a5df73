// SPDX-License-Identifier: MPL-2.0
//! The decomposition block D: an orthonormal separable block DCT of size m×n (paper, section 2).
//! For m = n = 2 it is the Haar wavelet, which the hiding module uses as well.

use std::f64::consts::PI;

use tch::{Device, Kind, Tensor};

use super::Grid;

/// Splits each m×n block of a picture into m·n sub-bands, and joins them again.
#[derive(Debug)]
pub struct Decomposition {
    /// (m·n)×(m·n), the pixels of one orthonormal basis picture a row, which is a sub-band.
    basis: Tensor,
    /// Gain of every sub-band.
    scale: f64,
    rows: i64,
    columns: i64,
}

impl Decomposition {
    /// The block DCT for a grid, scaled so that the low band is the block's mean: a small
    /// picture in [0, 1].
    pub fn block_mean(grid: Grid, device: Device) -> Self {
        let scale = 1.0 / (grid.secrets() as f64).sqrt();
        Self::new(grid.rows(), grid.columns(), scale, device)
    }

    /// The orthonormal Haar wavelet.
    pub fn haar(device: Device) -> Self {
        Self::new(2, 2, 1.0, device)
    }

    /// The orthonormal DCT of square blocks.
    pub fn dct(side: usize, device: Device) -> Self {
        Self::new(side, side, 1.0, device)
    }

    fn new(rows: usize, columns: usize, scale: f64, device: Device) -> Self {
        let (vertical, horizontal) = (dct(rows), dct(columns));
        let mut basis = Vec::with_capacity((rows * columns).pow(2));
        for v in &vertical {
            for h in &horizontal {
                basis.extend(v.iter().flat_map(|a| h.iter().map(move |b| (a * b) as f32)));
            }
        }
        let (rows, columns) = (rows as i64, columns as i64);
        let basis = Tensor::from_slice(&basis).view([rows * columns, -1]).to_device(device);
        Self { basis, scale, rows, columns }
    }

    /// N×C×H×W to N×(mn·C)×(H/m)×(W/n): sub-band by sub-band, the low band first.
    pub fn forward(&self, picture: &Tensor) -> Tensor {
        let (count, channels, height, width) = dims(picture);
        let (h, w) = (height / self.rows, width / self.columns);
        // The pixels of all blocks at the same place in the block.
        let pixels = picture
            .reshape([count, channels, h, self.rows, w, self.columns])
            .permute([0, 3, 5, 1, 2, 4])
            .reshape([count, self.rows * self.columns, -1]);
        self.basis.matmul(&pixels).view([count, -1, h, w]) * self.scale
    }

    /// The exact inverse of [`forward`](Self::forward).
    pub fn inverse(&self, bands: &Tensor) -> Tensor {
        let (count, channels, height, width) = dims(bands);
        let sub_bands = self.rows * self.columns;
        let channels = channels / sub_bands;
        let bands = bands.reshape([count, sub_bands, -1]) / self.scale;
        self.basis
            .tr()
            .matmul(&bands)
            .view([count, self.rows, self.columns, channels, height, width])
            .permute([0, 3, 4, 1, 5, 2])
            .reshape([count, channels, height * self.rows, width * self.columns])
    }

    /// The gradient of a loss in the bands that [`inverse`](Self::inverse) joins, given that in the
    /// picture N×C×H×W.
    pub fn inverse_gradient(&self, picture: &Tensor) -> Tensor {
        self.forward(picture) / self.scale.powi(2)
    }
}

/// N, C, H and W.
pub(super) fn dims(x: &Tensor) -> (i64, i64, i64, i64) {
    let size = x.size();
    (size[0], size[1], size[2], size[3])
}

/// The orthonormal DCT-II of a size, one row a frequency.
fn dct(size: usize) -> Vec<Vec<f64>> {
    let n = size as f64;
    let row = |k: usize| {
        let gain = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        (0..size).map(|i| gain * (PI * (i as f64 + 0.5) * k as f64 / n).cos()).collect()
    };
    (0..size).map(row).collect()
}

/// The mean of each picture's values, N×C×H×W to N×1×1×1.
pub fn picture_means(pictures: &Tensor) -> Tensor {
    pictures.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sin(0), sin(1), … as a 1×1×6×4 picture.
    fn picture() -> Tensor {
        Tensor::arange(24, (Kind::Float, Device::Cpu)).sin().view([1, 1, 6, 4])
    }

    /// The bands of the fourth block.
    fn fourth(bands: &Tensor, column: i64) -> Vec<f32> {
        Vec::try_from(bands.select(2, 1).select(2, column).view([-1])).unwrap()
    }

    fn assert_near(actual: &[f32], expected: &[f32]) {
        let near = actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-6);
        assert!(near && actual.len() == expected.len(), "{actual:?}, expected {expected:?}");
    }

    /// ```python
    /// def dct(n):
    ///     i = torch.arange(n, dtype=torch.float64)
    ///     basis = torch.cos(torch.pi * (i + 0.5) * i[:, None] / n) * (2 / n) ** 0.5
    ///     basis[0] /= 2 ** 0.5
    ///     return basis
    /// x = torch.sin(torch.arange(24.0)).reshape(1, 1, 6, 4)
    /// blocks = F.unfold(x, (3, 2), stride=(3, 2))
    /// bands = torch.kron(dct(3), dct(2)).float() @ blocks[0] / 6 ** 0.5
    /// print(bands[:, 3].tolist())
    /// ```
    #[test]
    fn dct_agrees_with_pytorch() {
        let dct = Decomposition::block_mean(Grid::new(3, 2).unwrap(), Device::Cpu);
        let expected = [0.0307855, 0.0461373, 0.509487, -0.1014598, 0.2342931, 0.3511277];
        assert_near(&fourth(&dct.forward(&picture()), 1), &expected);
    }

    /// ```python
    /// a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    /// haar = torch.stack((a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d)) / 2
    /// print(haar.flatten(1)[:, 3].tolist())
    /// ```
    #[test]
    fn haar_agrees_with_pytorch() {
        let bands = Decomposition::haar(Device::Cpu).forward(&picture());
        let expected = [0.0484419, 0.3981443, -1.5924533, 0.0578247];
        assert_near(&fourth(&bands, 1), &expected);
    }

    #[test]
    fn every_grid_has_block_means_and_an_exact_inverse() {
        for (rows, columns) in (1..=5).flat_map(|m| (1..=5).map(move |n| (m, n))) {
            let grid = Grid::new(rows, columns).unwrap();
            let (height, width) = (3 * rows as i64, 5 * columns as i64);
            let picture = Tensor::rand([2, 3, height, width], (Kind::Float, Device::Cpu));
            let dct = Decomposition::block_mean(grid, Device::Cpu);
            let bands = dct.forward(&picture);
            assert_eq!(bands.size(), [2, 3 * grid.secrets() as i64, 3, 5]);
            let block = picture.narrow(2, 0, rows as i64).narrow(3, 0, columns as i64);
            let mean = block.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
            let low = bands.narrow(1, 0, 3).select(2, 0).select(2, 0);
            assert!((low - mean).abs().max().double_value(&[]) < 1e-6, "{grid}");
            let error = (dct.inverse(&bands) - picture).abs().max().double_value(&[]);
            assert!(error < 1e-5, "{grid}: {error}");
        }
    }
}
