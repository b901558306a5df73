// SPDX-License-Identifier: MPL-2.0
//! Tags, gaps and other events that come to `invmihconceal`.

mod common;

use std::sync::{Arc, Mutex};

use common::conceal::{Conceal, element, secrets};
use common::launch::PHOTOS;
use common::{SECRETS, buffer, bus, info, picture};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoFormat;

const SIZE: (usize, usize) = (24, 16);

/// With a frame and the end of each secret.
fn with_stills() -> Conceal {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    conceal.push_stills(&secrets(SIZE, 10), &format);
    conceal
}

fn cover(start: u64) -> gst::Buffer {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    buffer(&picture(SIZE.0, SIZE.1, 1), &format, start)
}

fn gap(start: u64) -> gst::Event {
    let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(start));
    gap.duration(gst::ClockTime::from_mseconds(40)).build()
}

fn tag(title: &str) -> gst::Event {
    let mut tags = gst::TagList::new();
    tags.make_mut().add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
    gst::event::Tag::new(tags)
}

fn events(harness: &mut Harness) -> Vec<gst::Event> {
    std::iter::from_fn(|| harness.try_pull_event()).collect()
}

fn titles(events: &[gst::Event]) -> Vec<String> {
    let titles = events.iter().filter_map(|event| match event.view() {
        gst::EventView::Tag(tag) => tag.tag().get::<gst::tags::Title>(),
        _ => None,
    });
    titles.map(|title| title.get().to_string()).collect()
}

/// Where the first event of a type is.
fn place(events: &[gst::Event], wanted: gst::EventType) -> usize {
    events.iter().position(|event| event.type_() == wanted).unwrap()
}

#[test]
fn the_covers_tags_come_before_its_stego_and_those_of_secrets_go_nowhere() {
    let mut conceal = with_stills();
    conceal.secrets[0].push_event(tag("secret"));
    conceal.cover.push_event(tag("cover"));
    conceal.push_and_pull(cover(0));
    let events = events(&mut conceal.cover);
    assert!(place(&events, gst::EventType::Segment) < place(&events, gst::EventType::Tag));
    assert_eq!(titles(&events), ["cover"]);
}

#[test]
fn tags_after_the_last_cover_come_before_the_end() {
    let mut conceal = with_stills();
    conceal.push_and_pull(cover(0));
    conceal.cover.push_event(tag("first"));
    conceal.cover.push_event(tag("second"));
    conceal.cover.push_event(gst::event::Eos::new());
    let mut events = Vec::new();
    // Each is waited for: the harness tells of the end before it has queued the event.
    while events.last().is_none_or(|event: &gst::Event| event.type_() != gst::EventType::Eos) {
        events.push(conceal.cover.pull_event().unwrap());
    }
    assert!(place(&events, gst::EventType::Tag) < place(&events, gst::EventType::Eos));
    assert_eq!(titles(&events), ["first", "second"]);
}

#[test]
fn tags_come_before_a_gap_and_outlast_a_flush() {
    let mut conceal = with_stills();
    conceal.cover.push_event(tag("before"));
    conceal.cover.push_event(gap(0));
    conceal.push_and_pull(cover(40));
    let made = events(&mut conceal.cover);
    assert!(place(&made, gst::EventType::Segment) < place(&made, gst::EventType::Tag));
    assert!(place(&made, gst::EventType::Tag) < place(&made, gst::EventType::Gap));
    conceal.cover.push_event(tag("after"));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    conceal.cover.push_event(gst::event::FlushStart::new());
    conceal.cover.push_event(gst::event::FlushStop::new(true));
    conceal.cover.push_event(gst::event::Segment::new(&segment));
    conceal.push_and_pull(cover(0));
    assert_eq!(titles(&events(&mut conceal.cover)), ["after"]);
}

