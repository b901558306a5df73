// SPDX-License-Identifier: MPL-2.0
//! Cover and secret quality, measured from the 8-bit PNGs on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use image::imageops::rotate90;

use super::Error;
use super::bicubic::BicubicModel;
use super::metrics::{self, Quality};
use super::sheet::Pair;
use crate::network::{Frame, Grid, Model, Scrambler};
use crate::pictures;

/// Pictures that are measured together: one cover, N secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cover's file.
    pub cover: PathBuf,
    /// The secrets' files, in the grid's order.
    pub secrets: Vec<PathBuf>,
}

/// Cuts a list of files into groups, a cover then N secrets, until each file was used; the last
/// group wraps round to the first files.
///
/// # Errors
/// [`Error::Pictures`] if there are fewer than one group takes.
pub fn groups(files: &[PathBuf], grid: Grid) -> Result<Vec<Group>, Error> {
    let size = grid.secrets() + 1;
    if files.len() < size {
        return Err(Error::Pictures { found: files.len(), needed: size, secrets: grid.secrets() });
    }
    let groups = (0..files.len().div_ceil(size))
        .map(|group| {
            let mut members = files.iter().cycle().skip(group * size).take(size).cloned();
            let cover = members.next().unwrap_or_default();
            Group { cover, secrets: members.collect() }
        })
        .collect();
    Ok(groups)
}

/// Qualities of one kind of picture.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    rgb: Vec<Quality>,
    luma: Vec<Quality>,
}

impl Scores {
    fn add(&mut self, original: &RgbImage, received: &RgbImage) {
        self.rgb.push(metrics::rgb(original, received));
        self.luma.push(metrics::luma(original, received));
    }

    /// Mean over R, G and B.
    pub fn mean_rgb(&self) -> Quality {
        mean(&self.rgb)
    }

    /// Mean of luma.
    pub fn mean_luma(&self) -> Quality {
        mean(&self.luma)
    }

    /// The lowest PSNR and the lowest SSIM over R, G and B.
    pub fn worst_rgb(&self) -> Quality {
        worst(&self.rgb)
    }

    /// The lowest PSNR and the lowest SSIM of luma.
    pub fn worst_luma(&self) -> Quality {
        worst(&self.luma)
    }
}

/// What a folder of pictures scores.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The folder's name.
    pub images: String,
    /// N.
    pub secrets: u32,
    /// Over all groups.
    pub scores: SideScores,
}

/// Scores of covers and of secrets.
#[derive(Clone, Debug, Default)]
pub struct SideScores {
    /// Each stego against its cover.
    pub cover: Scores,
    /// Each revealed secret against its original.
    pub secret: Scores,
}

/// What hides and reveals.
pub enum Network {
    /// The plugin's.
    Whole {
        /// Hiding and rescaling.
        model: Arc<Model>,
        /// What scrambles while hiding, if a passphrase was given.
        conceal: Option<Scrambler>,
        /// What is undone while revealing: the same, or another where a wrong passphrase is measured.
        reveal: Option<Scrambler>,
        /// Gradient steps by which each stego is refined.
        refine: u32,
    },
    /// Bicubic tiles in place of the rescaling module: the ablation of Table 2.
    Bicubic(BicubicModel),
}

impl Network {
    fn conceal(&self, cover: &Frame, secrets: &[Frame]) -> Result<Frame, Error> {
        match self {
            Self::Whole { model, conceal, refine, .. } => {
                let mosaic = model.mosaic_to_refine(secrets, conceal.as_ref(), *refine)?;
                Ok(model.conceal(cover, &mosaic)?)
            }
            Self::Bicubic(model) => model.conceal(cover, secrets),
        }
    }

    fn reveal(&self, stego: &Frame) -> Result<Vec<Frame>, Error> {
        match self {
            Self::Whole { model, reveal, .. } => Ok(model.reveal(stego, reveal.as_ref())?),
            Self::Bicubic(model) => model.reveal(stego),
        }
    }
}

