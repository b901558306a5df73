// SPDX-License-Identifier: MPL-2.0
//! What applications are told of a stego before it is made.

mod common;

use std::sync::mpsc;

use common::conceal::{Conceal, element, secrets};
use common::{SECRETS, buffer, info, picture, read};
use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, 64, 64, 25)
}

fn peek(aggregator: &gst_base::Aggregator, pad: &str) -> Option<gst::Sample> {
    let pad = aggregator.static_pad(pad).unwrap().downcast::<gst_base::AggregatorPad>().unwrap();
    aggregator.peek_next_sample(&pad)
}

#[test]
fn a_handler_sees_the_cover_and_its_secrets() {
    let element = element();
    element.set_property("emit-signals", true);
    let mut conceal = Conceal::of(element, &format(), &format());
    let (told, selections) = mpsc::channel();
    let aggregator = conceal.element.clone().downcast::<gst_base::Aggregator>().unwrap();
    aggregator.connect_samples_selected(move |aggregator, _, pts, _, duration, _| {
        let sample = |name: String| peek(aggregator, &name).unwrap();
        let pads = (0..SECRETS).map(|u| format!("secret_{u}")).chain(["sink".into()]);
        told.send((pts, duration, pads.map(sample).collect::<Vec<_>>())).unwrap();
    });
    let stills = secrets((64, 64), 10);
    conceal.push_stills(&stills, &format());
    for start in [0, 40] {
        let cover = picture(64, 64, start as usize);
        conceal.push_and_pull(buffer(&cover, &format(), start));
        let (pts, duration, samples) = selections.try_recv().unwrap();
        assert_eq!(pts, Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(duration, Some(gst::ClockTime::from_mseconds(40)));
        for (sample, expected) in samples.iter().zip(stills.iter().chain([&cover])) {
            let sent = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            assert_eq!(read(&sample.buffer_owned().unwrap(), &sent), *expected);
            assert!(sample.segment().is_some());
        }
        assert!(selections.try_recv().is_err());
    }
}

#[test]
fn nothing_is_to_be_seen_before_frames_come() {
    let conceal = Conceal::new(&format(), &format());
    let aggregator = conceal.element.downcast_ref::<gst_base::Aggregator>().unwrap();
    for pad in ["sink", "secret_0"] {
        assert!(peek(aggregator, pad).is_none());
    }
}
