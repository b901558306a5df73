// SPDX-License-Identifier: MPL-2.0
//! A contact sheet of what was measured: cover, stego, their difference; secrets, revealed.

use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};

/// The sheet's width in pixels.
const WIDTH: u32 = 1024;
const GAP: u32 = 8;
/// The most pixels that a picture is high: what is longer is shortened.
const MOST_HEIGHT: u32 = 1024;
/// How many secrets are shown at most.
const MOST_SECRETS: usize = 8;
/// What the difference is multiplied by.
pub const GAIN: u8 = 10;

/// A picture and what came of it, of one size.
pub struct Pair {
    /// Cover or secret.
    pub original: RgbImage,
    /// Stego or revealed.
    pub received: RgbImage,
}

/// Cover, stego and difference side by side; below them the first secrets over what was revealed of
/// them.
pub fn draw(cover: &Pair, secrets: &[Pair]) -> RgbImage {
    let secrets = &secrets[..secrets.len().min(MOST_SECRETS)];
    let difference = difference(&cover.original, &cover.received);
    let rows = [
        vec![&cover.original, &cover.received, &difference],
        secrets.iter().map(|pair| &pair.original).collect(),
        secrets.iter().map(|pair| &pair.received).collect(),
    ];
    let shape = |columns: usize| {
        let width = (WIDTH - GAP) / columns as u32 - GAP;
        let (of, by) = cover.original.dimensions();
        let height = (f64::from(width) * f64::from(by) / f64::from(of)) as u32;
        (width, height.clamp(1, MOST_HEIGHT))
    };
    let height = rows.iter().map(|row| shape(row.len()).1 + GAP).sum::<u32>() + GAP;
    let mut sheet = RgbImage::from_pixel(WIDTH, height, Rgb([255; 3]));
    let mut top = GAP;
    for row in &rows {
        let (width, height) = shape(row.len());
        for (column, picture) in (0..).zip(row) {
            let small = resize(*picture, width, height, FilterType::Lanczos3);
            replace(&mut sheet, &small, (GAP + column * (width + GAP)).into(), top.into());
        }
        top += height + GAP;
    }
    sheet
}

/// What hiding changed, made visible: absolute differences of two pictures of one size, times
/// [`GAIN`].
pub fn difference(before: &RgbImage, after: &RgbImage) -> RgbImage {
    let mut difference = before.clone();
    for (value, after) in difference.iter_mut().zip(after.iter()) {
        *value = value.abs_diff(*after).saturating_mul(GAIN);
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_ten_times_what_changed() {
        let grey = |value| RgbImage::from_pixel(32, 16, Rgb([value; 3]));
        let pair = |original, received| Pair { original: grey(original), received: grey(received) };
        let secrets: Vec<_> = (0..9).map(|k| pair(k, 200 + k)).collect();
        let sheet = draw(&pair(100, 103), &secrets);
        let third = (WIDTH - GAP) / 3;
        assert_eq!(sheet.get_pixel(2 * third + 2 * GAP, 2 * GAP).0, [30; 3]);
        // The last secret shown is the eighth.
        let corner = (WIDTH - 2 * GAP, sheet.height() - 2 * GAP);
        assert_eq!(sheet.get_pixel(corner.0, corner.1).0, [207; 3]);
    }
}
