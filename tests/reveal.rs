// SPDX-License-Identifier: MPL-2.0
//! `invmihreveal` through its pads.

mod common;

use std::sync::LazyLock;

use common::{FORMATS, MODEL, SECRETS, buffer, bus, error_text, info, init, picture, read};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstinvmih::network::{Effort, Frame};

const SIZE: (usize, usize) = (24, 16);

fn element(output: &str) -> gst::Element {
    init();
    gst::ElementFactory::make("invmihreveal").property_from_str("output", output).build().unwrap()
}

/// An element between `sink` and `src` that knows its caps.
fn harness(output: &str, format: &VideoInfo) -> Harness {
    let mut harness = Harness::with_element(&element(output), Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(format.to_caps().unwrap());
    harness
}

fn pull_all(harness: &mut Harness) -> Vec<gst::Buffer> {
    std::iter::from_fn(|| harness.try_pull()).collect()
}

fn src_info(harness: &Harness) -> VideoInfo {
    VideoInfo::from_caps(&harness.sinkpad().unwrap().current_caps().unwrap()).unwrap()
}

static STEGO: LazyLock<Frame> = LazyLock::new(|| {
    let secrets: Vec<_> = (0..SECRETS).map(|u| picture(SIZE.0, SIZE.1, 10 + u)).collect();
    let effort = Effort { refine: 0, enhance: true };
    let mosaic = MODEL.mosaic_for(&secrets, None, effort).unwrap();
    MODEL.conceal(&picture(SIZE.0, SIZE.1, 1), &mosaic).unwrap()
});

static REVEALED: LazyLock<Vec<Frame>> = LazyLock::new(|| MODEL.reveal(&STEGO, None).unwrap());

fn milliseconds(time: u64) -> Option<gst::ClockTime> {
    Some(gst::ClockTime::from_mseconds(time))
}

#[test]
fn a_sequence_spreads_the_secrets_over_the_stegos_time() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("sequence", &format);
    for start in [0, 40] {
        harness.push(buffer(&STEGO, &format, start)).unwrap();
    }
    let made = pull_all(&mut harness);
    assert_eq!(src_info(&harness).fps(), gst::Fraction::new(100, 1));
    assert_eq!(made.len(), 2 * SECRETS);
    for (index, (buffer, expected)) in made.iter().zip(REVEALED.iter().cycle()).enumerate() {
        assert_eq!(buffer.pts(), milliseconds(10 * index as u64));
        assert_eq!(buffer.duration(), milliseconds(10));
        assert_eq!(read(buffer, &format), *expected);
    }
    let secrets: Vec<_> = made[..SECRETS].iter().map(|buffer| read(buffer, &format)).collect();
    assert!(secrets.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_sequence_played_backwards_goes_from_the_last_secret_to_the_first() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("sequence", &format);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::SECOND);
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push(buffer(&STEGO, &format, 40)).unwrap();
    let made = pull_all(&mut harness);
    assert_eq!(made.len(), SECRETS);
    for (made, u) in made.iter().zip((0..SECRETS).rev()) {
        assert_eq!(made.pts(), milliseconds(40 + 10 * u as u64));
        assert_eq!(read(made, &format), REVEALED[u]);
    }
}

#[test]
fn a_constant_frame_rate_stands_in_for_a_missing_duration() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 50);
    let mut harness = harness("sequence", &format);
    let mut stego = buffer(&STEGO, &format, 60);
    stego.get_mut().unwrap().set_duration(None);
    harness.push(stego).unwrap();
    let times: Vec<_> = pull_all(&mut harness).iter().map(|made| made.pts()).collect();
    assert_eq!(times, [60, 65, 70, 75].map(milliseconds));
}

#[test]
fn a_still_gives_all_secrets_its_own_timestamp() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 0);
    let mut harness = harness("sequence", &format);
    let mut stego = buffer(&STEGO, &format, 7);
    stego.get_mut().unwrap().set_duration(None);
    harness.push(stego).unwrap();
    let made = pull_all(&mut harness);
    assert_eq!(made.len(), SECRETS);
    assert!(made.iter().all(|made| made.pts() == milliseconds(7) && made.duration().is_none()));
    assert_eq!(src_info(&harness).fps(), gst::Fraction::new(0, 1));
}

#[test]
fn a_stego_without_a_timestamp_gives_secrets_without_one() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("sequence", &format);
    let mut alone = Harness::with_element(&harness.element().unwrap(), None, Some("src_1"));
    alone.play();
    let mut stego = buffer(&STEGO, &format, 0);
    stego.get_mut().unwrap().set_pts(None);
    harness.push(stego).unwrap();
    for (harness, count) in [(&mut harness, SECRETS), (&mut alone, 1)] {
        let made = pull_all(harness);
        assert_eq!(made.len(), count);
        for made in made {
            assert_eq!((made.pts(), made.duration()), (None, milliseconds(40 / count as u64)));
        }
    }
}

