// SPDX-License-Identifier: MPL-2.0
//! The layer through models and their frames.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use tch::Device;

use super::chance::Writer;
use super::choice::write;
use super::contexts::Contexts;
use super::digits::Carrier;
use super::payload::Payload;
use super::place;
use super::ring::ring;
use super::transform::{Frequencies, SIDE, VALUES};
use crate::network::quantisation::to_bytes;
use crate::network::{Effort, Frame, Grid, Model, Scrambler};

/// Not of whole blocks, and more than what is hidden in.
const SIZE: (usize, usize) = (101, 99);
const ENHANCED: Effort = Effort { refine: 0, enhance: true };

/// Waves with some noise, others for each seed.
fn picture(seed: usize) -> Frame {
    let (width, height) = SIZE;
    let value = |k: usize| {
        let (x, y, channel) = (k / 3 % width, k / 3 / width, k % 3);
        let wave = |place: usize, period: f64| ((place + 7 * seed) as f64 / period).sin();
        let noise = (k * 7919 + seed * 104_729) % 2003 % 31;
        (110.0 + 50.0 * wave(x, 5.0) + 40.0 * wave(y + 9 * channel, 3.0)) as u8 + noise as u8
    };
    Frame::new(width, height, (0..width * height * 3).map(value).collect()).unwrap()
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
fn changed(stego: &Frame, bytes: Range<usize>, change: impl Fn(u8) -> u8) -> Frame {
    let mut pixels = stego.pixels().to_vec();
    pixels[bytes].iter_mut().for_each(|value| *value = change(*value));
    Frame::new(stego.width(), stego.height(), pixels).unwrap()
}

#[test]
fn enhanced_stegos_reveal_more() {
    let scrambler = Scrambler::new(b"sesame").unwrap();
    for secrets in [4, 6, 9] {
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

/// Nothing is hidden there by the network, whose pictures repeat their edge.
#[test]
fn enhanced_stegos_reveal_what_lies_beyond_the_hidden_area() {
    let model = model(9);
    let (width, height) = SIZE;
    let beyond = |stego: &Frame| {
        let revealed = model.reveal(stego, None).unwrap();
        let pairs = secrets(&model).into_iter().zip(&revealed);
        let errors = pairs.flat_map(|(secret, other)| {
            let error = |k: usize| f64::from(secret.pixels()[k]) - f64::from(other.pixels()[k]);
            let place = |k: &usize| k / 3 % width >= 96 || k / 3 / width >= 96;
            (0..width * height * 3).filter(place).map(error).collect::<Vec<_>>()
        });
        let errors: Vec<_> = errors.collect();
        errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64
    };
    let [plain, enhanced] = [false, true].map(|enhance| beyond(&stego(&model, None, enhance)));
    assert!(enhanced < plain / 4.0, "{plain} {enhanced}");
}

/// As large an area hides something, but the payload's blocks are those of another size.
#[test]
fn a_stego_that_lost_its_edge_is_revealed_as_without_it() {
    let model = model(4);
    let (width, height) = (SIZE.0 - 1, SIZE.1);
    let cut = |frame: &Frame| {
        let rows = frame.pixels().chunks_exact(SIZE.0 * 3).flat_map(|row| &row[..width * 3]);
        Frame::new(width, height, rows.copied().collect()).unwrap()
    };
    let [plain, enhanced] = [false, true].map(|enhance| {
        let revealed = model.reveal(&cut(&stego(&model, None, enhance)), None).unwrap();
        let pairs = secrets(&model).into_iter().zip(&revealed);
        pairs.map(|(secret, other)| cut(&secret).psnr(other)).sum::<f64>() / 4.0
    });
    assert!(enhanced > plain - 3.0 && enhanced < plain + 1.0, "{plain} {enhanced}");
}

#[test]
fn refined_stegos_are_enhanced_too() {
    let model = model(4);
    let quality = |effort| {
        let mosaic = model.mosaic_for(&secrets(&model), None, effort).unwrap();
        quality(&model, &model.conceal(&picture(0), &mosaic).unwrap(), None)
    };
    let [refined, both] = [false, true].map(|enhance| quality(Effort { refine: 2, enhance }));
    assert!(both > refined + 0.8, "{refined} {both}");
}

#[test]
fn each_cover_of_a_batch_is_enhanced_or_not_for_itself() {
    let model = model(4);
    let mosaics = [Effort::default(), ENHANCED]
        .map(|effort| model.mosaic_for(&secrets(&model), None, effort).unwrap());
    let cover = picture(0);
    let pairs = [(&cover, &mosaics[1]), (&cover, &mosaics[0]), (&cover, &mosaics[1])];
    let stegos = model.conceal_batch(&pairs, &|| true).unwrap();
    let [first, plain, last] = [0, 1, 2].map(|index| quality(&model, &stegos[index], None));
    assert!(first > plain + 0.8 && (first - last).abs() < 0.1, "{first} {plain} {last}");
}

#[test]
fn without_its_lowest_bits_a_stego_still_reveals_what_the_network_hid() {
    let model = model(4);
    let [plain, enhanced] = [false, true].map(|enhance| stego(&model, None, enhance));
    let all = 0..enhanced.pixels().len();
    let cleared = changed(&enhanced, all, |value| value & 0xfe);
    let [plain, enhanced, cleared] =
        [&plain, &enhanced, &cleared].map(|stego| quality(&model, stego, None));
    assert!(cleared < enhanced - 1.0 && cleared > plain - 3.0, "{plain} {enhanced} {cleared}");
}

#[test]
fn one_changed_bit_costs_one_part_of_its_secrets() {
    let model = model(4);
    let stego = stego(&model, None, true);
    let whole = model.reveal(&stego, None).unwrap();
    // In the first carrier's coded levels: it holds what the last tiles miss.
    let revealed = model.reveal(&changed(&stego, 400..401, |value| value ^ 1), None).unwrap();
    let secrets = secrets(&model);
    let lost = |u: usize| secrets[u].psnr(&whole[u]) - secrets[u].psnr(&revealed[u]);
    assert!(lost(0).abs() < 0.2 && lost(1).abs() < 0.2, "{} {}", lost(0), lost(1));
    assert!(lost(2) > 0.1 && lost(3) > 0.1, "{} {}", lost(2), lost(3));
    // The rows of the part before it, but for what the network makes of the bit.
    let rows = |frame: &Frame| frame.pixels()[..SIZE.0 * 3 * 8].to_vec();
    let pairs = rows(&whole[3]).into_iter().zip(rows(&revealed[3]));
    assert!(pairs.map(|(a, b)| a.abs_diff(b)).max() <= Some(3));
}

/// Coded levels of a few tens for all secrets of a part.
fn some_levels(grid: Grid, rows: Range<i64>) -> Vec<u8> {
    let columns = SIZE.0.div_ceil(SIDE);
    let blocks = ((rows.end - rows.start) as usize).div_ceil(SIDE) * columns;
    let value = |k: usize| if k % 2003 == 5 { 40.0 } else { 0.0 };
    let frequencies = Frequencies { columns, values: (0..blocks * VALUES).map(value).collect() };
    let (mut contexts, mut writer) = (Contexts::default(), Writer::new(1000));
    for _ in 0..grid.columns() {
        write(&frequencies, 0, &mut contexts, &mut writer).unwrap();
    }
    writer.into_bytes().unwrap()
}

/// Who knows the format can put anything under a right checksum.
#[test]
fn forged_payloads_are_revealed_without_a_panic() {
    let (width, height) = SIZE;
    for secrets in [4, 6, 8, 9, 16] {
        let model = model(secrets);
        let grid = model.grid();
        let (least_width, least_height) = grid.smallest_frame();
        let size = [(height - height % least_height) as i64, (width - width % least_width) as i64];
        // Numbers without an end, nothing, something, and levels in steps larger than any picture has.
        let payloads = [
            (255, Some(vec![255; 60])),
            (255, Some(vec![])),
            (0, Some((0..60).collect())),
            (255, None),
        ];
        for (step, coded) in payloads {
            let pixels = picture(0).to_tensor(Device::Cpu) * 255.0;
            for link in ring(grid, size[0]) {
                let place = place(grid, [height as i64, width as i64], &link.carrier);
                let carrier = Carrier::new(grid, false, link.carrier, size[1]);
                let steps = vec![step; grid.columns()];
                let coded = coded.clone().unwrap_or_else(|| {
                    some_levels(grid, link.part.pictured(grid, size[0], height as i64))
                });
                let bytes = Payload { steps, coded }.into_bytes(&place, None);
                let start = carrier.rows.start;
                let rows = pixels.narrow(2, start, carrier.rows.end - start);
                let mut rows = rows.narrow(3, 0, size[1]);
                rows.copy_(&to_bytes(&rows, Some(&carrier.digits(&bytes, Device::Cpu))));
            }
            let forged = Frame::from_tensor(&(pixels / 255.0)).unwrap().swap_remove(0);
            let cleared = changed(&forged, 0..width * height * 3, |value| value & 0xfe);
            let [forged, cleared] =
                [forged, cleared].map(|stego| model.reveal(&stego, None).unwrap());
            let psnr = forged[0].psnr(&cleared[0]);
            assert!(coded.is_some() || psnr < 20.0, "N = {secrets}: {psnr}");
        }
    }
}

#[test]
fn what_no_longer_is_wanted_is_not_found_out() {
    let model = model(4);
    let mosaic = model.mosaic_for(&secrets(&model), None, ENHANCED).unwrap();
    let cover = picture(0);
    let made = |wanted: &dyn Fn() -> bool| {
        model.conceal_batch(&[(&cover, &mosaic)], wanted).unwrap().swap_remove(0)
    };
    let [plain, enhanced] = [false, true].map(|enhance| stego(&model, None, enhance));
    assert_eq!(made(&|| false).psnr(&plain), f64::INFINITY);
    // Each carrier asks anew: the upper ones are filled, the lower ones are not.
    let asked = Cell::new(0);
    let partly = made(&|| {
        asked.set(asked.get() + 1);
        asked.get() <= 3
    });
    assert!(asked.get() > 3);
    let upper = |frame: &Frame| frame.pixels()[..SIZE.0 * 3 * 40].to_vec();
    assert!(upper(&partly) == upper(&enhanced) && partly != enhanced);
    let [plain, partly, enhanced] =
        [&plain, &partly, &enhanced].map(|stego| quality(&model, stego, None));
    assert!(plain < partly && partly < enhanced, "{plain} {partly} {enhanced}");
}

#[test]
fn the_smallest_frames_have_no_room_and_are_hidden_as_without_it() {
    for secrets in [4, 6, 8, 9, 16] {
        let model = model(secrets);
        let (width, height) = model.grid().smallest_frame();
        let frame = |value| Frame::new(width, height, vec![value; width * height * 3]).unwrap();
        let frames: Vec<_> = (0..secrets).map(|u| frame(10 * u as u8)).collect();
        let [plain, enhanced] = [Effort::default(), ENHANCED].map(|effort| {
            let mosaic = model.mosaic_for(&frames, None, effort).unwrap();
            model.conceal(&frame(128), &mosaic).unwrap()
        });
        assert_eq!(plain, enhanced);
        assert_eq!(model.reveal(&enhanced, None).unwrap().len(), secrets as usize);
    }
}

/// Few rows or columns, where some carriers or parts are empty.
#[test]
fn narrow_and_low_frames_are_hidden_and_revealed() {
    for secrets in [4, 6, 8, 9, 16] {
        let model = model(secrets);
        let (width, height) = model.grid().smallest_frame();
        for (width, height) in [(width, 8 * height), (40 * width, height), (40 * width, 2 * height)]
        {
            let frame = |value| Frame::new(width, height, vec![value; width * height * 3]).unwrap();
            let frames: Vec<_> = (0..secrets).map(|u| frame(10 * u as u8)).collect();
            let mosaic = model.mosaic_for(&frames, None, ENHANCED).unwrap();
            let stego = model.conceal(&frame(128), &mosaic).unwrap();
            assert_eq!(model.reveal(&stego, None).unwrap().len(), secrets as usize);
        }
    }
}
