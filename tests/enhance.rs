// SPDX-License-Identifier: MPL-2.0
//! `enhance`: stegos that carry what reveal would miss.

mod common;

use common::conceal::{Conceal, element, secrets, stego};
use common::{MODEL, buffer, info, picture, read};
use gst::prelude::*;
use gst_video::VideoFormat;
use gstinvmih::network::Frame;

const SIZE: (usize, usize) = (96, 64);

/// The stego of an element that enhances or does not.
fn made(enhance: Option<bool>) -> Frame {
    let element = element();
    if let Some(enhance) = enhance {
        element.set_property("enhance", enhance);
    }
    let info = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::of(element, &info, &info);
    conceal.push_stills(&secrets(SIZE, 10), &info);
    conceal.cover.push(buffer(&picture(SIZE.0, SIZE.1, 1), &info, 0)).unwrap();
    read(&conceal.cover.pull().unwrap(), &info)
}

#[test]
fn stegos_are_enhanced_unless_that_is_turned_off() {
    assert_eq!(made(None), made(Some(true)));
    assert_eq!(made(None), stego(&picture(SIZE.0, SIZE.1, 1), &secrets(SIZE, 10)));
    let quality = |stego: &Frame| {
        let revealed = MODEL.reveal(stego, None).unwrap();
        let originals = secrets(SIZE, 10);
        let psnrs = originals.iter().zip(&revealed).map(|(secret, other)| secret.psnr(other));
        psnrs.sum::<f64>() / originals.len() as f64
    };
    let [plain, enhanced] = [false, true].map(|enhance| quality(&made(Some(enhance))));
    assert!(enhanced > plain + 0.5, "{plain} {enhanced}");
}