#[test]
fn a_montage_has_all_secrets_at_full_size() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("montage", &format);
    harness.push(buffer(&STEGO, &format, 40)).unwrap();
    let made = pull_all(&mut harness);
    let montage_info = src_info(&harness);
    assert_eq!(montage_info.fps(), format.fps());
    assert_eq!((montage_info.width(), montage_info.height()), (48, 32));
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].pts(), made[0].duration()), (milliseconds(40), milliseconds(40)));
    let montage = read(&made[0], &montage_info);
    for (u, secret) in REVEALED.iter().enumerate() {
        for y in 0..SIZE.1 {
            let row = (u / 2 * SIZE.1 + y) * 2 * SIZE.0 + u % 2 * SIZE.0;
            let expected = &secret.pixels()[y * SIZE.0 * 3..][..SIZE.0 * 3];
            assert_eq!(&montage.pixels()[row * 3..][..SIZE.0 * 3], expected, "secret {u}, row {y}");
        }
    }
}

#[test]
fn a_preview_is_the_mosaic() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("preview", &format);
    harness.push(buffer(&STEGO, &format, 40)).unwrap();
    let made = pull_all(&mut harness);
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].pts(), made[0].duration()), (milliseconds(40), milliseconds(40)));
    let expected = MODEL.preview(&STEGO, None).unwrap();
    assert_eq!(read(&made[0], &format), expected);
    assert_eq!(src_info(&harness), format);
}

#[test]
fn all_formats_reveal_the_same() {
    for (format, _, other) in FORMATS {
        let format = info(format, SIZE.0, SIZE.1, 25);
        let mut harness = harness("sequence", &format);
        harness.push(buffer(&STEGO, &format, 0)).unwrap();
        let made = pull_all(&mut harness);
        let frames: Vec<_> = made.iter().map(|made| read(made, &format)).collect();
        assert_eq!(frames, *REVEALED, "{}", format.format());
        if let Some(byte) = other {
            let map = made[0].map_readable().unwrap();
            assert!(map.chunks_exact(4).all(|pixel| pixel[byte] == 255));
        }
    }
}

#[test]
fn each_secret_has_a_pad_of_its_own() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let element = element("sequence");
    // `src` stays unlinked.
    let mut last = Harness::with_element(&element, Some("sink"), Some("src_3"));
    let mut first = Harness::with_element(&element, None, Some("src_0"));
    last.play();
    first.play();
    last.set_src_caps(format.to_caps().unwrap());
    last.push(buffer(&STEGO, &format, 40)).unwrap();
    let mut late = Harness::with_element(&element, None, Some("src_1"));
    late.play();
    last.push(buffer(&STEGO, &format, 80)).unwrap();
    for (harness, u, times) in
        [(&mut first, 0, &[40, 80][..]), (&mut late, 1, &[80]), (&mut last, 3, &[40, 80])]
    {
        let made = pull_all(harness);
        let found: Vec<_> = made.iter().map(|made| made.pts()).collect();
        assert_eq!(found, times.iter().map(|time| milliseconds(*time)).collect::<Vec<_>>());
        for made in &made {
            assert_eq!(made.duration(), milliseconds(40));
            assert_eq!(read(made, &format), REVEALED[u]);
        }
        assert_eq!(src_info(harness), format);
        let id = harness.sinkpad().unwrap().stream_id().unwrap();
        assert!(id.ends_with(&format!("src_{u}")), "{id}");
    }
}

#[test]
fn segment_gap_and_end_pass() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("sequence", &format);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_mseconds(40));
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push(buffer(&STEGO, &format, 40)).unwrap();
    harness.push_event(gst::event::Gap::new(gst::ClockTime::from_mseconds(80), None));
    harness.push_event(gst::event::Eos::new());
    let (mut starts, mut gaps) = (vec![], vec![]);
    while let Some(event) = harness.try_pull_event() {
        match event.view() {
            gst::EventView::Segment(found) => {
                let segment = found.segment().downcast_ref::<gst::ClockTime>().unwrap();
                starts.push(segment.start());
            }
            gst::EventView::Gap(gap) => gaps.push(gap.get().0),
            _ => {}
        }
    }
    assert_eq!(starts.last(), Some(&milliseconds(40)));
    assert_eq!(gaps, [gst::ClockTime::from_mseconds(80)]);
    let sticky = harness.sinkpad().unwrap().sticky_event::<gst::event::Eos>(0);
    assert!(sticky.is_some());
}

