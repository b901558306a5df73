// SPDX-License-Identifier: MPL-2.0
//! Streams that change under way: caps, frame rates and flushes.

mod common;

use common::conceal::{Conceal, element, secrets, stego};
use common::{buffer, info, init, picture, read};
use gst::prelude::*;
use gst_base::prelude::AggregatorPadExt;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

const SIZE: (usize, usize) = (64, 64);

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25)
}

#[test]
fn a_secret_may_change_its_format_rate_and_size() {
    let mut conceal = Conceal::new(&format(), &format());
    let (cover, mut stills) = (picture(SIZE.0, SIZE.1, 1), secrets(SIZE, 10));
    for (u, still) in stills.iter().enumerate().skip(1) {
        conceal.push_still(u, still, &format());
    }
    conceal.secrets[0].push(buffer(&stills[0], &format(), 0)).unwrap();
    conceal.cover.push(buffer(&cover, &format(), 0)).unwrap();
    let other = info(VideoFormat::Bgrx, SIZE.0, SIZE.1, 30);
    stills[0] = picture(SIZE.0, SIZE.1, 20);
    conceal.secrets[0].set_src_caps(other.to_caps().unwrap());
    conceal.secrets[0].push(buffer(&stills[0], &other, 40)).unwrap();
    assert_eq!(read(&conceal.cover.pull().unwrap(), &format()), stego(&cover, &secrets(SIZE, 10)));
    conceal.cover.push(buffer(&cover, &format(), 40)).unwrap();
    let small = info(VideoFormat::Gbr, 8, 4, 0);
    let grey = gstinvmih::network::Frame::new(8, 4, vec![90; 96]).unwrap();
    conceal.secrets[0].set_src_caps(small.to_caps().unwrap());
    conceal.secrets[0].push(buffer(&grey, &small, 80)).unwrap();
    conceal.secrets[0].push_event(gst::event::Eos::new());
    assert_eq!(read(&conceal.cover.pull().unwrap(), &format()), stego(&cover, &stills));
    let made = conceal.push_and_pull(buffer(&cover, &format(), 80));
    let pixels = vec![90; SIZE.0 * SIZE.1 * 3];
    stills[0] = gstinvmih::network::Frame::new(SIZE.0, SIZE.1, pixels).unwrap();
    assert_eq!(read(&made, &format()), stego(&cover, &stills));
}

/// The end of the stegos drops what still waits on the pads, caps too, and the source sends them only once.
#[test]
fn caps_that_wait_at_the_end_count_after_a_flush() {
    let mut conceal = Conceal::new(&format(), &format());
    let (cover, stills) = (picture(SIZE.0, SIZE.1, 1), secrets(SIZE, 10));
    for (u, still) in stills.iter().enumerate().skip(1) {
        conceal.push_still(u, still, &format());
    }
    conceal.secrets[0].push(buffer(&stills[0], &format(), 0)).unwrap();
    conceal.cover.push(buffer(&cover, &format(), 0)).unwrap();
    conceal.secrets[0].push(buffer(&stills[0], &format(), 60_000)).unwrap();
    conceal.cover.pull().unwrap();
    let other = info(VideoFormat::Bgr, SIZE.0, SIZE.1, 25);
    conceal.secrets[0].set_src_caps(other.to_caps().unwrap());
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
    conceal.flush();
    conceal.push_still(0, &stills[0], &other);
    for (u, still) in stills.iter().enumerate().skip(1) {
        conceal.push_still(u, still, &format());
    }
    let made = conceal.push_and_pull(buffer(&cover, &format(), 0));
    assert_eq!(read(&made, &format()), stego(&cover, &stills));
}

#[test]
fn a_variable_frame_rate_keeps_its_times() {
    let variable = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 0);
    let mut conceal = Conceal::new(&variable, &variable);
    conceal.push_stills(&secrets(SIZE, 10), &variable);
    for start in [5, 6, 900] {
        let mut cover = buffer(&picture(SIZE.0, SIZE.1, 1), &variable, start);
        cover.get_mut().unwrap().set_duration(None);
        let made = conceal.push_and_pull(cover);
        assert_eq!(made.pts(), Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(made.duration(), None);
    }
}