#[test]
fn tags_end_with_their_stream() {
    let mut conceal = with_stills();
    conceal.cover.push_event(tag("sent"));
    conceal.push_and_pull(cover(0));
    events(&mut conceal.cover);
    conceal.cover.push_event(tag("last"));
    conceal.cover.push_event(gst::event::StreamStart::new("another"));
    conceal.push_and_pull(cover(40));
    let made = events(&mut conceal.cover);
    assert_eq!(titles(&made), ["last"]);
    assert!(place(&made, gst::EventType::Tag) < place(&made, gst::EventType::StreamStart));
    assert!(place(&made, gst::EventType::StreamStart) < place(&made, gst::EventType::Segment));
    let sink = conceal.cover.sinkpad().unwrap();
    assert!(sink.sticky_event::<gst::event::Tag>(0).is_none());
    assert_eq!(sink.stream_id().unwrap(), "another");
}

#[test]
fn other_events_go_on_from_the_cover_alone() {
    let sent = || {
        let custom = gst::Structure::new_empty("custom");
        [
            gst::event::CustomDownstreamOob::new(custom.clone()),
            gst::event::StreamGroupDone::new(gst::GroupId::next()),
            gst::event::SegmentDone::new(gst::ClockTime::ZERO),
            gst::event::CustomDownstream::new(custom),
        ]
    };
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    for secret in &mut conceal.secrets {
        for event in sent() {
            secret.push_event(event);
        }
    }
    conceal.push_stills(&secrets(SIZE, 10), &format);
    conceal.push_and_pull(cover(0));
    for event in sent() {
        conceal.cover.push_event(event);
    }
    conceal.push_and_pull(cover(40));
    let made = events(&mut conceal.cover);
    for event in sent() {
        let count = made.iter().filter(|made| made.type_() == event.type_()).count();
        assert_eq!(count, 1, "{event:?} in {made:#?}");
    }
}

