// SPDX-License-Identifier: MPL-2.0
//! InvMIHNet with its weights, on frames: conceal and reveal (paper, Fig. 1).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tch::{Device, Tensor};

use super::area::{Area, extended, fitting};
use super::dense::computed_by;
use super::enhancement::{Corrections, Enhancement};
use super::exit::before_exit;
use super::hiding::Hiding;
use super::location::WeightsPaths;
use super::mosaic::{cut, splice};
use super::refinement::{Refinement, Revealing};
use super::rescaling::Rescaling;
use super::weights::{Module, WeightsFile};
use super::{Error, Frame, Grid, Precision, Scrambler, caught};

mod mosaic;
mod shared;

pub use mosaic::{Effort, Mosaic};

/// The network for one grid on one device.
#[derive(Debug)]
pub struct Model {
    grid: Grid,
    device: Device,
    precision: Precision,
    hiding: Hiding,
    rescaling: Rescaling,
    /// What computes its dense blocks.
    computed_by: String,
}

// SAFETY: the weights are never written after `load`, their copies for the crate's own kernels once, under
// a lock; and libtorch's operators may read one tensor from several threads at once.
unsafe impl Sync for Model {}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grid, device, precision, .. } = self;
        write!(
            f,
            "{} secrets in {grid} on {device:?}, convolutions in {precision:?} by {}",
            grid.secrets(),
            self.computed_by
        )
    }
}

impl Model {
    /// The process's model for a grid and a device, loaded if it is not in use yet or its files
    /// have changed since. Weights come from the folder `location`, or else from where
    /// [`WeightsPaths::find`] looks. A model in use is not touched by what happens to its files.
    ///
    /// # Errors
    /// [`Error::WeightsMissing`], [`Error::WeightsIo`], [`Error::WeightsContent`].
    pub fn open(location: Option<&Path>, grid: Grid, device: Device) -> Result<Arc<Self>, Error> {
        Self::open_in(location, grid, device, Precision::best(device))
    }

