// SPDX-License-Identifier: MPL-2.0
//! `invmihconceal` through its pads.

mod common;

use common::conceal::{Conceal, element, secrets, stego};
use common::pipeline::parsed;
use common::{buffer, bus, error_text, info, message, picture, read};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoFormat;
use gstinvmih::network::Frame;

const SIZE: (usize, usize) = (24, 16);

#[test]
fn every_cover_gives_one_stego_with_its_times_flags_and_metas() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let stills = secrets(SIZE, 10);
    conceal.push_stills(&stills, &format);
    for (index, start) in [0, 40, 95].into_iter().enumerate() {
        let cover = picture(SIZE.0, SIZE.1, index);
        let mut input = buffer(&cover, &format, start);
        let target = input.get_mut().unwrap();
        target.set_flags(gst::BufferFlags::MARKER);
        target.set_offset(index as u64);
        gst_video::VideoRegionOfInterestMeta::add(target, "face", (1, 2, 3, 4));
        let output = conceal.push_and_pull(input);
        assert_eq!(output.pts(), Some(gst::ClockTime::from_mseconds(start)));
        assert_eq!(output.duration(), Some(gst::ClockTime::from_mseconds(40)));
        assert!(output.flags().contains(gst::BufferFlags::MARKER));
        assert_eq!(output.offset(), index as u64);
        let region = output.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap();
        assert_eq!(region.rect(), (1, 2, 3, 4));
        let made = read(&output, &format);
        assert_eq!(made, stego(&cover, &stills));
        assert_ne!(made, cover);
    }
    assert_eq!(conceal.cover.sinkpad().unwrap().current_caps(), Some(format.to_caps().unwrap()));
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
}

#[test]
fn a_secret_unlinked_at_its_end_serves_covers_that_come_later() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let (cover, stills) = (picture(SIZE.0, SIZE.1, 1), secrets(SIZE, 10));
    conceal.push_stills(&stills, &format);
    let secret = conceal.element.static_pad("secret_3").unwrap();
    secret.peer().unwrap().unlink(&secret).unwrap();
    let made = conceal.push_and_pull(buffer(&cover, &format, 0));
    assert_eq!(read(&made, &format), stego(&cover, &stills));
}

#[test]
fn a_secret_is_the_latest_frame_at_or_before_the_cover() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let (before, cover) = (secrets(SIZE, 10), picture(SIZE.0, SIZE.1, 1));
    let mut after = before.clone();
    after[0] = picture(SIZE.0, SIZE.1, 20);
    // Secret 0 changes at 80 ms; the others have one frame, at 100 ms, that also serves before.
    for (harness, frame) in conceal.secrets.iter_mut().zip(&before).skip(1) {
        harness.push(buffer(frame, &format, 100)).unwrap();
        harness.push_event(gst::event::Eos::new());
    }
    conceal.secrets[0].push(buffer(&before[0], &format, 0)).unwrap();
    conceal.cover.push(buffer(&cover, &format, 0)).unwrap();
    conceal.secrets[0].push(buffer(&after[0], &format, 80)).unwrap();
    conceal.secrets[0].push_event(gst::event::Eos::new());
    let first = conceal.cover.pull().unwrap();
    let second = conceal.push_and_pull(buffer(&cover, &format, 79));
    let third = conceal.push_and_pull(buffer(&cover, &format, 80));
    assert_eq!(read(&first, &format), stego(&cover, &before));
    assert_eq!(read(&second, &format), stego(&cover, &before));
    assert_eq!(read(&third, &format), stego(&cover, &after));
}

#[test]
fn pictures_of_secret_location_serve_every_cover() {
    let folder = tempfile::tempdir().unwrap();
    let stills = secrets(SIZE, 10);
    for (u, still) in stills.iter().enumerate() {
        let path = folder.path().join(format!("{u}.png"));
        image::save_buffer(
            path,
            still.pixels(),
            SIZE.0 as u32,
            SIZE.1 as u32,
            image::ColorType::Rgb8,
        )
        .unwrap();
    }
    let element = element();
    element.set_property("secret-location", folder.path().to_str().unwrap());
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    harness.set_src_caps(format.to_caps().unwrap());
    for start in [0, 40] {
        let cover = picture(SIZE.0, SIZE.1, start as usize);
        let made = harness.push_and_pull(buffer(&cover, &format, start)).unwrap();
        assert_eq!(read(&made, &format), stego(&cover, &stills));
    }
    let bus = bus(&element);
    assert!(element.request_pad_simple("secret_0").is_none());
    assert!(error_text(&bus).contains("secret-location"));
}

