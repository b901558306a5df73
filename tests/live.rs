// SPDX-License-Identifier: MPL-2.0
//! Both elements in live pipelines.

mod common;

use std::time::Duration;

use common::conceal::{Conceal, secrets, stego};
use common::pipeline::parsed;
use common::{buffer, bus, info, init, message, picture, read};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

const SIZE: (usize, usize) = (64, 64);

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25)
}

fn live() -> Conceal {
    init();
    let element = gst::ElementFactory::make("invmihconceal").property("force-live", true);
    let mut conceal = Conceal::of(element.build().unwrap(), &format(), &format());
    conceal.cover.use_systemclock();
    conceal
}

#[test]
fn a_secret_that_stalls_does_not_hold_a_cover() {
    let mut conceal = live();
    let stills = secrets(SIZE, 10);
    // No end follows: more may come.
    for (harness, still) in conceal.secrets.iter_mut().zip(&stills) {
        harness.push(buffer(still, &format(), 0)).unwrap();
    }
    for start in [0, 40, 80] {
        let cover = picture(SIZE.0, SIZE.1, start as usize);
        let made = conceal.push_and_pull(buffer(&cover, &format(), start));
        assert_eq!(made.pts(), Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(read(&made, &format()), stego(&cover, &stills));
    }
    let mut later = stills.clone();
    later[2] = picture(SIZE.0, SIZE.1, 30);
    conceal.secrets[2].push(buffer(&later[2], &format(), 100)).unwrap();
    let cover = picture(SIZE.0, SIZE.1, 1);
    let made = conceal.push_and_pull(buffer(&cover, &format(), 120));
    assert_eq!(read(&made, &format()), stego(&cover, &later));
}

#[test]
fn a_pass_is_within_the_latency_of_a_cover_whose_secret_stalls() {
    let mut conceal = live();
    for (harness, still) in conceal.secrets.iter_mut().zip(secrets(SIZE, 10)) {
        harness.push(buffer(&still, &format(), 0)).unwrap();
    }
    let cover = picture(SIZE.0, SIZE.1, 1);
    // Passes count from the second on.
    for start in [0, 40, 80] {
        conceal.push_and_pull(buffer(&cover, &format(), start));
    }
    let start = gst::ClockTime::from_mseconds(500);
    let (_, announced) = latency(&conceal.element.static_pad("src").unwrap());
    let clock = conceal.element.clock().unwrap();
    conceal.element.set_base_time(clock.time());
    conceal.push_and_pull(buffer(&cover, &format(), start.mseconds()));
    let took = clock.time() - conceal.element.base_time().unwrap() - start;
    let stats = conceal.element.property::<gst::Structure>("stats");
    let pass = gst::ClockTime::from_nseconds(stats.get("last-inference-time").unwrap());
    // Were the pass to start at the end of the latency, it would come after it.
    assert!(took < announced + pass, "{took}, announced {announced}, pass {pass}");
}

#[test]
fn a_secret_that_stalls_does_not_hold_the_end() {
    let mut conceal = live();
    for (harness, still) in conceal.secrets.iter_mut().zip(secrets(SIZE, 10)) {
        harness.push(buffer(&still, &format(), 0)).unwrap();
    }
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
}

#[test]
fn a_secret_that_never_came_does_not_hold_the_end() {
    let mut conceal = live();
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
}

#[test]
fn a_live_cover_waits_for_the_first_frame_of_each_secret() {
    let mut conceal = live();
    let stills = secrets(SIZE, 10);
    for (harness, still) in conceal.secrets.iter_mut().zip(&stills).take(3) {
        harness.push(buffer(still, &format(), 0)).unwrap();
    }
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.cover.push(buffer(&cover, &format(), 0)).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(conceal.cover.try_pull().is_none());
    conceal.secrets[3].push(buffer(&stills[3], &format(), 0)).unwrap();
    let made = conceal.cover.pull().unwrap();
    assert_eq!(read(&made, &format()), stego(&cover, &stills));
}

#[test]
fn a_live_batch_does_not_wait_for_more_covers() {
    init();
    let element = gst::ElementFactory::make("invmihconceal")
        .property("force-live", true)
        .property("batch-size", 8u32);
    let mut conceal = Conceal::of(element.build().unwrap(), &format(), &format());
    conceal.push_stills(&secrets(SIZE, 10), &format());
    for start in [0, 40] {
        conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start));
    }
}

/// The announced latency, if the pad's stream is live.
fn latency(pad: &gst::Pad) -> (bool, gst::ClockTime) {
    let mut query = gst::query::Latency::new();
    assert!(pad.query(&mut query));
    let (live, min, max) = query.result();
    assert!(max.is_none_or(|max| max >= min));
    (live, min)
}

