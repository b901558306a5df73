// SPDX-License-Identifier: MPL-2.0
//! What a passphrase keeps, from photographs of examples/photos through an 8-bit stego.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::SECRETS;
use common::launch::PHOTOS;
use common::pipeline::{both, run_to_end};
use gst::prelude::*;
use gstinvmih::network::{Effort, Frame, Grid, Model, Scrambler, device};
use gstinvmih::training::metrics::psnr;
use image::RgbImage;
use image::imageops::crop_imm;

const RIGHT: &str = "open sesame 4711";
const WRONG: &str = "Open sesame 4711";

/// Set in the process whose log is searched.
const WATCHED: &str = "INVMIH_TEST_WATCHED";

/// A cover and `secrets` secrets, photographs at one size.
fn photographs(secrets: usize, (width, height): (usize, usize)) -> Vec<Frame> {
    let folder = Path::new(PHOTOS);
    (1..=secrets + 1)
        .map(|number| {
            let picture = image::open(folder.join(format!("kodim{number:02}.png"))).unwrap();
            Frame::try_from(picture.into_rgb8()).unwrap().stretched(width, height).unwrap()
        })
        .collect()
}

/// Secrets in a stego.
struct Hidden {
    model: Arc<Model>,
    secrets: Vec<Frame>,
    stego: Frame,
}

impl Hidden {
    fn new(secrets: usize, size: (usize, usize), passphrase: Option<&str>) -> Self {
        let grid = Grid::for_secrets(secrets as u32).unwrap();
        let model = Model::open(None, grid, device::parse("auto").unwrap()).unwrap();
        let mut frames = photographs(secrets, size);
        let secrets = frames.split_off(1);
        let effort = Effort { refine: 0, enhance: true };
        let mosaic = model.mosaic_for(&secrets, scrambler(passphrase).as_ref(), effort).unwrap();
        let stego = model.conceal(&frames[0], &mosaic).unwrap();
        Self { model, secrets, stego }
    }

    /// Each secret and what is revealed of it.
    fn revealed(&self, passphrase: Option<&str>) -> Vec<(RgbImage, RgbImage)> {
        let results = self.model.reveal(&self.stego, scrambler(passphrase).as_ref()).unwrap();
        let picture = |frame: &Frame| RgbImage::try_from(frame.clone()).unwrap();
        self.secrets.iter().map(picture).zip(results.iter().map(picture)).collect()
    }
}

fn scrambler(passphrase: Option<&str>) -> Option<Scrambler> {
    Scrambler::optional(passphrase.map(str::as_bytes)).unwrap()
}

fn mean_psnr(pairs: &[(RgbImage, RgbImage)]) -> f64 {
    pairs.iter().map(|(secret, result)| psnr(secret, result)).sum::<f64>() / pairs.len() as f64
}

#[test]
fn the_right_passphrase_costs_at_most_a_decibel() {
    let mean =
        |passphrase| mean_psnr(&Hidden::new(SECRETS, (192, 128), passphrase).revealed(passphrase));
    let (open, locked) = (mean(None), mean(Some(RIGHT)));
    assert!(locked > open - 1.0, "{open} dB without, {locked} dB with a passphrase");
}

#[test]
fn a_wrong_or_missing_passphrase_gives_no_picture() {
    for (secrets, size) in [(SECRETS, (192, 128)), (SECRETS, (127, 95)), (16, (960, 540))] {
        let hidden = Hidden::new(secrets, size, Some(RIGHT));
        for revealed in [None, Some(WRONG)] {
            let pairs = hidden.revealed(revealed);
            let each: Vec<_> = pairs.iter().map(|(a, b)| psnr(a, b)).collect();
            println!("{secrets} secrets of {size:?} with {revealed:?}: {each:.1?}");
            let mean = mean_psnr(&pairs);
            assert!(mean < 12.0, "{secrets} of {size:?} with {revealed:?}: {each:.1?} dB");
        }
    }
}

/// Of 127x95 the network takes 126x94, of which 14 columns and 14 rows make partial blocks: the
/// last 28 pixels of the secrets that lie at the right and below. They trade places with few others,
/// so that one passphrase alone says little.
#[test]
fn a_wrong_or_missing_passphrase_gives_no_strip_at_the_edges() {
    const STRIP: u32 = 28;
    for revealed in [None, Some(WRONG)] {
        let mut strips = vec![];
        for hidden in ["one", "two", "three"] {
            let pairs = Hidden::new(SECRETS, (127, 95), Some(hidden)).revealed(revealed);
            let (width, height) = pairs[0].0.dimensions();
            let (right, below) = (width - STRIP, height - STRIP);
            for (u, x, y) in [(1, right, 0), (3, right, 0), (2, 0, below), (3, 0, below)] {
                let strip =
                    |whole: &RgbImage| crop_imm(whole, x, y, width - x, height - y).to_image();
                strips.push((strip(&pairs[u].0), strip(&pairs[u].1)));
            }
        }
        let mean = mean_psnr(&strips);
        println!("strips with {revealed:?}: {mean:.2}");
        assert!(mean < 12.0, "with {revealed:?}: {mean} dB");
    }
}

#[test]
fn the_property_is_not_readable() {
    common::init();
    for name in ["invmihconceal", "invmihreveal"] {
        let element = gst::ElementFactory::make(name).property("passphrase", RIGHT).build();
        let property = element.unwrap().find_property("passphrase").unwrap();
        assert!(!property.flags().contains(gst::glib::ParamFlags::READABLE), "{name}");
    }
}

/// Everything that GStreamer logs and posts of both elements while they play and fail.
#[test]
fn the_passphrase_is_in_no_log_and_no_message() {
    if std::env::var_os(WATCHED).is_some() {
        run_watched();
        return;
    }
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("passphrase.log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_passphrase_is_in_no_log_and_no_message", "--nocapture"])
        .env(WATCHED, "yes")
        .env("GST_DEBUG", "*:9")
        .env("GST_DEBUG_FILE", &log)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&printed));
    let log = std::fs::read(log).unwrap();
    let holds = |text: &[u8], part: &str| text.windows(part.len()).any(|w| w == part.as_bytes());
    // What is printed and logged is really that of both elements.
    assert!(holds(&log, "invmihconceal") && holds(&log, "invmihreveal"));
    assert!(holds(&printed, "secrets=5 is not possible"));
    assert!(!holds(&log, RIGHT) && !holds(&printed, RIGHT));
}

fn run_watched() {
    let pipeline = both("num-buffers=3");
    let elements = ["conceal", "reveal"].map(|name| pipeline.by_name(name).unwrap());
    elements.iter().for_each(|element| element.set_property("passphrase", RIGHT));
    run_to_end(&pipeline, gst::ClockTime::from_seconds(120));
    elements.iter().for_each(|element| element.set_property("secrets", 5_u32));
    for element in &elements {
        let bus = common::bus(element);
        assert!(element.set_state(gst::State::Paused).is_err());
        while let Some(message) = bus.pop() {
            println!("{message:?}");
            if let gst::MessageView::Error(error) = message.view() {
                println!("{} {:?}", error.error(), error.debug());
            }
        }
        element.set_state(gst::State::Null).unwrap();
    }
}
