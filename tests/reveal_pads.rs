// SPDX-License-Identifier: MPL-2.0
//! The source pads of `invmihreveal`: their names and numbers, and pads that come and go.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::pipeline::{both, parsed, run_to_end, small_weights};
use common::{SECRETS, buffer, bus, error_text, info, init, picture};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

const LIMIT: Duration = Duration::from_secs(20);

fn element() -> gst::Element {
    init();
    gst::ElementFactory::make("invmihreveal").build().unwrap()
}

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, 24, 16, 25)
}

fn stego(start: u64) -> gst::Buffer {
    buffer(&picture(24, 16, 1), &format(), start)
}

/// Tells of each buffer on a pad.
fn frames(pad: &gst::Pad) -> mpsc::Receiver<()> {
    let (seen, frames) = mpsc::channel();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| match seen.send(()) {
        Ok(()) => gst::PadProbeReturn::Ok,
        Err(_) => gst::PadProbeReturn::Remove,
    });
    frames
}

#[test]
fn pads_have_the_names_asked_for() {
    let element = element();
    let template = element.pad_template("src_%u").unwrap();
    let name = |asked| element.request_pad(&template, asked, None).map(|pad| pad.name());
    assert_eq!(name(Some("src_1")).unwrap(), "src_1");
    assert_eq!(name(None).unwrap(), "src_0");
    assert_eq!(name(None).unwrap(), "src_2");
}

#[test]
fn no_two_pads_have_one_number() {
    common::no_two_pads_have_one_number(&element(), "src", 1);
}