    /// As [`open`](Self::open), with convolutions in a precision of choice.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        location: Option<&Path>,
        grid: Grid,
        device: Device,
        precision: Precision,
    ) -> Result<Arc<Self>, Error> {
        let paths = WeightsPaths::find(location, grid)?;
        shared::open(paths, device, precision, |paths| {
            let model = guarded(|| Self::load(paths, grid, device, precision))?;
            model.warm_up()?;
            Ok(model)
        })
    }

    fn load(
        paths: &WeightsPaths,
        grid: Grid,
        device: Device,
        precision: Precision,
    ) -> Result<Self, Error> {
        let file = WeightsFile::open(&paths.hiding)?;
        if !matches!(file.header.module, Module::Hiding(tuned) if tuned.is_none_or(|own| own == grid))
        {
            return Err(Error::WeightsContent {
                path: paths.hiding.clone(),
                reason: format!("it holds {}, expected hiding for {grid}", file.header.module),
            });
        }
        let rescaling = WeightsFile::open_as(&paths.rescaling, Module::Rescaling(grid))?;
        Ok(Self {
            grid,
            device,
            precision,
            computed_by: computed_by(device, precision),
            hiding: Hiding::restored(&file, device, precision)?,
            rescaling: rescaling.restored(device, precision, |path| {
                Rescaling::new(path, grid, rescaling.header.blocks, rescaling.header.clamp)
            })?,
        })
    }

    /// Has libtorch set up what it sets up in a first pass.
    fn warm_up(&self) -> Result<(), Error> {
        let (width, height) = self.grid.smallest_frame();
        let black = Frame::new(width, height, vec![0; 3 * width * height])?;
        self.reveal(&black, None).map(drop)
    }

    /// The grid of its secrets.
    #[cfg(test)]
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Floating-point operations of the convolutions of one conceal and of one reveal.
    ///
    /// # Errors
    /// [`Error::FrameSmall`].
    pub fn flops(&self, width: usize, height: usize) -> Result<(f64, f64), Error> {
        let area = self.area(width, height)?;
        // Hiding works on the four bands of the frame, rescaling on N tiles: as many positions as
        // the frame has pixels.
        let operations = |hiding: usize, rescaling: usize| {
            2.0 * (hiding as f64 / 4.0 + rescaling as f64) * area.positions() as f64
        };
        let (hiding, rescaling) = (self.hiding.multiplications(), self.rescaling.multiplications());
        Ok((operations(hiding.0, rescaling.0), operations(hiding.1, rescaling.1)))
    }

    /// Splices N secrets of one size to a mosaic for covers of that size, and scrambles it if a
    /// passphrase is to be needed.
    ///
    /// # Errors
    /// [`Error::SecretCount`], [`Error::FrameSize`], [`Error::FrameSmall`], [`Error::Torch`].
    pub fn mosaic(
        &self,
        secrets: &[Frame],
        scrambler: Option<&Scrambler>,
    ) -> Result<Mosaic, Error> {
        let (given, expected) = (secrets.len(), self.grid.secrets());
        let Some(first) = secrets.first().filter(|_| given == expected) else {
            return Err(Error::SecretCount { given, expected });
        };
        let (width, height) = (first.width(), first.height());
        for secret in secrets {
            check_size("secret", secret.width(), secret.height(), first)?;
        }
        let area = self.area(width, height)?;
        guarded(|| {
            let tiles = secrets.chunks(self.together(area)).map(|some| {
                let some = some.iter().map(|secret| secret.to_tensor(self.device)).collect();
                self.rescaling.downscale(&area.of(&joined(some)), self.precision)
            });
            let mosaic = splice(&Tensor::cat(&tiles.collect::<Vec<_>>(), 0), self.grid);
            let tensor = match scrambler {
                Some(scrambler) => scrambler.like(&mosaic).scramble(&mosaic),
                None => mosaic,
            };
            Ok(Mosaic { tensor, width, height, refinement: None, enhancement: None })
        })
    }

    /// As [`mosaic`](Self::mosaic), for stegos that more is done for.
    ///
    /// # Errors
    /// As [`mosaic`](Self::mosaic).
    pub fn mosaic_for(
        &self,
        secrets: &[Frame],
        scrambler: Option<&Scrambler>,
        effort: Effort,
    ) -> Result<Mosaic, Error> {
        let mut mosaic = self.mosaic(secrets, scrambler)?;
        if effort == Effort::default() {
            return Ok(mosaic);
        }
        let area = self.area(mosaic.width, mosaic.height)?;
        guarded(|| {
            let levels = secrets.iter().map(|secret| secret.levels(self.device));
            let secrets = Tensor::cat(&levels.collect::<Vec<_>>(), 0);
            let scrambling = scrambler.map(|scrambler| scrambler.like(&mosaic.tensor));
            mosaic.enhancement = effort.enhance.then(|| Enhancement {
                secrets: secrets.shallow_clone(),
                scrambling: scrambling.clone().zip(scrambler.map(|own| own.key().clone())),
            });
            let Effort { refine: steps, .. } = effort;
            let secrets = area.of(&secrets);
            mosaic.refinement = (steps > 0).then_some(Refinement { steps, secrets, scrambling });
            Ok(mosaic)
        })
    }

    /// Hides a mosaic in a cover. Rows and columns past the area that the grid and the wavelet
    /// divide stay the cover's.
    ///
    /// # Errors
    /// [`Error::FrameSize`], [`Error::Torch`].
    pub fn conceal(&self, cover: &Frame, mosaic: &Mosaic) -> Result<Frame, Error> {
        let mut stegos = self.conceal_batch(&[(cover, mosaic)], &|| true)?;
        Ok(stegos.swap_remove(0))
    }

    /// Hides a mosaic in each of some covers of one size, in one pass of the network: as many
    /// stegos, in the covers' order. They may differ from those of [`conceal`](Self::conceal) by
    /// the rounding of convolutions that a batch blocks in another way. A stego is no longer refined or
    /// enhanced once `wanted`, asked before each step, says no.
    ///
    /// # Errors
    /// [`Error::FrameSize`], [`Error::FrameSmall`], [`Error::Torch`].
    pub fn conceal_batch(
        &self,
        pairs: &[(&Frame, &Mosaic)],
        wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<Frame>, Error> {
        let Some((first, _)) = pairs.first() else {
            return Ok(vec![]);
        };
        for (cover, mosaic) in pairs {
            check_size("cover", cover.width(), cover.height(), first)?;
            check_size("mosaic", mosaic.width, mosaic.height, first)?;
        }
        let area = self.area(first.width(), first.height())?;
        let together = match self.device {
            // Hiding works on a quarter of the positions.
            Device::Cuda(_) => fitting(area.positions() / 4),
            _ => pairs.len(),
        };
        guarded(|| {
            let mut stegos = Vec::with_capacity(pairs.len());
            for some in pairs.chunks(together) {
                stegos.extend(self.concealed(some, area, wanted)?);
            }
            Ok(stegos)
        })
    }

    /// The stegos of covers that go through hiding at once.
    fn concealed(
        &self,
        pairs: &[(&Frame, &Mosaic)],
        area: Area,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<Frame>, Error> {
        let covers = pairs.iter().map(|(cover, _)| cover.to_tensor(self.device)).collect();
        let mosaics = pairs.iter().map(|(_, mosaic)| mosaic.tensor.shallow_clone()).collect();
        let (stegos, mosaics) = (joined(covers), joined(mosaics));
        let covers = area.of(&stegos);
        let hidden = self.hiding.conceal(&covers, &mosaics, self.precision);
        let network = self.revealing(area);
        for (row, (_, mosaic)) in (0..).zip(pairs) {
            let [mut stego, mut cover] = [&hidden, &covers].map(|all| all.narrow(0, row, 1));
            if let Some(refinement) = &mosaic.refinement {
                stego.copy_(&refinement.refined(&network, &stego, &cover, wanted));
            }
            cover.copy_(&match &mosaic.enhancement {
                Some(enhancement) => enhancement.embedded(&network, &stego, wanted),
                None => self.hiding.quantise(&stego),
            });
        }
        Frame::from_tensor(&stegos)
    }

    /// What reveals stegos of an area.
    fn revealing(&self, area: Area) -> Revealing<'_> {
        let Self { hiding, rescaling, grid, precision, .. } = self;
        let (grid, precision, together) = (*grid, *precision, self.together(area));
        Revealing { hiding, rescaling, grid, precision, together }
    }

    /// The N secrets in a stego, each of its size; what lies beyond the area that the grid and the wavelet divide is
    /// extended from the edge, and enhanced as all else. A passphrase other than that of the conceal gives scrambled pictures.
    ///
    /// # Errors
    /// [`Error::FrameSmall`], [`Error::Torch`].
    pub fn reveal(
        &self,
        stego: &Frame,
        scrambler: Option<&Scrambler>,
    ) -> Result<Vec<Frame>, Error> {
        let area = self.area(stego.width(), stego.height())?;
        guarded(|| {
            let tiles = cut(&self.reveal_mosaic(stego, area, scrambler), self.grid);
            let key = scrambler.map(Scrambler::key);
            let mut corrections =
                Corrections::read(stego, self.grid, area.size(), key, self.device);
            let together = self.together(area);
            let tiles = tiles.split(together as i64, 0).into_iter().enumerate();
            let bytes = tiles.flat_map(|(group, some)| {
                let secrets =
                    extended(&self.rescaling.upscale(&some, self.precision), stego.size());
                Frame::bytes(&corrections.added_to(secrets, group * together))
            });
            // A GPU has all its work before it is waited for.
            Frame::from_bytes(bytes.collect(), self.device)
        })
    }

    /// The mosaic in a stego, of its size: the hiding module alone.
    ///
    /// # Errors
    /// [`Error::FrameSmall`], [`Error::Torch`].
    pub fn preview(&self, stego: &Frame, scrambler: Option<&Scrambler>) -> Result<Frame, Error> {
        let area = self.area(stego.width(), stego.height())?;
        guarded(|| {
            let mosaic = self.reveal_mosaic(stego, area, scrambler);
            Ok(Frame::from_tensor(&extended(&mosaic, stego.size()))?.swap_remove(0))
        })
    }

    fn reveal_mosaic(&self, stego: &Frame, area: Area, scrambler: Option<&Scrambler>) -> Tensor {
        let stego = area.of(&stego.to_tensor(self.device));
        let mosaic = self.hiding.reveal(&stego, self.precision);
        match scrambler {
            Some(scrambler) => scrambler.like(&mosaic).unscramble(&mosaic),
            None => mosaic,
        }
    }

    /// How many secrets go through rescaling at once.
    fn together(&self, area: Area) -> usize {
        match self.device {
            Device::Cuda(_) => fitting(area.positions() / self.grid.secrets()),
            // So that the peak of memory does not grow with N.
            _ => 1,
        }
    }

    fn area(&self, width: usize, height: usize) -> Result<Area, Error> {
        let (min_width, min_height) = self.grid.smallest_frame();
        if width < min_width || height < min_height {
            let grid = self.grid.to_string();
            return Err(Error::FrameSmall { width, height, grid, min_width, min_height });
        }
        Ok(Area::divisible(width, height, self.grid))
    }
}

/// Pictures in one batch; a single one is not copied.
fn joined(mut pictures: Vec<Tensor>) -> Tensor {
    match pictures.len() {
        1 => pictures.remove(0),
        _ => Tensor::cat(&pictures, 0),
    }
}

fn check_size(
    what: &'static str,
    width: usize,
    height: usize,
    expected: &Frame,
) -> Result<(), Error> {
    let (expected_width, expected_height) = (expected.width(), expected.height());
    if (width, height) == (expected_width, expected_height) {
        Ok(())
    } else {
        Err(Error::FrameSize { what, width, height, expected_width, expected_height })
    }
}

/// Runs without gradients, libtorch's failures caught, and not while the process exits.
fn guarded<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    before_exit(|| tch::no_grad(|| caught(run)))
}

#[cfg(test)]
mod tests;