#[test]
fn only_the_first_cover_may_come_without_a_timestamp() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 0);
    let mut conceal = Conceal::new(&format, &format);
    let bus = bus(&conceal.element);
    conceal.element.set_property("post-messages", true);
    conceal.push_stills(&secrets(SIZE, 10), &format);
    let mut cover = buffer(&picture(SIZE.0, SIZE.1, 1), &format, 0);
    cover.get_mut().unwrap().set_pts(None);
    let made = conceal.push_and_pull(cover.copy());
    assert_eq!(made.pts(), None);
    let posted = message(&bus, gst::MessageType::Element);
    let posted = posted.structure().unwrap();
    assert!(posted.has_field("duration") && !posted.has_field("timestamp"), "{posted}");
    let _ = conceal.cover.push(cover);
    assert!(error_text(&bus).contains("no timestamp"));
}

#[test]
fn the_first_frame_of_each_stream_may_come_without_a_timestamp() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 0);
    let mut conceal = Conceal::new(&format, &format);
    let untimed = |seed| {
        let mut frame = buffer(&picture(SIZE.0, SIZE.1, seed), &format, 0);
        frame.get_mut().unwrap().set_pts(None);
        frame
    };
    for (u, still) in secrets(SIZE, 10).iter().enumerate().skip(1) {
        conceal.push_still(u, still, &format);
    }
    let mut stego = |name, secret| {
        for (pad, seed) in [(&mut conceal.secrets[0], secret), (&mut conceal.cover, 1)] {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            pad.push_event(gst::event::StreamStart::new(name));
            pad.push_event(gst::event::Caps::new(&format.to_caps().unwrap()));
            pad.push_event(gst::event::Segment::new(&segment));
            pad.push(untimed(seed)).unwrap();
        }
        conceal.secrets[0].push_event(gst::event::Eos::new());
        read(&conceal.cover.pull().unwrap(), &format)
    };
    assert_ne!(stego("first", 10), stego("second", 20));
}

#[test]
fn a_secret_that_ends_without_a_frame_is_named() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let bus = bus(&conceal.element);
    for (harness, still) in conceal.secrets.iter_mut().zip(secrets(SIZE, 10)).take(3) {
        harness.push(buffer(&still, &format, 0)).unwrap();
    }
    conceal.secrets[3].push_event(gst::event::Eos::new());
    conceal.cover.push(buffer(&picture(SIZE.0, SIZE.1, 1), &format, 0)).unwrap();
    assert_eq!(error_text(&bus), "secret_3 ended without a frame");
}

