// SPDX-License-Identifier: MPL-2.0
//! What applications are told of a stego before it is made.

mod common;

use std::sync::mpsc;

use common::conceal::{Conceal, element, secrets};
use common::{SECRETS, buffer, info, picture, read};
use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstinvmih::network::Frame;

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, 64, 64, 25)
}

fn peek(aggregator: &gst_base::Aggregator, pad: &str) -> Option<gst::Sample> {
    let pad = aggregator.static_pad(pad).unwrap().downcast::<gst_base::AggregatorPad>().unwrap();
    aggregator.peek_next_sample(&pad)
}

/// What a handler is told of a stego.
struct Selection {
    segment: gst::Segment,
    pts: Option<gst::ClockTime>,
    duration: Option<gst::ClockTime>,
    /// Of the secrets, and the cover's.
    samples: Vec<gst::Sample>,
}

/// An element with secrets that each cover gets, and what a handler is told.
fn told(batch_size: u32, stills: &[Frame]) -> (Conceal, mpsc::Receiver<Selection>) {
    let element = element();
    element.set_property("emit-signals", true);
    element.set_property("batch-size", batch_size);
    let mut conceal = Conceal::of(element, &format(), &format());
    let (teller, selections) = mpsc::channel();
    let aggregator = conceal.element.clone().downcast::<gst_base::Aggregator>().unwrap();
    aggregator.connect_samples_selected(move |aggregator, segment, pts, _, duration, _| {
        let pads = (0..SECRETS).map(|u| format!("secret_{u}")).chain(["sink".into()]);
        let samples = pads.map(|name| peek(aggregator, &name).unwrap()).collect();
        teller.send(Selection { segment: segment.clone(), pts, duration, samples }).unwrap();
    });
    conceal.push_stills(stills, &format());
    (conceal, selections)
}

#[test]
fn a_handler_sees_the_segment_the_cover_and_its_secrets() {
    let stills = secrets((64, 64), 10);
    let (mut conceal, selections) = told(1, &stills);
    for start in [1000, 1040, 5000] {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_seconds(start / 1000));
        conceal.cover.push_event(gst::event::Segment::new(&segment));
        let cover = picture(64, 64, start as usize);
        conceal.push_and_pull(buffer(&cover, &format(), start));
        let told = selections.try_recv().unwrap();
        assert_eq!(told.pts, Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(told.duration, Some(gst::ClockTime::from_mseconds(40)));
        for (sample, expected) in told.samples.iter().zip(stills.iter().chain([&cover])) {
            let sent = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            assert_eq!(read(&sample.buffer_owned().unwrap(), &sent), *expected);
        }
        let start = |segment: &gst::Segment| segment.start().value() as u64;
        let starts = told.samples.iter().map(|sample| start(sample.segment().unwrap()));
        assert_eq!(starts.collect::<Vec<_>>(), [0, 0, 0, 0, segment.start().unwrap().nseconds()]);
        assert_eq!(start(&told.segment), segment.start().unwrap().nseconds());
        assert!(selections.try_recv().is_err());
    }
}

#[test]
fn a_cover_that_fits_no_batch_is_told_of_once() {
    let (mut conceal, selections) = told(2, &secrets((64, 64), 10));
    conceal.cover.push(buffer(&picture(64, 64, 1), &format(), 0)).unwrap();
    let large = info(VideoFormat::Rgb, 72, 64, 25);
    conceal.cover.set_src_caps(large.to_caps().unwrap());
    conceal.cover.push(buffer(&picture(72, 64, 2), &large, 40)).unwrap();
    conceal.cover.push_event(gst::event::Eos::new());
    for start in [0, 40] {
        assert_eq!(conceal.cover.pull().unwrap().pts(), Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(selections.try_recv().unwrap().pts, Some(gst::ClockTime::from_mseconds(start)));
    }
    assert!(selections.try_recv().is_err());
}

#[test]
fn nothing_is_to_be_seen_before_frames_come() {
    let conceal = Conceal::new(&format(), &format());
    let aggregator = conceal.element.downcast_ref::<gst_base::Aggregator>().unwrap();
    for pad in ["sink", "secret_0"] {
        assert!(peek(aggregator, pad).is_none());
    }
}
