// SPDX-License-Identifier: MPL-2.0
//! Models on small frames.

use super::*;
use std::cell::Cell;
use tch::Kind;

#[test]
fn what_the_grid_does_not_divide_stays_the_covers() {
    let model = Model::open(None, Grid::for_secrets(6).unwrap(), Device::Cpu).unwrap();
    let (width, height) = (21, 20);
    let frame = |seed: usize| {
        let value = |k: usize| (k * 7 + seed * 50) as u8;
        Frame::new(width, height, (0..width * height * 3).map(value).collect()).unwrap()
    };
    let (cover, secrets) = (frame(0), (1..=6).map(frame).collect::<Vec<_>>());
    let stego = model.conceal(&cover, &model.mosaic(&secrets, None).unwrap()).unwrap();
    // 3x2 takes multiples of 6 rows and 2 columns: 20x18 pixels are hidden in.
    let pixel = |frame: &Frame, x, y| frame.pixels()[(y * width + x) * 3..][..3].to_vec();
    let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let (outside, inside): (Vec<_>, Vec<_>) = all.partition(|&(x, y)| x >= 20 || y >= 18);
    let same = |&(x, y): &(usize, usize)| pixel(&stego, x, y) == pixel(&cover, x, y);
    assert!(outside.iter().all(same) && !inside.iter().all(same));
    assert_eq!(model.reveal(&stego, None).unwrap()[5].width(), width);
}

#[test]
fn a_batch_hides_as_one_cover_after_the_other() {
    let model = Model::open(None, Grid::for_secrets(4).unwrap(), Device::Cpu).unwrap();
    let (width, height) = (67, 64);
    let frame = |seed: usize| {
        let value = |k: usize| (128.0 + 100.0 * (k as f64 / (60.0 + seed as f64)).sin()) as u8;
        Frame::new(width, height, (0..width * height * 3).map(value).collect()).unwrap()
    };
    let covers: Vec<_> = (0..3).map(frame).collect();
    let mosaics: Vec<_> =
        (0..3).map(|k| model.mosaic(&[4, 5, 6, 7].map(|u| frame(k + u)), None).unwrap()).collect();
    let pairs: Vec<_> = covers.iter().zip(&mosaics).collect();
    let together = model.conceal_batch(&pairs, &|| true).unwrap();
    let alone = pairs.iter().map(|(cover, mosaic)| model.conceal(cover, mosaic).unwrap());
    for (together, alone) in together.iter().zip(alone) {
        let pairs = together.pixels().iter().zip(alone.pixels());
        let levels: Vec<_> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
        let different = levels.iter().filter(|&&level| level > 0).count();
        let largest = levels.iter().max().unwrap();
        assert!(*largest <= 1 && different * 100 <= levels.len(), "{different}, {largest}");
    }
    assert!(model.conceal_batch(&[], &|| true).unwrap().is_empty());
    let small = Frame::new(2, 2, vec![0; 12]).unwrap();
    assert!(
        model.conceal_batch(&[(&covers[0], &mosaics[0]), (&small, &mosaics[0])], &|| true).is_err()
    );
}

#[test]
fn too_few_and_too_many_secrets_are_refused() {
    let model = Model::open(None, Grid::for_secrets(4).unwrap(), Device::Cpu).unwrap();
    let secret = Frame::new(4, 4, vec![0; 48]).unwrap();
    for given in [0, 3, 5] {
        let error = model.mosaic(&vec![secret.clone(); given], None).err().unwrap().to_string();
        assert_eq!(error, format!("{given} secrets given, 4 needed"));
    }
}

#[test]
fn a_failure_of_libtorch_is_an_error() {
    let tensor = |length| Tensor::ones([length], (Kind::Float, Device::Cpu));
    let error = guarded(|| Ok(tensor(2) + tensor(3))).unwrap_err().to_string();
    assert!(error.contains("libtorch failed") && error.contains("size"), "{error}");
}

/// Waves of two periods in pixels, others for each seed.
fn waves(side: usize, [across, down]: [f64; 2], seed: usize) -> Frame {
    let value = |k: usize| {
        let (x, y, channel) = (k / 3 % side, k / 3 / side, k % 3);
        let wave = |place: usize, period: f64| ((place + seed) as f64 / period).sin();
        (128.0 + 50.0 * wave(x, across) + 40.0 * wave(y + 9 * channel, down)) as u8
    };
    Frame::new(side, side, (0..side * side * 3).map(value).collect()).unwrap()
}

/// The shipped weights for four secrets in f32, not shared with other tests.
fn own_model() -> Model {
    let grid = Grid::for_secrets(4).unwrap();
    let paths = WeightsPaths::find(None, grid).unwrap();
    Model::load(&paths, grid, Device::Cpu, Precision::F32).unwrap()
}

