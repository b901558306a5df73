// SPDX-License-Identifier: MPL-2.0
//! Photographs in memory, and random patches of them.

use std::f64::consts::PI;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rand::{Rng, RngExt};
use tch::{Device, Kind, Tensor};

use super::{Error, distinct};
use crate::network::caught;
use crate::pictures;

/// Patches are taken at a random scale in here, where the photograph is large enough: it adds scales,
/// hides the grid and the losses of the photograph's own compression, and makes patches as rich in
/// detail as small pictures are.
const SCALES: RangeInclusive<f64> = 0.3..=0.6;

/// How much of a patch's finest detail is added to it at most, of the grey that its channels share and of
/// their colours: pictures that were made small have more of it than photographs, of colours above all.
const GREY_DETAIL: f64 = 0.4;
const COLOUR_DETAIL: f64 = 1.2;

/// One photograph in so many is held out for validation,
const HELD_OUT_OF: usize = 20;
/// no fewer than a cover and four secrets take, and no more than with sixteen: a second cover shares secrets.
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
    pub fn middles(&self, places: impl Iterator<Item = usize>, size: i64) -> Tensor {
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
        let scale: f64 = rng.random_range(SCALES);
        let side = ((size as f64 / scale).round() as i64).min(height).min(width);
        let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
        let crop = picture.narrow(1, top, side).narrow(2, left, side);
        let filter = lanczos(side, size).to_device(crop.device());
        let patch = crop.to_kind(Kind::Float) / 255.0;
        let patch = filter.matmul(&patch).matmul(&filter.tr());
        let grey = rng.random_range(0.0..GREY_DETAIL);
        let colour = rng.random_range(0.0..COLOUR_DETAIL);
        let mut patch = sharpened(&patch, grey, colour).clamp(0.0, 1.0);
        if rng.random() {
            patch = patch.flip([2]);
        }
        patch.rot90(rng.random_range(0..4), [1, 2])
    }
}

/// A 3×H×W with so much of what a blur over 3×3 takes from it added, of grey and of colours.
fn sharpened(patch: &Tensor, grey: f64, colour: f64) -> Tensor {
    let blur = Tensor::from_slice(&[0.25f32, 0.5, 0.25]).to_device(patch.device());
    let blur = (blur.view([3, 1]) * &blur).view([1, 1, 3, 3]);
    let padded = patch.unsqueeze(1).replication_pad2d([1, 1, 1, 1]);
    let blurred = padded.conv2d(&blur, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1).squeeze_dim(1);
    let detail = patch - blurred;
    let shared = detail.mean_dim(0, true, Kind::Float);
    patch + detail * colour + shared * (grey - colour)
}

/// The Lanczos filter of three lobes that makes `from` pixels into as many or fewer, to×from. It keeps
/// more detail than the bicubic one, as the programs that make photographs smaller do. Made here and not
/// by operators of tensors: a GPU would be slower to start them than to do them.
fn lanczos(from: i64, to: i64) -> Tensor {
    const LOBES: f64 = 3.0;
    let scale = from as f64 / to as f64;
    let mut filter = vec![0.0; (from * to) as usize];
    for (row, weights) in filter.chunks_exact_mut(from as usize).enumerate() {
        let middle = (row as f64 + 0.5) * scale;
        let first = (middle - LOBES * scale).max(0.0) as usize;
        let last = ((middle + LOBES * scale) as usize).min(weights.len() - 1);
        for (place, weight) in weights[first..=last].iter_mut().enumerate() {
            let away = ((first + place) as f64 + 0.5 - middle) / scale;
            let inside = away.abs() < LOBES;
            *weight = if inside { sinc(away) * sinc(away / LOBES) } else { 0.0 } as f32;
        }
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    Tensor::from_slice(&filter).view([to, from])
}

/// sin(πx) / πx.
fn sinc(x: f64) -> f64 {
    let turn = PI * x;
    if turn == 0.0 { 1.0 } else { turn.sin() / turn }
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

    /// A flat picture stays flat, and detail that the smaller one can hold stays.
    #[test]
    fn lanczos_keeps_what_fits() {
        let filter = lanczos(90, 36);
        assert_eq!(filter.size(), [36, 90]);
        let wave = |count: i64| {
            let places = (Tensor::arange(count, (Kind::Float, Device::Cpu)) + 0.5) / count as f64;
            (places * (20.0 * std::f64::consts::PI)).cos()
        };
        let error = filter.matmul(&wave(90).unsqueeze(1)).squeeze_dim(1) - wave(36);
        let error = error.narrow(0, 3, 30).abs().max().double_value(&[]);
        assert!(error < 0.1, "{error}");
        let flat = filter.matmul(&Tensor::ones([90, 1], (Kind::Float, Device::Cpu)));
        assert!((flat - 1.0).abs().max().double_value(&[]) < 1e-5);
    }

    /// An edge between black and a colour gets steeper by what was asked for; flat pictures stay.
    #[test]
    fn sharpening_raises_grey_and_colours_apart() {
        let edge = |colours: [f32; 3]| {
            let levels = Tensor::from_slice(&colours).view([3, 1, 1]);
            let side = Tensor::from_slice(&[0f32, 0.0, 1.0, 1.0]).view([1, 1, 4]);
            levels * side.expand([1, 4, 4], false)
        };
        let value = |picture: &Tensor, channel: i64| picture.double_value(&[channel, 1, 2]);
        // The blur takes a quarter of the step from the side that it is on.
        let grey = sharpened(&edge([0.4; 3]), 0.5, 9.0);
        assert!((value(&grey, 0) - (0.4 + 0.5 * 0.1)).abs() < 1e-6);
        let colour = sharpened(&edge([0.4, 0.0, -0.4]), 9.0, 0.5);
        assert!((value(&colour, 0) - (0.4 + 0.5 * 0.1)).abs() < 1e-6);
        assert!((value(&colour, 2) + (0.4 + 0.5 * 0.1)).abs() < 1e-6);
        let flat = Tensor::full([3, 4, 4], 0.3, (Kind::Float, Device::Cpu));
        assert!((sharpened(&flat, 0.4, 1.2) - flat).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn patches_are_as_bright_as_their_photographs() {
        let photographs = photographs(3);
        let patches = photographs.patches(20, 2, &mut rand::rng()) * 255.0;
        assert_eq!(patches.size(), [20, 3, 2, 2]);
        let (round, seen) = (patches.round(), patches.amax([1i64, 2, 3].as_slice(), false));
        assert!((&round - &patches).abs().max().double_value(&[]) < 1e-3);
        assert_eq!(seen.round().max().double_value(&[]), 2.0);
    }

    #[test]
    fn middles_go_round() {
        let middles = photographs(3).middles(2..5, 2);
        assert_eq!(middles.size(), [3, 3, 2, 2]);
        let first = |place| (middles.double_value(&[place, 0, 0, 0]) * 255.0).round();
        assert_eq!([first(0), first(1), first(2)], [2.0, 0.0, 1.0]);
    }
}