#[test]
fn the_stegos_tags_pass_but_for_its_orientation() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("sequence", &format);
    let mut tags = gst::TagList::new();
    tags.make_mut().add::<gst::tags::Title>(&"Harbour", gst::TagMergeMode::Append);
    tags.make_mut().add::<gst::tags::ImageOrientation>(&"rotate-90", gst::TagMergeMode::Append);
    harness.push_event(gst::event::Tag::new(tags));
    let late = harness.element().unwrap().request_pad_simple("src_0").unwrap();
    for pad in [harness.sinkpad().unwrap(), late] {
        let tags = pad.sticky_event::<gst::event::Tag>(0).unwrap().tag_owned();
        assert_eq!(tags.get::<gst::tags::Title>().unwrap().get(), "Harbour");
        assert!(tags.get::<gst::tags::ImageOrientation>().is_none());
    }
}

#[test]
fn a_flush_passes_and_frames_follow() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("preview", &format);
    harness.push(buffer(&STEGO, &format, 0)).unwrap();
    harness.push_event(gst::event::Eos::new());
    assert_eq!(harness.push(buffer(&STEGO, &format, 40)), Err(gst::FlowError::Eos));
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push(buffer(&STEGO, &format, 0)).unwrap();
}

#[test]
fn a_stego_of_another_size_mid_stream_is_revealed_at_its_size() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut harness = harness("montage", &format);
    harness.push(buffer(&STEGO, &format, 0)).unwrap();
    let odd = info(VideoFormat::Bgra, 31, 19, 25);
    harness.set_src_caps(odd.to_caps().unwrap());
    harness.push(buffer(&picture(31, 19, 1), &odd, 40)).unwrap();
    assert_eq!(pull_all(&mut harness).len(), 2);
    let montage = src_info(&harness);
    assert_eq!((montage.width(), montage.height()), (62, 38));
    assert_eq!(montage.format(), VideoFormat::Bgra);
}

#[test]
fn caps_share_only_the_format() {
    let mut harness = Harness::with_element(&element("montage"), Some("sink"), Some("src"));
    harness.set_sink_caps_str("video/x-raw,format={RGB,BGRx,I420},width=64,height=64");
    let caps = harness.element().unwrap().static_pad("sink").unwrap().query_caps(None);
    let expected = "video/x-raw,format={RGB,BGRx},width=[1,2147483647],height=[1,2147483647],framerate=[0/1,2147483647/1]";
    let expected: gst::Caps = expected.parse().unwrap();
    assert_eq!(caps, expected);
}

#[test]
fn caps_that_src_cannot_have_matter_once_it_is_linked() {
    let element = element("sequence");
    let bus = bus(&element);
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, i32::MAX);
    let mut alone = Harness::with_element(&element, Some("sink"), Some("src_0"));
    alone.play();
    alone.set_src_caps(format.to_caps().unwrap());
    alone.push(buffer(&STEGO, &format, 0)).unwrap();
    assert_eq!(read(&alone.pull().unwrap(), &format), REVEALED[0]);
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    let mut all = Harness::with_element(&element, None, Some("src"));
    all.play();
    let pushed = alone.push(buffer(&STEGO, &format, 40));
    assert_eq!(pushed, Err(gst::FlowError::NotNegotiated));
    let message = error_text(&bus);
    assert!(message.contains("2147483647") && message.contains("output=preview"), "{message}");
    alone.push_event(gst::event::Caps::new(&format.to_caps().unwrap()));
    assert!(error_text(&bus).contains("2147483647"));
}

#[test]
fn too_small_a_stego_is_refused() {
    let element = element("sequence");
    let bus = bus(&element);
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    let format = info(VideoFormat::Rgb, 1, 1, 25);
    harness.set_src_caps(format.to_caps().unwrap());
    let pushed = harness.push(buffer(&picture(1, 1, 1), &format, 0));
    assert_eq!(pushed, Err(gst::FlowError::Error));
    let error = common::error(&bus);
    assert!(error.matches(gst::StreamError::Format));
    let message = error.message();
    assert!(message.contains("1x1") && message.contains("2x2"), "{message}");
}

#[test]
fn a_buffer_too_short_for_its_caps_is_refused() {
    let element = element("sequence");
    let bus = bus(&element);
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(info(VideoFormat::Rgb, 24, 16, 25).to_caps().unwrap());
    let pushed = harness.push(gst::Buffer::from_slice([0u8; 100]));
    assert_eq!(pushed, Err(gst::FlowError::Error));
    let error = common::error(&bus);
    assert!(error.matches(gst::StreamError::Format));
    let message = error.message();
    assert!(message.contains("100 bytes") && message.contains("1152"), "{message}");
}