#[test]
fn a_gap_in_the_cover_stays_a_gap() {
    let mut conceal = with_stills();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let segment = gst::event::Segment::new(&segment);
    for harness in conceal.secrets.iter_mut().chain([&mut conceal.cover]) {
        harness.push_event(segment.clone());
    }
    conceal.push_and_pull(cover(0));
    conceal.cover.push_event(gap(40));
    conceal.push_and_pull(cover(80));
    let events = events(&mut conceal.cover);
    let gaps = events.iter().filter_map(|event| match event.view() {
        gst::EventView::Gap(gap) => Some((gap.get().0, event.seqnum())),
        _ => None,
    });
    let expected = (gst::ClockTime::from_mseconds(40), segment.seqnum());
    assert_eq!(gaps.collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_gap_before_the_covers_caps_is_left_out() {
    let mut cover_pad = Harness::with_element(&element(), Some("sink"), Some("src"));
    let element = cover_pad.element().unwrap();
    element.set_property("secret-location", PHOTOS);
    let bus = bus(&element);
    cover_pad.play();
    cover_pad.push_event(gst::event::StreamStart::new("cover"));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    cover_pad.push_event(gst::event::Segment::new(&segment));
    cover_pad.push_event(gap(0));
    cover_pad.push_event(gst::event::Eos::new());
    assert_eq!(cover_pad.pull_until_eos().unwrap(), None);
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn a_gap_before_the_first_frame_follows_its_segment() {
    let mut conceal = with_stills();
    conceal.cover.push_event(gap(0));
    conceal.push_and_pull(cover(40));
    let events = events(&mut conceal.cover);
    let segment = place(&events, gst::EventType::Segment);
    assert!(place(&events, gst::EventType::Caps) < segment);
    assert!(segment < place(&events, gst::EventType::Gap));
}

#[test]
fn events_before_the_first_stego_follow_its_segment() {
    let mut conceal = with_stills();
    let collection = gst::StreamCollection::builder(Some("cover")).build();
    conceal.cover.push_event(gst::event::StreamCollection::new(&collection));
    let custom = gst::Structure::new_empty("custom");
    conceal.cover.push_event(gst::event::CustomDownstream::new(custom));
    conceal.push_and_pull(cover(0));
    let made = events(&mut conceal.cover);
    let segment = place(&made, gst::EventType::Segment);
    assert_eq!(place(&made, gst::EventType::StreamStart), 0);
    assert!(segment < place(&made, gst::EventType::StreamCollection));
    assert!(segment < place(&made, gst::EventType::CustomDownstream));
}

/// Titles, starts of streams and frames as they leave a pad.
fn watched(pad: &gst::Pad) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let sight = seen.clone();
    let wanted = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(wanted, move |_, info| {
        let text = match info.event().map(|event| event.view()) {
            Some(gst::EventView::StreamStart(_)) => "start".into(),
            Some(gst::EventView::Tag(_)) => titles(&[info.event().unwrap().clone()]).concat(),
            Some(gst::EventView::Eos(_)) => "end".into(),
            Some(_) => return gst::PadProbeReturn::Ok,
            None => "frame".into(),
        };
        sight.lock().unwrap().push(text);
        gst::PadProbeReturn::Ok
    });
    seen
}

#[test]
fn covers_that_are_held_keep_their_streams_and_tags() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let conceal = element();
    conceal.set_property("batch-size", 8u32);
    let seen = watched(&conceal.static_pad("src").unwrap());
    let mut covers = Harness::with_element(&conceal, Some("sink"), Some("src"));
    covers.set_live(false);
    covers.play();
    covers.set_src_caps(format.to_caps().unwrap());
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    for (stream, start) in [("one", 0), ("two", 80)] {
        if stream == "two" {
            covers.push_event(gst::event::StreamStart::new(stream));
            covers.push_event(gst::event::Caps::new(&format.to_caps().unwrap()));
            covers.push_event(gst::event::Segment::new(&segment));
        }
        covers.push_event(tag(stream));
        covers.push(cover(start)).unwrap();
        covers.push_event(tag(&format!("{stream}, later")));
        covers.push(cover(start + 40)).unwrap();
    }
    let mut pads: Vec<_> = (0..SECRETS)
        .map(|u| Harness::with_element(&conceal, Some(&format!("secret_{u}")), None))
        .collect();
    for (pad, still) in pads.iter_mut().zip(secrets(SIZE, 10)) {
        pad.set_live(false);
        pad.play();
        pad.set_src_caps(format.to_caps().unwrap());
        pad.push(buffer(&still, &format, 0)).unwrap();
        pad.push_event(gst::event::Eos::new());
    }
    covers.push_event(tag("last"));
    covers.push_event(gst::event::Eos::new());
    while covers.pull_until_eos().unwrap().is_some() {}
    let expected = [
        "start",
        "one",
        "frame",
        "one, later",
        "frame", //
        "start",
        "two",
        "frame",
        "two, later",
        "frame",
        "last",
        "end",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn an_end_sent_to_the_element_comes_after_the_covers_that_it_holds() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let element = element();
    element.set_property("batch-size", 8u32);
    let mut conceal = Conceal::of(element, &format, &format);
    for harness in conceal.secrets.iter_mut().chain([&mut conceal.cover]) {
        harness.set_live(false);
    }
    conceal.push_stills(&secrets(SIZE, 10), &format);
    for start in [0, 40, 80] {
        conceal.cover.push(cover(start)).unwrap();
    }
    assert!(conceal.element.send_event(gst::event::Eos::new()));
    let stegos = std::iter::from_fn(|| conceal.cover.pull_until_eos().unwrap());
    assert_eq!(stegos.count(), 3);
}

/// Of which a source says between a flush and the new segment; the base class has a critical for it.
#[test]
fn a_gap_without_a_segment_is_passed_over() {
    let mut conceal = with_stills();
    conceal.push_and_pull(cover(0));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let secret = conceal.secrets.first_mut().unwrap();
    for harness in [&mut conceal.cover, secret] {
        harness.push_event(gst::event::FlushStart::new());
        harness.push_event(gst::event::FlushStop::new(true));
        harness.push_event(gap(40));
        harness.push_event(gst::event::Segment::new(&segment));
    }
    conceal.push_still(0, &secrets(SIZE, 20)[0], &info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25));
    let stego = conceal.push_and_pull(cover(80));
    assert_eq!(stego.pts(), Some(gst::ClockTime::from_mseconds(80)));
}