#[test]
fn pads_have_the_names_asked_for() {
    let element = element();
    let template = element.pad_template("secret_%u").unwrap();
    let name = |asked| element.request_pad(&template, asked, None).map(|pad| pad.name());
    assert_eq!(name(Some("secret_1")).unwrap(), "secret_1");
    assert_eq!(name(None).unwrap(), "secret_0");
    assert_eq!(name(None).unwrap(), "secret_2");
    assert_eq!(name(Some("secret_9")).unwrap(), "secret_9");
    let bus = bus(&element);
    assert!(element.set_state(gst::State::Paused).is_err());
    assert!(error_text(&bus).contains("secret_9 is one too many: secrets=4"));
    element.release_request_pad(&element.static_pad("secret_9").unwrap());
    element.set_state(gst::State::Paused).unwrap();
    assert!(element.request_pad_simple("secret_4").is_none());
    assert!(error_text(&bus).contains("secret_4 is one too many: secrets=4"));
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn caps_are_what_both_neighbours_take() {
    let element = element();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_sink_caps_str("video/x-raw,format={RGB,BGRx,I420},width=[1,640]");
    let caps = element.static_pad("sink").unwrap().query_caps(None);
    let expected = "video/x-raw,format={RGB,BGRx},width=[1,640],height=[1,2147483647],framerate=[0/1,2147483647/1]";
    let expected: gst::Caps = expected.parse().unwrap();
    assert_eq!(caps, expected);
    for yuv in ["I420", "NV12", "AYUV"] {
        let yuv = gst::Caps::builder("video/x-raw").field("format", yuv).build();
        assert!(!caps.can_intersect(&yuv));
    }
}

#[test]
fn settings_that_cannot_work_fail_before_any_data() {
    let cases: [(&str, &str, &[&str]); 3] = [
        ("device", "cuda:99", &["cuda:99", "found"]),
        ("device", "toaster", &["toaster", "cpu"]),
        ("model-location", "/nowhere", &["4 secrets", "/nowhere"]),
    ];
    for (property, value, texts) in cases {
        let element = element();
        let bus = bus(&element);
        element.set_property(property, value);
        assert!(element.set_state(gst::State::Paused).is_err());
        let message = error_text(&bus);
        assert!(texts.iter().all(|text| message.contains(text)), "{message}");
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn after_a_flush_on_all_pads_new_frames_count() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    conceal.push_stills(&secrets(SIZE, 10), &format);
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.push_and_pull(buffer(&cover, &format, 400));
    conceal.flush();
    let stills = secrets(SIZE, 20);
    conceal.push_stills(&stills, &format);
    let made = conceal.push_and_pull(buffer(&cover, &format, 0));
    assert_eq!(made.pts(), Some(gst::ClockTime::ZERO));
    assert_eq!(read(&made, &format), stego(&cover, &stills));
}

/// Slides that last a second each, with a cover in the middle of the second.
#[test]
fn in_reverse_a_secret_is_the_frame_shown_with_the_cover() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let seconds = gst::ClockTime::from_seconds;
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(seconds(3));
    let reverse = gst::event::Segment::new(&segment);
    let lasting = |picture: &Frame, start, duration| {
        let mut buffer = buffer(picture, &format, start);
        buffer.make_mut().set_duration(duration);
        buffer
    };
    conceal.cover.push_event(reverse.clone());
    let cover = picture(SIZE.0, SIZE.1, 1);
    conceal.cover.push(lasting(&cover, 1500, gst::ClockTime::from_mseconds(40))).unwrap();
    let (shown, others) = (secrets(SIZE, 10), secrets(SIZE, 20));
    conceal.secrets.iter_mut().for_each(|secret| {
        secret.push_event(reverse.clone());
    });
    for (start, slides) in [(2000, &others), (1000, &shown), (0, &others)] {
        for (secret, slide) in conceal.secrets.iter_mut().zip(slides) {
            secret.push(lasting(slide, start, seconds(1))).unwrap();
        }
    }
    assert_eq!(read(&conceal.cover.pull().unwrap(), &format), stego(&cover, &shown));
}

#[test]
fn covers_that_come_before_a_secret_pad_wait_for_it() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let stills = secrets(SIZE, 10);
    let last = conceal.secrets.pop().unwrap();
    conceal.push_stills(&stills[..3], &format);
    conceal.element.release_request_pad(&conceal.element.static_pad("secret_3").unwrap());
    drop(last);
    let covers: Vec<_> = (0..3).map(|seed| picture(SIZE.0, SIZE.1, seed)).collect();
    conceal.cover.push(buffer(&covers[0], &format, 0)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(conceal.cover.try_pull().is_none());
    let mut late = Harness::with_element(&conceal.element, Some("secret_3"), None);
    late.play();
    late.set_src_caps(format.to_caps().unwrap());
    late.push(buffer(&stills[3], &format, 0)).unwrap();
    late.push_event(gst::event::Eos::new());
    // The first does not wait for another.
    for (cover, start) in covers.iter().zip([0, 40, 80]) {
        if start > 0 {
            conceal.cover.push(buffer(cover, &format, start)).unwrap();
        }
        assert_eq!(read(&conceal.cover.pull().unwrap(), &format), stego(cover, &stills));
    }
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
}

#[test]
fn secrets_that_are_missing_at_the_end_end_the_stream() {
    let element = element();
    let bus = bus(&element);
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(format.to_caps().unwrap());
    harness.push(buffer(&picture(SIZE.0, SIZE.1, 1), &format, 0)).unwrap();
    harness.push_event(gst::event::Eos::new());
    assert!(error_text(&bus).contains("0 of 4 secret pads are linked"));
    assert_eq!(harness.pull_until_eos().unwrap(), None);
}

#[test]
fn a_pipeline_can_be_run_again() {
    let line = "invmihconceal name=c ! fakesink name=sink videotestsrc num-buffers=2 ! video/x-raw,width=16,height=16 ! c.sink videotestsrc ! c.secret_0 videotestsrc ! c.secret_1 videotestsrc ! c.secret_2 videotestsrc num-buffers=1 ! c.secret_3";
    let pipeline = parsed(line);
    let bus = pipeline.bus().unwrap();
    for _ in 0..3 {
        pipeline.set_state(gst::State::Playing).unwrap();
        let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &wanted);
        assert_eq!(message.map(|message| message.type_()), Some(gst::MessageType::Eos));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
