// SPDX-License-Identifier: MPL-2.0
//! Figures of others, to print beside one's own.

/// PSNR in dB and, where it is known, SSIM.
pub type Figure = (f64, Option<f64>);

/// What a system reports for a number of secrets.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its name.
    pub system: &'static str,
    /// The folder of pictures that stands for its data set; none where it names no data set: then
    /// the figure stands beside all three of the paper's.
    pub images: Option<&'static str>,
    /// N.
    pub secrets: u32,
    /// Cover against stego.
    pub cover: Option<Figure>,
    /// Secret against revealed.
    pub secret: Option<Figure>,
}

/// The folders of the paper's data sets: DIV2K, COCO, ImageNet.
const SETS: [&str; 3] = ["div2k_256", "coco_256", "imagenet_256"];

/// The paper.
pub const PAPER: &str = "InvMIHNet";
const ISN: &str = "ISN";
const DEEPMIH: &str = "DeepMIH";

const fn table_1(
    system: &'static str,
    images: &'static str,
    cover: (f64, f64),
    secret: (f64, f64),
) -> Published {
    let (cover, secret) = (Some((cover.0, Some(cover.1))), Some((secret.0, Some(secret.1))));
    Published { system, images: Some(images), secrets: 4, cover, secret }
}

const fn figure_3(
    system: &'static str,
    secrets: u32,
    cover: Option<Figure>,
    secret: f64,
) -> Published {
    Published { system, images: None, secrets, cover, secret: Some((secret, None)) }
}

/// Chen et al., "Invertible Mosaic Image Hiding Network for Very Large Capacity Image
/// Steganography", ICASSP 2024: Table 1 for N = 4 (ISN, CVPR 2021, and DeepMIH, TPAMI 2022, as
/// trained there). For N > 4 the chart in its authors' program, and ISN's recovery.
const PUBLISHED: [Published; 16] = [
    table_1(PAPER, SETS[0], (37.66, 0.945), (33.36, 0.939)),
    table_1(PAPER, SETS[1], (34.98, 0.932), (29.11, 0.875)),
    table_1(PAPER, SETS[2], (36.86, 0.948), (32.90, 0.931)),
    table_1(ISN, SETS[0], (32.90, 0.896), (27.65, 0.815)),
    table_1(ISN, SETS[1], (34.96, 0.946), (26.66, 0.823)),
    table_1(ISN, SETS[2], (32.48, 0.908), (27.93, 0.826)),
    table_1(DEEPMIH, SETS[0], (33.94, 0.904), (33.13, 0.930)),
    table_1(DEEPMIH, SETS[1], (30.93, 0.873), (29.04, 0.861)),
    table_1(DEEPMIH, SETS[2], (34.29, 0.924), (32.40, 0.913)),
    figure_3(PAPER, 6, Some((36.56, None)), 28.68),
    figure_3(PAPER, 8, Some((35.20, None)), 27.81),
    figure_3(PAPER, 9, Some((34.88, None)), 28.92),
    figure_3(PAPER, 16, Some((33.87, None)), 27.74),
    figure_3(ISN, 6, None, 22.61),
    figure_3(ISN, 8, None, 19.37),
    figure_3(ISN, 9, None, 18.62),
];

/// What is published for a folder's name and a number of secrets.
pub fn published(images: &str, secrets: u32) -> impl Iterator<Item = &'static Published> {
    let named = SETS.contains(&images);
    PUBLISHED.iter().filter(move |figures| {
        figures.secrets == secrets && figures.images.map_or(named, |own| own == images)
    })
}

/// The numbers of secrets that `CLASSICAL` has columns for.
pub const CLASSICAL_SECRETS: [u32; 5] = [4, 6, 8, 9, 16];

/// The cover's PSNR in dB, and the secrets' mean for each of [`CLASSICAL_SECRETS`].
type ClassicalPoint = (f64, [f64; 5]);

/// The place of three low bits a sample in a set's points.
const THREE_BITS: usize = 4;

