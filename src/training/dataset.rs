// SPDX-License-Identifier: MPL-2.0
//! Photographs in memory, and random patches of them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rand::{Rng, RngExt};
use tch::{Device, Kind, Tensor};

use super::{Error, distinct};
use crate::network::caught;
use crate::pictures;

/// Patches are taken at a random scale from here to 1, where the photograph is large enough: it
/// adds scales and hides the grid of the photograph's own compression.
const SMALLEST_SCALE: f64 = 0.6;

/// One photograph in so many is held out for validation,
const HELD_OUT_OF: usize = 20;
/// no fewer than a cover and four secrets take, and no more than with sixteen.
const LEAST_HELD_OUT: usize = 5;
const MOST_HELD_OUT: usize = 17;

/// Photographs of at least a patch's size, decoded once and kept as bytes on the device.
pub struct Photographs {
    /// 3×H×W, u8.
    pictures: Vec<Tensor>,
    /// Files that could not be used, with the reason.
    pub skipped: Vec<(PathBuf, String)>,
}

impl Photographs {
    /// Decodes every PNG and JPEG of the folders. Grey, 16-bit and transparent pictures become
    /// 8-bit RGB; unreadable ones and those smaller than `patch` in a side are skipped.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read, [`Error::Photographs`] if none
    /// can be used, [`Error::Network`] if they do not fit into the device's memory.
    pub fn load(
        folders: &[PathBuf],
        patch: i64,
        device: Device,
        progress: &ProgressBar,
    ) -> Result<Self, Error> {
        caught(|| Self::decoded(folders, patch, device, progress))
    }

    fn decoded(
        folders: &[PathBuf],
        patch: i64,
        device: Device,
        progress: &ProgressBar,
    ) -> Result<Self, Error> {
        let mut files = Vec::new();
        for folder in distinct(folders) {
            files.extend(picture_files(folder)?);
        }
        progress.set_length(files.len() as u64);
        let (mut pictures, mut skipped) = (Vec::new(), Vec::new());
        for file in files {
            match decode(&file, patch as u32) {
                Ok(picture) => pictures.push(picture.to_device(device)),
                Err(reason) => skipped.push((file, reason)),
            }
            progress.inc(1);
        }
        if pictures.is_empty() {
            let folders = folders.iter().map(|f| format!("'{}'", f.display())).collect::<Vec<_>>();
            return Err(Error::Photographs {
                folders: folders.join(", "),
                hint: skipped.first().map_or(String::new(), |(file, reason)| {
                    format!(
                        " ({} skipped, the first '{}': {reason})",
                        skipped.len(),
                        file.display()
                    )
                }),
            });
        }
        Ok(Self { pictures, skipped })
    }

    /// Takes some photographs out, evenly spread and always the same: what is left is to be trained
    /// on, they are to be measured on. Fewer than 100 photographs are too few to spare some: then
    /// it is measured on the same that is trained on.
    pub fn held_out(&mut self) -> Self {
        let count = (self.pictures.len() / HELD_OUT_OF).min(MOST_HELD_OUT);
        let shared = self.pictures.iter().map(Tensor::shallow_clone);
        if count < LEAST_HELD_OUT {
            return Self { pictures: shared.collect(), skipped: Vec::new() };
        }
        // From the last, so that the places of those before stay as they are.
        let places = (0..count).rev().map(|k| k * self.pictures.len() / count).collect::<Vec<_>>();
        let pictures = places.into_iter().map(|place| self.pictures.remove(place)).collect();
        Self { pictures, skipped: Vec::new() }
    }

    /// The middles of some photographs, counted round again past the last: as many ×3×size×size of
    /// f32 in [0, 1].
    pub fn middles(&self, places: Range<usize>, size: i64) -> Tensor {
        let middle = |place: usize| {
            let picture = &self.pictures[place % self.pictures.len()];
            let (height, width) = (picture.size()[1], picture.size()[2]);
            picture.narrow(1, (height - size) / 2, size).narrow(2, (width - size) / 2, size)
        };
        Tensor::stack(&places.map(middle).collect::<Vec<_>>(), 0).to_kind(Kind::Float) / 255.0
    }

