// SPDX-License-Identifier: MPL-2.0
//! What the elements tell of their work, and batches, which one of these messages shows.

mod common;

use common::conceal::{Conceal, element, secrets, stego};
use common::{SECRETS, buffer, bus, info, init, message, picture, read};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstinvmih::network::Frame;
use gstinvmih::training::metrics::psnr;

const SIZE: (usize, usize) = (64, 64);

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25)
}

fn stats(element: &gst::Element) -> gst::Structure {
    element.property("stats")
}

fn quality(cover: &Frame, stego: &Frame) -> f64 {
    psnr(&cover.clone().try_into().unwrap(), &stego.clone().try_into().unwrap())
}

#[test]
fn each_stego_is_counted_measured_and_told_of() {
    let element = element();
    element.set_property("post-messages", true);
    let mut conceal = Conceal::of(element, &format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    assert_eq!(stats(&conceal.element).get::<u64>("frames"), Ok(0));
    let mut qualities = vec![];
    for start in [0, 40] {
        let cover = picture(SIZE.0, SIZE.1, start as usize);
        let made = conceal.push_and_pull(buffer(&cover, &format(), start));
        qualities.push(quality(&cover, &read(&made, &format())));
        let told = message(&bus, gst::MessageType::Element);
        let told = told.structure().unwrap();
        assert_eq!(told.name(), "invmihconceal");
        for field in ["timestamp", "stream-time", "running-time"] {
            assert_eq!(told.get::<u64>(field), Ok(start * 1_000_000), "{field}");
        }
        assert_eq!(told.get::<u64>("duration"), Ok(40_000_000));
        assert!(told.get::<u64>("inference-time").unwrap() > 0);
        assert!((told.get::<f64>("cover-psnr").unwrap() - qualities.last().unwrap()).abs() < 0.01);
    }
    let stats = stats(&conceal.element);
    assert_eq!(stats.get::<u64>("frames"), Ok(2));
    let last = stats.get::<u64>("last-inference-time").unwrap();
    assert!(last > 0 && stats.get::<u64>("inference-time").unwrap() > last);
    let mean = qualities.iter().sum::<f64>() / 2.0;
    assert!((stats.get::<f64>("cover-psnr").unwrap() - mean).abs() < 0.01);
}

#[test]
fn nothing_is_told_unless_asked_for() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    assert!(bus.pop_filtered(&[gst::MessageType::Element]).is_none());
}

#[test]
fn each_revealed_stego_is_counted() {
    init();
    let element = gst::ElementFactory::make("invmihreveal").build().unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(format().to_caps().unwrap());
    for start in [0, 40] {
        harness.push(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start)).unwrap();
    }
    let stats = stats(&element);
    assert_eq!(stats.get::<u64>("frames"), Ok(2));
    let last = stats.get::<u64>("last-inference-time").unwrap();
    assert!(last > 0 && stats.get::<u64>("inference-time").unwrap() > last);
    assert!(!stats.has_field("cover-psnr"));
}

/// An element that hides three covers at once and tells of each, in a pipeline that is not live.
fn batching() -> Conceal {
    let element = element();
    element.set_property("batch-size", 3u32);
    element.set_property("post-messages", true);
    let mut conceal = Conceal::of(element, &format(), &format());
    for harness in conceal.secrets.iter_mut().chain([&mut conceal.cover]) {
        harness.set_live(false);
    }
    // The element asks its sources once, when it starts.
    let mut query = gst::query::Latency::new();
    assert!(conceal.element.static_pad("src").unwrap().query(&mut query));
    assert!(!query.result().0);
    conceal
}

#[test]
fn a_batch_is_one_pass_and_its_rest_goes_at_the_end() {
    let mut conceal = batching();
    let bus = bus(&conceal.element);
    let (before, mut after) = (secrets(SIZE, 10), secrets(SIZE, 10));
    after[0] = picture(SIZE.0, SIZE.1, 20);
    for (harness, still) in conceal.secrets.iter_mut().zip(&before).skip(1) {
        harness.push(buffer(still, &format(), 0)).unwrap();
        harness.push_event(gst::event::Eos::new());
    }
    // Secret 0 changes within the first batch.
    let covers: Vec<_> = (0..5).map(|seed| picture(SIZE.0, SIZE.1, seed)).collect();
    conceal.secrets[0].push(buffer(&before[0], &format(), 0)).unwrap();
    for (index, cover) in covers.iter().enumerate() {
        conceal.cover.push(buffer(cover, &format(), 40 * index as u64)).unwrap();
        if index == 0 {
            conceal.secrets[0].push(buffer(&after[0], &format(), 40)).unwrap();
            conceal.secrets[0].push_event(gst::event::Eos::new());
        }
    }
    conceal.cover.push_event(gst::event::Eos::new());
    for (index, cover) in covers.iter().enumerate() {
        let made = conceal.cover.pull().unwrap();
        assert_eq!(made.pts(), Some(gst::ClockTime::from_mseconds(40 * index as u64)));
        assert_eq!(made.duration(), Some(gst::ClockTime::from_mseconds(40)));
        let secrets = if index == 0 { &before } else { &after };
        alike(&read(&made, &format()), &stego(cover, secrets));
    }
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
    let times: Vec<_> = (0..5)
        .map(|_| {
            let told = message(&bus, gst::MessageType::Element);
            told.structure().unwrap().get::<u64>("inference-time").unwrap()
        })
        .collect();
    // Each has its share of a pass. The first two also have a mosaic's time, the others kept it.
    assert_eq!(times[3], times[4], "{times:?}");
    assert!(times[0] > times[2] && times[1] > times[2], "{times:?}");
    assert_ne!(times[2], times[3], "{times:?}");
}

#[test]
fn a_cover_of_another_size_ends_a_batch() {
    let mut conceal = batching();
    conceal.push_stills(&secrets(SIZE, 10), &format());
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.cover.push(buffer(&cover, &format(), 0)).unwrap();
    let small = info(VideoFormat::Bgrx, 32, 16, 25);
    conceal.cover.set_src_caps(small.to_caps().unwrap());
    conceal.cover.push(buffer(&picture(32, 16, 2), &small, 40)).unwrap();
    let made = conceal.cover.pull().unwrap();
    alike(&read(&made, &format()), &stego(&cover, &secrets(SIZE, 10)));
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull().unwrap().size(), small.size());
    assert_eq!(conceal.cover.sinkpad().unwrap().current_caps(), Some(small.to_caps().unwrap()));
}

/// What the rounding of a convolution in a batch may change: one level in few places.
fn alike(made: &Frame, expected: &Frame) {
    let pairs = made.pixels().iter().zip(expected.pixels());
    let levels: Vec<_> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let different = levels.iter().filter(|&&level| level > 0).count();
    println!("{different} of {} values differ", levels.len());
    assert!(levels.iter().all(|&level| level <= 1) && different * 100 <= levels.len());
}

#[test]
fn properties_have_ranges_and_defaults() {
    let element = element();
    assert_eq!(element.property::<u32>("batch-size"), 1);
    assert!(!element.property::<bool>("force-live") && !element.property::<bool>("post-messages"));
    let flags = |name: &str| element.find_property(name).unwrap().flags();
    assert!(flags("force-live").contains(gst::glib::ParamFlags::CONSTRUCT_ONLY));
    assert!(!flags("stats").contains(gst::glib::ParamFlags::WRITABLE));
    let live = gst::ElementFactory::make("invmihconceal").property("force-live", true).build();
    assert!(live.unwrap().property::<bool>("force-live"));
    assert_eq!(element.property::<u32>("secrets") as usize, SECRETS);
}
