// SPDX-License-Identifier: MPL-2.0
//! Splicing: N tiles to one mosaic secret image and back (paper, section 2).

use tch::Tensor;

use super::Grid;

/// (B·N)×C×h×w tiles to B mosaics B×C×(m·h)×(n·w).
pub fn splice(tiles: &Tensor, grid: Grid) -> Tensor {
    let (rows, columns) = (grid.rows() as i64, grid.columns() as i64);
    let size = tiles.size();
    let (channels, height, width) = (size[1], size[2], size[3]);
    tiles
        .reshape([-1, rows, columns, channels, height, width])
        .permute([0, 3, 1, 4, 2, 5])
        .reshape([-1, channels, rows * height, columns * width])
}

/// The inverse of [`splice`].
pub fn cut(mosaics: &Tensor, grid: Grid) -> Tensor {
    let (rows, columns) = (grid.rows() as i64, grid.columns() as i64);
    let size = mosaics.size();
    let (channels, height, width) = (size[1], size[2] / rows, size[3] / columns);
    mosaics
        .reshape([-1, channels, rows, height, columns, width])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([-1, channels, height, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn secret_u_sits_at_row_u_over_columns() {
        let grid = Grid::new(3, 2).unwrap();
        let tiles = Tensor::arange(2 * 6, (Kind::Float, Device::Cpu)).view([12, 1, 1, 1]);
        let tiles = tiles.expand([12, 1, 2, 3], false);
        let mosaics = splice(&tiles, grid);
        assert_eq!(mosaics.size(), [2, 1, 6, 6]);
        // Tile 3 of the second mosaic: row 1, column 1.
        assert_eq!(mosaics.double_value(&[1, 0, 2, 3]), 9.0);
        assert_eq!(cut(&mosaics, grid), tiles);
    }
}