#[test]
fn conceal_announces_frames_and_passes() {
    let mut conceal = live();
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    // libtorch warms up in the first pass, which does not count.
    for start in [0, 40] {
        conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start));
    }
    message(&bus, gst::MessageType::Latency);
    let src = conceal.element.static_pad("src").unwrap();
    let stats = conceal.element.property::<gst::Structure>("stats");
    let pass = gst::ClockTime::from_nseconds(stats.get("last-inference-time").unwrap());
    let (live, min) = latency(&src);
    // One frame of 40 ms, and the pass.
    assert!(live && min >= gst::ClockTime::from_mseconds(40) + pass, "{min}, pass {pass}");
}

#[test]
fn at_a_variable_frame_rate_a_cover_may_wait_for_a_pass() {
    init();
    let element = gst::ElementFactory::make("invmihconceal").property("force-live", true);
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 0);
    let mut conceal = Conceal::of(element.build().unwrap(), &format, &format);
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format);
    for start in [0, 40] {
        conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format, start));
    }
    message(&bus, gst::MessageType::Latency);
    let stats = conceal.element.property::<gst::Structure>("stats");
    let pass = gst::ClockTime::from_nseconds(stats.get("last-inference-time").unwrap());
    let (_, min) = latency(&conceal.element.static_pad("src").unwrap());
    assert!(min >= 2 * pass, "{min}, pass {pass}");
}

#[test]
fn a_recorded_stream_is_not_made_live() {
    let mut conceal = Conceal::new(&format(), &format());
    for harness in conceal.secrets.iter_mut().chain([&mut conceal.cover]) {
        harness.set_live(false);
    }
    assert!(!latency(&conceal.element.static_pad("src").unwrap()).0);
}

#[test]
fn reveal_adds_the_time_of_its_passes() {
    init();
    let element = gst::ElementFactory::make("invmihreveal").build().unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    let bus = bus(&element);
    let upstream = gst::ClockTime::from_mseconds(33);
    harness.set_upstream_latency(upstream);
    harness.set_src_caps(format().to_caps().unwrap());
    let src = element.static_pad("src").unwrap();
    assert_eq!(latency(&src), (true, upstream));
    for start in [0, 40] {
        harness.push(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start)).unwrap();
    }
    message(&bus, gst::MessageType::Latency);
    let stats = element.property::<gst::Structure>("stats");
    let pass = gst::ClockTime::from_nseconds(stats.get("last-inference-time").unwrap());
    let (_, min) = latency(&src);
    assert!(min >= upstream + pass, "{min}, pass {pass}");
}

#[test]
fn quality_of_service_drops_nothing() {
    let mut conceal = Conceal::new(&format(), &format());
    conceal.push_stills(&secrets(SIZE, 10), &format());
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    let element = gst::ElementFactory::make("invmihreveal").build().unwrap();
    let mut reveal = Harness::with_element(&element, Some("sink"), Some("src"));
    reveal.play();
    reveal.set_src_caps(format().to_caps().unwrap());
    for harness in [&mut conceal.cover, &mut reveal] {
        let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 1_000_000, None);
        assert!(harness.push_upstream_event(late));
        let mut events = std::iter::from_fn(|| harness.try_pull_upstream_event());
        assert!(events.all(|event| event.type_() != gst::EventType::Qos));
    }
}

#[test]
fn a_live_pipeline_gives_a_stego_for_every_cover() {
    let folder = tempfile::tempdir().unwrap();
    for (u, secret) in secrets(SIZE, 10).into_iter().enumerate() {
        let picture = image::RgbImage::try_from(secret).unwrap();
        picture.save(folder.path().join(format!("{u}.png"))).unwrap();
    }
    let line = format!(
        "videotestsrc is-live=true num-buffers=5 ! video/x-raw,format=RGB,width=64,height=64,framerate=10/1 \
         ! invmihconceal name=c secret-location={} ! fakesink sync=true",
        folder.path().display()
    );
    let pipeline = parsed(&line);
    let conceal = pipeline.by_name("c").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut announced = 0;
    loop {
        let bus = pipeline.bus().unwrap();
        let found = bus.timed_pop(gst::ClockTime::from_seconds(30)).expect("the end");
        match found.view() {
            gst::MessageView::Latency(_) => {
                announced += u32::from(found.src() == Some(conceal.upcast_ref()));
                pipeline.recalculate_latency().unwrap();
            }
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
    let stats = conceal.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(5));
    // With the cover's caps, and when the first pass took longer than was foreseen.
    assert!(announced > 1);
    pipeline.set_state(gst::State::Null).unwrap();
}
