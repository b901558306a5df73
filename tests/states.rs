// SPDX-License-Identifier: MPL-2.0
//! Both elements through many changes of state, and with properties set while they play.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::launch::PHOTOS;
use common::pipeline::{both, parsed, resident, small_weights, wait_for_end, within};
use gst::glib;
use gst::prelude::*;

const CYCLES: usize = 200;
/// Until here every pool and thread has its memory.
const WARM: usize = 50;
/// One model a cycle, the small one of these tests, would come to 300 MiB.
const BOUND: i64 = 16 << 20;
const LIMIT: Duration = Duration::from_secs(300);

/// A probe that tells of every buffer that reaches the sink.
fn arrivals(pipeline: &gst::Pipeline) -> mpsc::Receiver<gst::Buffer> {
    let (sender, receiver) = mpsc::channel();
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let _ = sender.send(buffer.clone());
        }
        gst::PadProbeReturn::Ok
    });
    receiver
}

#[test]
fn two_hundred_times_from_null_to_playing_and_back() {
    within(LIMIT, || {
        let pipeline = both("");
        let arrivals = arrivals(&pipeline);
        let mut warm = 0;
        for cycle in 0..CYCLES {
            pipeline.set_state(gst::State::Playing).unwrap();
            // Stopped before the first frame, at it, or within the frames of a stego.
            for _ in 0..cycle % 4 {
                arrivals.recv_timeout(LIMIT).unwrap();
            }
            pipeline.set_state(gst::State::Null).unwrap();
            while arrivals.try_recv().is_ok() {}
            if cycle == WARM {
                warm = resident();
            }
        }
        let growth = resident() - warm;
        assert!(growth < BOUND, "{} KiB more", growth / 1024);
        let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_none(), "{error:?}");
    });
}

#[test]
fn a_cover_that_is_always_ahead_can_be_sought_and_stopped() {
    within(LIMIT, || {
        let weights = small_weights();
        let pipeline = parsed(&format!(
            "videotestsrc ! video/x-raw,format=RGB,width=64,height=64 ! invmihconceal \
             model-location={} secret-location={PHOTOS} ! fakesink name=sink",
            weights.display()
        ));
        let arrivals = arrivals(&pipeline);
        for target in [1000, 2000, 3000].map(gst::ClockTime::from_seconds) {
            pipeline.set_state(gst::State::Playing).unwrap();
            arrivals.recv_timeout(LIMIT).unwrap();
            pipeline.seek_simple(gst::SeekFlags::FLUSH, target).unwrap();
            while arrivals.recv_timeout(LIMIT).unwrap().pts() < Some(target) {}
            pipeline.set_state(gst::State::Null).unwrap();
            while arrivals.try_recv().is_ok() {}
        }
    });
}

#[test]
fn from_ready_to_paused_and_back() {
    within(LIMIT, || {
        let pipeline = both("");
        for cycle in 0..50 {
            pipeline.set_state(gst::State::Paused).unwrap();
            if cycle % 2 == 0 {
                let (done, state, _) = pipeline.state(gst::ClockTime::from_seconds(60));
                assert_eq!((done.is_ok(), state), (true, gst::State::Paused));
            }
            pipeline.set_state(gst::State::Ready).unwrap();
        }
        pipeline.set_state(gst::State::Null).unwrap();
    });
}

/// Reads each of an element's own properties and sets it to something else.
fn disturb(element: &gst::Element) {
    for property in element.list_properties() {
        let (name, flags) = (property.name(), property.flags());
        if property.owner_type() != element.type_() {
            continue;
        }
        if flags.contains(glib::ParamFlags::READABLE) {
            element.property_value(name);
        }
        if !flags.contains(glib::ParamFlags::WRITABLE)
            || flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
        {
            continue;
        }
        if property.value_type() == String::static_type() {
            element.set_property(name, "another");
        } else if property.value_type() == u32::static_type() {
            element.set_property(name, 16_u32);
        } else if let Some(class) = glib::EnumClass::with_type(property.value_type()) {
            let last = class.values().last().unwrap();
            element.set_property_from_str(name, last.nick());
        }
    }
}

/// All frames of a stream whose properties another thread may set meanwhile.
fn frames(disturbed: bool) -> Vec<Vec<u8>> {
    let pipeline = both("num-buffers=12");
    let arrivals = arrivals(&pipeline);
    let elements = ["conceal", "reveal"].map(|name| pipeline.by_name(name).unwrap());
    let ended = AtomicBool::new(false);
    pipeline.set_state(gst::State::Playing).unwrap();
    let first = arrivals.recv_timeout(LIMIT).unwrap();
    std::thread::scope(|scope| {
        if disturbed {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    elements.iter().for_each(disturb);
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
        }
        wait_for_end(&pipeline, gst::ClockTime::from_seconds(120));
        ended.store(true, Ordering::Relaxed);
    });
    pipeline.set_state(gst::State::Null).unwrap();
    if disturbed {
        // What was set is for the next start.
        assert!(pipeline.set_state(gst::State::Playing).is_err());
        pipeline.set_state(gst::State::Null).unwrap();
    }
    let frames = std::iter::once(first).chain(arrivals.try_iter());
    frames.map(|frame| frame.map_readable().unwrap().to_vec()).collect()
}

#[test]
fn properties_set_while_playing_leave_the_run_as_it_is() {
    let made = Arc::new(Mutex::new(vec![]));
    let filled = made.clone();
    within(LIMIT, move || {
        *filled.lock().unwrap() = vec![frames(false), frames(true)];
    });
    let made = made.lock().unwrap();
    assert_eq!(made[0].len(), 12 * common::SECRETS);
    let pictures: HashSet<_> = made[0].iter().collect();
    assert!(pictures.len() > common::SECRETS, "{} pictures", pictures.len());
    assert!(made[0] == made[1], "other frames");
}
