// SPDX-License-Identifier: MPL-2.0
//! PSNR and SSIM of 8-bit pictures.

use image::RgbImage;
use tch::{Kind, Tensor};

use crate::network::decibels;

const PEAK: f64 = 255.0;
/// SSIM's window (Wang et al. 2004): 11×11, Gaussian of σ = 1.5.
pub(super) const WINDOW: i64 = 11;
const SIGMA: f64 = 1.5;

/// Both measures of a pair of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB.
    pub psnr: f64,
    /// Structural similarity, 1 for equal pictures.
    pub ssim: f64,
}

/// Quality over R, G and B.
pub fn rgb(a: &RgbImage, b: &RgbImage) -> Quality {
    quality(&planes(a), &planes(b))
}

/// Quality of luma Y (BT.601, 16 to 235, as super-resolution papers have it).
pub fn luma(a: &RgbImage, b: &RgbImage) -> Quality {
    quality(&luma_plane(a), &luma_plane(b))
}

/// PSNR over R, G and B in dB, of pictures of one size; infinite if they are equal.
pub fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
    planes_psnr(&planes(a), &planes(b))
}

fn quality(a: &Tensor, b: &Tensor) -> Quality {
    Quality { psnr: planes_psnr(a, b), ssim: planes_ssim(a, b) }
}

fn planes_psnr(a: &Tensor, b: &Tensor) -> f64 {
    let error = (a - b).square().mean(Kind::Double).double_value(&[]);
    decibels(error / (PEAK * PEAK))
}

/// Mean over C×1×H×W planes and the places where the whole window fits.
fn planes_ssim(a: &Tensor, b: &Tensor) -> f64 {
    let (c1, c2) = ((0.01 * PEAK).powi(2), (0.03 * PEAK).powi(2));
    let (mean_a, mean_b) = (blur(a), blur(b));
    let variance_a = blur(&a.square()) - mean_a.square();
    let variance_b = blur(&b.square()) - mean_b.square();
    let covariance = blur(&(a * b)) - &mean_a * &mean_b;
    let numerator = (&mean_a * &mean_b * 2.0 + c1) * (covariance * 2.0 + c2);
    let denominator = (mean_a.square() + mean_b.square() + c1) * (variance_a + variance_b + c2);
    (numerator / denominator).mean(Kind::Double).double_value(&[])
}

fn blur(planes: &Tensor) -> Tensor {
    let window: Vec<f64> = (0..WINDOW)
        .map(|i| (-((i - WINDOW / 2) as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp())
        .collect();
    let sum: f64 = window.iter().sum();
    let window = Tensor::from_slice(&window) / sum;
    let horizontal = planes.conv2d(&window.view([1, 1, 1, WINDOW]), None::<&Tensor>, 1, 0, 1, 1);
    horizontal.conv2d(&window.view([1, 1, WINDOW, 1]), None::<&Tensor>, 1, 0, 1, 1)
}

/// 3×1×H×W of f64 in [0, 255].
fn planes(picture: &RgbImage) -> Tensor {
    let (width, height) = picture.dimensions();
    Tensor::from_slice(picture.as_raw())
        .view([height as i64, width as i64, 3])
        .permute([2, 0, 1])
        .unsqueeze(1)
        .to_kind(Kind::Double)
}

fn luma_plane(picture: &RgbImage) -> Tensor {
    let weights = Tensor::from_slice(&[65.481, 128.553, 24.966]).view([3, 1, 1, 1]) / PEAK;
    (planes(picture) * weights).sum_dim_intlist([0i64].as_slice(), true, Kind::Double) + 16.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(seed: u32) -> RgbImage {
        RgbImage::from_fn(24, 16, |x, y| {
            image::Rgb([x * 9 + seed, y * 13, (x * y + seed * 7) % 251].map(|v| (v % 256) as u8))
        })
    }

    #[test]
    fn equal_pictures_are_perfect() {
        let same = rgb(&picture(0), &picture(0));
        assert!(same.psnr.is_infinite() && (same.ssim - 1.0).abs() < 1e-12);
    }

    #[test]
    fn an_error_of_one_everywhere_is_48_db() {
        let brighter = RgbImage::from_pixel(16, 16, image::Rgb([101; 3]));
        let darker = RgbImage::from_pixel(16, 16, image::Rgb([100; 3]));
        assert!((psnr(&brighter, &darker) - 48.1308).abs() < 1e-3);
        // Y spans 219 of 255 steps.
        assert!((luma(&brighter, &darker).psnr - 49.4527).abs() < 1e-3);
    }

    /// 65.481 / 255 of an error of 10 in red alone, and so on.
    #[test]
    fn luma_weighs_the_channels() {
        let black = RgbImage::new(16, 16);
        for (channel, psnr) in [(0, 39.939), (1, 34.080), (2, 48.315)] {
            let mut colour = [0; 3];
            colour[channel] = 10;
            let coloured = RgbImage::from_pixel(16, 16, image::Rgb(colour));
            let luma = luma(&black, &coloured).psnr;
            assert!((luma - psnr).abs() < 1e-2, "{channel}: {luma}");
        }
    }

    /// ```python
    /// def picture(seed):
    ///     y, x = np.mgrid[:16, :24]
    ///     return np.stack((x * 9 + seed, y * 13, (x * y + seed * 7) % 251), -1).astype(np.uint8)
    /// _, s = structural_similarity(picture(0), picture(1), channel_axis=2, data_range=255,
    ///     gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True)
    /// print(s[5:-5, 5:-5].mean())
    /// ```
    #[test]
    fn ssim_agrees_with_scikit_image() {
        let ssim = rgb(&picture(0), &picture(1)).ssim;
        assert!((ssim - 0.9964186628668789).abs() < 1e-9, "{ssim}");
    }
}