#[test]
fn a_neighbour_that_wants_other_caps_asks_the_source_of_the_cover() {
    let mut conceal = Conceal::new(&format(), &format());
    let asked = |harness: &mut Harness| {
        let events = std::iter::from_fn(|| harness.try_pull_upstream_event());
        events.filter(|event| event.type_() == gst::EventType::Reconfigure).count()
    };
    // Linking asks as well.
    conceal.secrets.iter_mut().chain([&mut conceal.cover]).for_each(|harness| {
        asked(harness);
    });
    conceal.cover.push_upstream_event(gst::event::Reconfigure::new());
    assert_eq!(asked(&mut conceal.cover), 1);
    assert!(conceal.secrets.iter_mut().all(|secret| asked(secret) == 0));
    // A click in the stego is one in the cover.
    let click = gst::Structure::new_empty("application/x-gst-navigation");
    // So is a key frame.
    let key_frame = gst_video::UpstreamForceKeyUnitEvent::builder().build();
    for event in [gst::event::Navigation::new(click), key_frame] {
        let sent = event.type_();
        conceal.cover.push_upstream_event(event);
        assert_eq!(conceal.cover.try_pull_upstream_event().unwrap().type_(), sent);
        let mut secrets = conceal.secrets.iter_mut();
        assert!(secrets.all(|secret| secret.try_pull_upstream_event().is_none()));
    }
}

#[test]
fn sources_are_asked_for_as_many_buffers_as_are_held() {
    let element = element();
    element.set_property("batch-size", 5u32);
    let mut conceal = Conceal::of(element, &format(), &format());
    conceal.push_stills(&secrets(SIZE, 10), &format());
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    let asked = |conceal: &Conceal, name: &str| {
        let mut query = gst::query::Allocation::new(Some(&format().to_caps().unwrap()), true);
        assert!(conceal.element.static_pad(name).unwrap().query(&mut query));
        let pool = query.allocation_pools().next().map(|(_, size, min, _)| (size as usize, min));
        (pool.unwrap(), query.find_allocation_meta::<gst_video::VideoMeta>().is_some())
    };
    // Covers as their rows come only where the stegos may be so too.
    assert_eq!(asked(&conceal, "sink"), ((format().size(), 6), false));
    assert!(asked(&conceal, "secret_0").1);
    conceal.cover.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
    assert_eq!(asked(&conceal, "sink"), ((format().size(), 6), true));
}

#[test]
fn a_gap_in_a_secret_lets_covers_pass() {
    let mut conceal = Conceal::new(&format(), &format());
    let (cover, stills) = (picture(SIZE.0, SIZE.1, 1), secrets(SIZE, 10));
    for (harness, still) in conceal.secrets.iter_mut().zip(&stills) {
        harness.push(buffer(still, &format(), 0)).unwrap();
    }
    conceal.cover.push(buffer(&cover, &format(), 0)).unwrap();
    for harness in &mut conceal.secrets {
        let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(40));
        harness.push_event(gap.duration(gst::ClockTime::from_mseconds(1000)).build());
    }
    conceal.cover.pull().unwrap();
    // Nothing else comes from the secrets.
    for start in [40, 80, 800] {
        let made = conceal.push_and_pull(buffer(&cover, &format(), start));
        assert_eq!(read(&made, &format()), stego(&cover, &stills));
    }
}

#[test]
fn a_gap_without_end_in_a_secret_lets_covers_pass() {
    let mut conceal = Conceal::new(&format(), &format());
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(gst::ClockTime::SECOND);
    let start = gst::ClockTime::from_mseconds(40);
    for (harness, still) in conceal.secrets.iter_mut().zip(secrets(SIZE, 10)) {
        harness.push_event(gst::event::Segment::new(&segment));
        harness.push(buffer(&still, &format(), 0)).unwrap();
        let gap = gst::event::Gap::builder(start).duration(gst::ClockTime::MAX - start);
        harness.push_event(gap.build());
    }
    for start in [1000, 1080] {
        conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start));
    }
}

fn flush(harness: &mut Harness) {
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&segment));
}

#[test]
fn the_cover_alone_may_be_flushed() {
    let mut conceal = Conceal::new(&format(), &format());
    let stills = secrets(SIZE, 10);
    conceal.push_stills(&stills, &format());
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.push_and_pull(buffer(&cover, &format(), 400));
    flush(&mut conceal.cover);
    let made = conceal.push_and_pull(buffer(&cover, &format(), 0));
    assert_eq!(made.pts(), Some(gst::ClockTime::ZERO));
    assert_eq!(read(&made, &format()), stego(&cover, &stills));
}