    /// How many photographs there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// `count` random patches, count×3×size×size of f32 in [0, 1], each at a random scale, flipped
    /// and turned at random.
    pub fn patches(&self, count: usize, size: i64, rng: &mut impl Rng) -> Tensor {
        let patches: Vec<_> = (0..count).map(|_| self.patch(size, rng)).collect();
        Tensor::stack(&patches, 0)
    }

    fn patch(&self, size: i64, rng: &mut impl Rng) -> Tensor {
        let picture = &self.pictures[rng.random_range(0..self.pictures.len())];
        let (height, width) = (picture.size()[1], picture.size()[2]);
        let scale: f64 = rng.random_range(SMALLEST_SCALE..=1.0);
        let side = ((size as f64 / scale).round() as i64).min(height).min(width);
        let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
        let crop = picture.narrow(1, top, side).narrow(2, left, side);
        let mut patch = crop.unsqueeze(0).to_kind(Kind::Float) / 255.0;
        if side != size {
            patch = bicubic(&patch, size, size).clamp(0.0, 1.0);
        }
        if rng.random() {
            patch = patch.flip([3]);
        }
        patch.rot90(rng.random_range(0..4), [2, 3]).squeeze_dim(0)
    }
}

/// N×3×H×W resized with the antialiased bicubic filter (Eq. 3's reference for the tiles).
pub fn bicubic(pictures: &Tensor, height: i64, width: i64) -> Tensor {
    pictures.internal_upsample_bicubic2d_aa([height, width], false, None, None)
}

/// The PNG and JPEG files of a folder, in byte order of their names.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read.
pub fn picture_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    pictures::files(folder).map_err(|source| Error::Io { path: folder.into(), source })
}

/// A picture as 3×H×W of u8, or why it cannot be used.
fn decode(file: &Path, patch: u32) -> Result<Tensor, String> {
    let picture = pictures::open(file).map_err(|error| error.to_string())?;
    let (width, height) = picture.dimensions();
    if width.min(height) < patch {
        return Err(format!("{width}x{height} is smaller than a patch of {patch}"));
    }
    let pixels = Tensor::from_slice(picture.as_raw()).view([height as i64, width as i64, 3]);
    Ok(pixels.permute([2, 0, 1]).contiguous())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Photographs of 6×4 that are told apart by their brightness.
    fn photographs(count: i64) -> Photographs {
        let grey = |k| Tensor::full([3, 4, 6], k, (Kind::Uint8, Device::Cpu));
        Photographs { pictures: (0..count).map(grey).collect(), skipped: Vec::new() }
    }

    fn brightness(photographs: &Photographs) -> Vec<i64> {
        photographs.pictures.iter().map(|picture| picture.int64_value(&[0, 0, 0])).collect()
    }

    #[test]
    fn what_is_held_out_is_not_trained_on() {
        let mut rest = photographs(120);
        let held_out = brightness(&rest.held_out());
        assert_eq!(held_out, [100, 80, 60, 40, 20, 0]);
        let rest = brightness(&rest);
        assert_eq!(rest.len(), 114);
        assert!(held_out.iter().all(|picture| !rest.contains(picture)));
        let mut few = photographs(99);
        assert_eq!((few.held_out().len(), few.len()), (99, 99));
        assert_eq!(photographs(240).held_out().len(), 12);
        assert_eq!(photographs(255).held_out().len(), 12);
    }

    #[test]
    fn middles_go_round() {
        let middles = photographs(3).middles(2..5, 2);
        assert_eq!(middles.size(), [3, 3, 2, 2]);
        let first = |place| (middles.double_value(&[place, 0, 0, 0]) * 255.0).round();
        assert_eq!([first(0), first(1), first(2)], [2.0, 0.0, 1.0]);
    }
}
