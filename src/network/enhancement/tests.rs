// SPDX-License-Identifier: MPL-2.0
//! The layer through models and their frames.

use std::sync::Arc;

use tch::Device;

use crate::network::{Effort, Frame, Grid, Model, Scrambler};

const SIDE: usize = 96;

/// Waves with some noise, others for each seed.
fn picture(seed: usize) -> Frame {
    let value = |k: usize| {
        let (x, y, channel) = (k / 3 % SIDE, k / 3 / SIDE, k % 3);
        let wave = |place: usize, period: f64| ((place + 7 * seed) as f64 / period).sin();
        let noise = (k * 7919 + seed * 104_729) % 2003 % 31;
        (110.0 + 50.0 * wave(x, 5.0) + 40.0 * wave(y + 9 * channel, 3.0)) as u8 + noise as u8
    };
    Frame::new(SIDE, SIDE, (0..SIDE * SIDE * 3).map(value).collect()).unwrap()
}

fn model(secrets: u32) -> Arc<Model> {
    Model::open(None, Grid::for_secrets(secrets).unwrap(), Device::Cpu).unwrap()
}

fn secrets(model: &Model) -> Vec<Frame> {
    (1..=model.grid().secrets()).map(picture).collect()
}

fn stego(model: &Model, scrambler: Option<&Scrambler>, enhance: bool) -> Frame {
    let effort = Effort { refine: 0, enhance };
    let mosaic = model.mosaic_for(&secrets(model), scrambler, effort).unwrap();
    model.conceal(&picture(0), &mosaic).unwrap()
}

/// The mean PSNR of what is revealed.
fn quality(model: &Model, stego: &Frame, scrambler: Option<&Scrambler>) -> f64 {
    let revealed = model.reveal(stego, scrambler).unwrap();
    let secrets = secrets(model);
    let psnrs = secrets.iter().zip(&revealed).map(|(secret, other)| secret.psnr(other));
    psnrs.sum::<f64>() / secrets.len() as f64
}

/// A stego whose bytes from one to another were changed.
fn changed(stego: &Frame, bytes: std::ops::Range<usize>, change: impl Fn(u8) -> u8) -> Frame {
    let mut pixels = stego.pixels().to_vec();
    pixels[bytes].iter_mut().for_each(|value| *value = change(*value));
    Frame::new(stego.width(), stego.height(), pixels).unwrap()
}

#[test]
fn enhanced_stegos_reveal_more() {
    let scrambler = Scrambler::new(b"sesame").unwrap();
    for secrets in [4, 9] {
        let model = model(secrets);
        for (scrambler, least) in [(None, 1.0), (Some(&scrambler), 0.5)] {
            let [plain, enhanced] = [false, true].map(|enhance| stego(&model, scrambler, enhance));
            let [before, after] =
                [&plain, &enhanced].map(|stego| quality(&model, stego, scrambler));
            assert!(after > before + least, "N = {secrets}: {before} {after}");
            let [before, after] = [&plain, &enhanced].map(|stego| picture(0).psnr(stego));
            assert!(after > before - 1.0, "N = {secrets}: {before} {after}");
        }
    }
}

#[test]
fn without_its_lowest_bits_a_stego_still_reveals_what_the_network_hid() {
    let model = model(4);
    let [plain, enhanced] = [false, true].map(|enhance| stego(&model, None, enhance));
    let cleared = changed(&enhanced, 0..SIDE * SIDE * 3, |value| value & 0xfe);
    let [plain, cleared] = [&plain, &cleared].map(|stego| quality(&model, stego, None));
    assert!(cleared > plain - 4.0, "{plain} {cleared}");
}

#[test]
fn one_changed_bit_costs_one_part_of_its_secrets() {
    let model = model(4);
    let stego = stego(&model, None, true);
    let whole = model.reveal(&stego, None).unwrap();
    // The first carrier holds what the last tiles miss.
    let revealed = model.reveal(&changed(&stego, 40..41, |value| value ^ 1), None).unwrap();
    let lost =
        |u: usize| secrets(&model)[u].psnr(&whole[u]) - secrets(&model)[u].psnr(&revealed[u]);
    assert!(lost(0).abs() < 0.2 && lost(1).abs() < 0.2, "{} {}", lost(0), lost(1));
    assert!(lost(2) > 0.1 && lost(3) > 0.1, "{} {}", lost(2), lost(3));
    // The rows of the part before it, but for what the network makes of the bit.
    let rows = |frame: &Frame| frame.pixels()[..SIDE * 3 * 8].to_vec();
    let pairs = rows(&whole[3]).into_iter().zip(rows(&revealed[3]));
    assert!(pairs.map(|(a, b)| a.abs_diff(b)).max() <= Some(3));
}

#[test]
fn what_no_longer_is_wanted_is_not_found_out() {
    let model = model(4);
    let effort = Effort { refine: 0, enhance: true };
    let mosaic = model.mosaic_for(&secrets(&model), None, effort).unwrap();
    let unwanted = model.conceal_batch(&[(&picture(0), &mosaic)], &|| false).unwrap();
    assert_eq!(unwanted, [stego(&model, None, false)]);
}

#[test]
fn the_smallest_frames_have_no_room_and_are_hidden_all_the_same() {
    for secrets in [4, 6, 8, 9, 16] {
        let model = model(secrets);
        let (width, height) = model.grid().smallest_frame();
        for (width, height) in [(width, height), (width, 8 * height), (17 * width, height)] {
            let frame = |value| Frame::new(width, height, vec![value; width * height * 3]).unwrap();
            let effort = Effort { refine: 0, enhance: true };
            let frames: Vec<_> = (0..secrets).map(|u| frame(10 * u as u8)).collect();
            let mosaic = model.mosaic_for(&frames, None, effort).unwrap();
            let stego = model.conceal(&frame(128), &mosaic).unwrap();
            assert_eq!(model.reveal(&stego, None).unwrap().len(), secrets as usize);
        }
    }
}
