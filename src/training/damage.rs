// SPDX-License-Identifier: MPL-2.0
//! What can befall a stego on its way, to measure what is left of its secrets.

use std::fmt;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageResult, RgbImage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Something that changes a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// One bit of one sample turned over.
    Bit,
    /// A share of the samples, from 0 to 1, one level higher or lower where there is room.
    OffByOne(f64),
    /// The lowest bit of every sample cleared.
    LowestBits,
    /// Every sample so many levels higher, up to 255.
    Lighter(u8),
    /// A share of the rows, from 0 to 1, painted black from below, as a caption does.
    Painted(f64),
    /// Through 8-bit Y'CbCr of BT.709 in video's range and back, with colours at full resolution.
    Video,
    /// Through a JPEG of this quality with colours at full resolution.
    Jpeg(u8),
}

impl Damage {
    /// From hardly any to too much.
    pub const ALL: [Self; 11] = [
        Self::Bit,
        Self::OffByOne(0.01),
        Self::OffByOne(0.1),
        Self::OffByOne(1.0),
        Self::LowestBits,
        Self::Lighter(2),
        Self::Painted(0.1),
        Self::Video,
        Self::Jpeg(100),
        Self::Jpeg(98),
        Self::Jpeg(95),
    ];

    /// The picture after it; what is left to chance depends on the seed alone.
    ///
    /// # Errors
    /// What the encoder or decoder says.
    pub fn befall(self, picture: &RgbImage, seed: u64) -> ImageResult<RgbImage> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut damaged = picture.clone();
        let samples: &mut [u8] = &mut damaged;
        match self {
            Self::Bit => {
                let place = rng.random_range(0..samples.len());
                samples[place] ^= 1 << rng.random_range(0..8);
            }
            Self::OffByOne(share) => samples.iter_mut().for_each(|sample| {
                if rng.random_bool(share) {
                    let up = rng.random();
                    *sample = if up { sample.saturating_add(1) } else { sample.saturating_sub(1) };
                }
            }),
            Self::LowestBits => samples.iter_mut().for_each(|sample| *sample &= !1),
            Self::Lighter(levels) => {
                samples.iter_mut().for_each(|sample| *sample = sample.saturating_add(levels));
            }
            Self::Painted(share) => {
                let clear = (f64::from(picture.height()) * (1.0 - share)).round() as usize;
                samples[clear * 3 * picture.width() as usize..].fill(0);
            }
            Self::Video => damaged.pixels_mut().for_each(|pixel| pixel.0 = through_video(pixel.0)),
            Self::Jpeg(quality) => return through_jpeg(picture, quality),
        }
        Ok(damaged)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bit => write!(f, "one bit turned over"),
            Self::OffByOne(share) => write!(f, "{:.0} % of the samples off by one", share * 100.0),
            Self::LowestBits => write!(f, "lowest bits cleared"),
            Self::Lighter(levels) => write!(f, "{levels} levels lighter"),
            Self::Painted(share) => write!(f, "{:.0} % painted over", share * 100.0),
            Self::Video => write!(f, "8-bit YUV 4:4:4"),
            Self::Jpeg(quality) => write!(f, "JPEG 4:4:4, quality {quality}"),
        }
    }
}

/// R'G'B' to Y'CbCr (BT.709: 219 levels of Y', 224 of Cb and of Cr), rounded, and back.
fn through_video(rgb: [u8; 3]) -> [u8; 3] {
    const RED: f64 = 0.2126;
    const BLUE: f64 = 0.0722;
    let rounded = |value: f64, levels: f64| (value * levels).round() / levels;
    let [r, g, b] = rgb.map(|level| f64::from(level) / 255.0);
    let y = RED * r + (1.0 - RED - BLUE) * g + BLUE * b;
    let luma = rounded(y, 219.0);
    let blue = rounded((b - y) / (2.0 - 2.0 * BLUE), 224.0);
    let red = rounded((r - y) / (2.0 - 2.0 * RED), 224.0);
    let r = luma + red * (2.0 - 2.0 * RED);
    let b = luma + blue * (2.0 - 2.0 * BLUE);
    let g = (luma - RED * r - BLUE * b) / (1.0 - RED - BLUE);
    [r, g, b].map(|level| (level * 255.0).round() as u8)
}

fn through_jpeg(picture: &RgbImage, quality: u8) -> ImageResult<RgbImage> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?;
    Ok(image::load_from_memory(&bytes)?.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 20, |x, y| image::Rgb([(6 * x) as u8, (12 * y) as u8, 255 - y as u8]))
    }

    /// How many samples differ, and by how much at most.
    fn differences(damage: Damage) -> (usize, u8) {
        let (before, after) = (picture(), damage.befall(&picture(), 7).unwrap());
        let differences = before.iter().zip(after.iter()).map(|(a, b)| a.abs_diff(*b));
        let differences: Vec<_> = differences.filter(|&difference| difference > 0).collect();
        (differences.len(), differences.into_iter().max().unwrap_or_default())
    }

    #[test]
    fn each_damage_changes_as_much_as_it_says() {
        let (count, by) = differences(Damage::Bit);
        assert!(count == 1 && by.is_power_of_two(), "{count} by {by}");
        let (count, by) = differences(Damage::OffByOne(0.1));
        assert!((150..330).contains(&count) && by == 1, "{count} of 2400 by {by}");
        let odd = picture().iter().filter(|&level| level % 2 == 1).count();
        assert_eq!(differences(Damage::LowestBits), (odd, 1));
        let (_, by) = differences(Damage::Lighter(2));
        assert_eq!(by, 2);
        // Two rows of twenty, where red is black in the first column as it is.
        assert_eq!(differences(Damage::Painted(0.1)), (2 * (3 * 40 - 1), 237));
    }

    #[test]
    fn video_keeps_greys_and_moves_colours_little() {
        let black_and_white = [[0; 3], [255; 3]];
        assert_eq!(black_and_white.map(through_video), black_and_white);
        let (count, by) = differences(Damage::Video);
        assert!(count > 800 && by <= 3, "{count} by {by}");
    }

    #[test]
    fn jpeg_changes_more_the_lower_its_quality() {
        let [best, good] = [100, 95].map(|quality| differences(Damage::Jpeg(quality)).1);
        assert!(best >= 1 && best < good, "{best} and {good}");
    }

    #[test]
    fn chance_follows_the_seed() {
        let damaged = |seed| Damage::OffByOne(0.5).befall(&picture(), seed).unwrap();
        assert_eq!(damaged(1), damaged(1));
        assert_ne!(damaged(1), damaged(2));
    }
}