/// A careful user without a network: AVIF (4:4:4, libavif of Pillow 13.0) of each secret, spread
/// over 1, 1.5, 2, 2.5, 3 or 3.5 low bits a sample of the cover, on each folder's own PNGs:
/// `classical_bar.py FOLDER`. The secrets share 3k bits a pixel; each one's PSNR is read off
/// its curve over AVIF's qualities.
const CLASSICAL: [(&str, [ClassicalPoint; 6]); 5] = [
    (
        "div2k_256",
        [
            (51.14, [33.24, 31.31, 30.02, 29.51, 27.08]),
            (46.37, [35.37, 33.24, 31.86, 31.31, 28.78]),
            (44.15, [37.04, 34.72, 33.24, 32.66, 30.02]),
            (40.00, [38.40, 35.97, 34.38, 33.77, 31.02]),
            (37.92, [39.57, 37.04, 35.37, 34.72, 31.86]),
            (33.90, [40.60, 37.97, 36.25, 35.57, 32.59]),
        ],
    ),
    (
        "coco_256",
        [
            (51.14, [29.71, 27.26, 26.32, 25.95, 24.44]),
            (46.37, [32.15, 29.71, 27.87, 27.26, 25.43]),
            (44.15, [33.95, 31.44, 29.71, 28.97, 26.32]),
            (40.00, [35.36, 32.81, 31.05, 30.34, 27.04]),
            (37.92, [36.56, 33.95, 32.15, 31.44, 27.87]),
            (33.90, [37.60, 34.92, 33.11, 32.38, 28.88]),
        ],
    ),
    (
        "imagenet_256",
        [
            (51.14, [30.87, 28.67, 27.63, 27.23, 25.46]),
            (46.37, [33.12, 30.87, 29.27, 28.67, 26.66]),
            (44.15, [34.87, 32.45, 30.87, 30.22, 27.63]),
            (40.00, [36.30, 33.75, 32.09, 31.44, 28.42]),
            (37.92, [37.47, 34.87, 33.12, 32.45, 29.27]),
            (33.90, [38.50, 35.85, 34.05, 33.33, 30.13]),
        ],
    ),
    (
        "kodak",
        [
            (51.14, [34.61, 32.65, 31.39, 30.91, 28.78]),
            (46.37, [36.80, 34.61, 33.20, 32.65, 30.24]),
            (44.15, [38.47, 36.14, 34.61, 34.02, 31.39]),
            (40.00, [39.86, 37.40, 35.79, 35.17, 32.35]),
            (37.92, [41.03, 38.47, 36.80, 36.14, 33.20]),
            (33.90, [42.04, 39.43, 37.68, 37.01, 33.94]),
        ],
    ),
    (
        "photos_1024",
        [
            (51.14, [35.33, 33.52, 32.34, 31.88, 29.81]),
            (46.37, [37.39, 35.33, 34.02, 33.52, 31.25]),
            (44.15, [38.99, 36.76, 35.33, 34.78, 32.34]),
            (40.00, [40.29, 37.97, 36.43, 35.84, 33.25]),
            (37.92, [41.39, 38.99, 37.39, 36.76, 34.02]),
            (33.90, [42.31, 39.87, 38.24, 37.59, 34.71]),
        ],
    ),
];

/// The classical points of a folder's name.
pub fn classical(images: &str) -> Option<&'static [ClassicalPoint; 6]> {
    CLASSICAL.iter().find(|(own, _)| *own == images).map(|(_, points)| points)
}

/// The classical secret PSNR in dB beside a cover of three low bits.
pub fn classical_secret(images: &str, secrets: u32) -> Option<ClassicalSecret> {
    let place = CLASSICAL_SECRETS.iter().position(|&n| n == secrets)?;
    let (cover, values) = &classical(images)?[THREE_BITS];
    Some(ClassicalSecret { cover: *cover, secret: values[place] })
}

/// A classical cover and its secrets, PSNR in dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicalSecret {
    /// Of the cover.
    pub cover: f64,
    /// Mean of the secrets.
    pub secret: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_set_and_number() {
        let systems = |images, secrets| {
            published(images, secrets).map(|figures| figures.system).collect::<Vec<_>>()
        };
        assert_eq!(systems("div2k_256", 4), [PAPER, ISN, DEEPMIH]);
        assert_eq!(systems("coco_256", 16), [PAPER]);
        assert!(systems("kodak", 16).is_empty());
        let classical = classical_secret("div2k_256", 4).unwrap();
        assert_eq!((classical.cover, classical.secret), (37.92, 39.57));
    }
}
