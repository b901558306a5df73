// SPDX-License-Identifier: MPL-2.0
//! `refine`: stegos fitted to their covers and secrets.

mod common;

use std::time::{Duration, Instant};

use common::conceal::{Conceal, element, secrets};
use common::{MODEL, buffer, info, picture, read};
use gst::prelude::*;
use gst_base::prelude::AggregatorPadExt;
use gst_video::VideoFormat;

/// An element that takes so many gradient steps and does nothing else, with its secrets and a cover.
fn refining((width, height): (usize, usize), steps: u32) -> Conceal {
    let element = element();
    element.set_property("refine", steps);
    element.set_property("enhance", false);
    let info = info(VideoFormat::Rgb, width, height, 25);
    let mut conceal = Conceal::of(element, &info, &info);
    conceal.push_stills(&secrets((width, height), 10), &info);
    conceal.cover.push(buffer(&picture(width, height, 1), &info, 0)).unwrap();
    conceal
}

#[test]
fn a_refined_stego_is_nearer_to_its_cover_and_reveals_more() {
    let size @ (width, height) = (64, 48);
    let format = info(VideoFormat::Rgb, width, height, 25);
    let quality = |steps| {
        let stego = read(&refining(size, steps).cover.pull().unwrap(), &format);
        let revealed = MODEL.reveal(&stego, None).unwrap();
        let originals = secrets(size, 10);
        let psnrs = originals.iter().zip(&revealed).map(|(secret, other)| secret.psnr(other));
        picture(width, height, 1).psnr(&stego) + psnrs.sum::<f64>() / originals.len() as f64
    };
    let (plain, refined) = (quality(0), quality(8));
    assert!(refined > plain + 0.3, "{plain} {refined}");
}

/// An element that would refine its first cover for half an hour, and has begun with it.
fn busy() -> Conceal {
    let conceal = refining((256, 256), 1000);
    let pad = conceal.element.static_pad("sink").unwrap();
    while pad.downcast_ref::<gst_base::AggregatorPad>().unwrap().has_buffer() {
        std::thread::sleep(Duration::from_millis(10));
    }
    conceal
}

#[test]
fn a_flush_of_the_cover_ends_refinement() {
    let mut conceal = busy();
    assert!(conceal.cover.push_event(gst::event::FlushStart::new()));
    assert!(conceal.cover.push_event(gst::event::FlushStop::new(true)));
    assert!(conceal.cover.push_event(gst::event::Eos::new()));
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
    let stats: gst::Structure = conceal.element.property("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(0));
}

#[test]
fn who_stops_does_not_wait_for_refinement() {
    let conceal = busy();
    let start = Instant::now();
    conceal.element.set_state(gst::State::Null).unwrap();
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}
