// SPDX-License-Identifier: MPL-2.0
//! The part of a frame that the network works on.

use tch::Tensor;

use crate::network::{Frame, Grid};

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

    /// A picture of the part, extended from its edge to a frame's size.
    pub fn extended(self, picture: &Tensor, frame: &Frame) -> Tensor {
        let right = frame.width() as i64 - self.width;
        let below = frame.height() as i64 - self.height;
        picture.replication_pad2d([0, right, 0, below])
    }
}

/// How many pictures a GPU works on at once whose feature maps have so many positions. Alone a small one
/// takes longer to launch than to compute; the feature maps of as many as this take 180 MB, and while they
/// are computed the next secrets are got ready.
pub fn fitting(positions: usize) -> usize {
    const POSITIONS: usize = 1 << 19;
    (POSITIONS / positions.max(1)).max(1)
}
