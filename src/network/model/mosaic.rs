// SPDX-License-Identifier: MPL-2.0
//! A mosaic secret image with what is done for the stegos that it is hidden in.

use tch::Tensor;

use crate::network::enhancement::Enhancement;
use crate::network::refinement::Refinement;

/// What is done for each stego besides the network's pass; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Gradient steps that bring it nearer to its cover and have it reveal more; a step takes some four times
    /// as long as a reveal.
    pub refine: u32,
    /// Whether it carries what reveal would miss. To find that out takes longer than the network's pass.
    pub enhance: bool,
}

/// A mosaic secret image, ready to be concealed in covers of its size.
#[derive(Debug)]
pub struct Mosaic {
    /// 1×3×h×w, the area that the grid and the wavelet divide.
    pub(super) tensor: Tensor,
    pub(super) width: usize,
    pub(super) height: usize,
    /// If its stegos are to be refined.
    pub(super) refinement: Option<Refinement>,
    /// If they are to carry what reveal would miss.
    pub(super) enhancement: Option<Enhancement>,
}

/// Shares the tensors, which are never written.
impl Clone for Mosaic {
    fn clone(&self) -> Self {
        let (refinement, enhancement) = (self.refinement.clone(), self.enhancement.clone());
        Self { tensor: self.tensor.shallow_clone(), refinement, enhancement, ..*self }
    }
}

impl Mosaic {
    /// Width in pixels of the covers that it fits.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels of the covers that it fits.
    pub fn height(&self) -> usize {
        self.height
    }
}