#[test]
fn a_start_that_fails_leaves_nothing_of_it() {
    let element = element();
    let stuck = gst::Pad::builder(gst::PadDirection::Src)
        .activate_function(|pad, _| {
            Err(gst::loggable_error!(gst::CAT_RUST, "{} is stuck", pad.name()))
        })
        .build();
    element.add_pad(&stuck).unwrap();
    assert!(element.set_state(gst::State::Paused).is_err());
    // With a model there would be no such secret.
    assert!(element.request_pad_simple("src_7").is_some());
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_pad_past_the_last_secret_is_refused() {
    let element = element();
    let bus = bus(&element);
    element.request_pad_simple("src_7").unwrap();
    assert!(element.set_state(gst::State::Paused).is_err());
    assert!(error_text(&bus).contains("src_7 is one too many: secrets=4"));
    element.release_request_pad(&element.static_pad("src_7").unwrap());
    element.set_state(gst::State::Paused).unwrap();
    assert!(element.request_pad_simple("src_4").is_none());
    assert!(error_text(&bus).contains("src_4 is one too many: secrets=4"));
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_stego_without_anyone_to_take_it_is_not_linked() {
    let mut harness = Harness::with_element(&element(), Some("sink"), None);
    harness.play();
    harness.set_src_caps(format().to_caps().unwrap());
    assert_eq!(harness.push(stego(0)), Err(gst::FlowError::NotLinked));
    let stats: gst::Structure = harness.element().unwrap().property("stats");
    assert_eq!(stats.get::<u64>("frames").unwrap(), 0);
}

#[test]
fn a_number_of_stegos_is_none_of_a_sequences_frames() {
    for (output, answered) in [("sequence", false), ("preview", true)] {
        let pipeline = parsed(&format!(
            "videotestsrc num-buffers=7 ! video/x-raw,format=RGB,width=64,height=64,framerate=25/1 \
             ! invmihreveal model-location={} output={output} name=reveal ! fakesink",
            small_weights().display()
        ));
        pipeline.set_state(gst::State::Paused).unwrap();
        pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
        let src = pipeline.by_name("reveal").unwrap().static_pad("src").unwrap();
        let second = src.query_convert::<Option<gst::format::Default>>(gst::ClockTime::SECOND);
        assert_eq!(second.is_some(), answered, "{output}");
        let seek = gst::event::Seek::new(
            1.0,
            gst::SeekFlags::FLUSH,
            gst::SeekType::Set,
            gst::format::Default::from_u64(2),
            gst::SeekType::None,
            gst::format::Default::NONE,
        );
        assert_eq!(src.send_event(seek), answered, "{output}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_queue_too_small_for_a_sequence_holds_no_other_pad_back() {
    let line = format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=64,height=64 \
         ! invmihreveal model-location={} name=r ! queue max-size-bytes=20000 ! fakesink \
         r.src_0 ! queue ! fakesink",
        small_weights().display()
    );
    run_to_end(&parsed(&line), gst::ClockTime::from_seconds(60));
}

#[test]
fn a_pad_added_during_a_change_of_caps_has_those_of_its_frames() {
    let element = element();
    let mut harness = Harness::with_element(&element, Some("sink"), None);
    harness.play();
    harness.set_src_caps(format().to_caps().unwrap());
    let mut late = Harness::with_element(&element, None, Some("src_1"));
    late.play();
    // As it is after the copy of caps and segment that others have replaced meanwhile.
    let pad = element.static_pad("src_1").unwrap();
    let old = info(VideoFormat::Bgr, 8, 8, 25).to_caps().unwrap();
    pad.store_sticky_event(&gst::event::Caps::new(&old)).unwrap();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(gst::ClockTime::SECOND);
    pad.store_sticky_event(&gst::event::Segment::new(&segment)).unwrap();
    harness.push(stego(40)).unwrap();
    late.pull().unwrap();
    let sink = pad.peer().unwrap();
    assert_eq!(sink.current_caps(), Some(format().to_caps().unwrap()));
    let segment = sink.sticky_event::<gst::event::Segment>(0).unwrap();
    let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
    assert_eq!(segment.base(), Some(gst::ClockTime::ZERO));
}

#[test]
fn pads_linked_later_take_a_stream_that_nobody_took() {
    let element = element();
    let mut harness = Harness::with_element(&element, Some("sink"), None);
    harness.play();
    harness.set_src_caps(format().to_caps().unwrap());
    assert_eq!(harness.push(stego(0)), Err(gst::FlowError::NotLinked));
    // `src` stays unlinked; the last pad is linked after one that goes.
    let released = element.request_pad_simple("src_0").unwrap();
    let mut first = Harness::with_element(&element, None, Some("src_1"));
    first.play();
    harness.push(stego(40)).unwrap();
    assert_eq!(first.pull().unwrap().pts(), Some(gst::ClockTime::from_mseconds(40)));
    let late = element.request_pad_simple("src_2").unwrap();
    harness.push(stego(80)).unwrap();
    let sink = gst::Pad::builder(gst::PadDirection::Sink)
        .event_function(|_, _, _| true)
        .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
        .build();
    sink.set_active(true).unwrap();
    late.link(&sink).unwrap();
    let arrived = frames(&late);
    element.release_request_pad(&released);
    element.release_request_pad(&element.static_pad("src_1").unwrap());
    harness.push(stego(120)).unwrap();
    arrived.recv_timeout(LIMIT).unwrap();
}

/// As where an application takes a branch away: it stops the branch, then gives back the pad.
#[test]
fn a_pad_released_during_its_push_stops_nothing_else() {
    let element = element();
    element.set_property_from_str("output", "preview");
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps(format().to_caps().unwrap());
    let pad = element.request_pad_simple("src_0").unwrap();
    let sink = gst::Pad::builder(gst::PadDirection::Sink)
        .event_function(|_, _, _| true)
        .chain_function(move |sink, _, _| {
            element.release_request_pad(&sink.peer().unwrap());
            Err(gst::FlowError::Flushing)
        })
        .build();
    sink.set_active(true).unwrap();
    pad.link(&sink).unwrap();
    for start in [0, 40] {
        harness.push(stego(start)).unwrap();
        assert_eq!(harness.pull().unwrap().pts(), Some(gst::ClockTime::from_mseconds(start)));
    }
    assert!(!pad.is_active() && pad.parent().is_none());
}

#[test]
fn pads_come_and_go_while_frames_run() {
    let pipeline = both("");
    let reveal = pipeline.by_name("reveal").unwrap();
    let main = frames(&pipeline.by_name("sink").unwrap().static_pad("sink").unwrap());
    pipeline.set_state(gst::State::Playing).unwrap();
    for u in (0..SECRETS).cycle().take(12) {
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        let pad = reveal.request_pad_simple(&format!("src_{u}")).unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        frames(&pad).recv_timeout(LIMIT).unwrap();
        reveal.release_request_pad(&pad);
        pipeline.remove(&sink).unwrap();
        sink.set_state(gst::State::Null).unwrap();
    }
    while main.try_recv().is_ok() {}
    main.recv_timeout(LIMIT).unwrap();
    assert!(pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]).is_none());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_pad_added_while_the_stream_starts_is_told_of_the_start() {
    let element = element();
    let mut stegos = Harness::with_element(&element, Some("sink"), Some("src"));
    let weak = element.downgrade();
    let src = element.static_pad("src").unwrap();
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match info.event().map(|event| event.type_()) {
            Some(gst::EventType::StreamStart) => {
                weak.upgrade().unwrap().request_pad_simple("src_1").unwrap();
                gst::PadProbeReturn::Remove
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
    stegos.play();
    stegos.set_src_caps(format().to_caps().unwrap());
    let mut secret = Harness::with_element(&element, None, Some("src_1"));
    stegos.push(stego(0)).unwrap();
    secret.pull().unwrap();
    let id = secret.sinkpad().unwrap().stream_id().unwrap();
    assert!(id.ends_with("/src_1"), "{id}");
}
