// SPDX-License-Identifier: MPL-2.0
//! The ablation of Table 2: bicubic tiles in place of Invertible Image Rescaling.

use std::path::Path;

use tch::{Device, Tensor, no_grad};

use super::Error;
use super::dataset::bicubic;
use super::losses::bicubic_tiles;
use crate::network::hiding::Hiding;
use crate::network::location::serving;
use crate::network::mosaic::{cut, splice};
use crate::network::weights::{Module, WeightsFile};
use crate::network::{Frame, Grid, Precision, caught};

/// Hiding alone, with its weights.
pub struct BicubicModel {
    grid: Grid,
    device: Device,
    precision: Precision,
    hiding: Hiding,
}

impl BicubicModel {
    /// Hiding from a folder's `hiding-RxC.safetensors`, or else `hiding.safetensors`.
    ///
    /// # Errors
    /// [`Error::Network`] for weights that are missing or cannot be used.
    pub fn open(folder: &Path, grid: Grid, device: Device) -> Result<Self, Error> {
        let serving = serving(folder, Module::Hiding(Some(grid))).map(|(_, path)| path);
        let general = || folder.join(Module::Hiding(None).file_name());
        let file = WeightsFile::open(&serving.unwrap_or_else(general))?;
        let precision = Precision::best(device);
        caught(|| {
            let hiding = Hiding::restored(&file, device, precision)?;
            Ok(Self { grid, device, precision, hiding })
        })
    }

    /// The stego of a cover and N secrets of its size.
    ///
    /// # Errors
    /// [`Error::PictureMultiple`] for a size that the grid and the wavelet do not divide.
    pub fn conceal(&self, cover: &Frame, secrets: &[Frame]) -> Result<Frame, Error> {
        let (width, height) = self.grid.smallest_frame();
        if !cover.width().is_multiple_of(width) || !cover.height().is_multiple_of(height) {
            return Err(Error::PictureMultiple {
                size: (cover.width(), cover.height()),
                step: (width, height),
            });
        }
        caught(|| {
            let tensors: Vec<_> = secrets.iter().map(|s| s.to_tensor(self.device)).collect();
            let mosaic = splice(&bicubic_tiles(&Tensor::cat(&tensors, 0), self.grid), self.grid)
                .clamp(0.0, 1.0);
            let cover = cover.to_tensor(self.device);
            let stego = no_grad(|| {
                self.hiding.quantise(&self.hiding.conceal(&cover, &mosaic, self.precision))
            });
            Ok(Frame::from_tensor(&stego)?.swap_remove(0))
        })
    }

    /// The N secrets in a stego, tiles enlarged to its size.
    ///
    /// # Errors
    /// [`Error::Network`] if libtorch fails.
    pub fn reveal(&self, stego: &Frame) -> Result<Vec<Frame>, Error> {
        let (width, height) = (stego.width() as i64, stego.height() as i64);
        caught(|| {
            let stego = stego.to_tensor(self.device);
            let mosaic = no_grad(|| self.hiding.reveal(&stego, self.precision));
            let secrets = bicubic(&cut(&mosaic, self.grid), height, width);
            Ok(Frame::from_tensor(&secrets)?)
        })
    }
}
