// SPDX-License-Identifier: MPL-2.0
//! What a passphrase keeps, from a photograph of examples/photos through an 8-bit stego.

mod common;

use std::path::Path;

use common::{MODEL, SECRETS};
use gst::prelude::*;
use gstinvmih::network::{Frame, Scrambler};
use gstinvmih::training::metrics::psnr;
use image::RgbImage;

/// A cover and its secrets, photographs at one size.
fn photographs(width: usize, height: usize) -> Vec<Frame> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    (1..=SECRETS + 1)
        .map(|number| {
            let picture = image::open(folder.join(format!("kodim{number:02}.png"))).unwrap();
            Frame::try_from(picture.into_rgb8()).unwrap().stretched(width, height).unwrap()
        })
        .collect()
}

/// Mean PSNR of secrets hidden with one passphrase and revealed with another.
fn mean_psnr(size: (usize, usize), hidden: Option<&str>, revealed: Option<&str>) -> f64 {
    let scrambler = |passphrase: Option<&str>| passphrase.map(|text| Scrambler::new(text).unwrap());
    let frames = photographs(size.0, size.1);
    let (cover, secrets) = frames.split_first().unwrap();
    let mosaic = MODEL.mosaic(secrets, scrambler(hidden).as_ref()).unwrap();
    let stego = MODEL.conceal(cover, &mosaic).unwrap();
    let results = MODEL.reveal(&stego, scrambler(revealed).as_ref()).unwrap();
    let picture = |frame: &Frame| RgbImage::try_from(frame.clone()).unwrap();
    let pairs = secrets.iter().zip(&results);
    pairs.map(|(secret, result)| psnr(&picture(secret), &picture(result))).sum::<f64>()
        / SECRETS as f64
}

#[test]
fn the_right_passphrase_costs_at_most_a_decibel() {
    let size = (192, 128);
    let (open, locked) =
        (mean_psnr(size, None, None), mean_psnr(size, Some("sesame"), Some("sesame")));
    assert!(locked > open - 1.0, "{open} dB without, {locked} dB with a passphrase");
}

#[test]
fn a_wrong_or_missing_passphrase_gives_no_picture() {
    for size in [(192, 128), (127, 95)] {
        for revealed in [None, Some("Sesame")] {
            let psnr = mean_psnr(size, Some("sesame"), revealed);
            assert!(psnr < 12.0, "{size:?} with {revealed:?}: {psnr} dB");
        }
    }
}

#[test]
fn the_property_is_not_readable() {
    common::init();
    for name in ["invmihconceal", "invmihreveal"] {
        let element = gst::ElementFactory::make(name).property("passphrase", "sesame").build();
        let property = element.unwrap().find_property("passphrase").unwrap();
        assert!(!property.flags().contains(gst::glib::ParamFlags::READABLE), "{name}");
    }
}