#[test]
fn rounding_for_reveal_keeps_more_of_the_mosaic() {
    let mut model = own_model();
    let frame = |seed| waves(64, [11.0, 7.0], seed);
    let (cover, mosaic) =
        (frame(0), model.mosaic(&[1, 2, 3, 4].map(|u| frame(10 * u)), None).unwrap());
    let error = |model: &Model| {
        let stego = model.conceal(&cover, &mosaic).unwrap().to_tensor(Device::Cpu);
        let revealed = tch::no_grad(|| model.hiding.reveal(&stego, Precision::F32));
        (revealed - &mosaic.tensor).square().mean(Kind::Float).double_value(&[])
    };
    let shaped = error(&model);
    model.hiding.shaper = None;
    let nearest = error(&model);
    assert!(shaped < 0.9 * nearest, "{shaped}, to the nearest {nearest}");
}

#[test]
fn a_gpu_takes_small_tiles_together_and_large_ones_alone() {
    assert_eq!(fitting(128 * 128), 32);
    assert_eq!(fitting(960 * 540), 1);
    assert_eq!(fitting(480 * 270), 4);
    assert_eq!(fitting(4096 * 4096), 1);
}

/// Of waves that are hard to hide.
const FINE: [f64; 2] = [3.0, 2.0];

/// The stego's PSNR and the mean of the secrets'.
fn qualities(model: &Model, cover: &Frame, scrambler: Option<&Scrambler>, steps: u32) -> [f64; 2] {
    let secrets = [1, 2, 3, 4].map(|u| waves(66, FINE, 10 * u));
    let mosaic =
        model.mosaic_for(&secrets, scrambler, Effort { refine: steps, enhance: false }).unwrap();
    let stego = model.conceal(cover, &mosaic).unwrap();
    let revealed = model.reveal(&stego, scrambler).unwrap();
    let psnrs = secrets.iter().zip(&revealed).map(|(secret, other)| secret.psnr(other));
    [cover.psnr(&stego), psnrs.sum::<f64>() / 4.0]
}

#[test]
fn refined_stegos_are_nearer_to_their_covers_and_reveal_more() {
    let mut model = own_model();
    let scrambler = Scrambler::new(b"sesame").unwrap();
    let cover = waves(66, FINE, 5);
    let gains = |model: &Model, scrambler: Option<&Scrambler>| {
        let [plain, refined] = [0, 8].map(|steps| qualities(model, &cover, scrambler, steps));
        [refined[0] - plain[0], refined[1] - plain[1]]
    };
    for scrambler in [None, Some(&scrambler)] {
        let gains = gains(&model, scrambler);
        assert!(gains.iter().all(|gain| *gain > 0.2), "{gains:?}");
    }
    model.hiding.shaper = None;
    let gains = gains(&model, None);
    assert!(gains[0] + gains[1] > 0.05, "{gains:?}");
}

/// Hardly anything fits in there, and hiding nothing would be nearest to them.
#[test]
fn refinement_makes_neither_side_worse_in_dark_covers() {
    let model = Model::open(None, Grid::for_secrets(4).unwrap(), Device::Cpu).unwrap();
    for level in [0, 1, 4] {
        let cover = Frame::new(66, 66, vec![level; 66 * 66 * 3]).unwrap();
        let [plain, refined] = [0, 24].map(|steps| qualities(&model, &cover, None, steps));
        let kept = plain.iter().zip(&refined).all(|(plain, refined)| *refined > plain - 0.02);
        assert!(kept, "{level}: {plain:?} {refined:?}");
    }
}

#[test]
fn refinement_that_is_no_longer_wanted_ends() {
    let model = Model::open(None, Grid::for_secrets(4).unwrap(), Device::Cpu).unwrap();
    let secrets = [1, 2, 3, 4].map(|u| waves(32, FINE, 10 * u));
    let cover = waves(32, FINE, 5);
    let conceal = |steps, wanted: &dyn Fn() -> bool| {
        let mosaic =
            model.mosaic_for(&secrets, None, Effort { refine: steps, enhance: false }).unwrap();
        model.conceal_batch(&[(&cover, &mosaic)], wanted).unwrap()
    };
    assert_eq!(conceal(1000, &|| false), conceal(0, &|| true));
    // Each step asks anew.
    let asked = Cell::new(0);
    let stego = conceal(1000, &|| {
        asked.set(asked.get() + 1);
        asked.get() < 4
    });
    assert_eq!(asked.get(), 4);
    assert_ne!(stego, conceal(0, &|| true));
}