#[test]
fn a_flush_of_the_cover_overtakes_the_stego_in_the_making() {
    let large = info(VideoFormat::Rgb, 256, 256, 25);
    let mut conceal = Conceal::new(&large, &large);
    let pad = conceal.element.static_pad("sink").unwrap();
    let pad = pad.downcast::<gst_base::AggregatorPad>().unwrap();
    conceal.push_stills(&secrets((256, 256), 10), &large);
    let cover = picture(256, 256, 1);
    conceal.cover.push(buffer(&cover, &large, 400)).unwrap();
    while pad.has_buffer() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    flush(&mut conceal.cover);
    let made = conceal.push_and_pull(buffer(&cover, &large, 0));
    assert_eq!(made.pts(), Some(gst::ClockTime::ZERO));
}

/// Flushes a secret between two passes, when the next cover and the secret's next frame are there.
#[test]
fn a_secret_may_be_flushed_while_covers_wait() {
    let mut conceal = Conceal::new(&format(), &format());
    let (first, second) = (secrets(SIZE, 10), secrets(SIZE, 20));
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.cover.push(buffer(&cover, &format(), 0)).unwrap();
    for (harness, still) in conceal.secrets.iter_mut().zip(&first) {
        harness.push(buffer(still, &format(), 0)).unwrap();
    }
    let pad = |name: &str| conceal.element.static_pad(name).unwrap();
    let [sink, secret, stegos] = ["sink", "secret_0", "src"].map(pad);
    let source = secret.peer().unwrap();
    let queued = sink.clone().downcast::<gst_base::AggregatorPad>().unwrap();
    stegos.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        while !queued.has_buffer() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        source.push_event(gst::event::FlushStart::new());
        source.push_event(gst::event::FlushStop::new(true));
        gst::PadProbeReturn::Remove
    });
    let next = buffer(&cover, &format(), 40);
    let covers = sink.peer().unwrap();
    let pushed = std::thread::spawn(move || covers.push(next));
    for (harness, still) in conceal.secrets.iter_mut().zip(&second) {
        harness.push(buffer(still, &format(), 40)).unwrap();
        harness.push_event(gst::event::Eos::new());
    }
    assert_eq!(read(&conceal.cover.pull().unwrap(), &format()), stego(&cover, &first));
    pushed.join().unwrap().unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    conceal.secrets[0].push_event(gst::event::Segment::new(&segment));
    conceal.secrets[0].push(buffer(&second[0], &format(), 40)).unwrap();
    conceal.secrets[0].push_event(gst::event::Eos::new());
    assert_eq!(read(&conceal.cover.pull().unwrap(), &format()), stego(&cover, &second));
}

#[test]
fn a_secret_alone_may_be_flushed_and_may_have_no_more_frames() {
    let mut conceal = Conceal::new(&format(), &format());
    let mut stills = secrets(SIZE, 10);
    conceal.push_stills(&stills, &format());
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.push_and_pull(buffer(&cover, &format(), 0));
    flush(&mut conceal.secrets[2]);
    stills[2] = picture(SIZE.0, SIZE.1, 20);
    conceal.secrets[2].push(buffer(&stills[2], &format(), 0)).unwrap();
    conceal.secrets[2].push_event(gst::event::Eos::new());
    let made = conceal.push_and_pull(buffer(&cover, &format(), 40));
    assert_eq!(read(&made, &format()), stego(&cover, &stills));
    flush(&mut conceal.secrets[2]);
    conceal.secrets[2].push_event(gst::event::Eos::new());
    let made = conceal.push_and_pull(buffer(&cover, &format(), 80));
    assert_eq!(read(&made, &format()), stego(&cover, &stills));
}

#[test]
fn reveal_takes_a_variable_frame_rate() {
    init();
    let element = gst::ElementFactory::make("invmihreveal").build().unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src_1"));
    harness.play();
    let variable = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 0);
    harness.set_src_caps(variable.to_caps().unwrap());
    for start in [5, 6, 900] {
        let mut stego = buffer(&picture(SIZE.0, SIZE.1, 1), &variable, start);
        stego.get_mut().unwrap().set_duration(None);
        harness.push(stego).unwrap();
        let made = harness.pull().unwrap();
        assert_eq!(made.pts(), Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(made.duration(), None);
    }
}
