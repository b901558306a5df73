// SPDX-License-Identifier: MPL-2.0
//! Cover and secret quality, measured from the 8-bit PNGs on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use image::imageops::rotate90;

use super::Error;
use super::bicubic::BicubicModel;
use super::damage::Damage;
use super::metrics::{self, Quality};
use super::sheet::Pair;
use crate::network::{Effort, Frame, Grid, Model, Scrambler};
use crate::pictures;

/// Pictures that are measured together: one cover, N secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cover's file.
    pub cover: PathBuf,
    /// The secrets' files, in the grid's order.
    pub secrets: Vec<PathBuf>,
}

/// Every so-manieth picture is a cover, however many secrets it hides, so that stegos of different N
/// are of the same covers.
const COVER_EVERY: usize = 5;

/// Groups of consecutive files, a cover then N secrets. Each but the first begins `COVER_EVERY`
/// files after the one before, which is at most N + 1, so that each file is used; the last ones
/// wrap round to the first files.
///
/// # Errors
/// [`Error::Pictures`] if there are fewer than one group takes.
pub fn groups(files: &[PathBuf], grid: Grid) -> Result<Vec<Group>, Error> {
    let size = grid.secrets() + 1;
    if files.len() < size {
        return Err(Error::Pictures { found: files.len(), needed: size, secrets: grid.secrets() });
    }
    let groups = (0..files.len())
        .step_by(COVER_EVERY)
        .map(|first| {
            let mut members = files.iter().cycle().skip(first).take(size).cloned();
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

    /// How many pictures were measured; without any there is neither mean nor worst.
    pub fn count(&self) -> usize {
        self.rgb.len()
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
    /// Over all groups, for each damage to the saved stego: it against the damaged one, and the secrets
    /// revealed from that.
    pub damaged: Vec<(Damage, SideScores)>,
}

/// Which pictures scores are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Covers and stegos.
    Cover,
    /// Secrets and what was revealed of them.
    Secret,
}

/// Scores of covers and of secrets.
#[derive(Clone, Debug, Default)]
pub struct SideScores {
    /// Each stego against its cover.
    pub cover: Scores,
    /// Each revealed secret against its original.
    pub secret: Scores,
}

impl SideScores {
    /// The scores of one side.
    pub fn of(&self, side: Side) -> &Scores {
        match side {
            Side::Cover => &self.cover,
            Side::Secret => &self.secret,
        }
    }
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
        /// What is done for each stego besides the network's pass.
        effort: Effort,
    },
    /// Bicubic tiles in place of the rescaling module: the ablation of Table 2.
    Bicubic(BicubicModel),
}

impl Network {
    fn conceal(&self, cover: &Frame, secrets: &[Frame]) -> Result<Frame, Error> {
        match self {
            Self::Whole { model, conceal, effort, .. } => {
                let mosaic = model.mosaic_for(secrets, conceal.as_ref(), *effort)?;
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

/// Damages the stego of a group in each way, and adds what that does to it, and how well each of its
/// secrets is revealed from it then. Chance follows the seed.
///
/// # Errors
/// [`Error::Damage`], [`Error::Network`].
pub fn measure_damaged(
    network: &Network,
    stego: &RgbImage,
    secrets: &[Pair],
    seed: u64,
    damaged: &mut [(Damage, SideScores)],
) -> Result<(), Error> {
    for (damage, scores) in damaged {
        let received = damage.befall(stego, seed).map_err(Error::Damage)?;
        scores.cover.add(stego, &received);
        let revealed = network.reveal(&Frame::try_from(received)?)?;
        for (secret, revealed) in secrets.iter().zip(revealed) {
            scores.secret.add(&secret.original, &RgbImage::try_from(revealed)?);
        }
    }
    Ok(())
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

    #[test]
    fn covers_are_the_same_for_every_n() {
        let files: Vec<PathBuf> = (0..18).map(|k| k.to_string().into()).collect();
        let covers = |secrets| {
            let groups = groups(&files, Grid::for_secrets(secrets).unwrap()).unwrap();
            groups.into_iter().map(|group| group.cover).collect::<Vec<_>>()
        };
        let expected: Vec<PathBuf> = ["0", "5", "10", "15"].map(Into::into).into();
        assert_eq!(covers(4), expected);
        assert_eq!(covers(16), expected);
    }

    #[test]
    fn the_mean_and_the_worst_are_over_all_pictures() {
        let grey = |value| RgbImage::from_pixel(16, 16, image::Rgb([value; 3]));
        let mut scores = Scores::default();
        for received in [101, 110, 102] {
            scores.add(&grey(100), &grey(received));
        }
        // 20 lg 255, less 20 lg of the error.
        let psnr = [48.1308, 28.1308, 42.1102];
        assert!((scores.mean_rgb().psnr - psnr.iter().sum::<f64>() / 3.0).abs() < 1e-3);
        assert!((scores.worst_rgb().psnr - psnr[1]).abs() < 1e-3);
        // Y spans 219 of 255 steps.
        assert!((scores.worst_luma().psnr - scores.worst_rgb().psnr - 1.3219).abs() < 1e-3);
        assert!((scores.mean_luma().psnr - scores.mean_rgb().psnr - 1.3219).abs() < 1e-3);
        assert_eq!(scores.count(), 3);
        assert!(scores.worst_rgb().ssim < scores.mean_rgb().ssim);
    }

    #[test]
    fn a_secret_is_turned_as_its_cover_is() {
        let secret = RgbImage::from_fn(2, 4, |x, y| image::Rgb([(x + 10 * y) as u8; 3]));
        let frame = fitted(secret.clone(), &RgbImage::new(4, 2)).unwrap();
        let turned = RgbImage::try_from(frame).unwrap();
        // Clockwise: what was lowest on the left comes first.
        assert_eq!(turned.dimensions(), (4, 2));
        assert_eq!((turned.get_pixel(0, 0)[0], turned.get_pixel(3, 1)[0]), (30, 1));
        let frame = fitted(secret.clone(), &RgbImage::new(2, 4)).unwrap();
        assert_eq!(RgbImage::try_from(frame).unwrap(), secret);
    }
}
