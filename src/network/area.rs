// SPDX-License-Identifier: MPL-2.0
//! The part of a frame that the network works on.

use tch::Tensor;

use super::Grid;
use super::decomposition::dims;

/// The part of a frame, from its upper left corner, that the grid and the wavelet divide.
#[derive(Clone, Copy)]
pub struct Area {
    width: i64,
    height: i64,
}

impl Area {
    /// That of a frame no smaller than the grid's smallest.
    pub fn divisible(width: usize, height: usize, grid: Grid) -> Self {
        let (min_width, min_height) = grid.smallest_frame();
        let (width, height) = (width - width % min_width, height - height % min_height);
        Self { width: width as i64, height: height as i64 }
    }

    /// Pixels.
    pub fn positions(self) -> usize {
        (self.width * self.height) as usize
    }

    /// Height and width in pixels.
    pub fn size(self) -> [i64; 2] {
        [self.height, self.width]
    }

    /// A view of the part, in N×C×H×W.
    pub fn of(self, picture: &Tensor) -> Tensor {
        picture.narrow(2, 0, self.height).narrow(3, 0, self.width)
    }
}

/// Pictures N×C×H×W of the part, extended from their edge to a frame's height and width.
pub fn extended(pictures: &Tensor, [height, width]: [i64; 2]) -> Tensor {
    let (_, _, own_height, own_width) = dims(pictures);
    pictures.replication_pad2d([0, width - own_width, 0, height - own_height])
}

/// How many pictures a GPU works on at once whose feature maps have so many positions. Alone a small one
/// takes longer to launch than to compute; the feature maps of as many as this take 180 MB, and while they
/// are computed the next secrets are got ready.
pub fn fitting(positions: usize) -> usize {
    const POSITIONS: usize = 1 << 19;
    (POSITIONS / positions.max(1)).max(1)
}