/// Conceals and reveals a group as a user does: the stego is saved to `folder` as stego.png and
/// read back, the revealed secrets as revealed_00.png and on. Secrets of another size than the
/// cover are turned and stretched to it first, as the comparison then is. Returns cover and stego,
/// then each secret and what was revealed of it.
///
/// # Errors
/// [`Error::Picture`], [`Error::Io`], [`Error::Network`], [`Error::PictureMultiple`].
pub fn measure(
    network: &Network,
    group: &Group,
    folder: &Path,
    scores: &mut SideScores,
) -> Result<(Pair, Vec<Pair>), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.into(), source })?;
    let cover = read(&group.cover)?;
    check_size(&group.cover, &cover)?;
    let secrets = group.secrets.iter().map(|file| fitted(read(file)?, &cover));
    let secrets = secrets.collect::<Result<Vec<Frame>, Error>>()?;
    let stego = network.conceal(&Frame::try_from(cover.clone())?, &secrets)?;
    let stego = saved(stego, &folder.join("stego.png"))?;
    scores.cover.add(&cover, &stego);
    let revealed = network.reveal(&Frame::try_from(stego.clone())?)?;
    let mut pairs = Vec::with_capacity(secrets.len());
    for (u, (secret, revealed)) in secrets.into_iter().zip(revealed).enumerate() {
        let received = saved(revealed, &folder.join(format!("revealed_{u:02}.png")))?;
        let original = RgbImage::try_from(secret)?;
        scores.secret.add(&original, &received);
        pairs.push(Pair { original, received });
    }
    Ok((Pair { original: cover, received: stego }, pairs))
}

/// SSIM needs its whole window.
fn check_size(file: &Path, picture: &RgbImage) -> Result<(), Error> {
    let (width, height) = picture.dimensions();
    let smallest = metrics::WINDOW as u32;
    if width.min(height) < smallest {
        return Err(Error::PictureSmall { path: file.into(), width, height, smallest });
    }
    Ok(())
}

/// A secret at the cover's size, turned first if one is upright and the other is not.
fn fitted(secret: RgbImage, cover: &RgbImage) -> Result<Frame, Error> {
    let upright = |picture: &RgbImage| picture.height() > picture.width();
    let secret = if upright(&secret) == upright(cover) { secret } else { rotate90(&secret) };
    let frame = Frame::try_from(secret)?;
    Ok(frame.stretched(cover.width() as usize, cover.height() as usize)?)
}

fn read(file: &Path) -> Result<RgbImage, Error> {
    let failed = |source| Error::Picture { path: file.into(), source };
    pictures::open(file).map_err(failed)
}

/// The frame as the file holds it.
fn saved(frame: Frame, file: &Path) -> Result<RgbImage, Error> {
    let failed = |source| Error::Picture { path: file.into(), source };
    RgbImage::try_from(frame)?.save(file).map_err(failed)?;
    read(file)
}

fn mean(qualities: &[Quality]) -> Quality {
    let mean = |value: fn(&Quality) -> f64| {
        qualities.iter().map(value).sum::<f64>() / qualities.len() as f64
    };
    Quality { psnr: mean(|q| q.psnr), ssim: mean(|q| q.ssim) }
}

fn worst(qualities: &[Quality]) -> Quality {
    let lowest =
        |value: fn(&Quality) -> f64| qualities.iter().map(value).fold(f64::INFINITY, f64::min);
    Quality { psnr: lowest(|q| q.psnr), ssim: lowest(|q| q.ssim) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_use_every_file_and_wrap_round() {
        let files: Vec<PathBuf> = (0..7).map(|k| k.to_string().into()).collect();
        let grid = Grid::for_secrets(4).unwrap();
        assert!(groups(&files[..4], grid).unwrap_err().to_string().contains("4 pictures"));
        let groups = groups(&files, grid).unwrap();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].cover, files[0]);
        assert_eq!(groups[0].secrets, files[1..5]);
        assert_eq!(groups[1].cover, files[5]);
        let wrapped = [&files[6..], &files[..3]].concat();
        assert_eq!(groups[1].secrets, wrapped);
    }
}
