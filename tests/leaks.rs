// SPDX-License-Identifier: MPL-2.0
//! Neither element leaves a GStreamer object behind: GStreamer's leaks tracer, in a process of its
//! own that ends GStreamer.

mod common;

use std::path::Path;
use std::process::Command;

use common::conceal::{Conceal, secrets};
use common::pipeline::{both, run_to_end};
use common::{buffer, info, picture};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoFormat;

/// Set in the process that the tracer watches, to `clean` or `leaking`.
const WATCHED: &str = "INVMIH_TEST_WATCHED";

#[test]
fn nothing_is_left_behind() {
    if let Ok(kind) = std::env::var(WATCHED) {
        run_watched(&kind);
        return;
    }
    let clean = left_behind("clean");
    assert!(clean.is_empty(), "{clean:#?}");
    let leaking = left_behind("leaking");
    assert!(leaking.len() == 1 && leaking[0].contains("GstBuffer"), "{leaking:#?}");
}

/// What the tracer tells of objects that are still alive at the end.
fn left_behind(kind: &str) -> Vec<String> {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("leaks-{kind}.log"));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_left_behind"])
        .env(WATCHED, kind)
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env("GST_DEBUG_FILE", &log)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = std::fs::read_to_string(log).unwrap();
    let alive = log.lines().filter(|line| line.contains(" object-alive, type-name="));
    alive.filter(|line| !line.contains("new format string")).map(str::to_string).collect()
}

/// The tracer does not list pads.
#[test]
fn a_released_pad_is_gone() {
    common::init();
    for (element, pad) in [("invmihconceal", "secret_0"), ("invmihreveal", "src_0")] {
        let element = gst::ElementFactory::make(element).build().unwrap();
        let pad = element.request_pad_simple(pad).unwrap();
        element.release_request_pad(&pad);
        let weak = pad.downgrade();
        drop(pad);
        assert!(weak.upgrade().is_none(), "{element:?}");
    }
}

fn run_watched(kind: &str) {
    run_to_end(&both("num-buffers=5"), gst::ClockTime::from_seconds(120));
    // Stopped with frames under way.
    let pipeline = both("");
    pipeline.set_state(gst::State::Playing).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    pipeline.set_state(gst::State::Null).unwrap();
    drop(pipeline);
    // A seek, and a pad that goes while frames are under way.
    let pipeline = both("");
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
    pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::SECOND).unwrap();
    let conceal = pipeline.by_name("conceal").unwrap();
    let pad = conceal.static_pad("secret_3").unwrap();
    pad.peer().unwrap().unlink(&pad).unwrap();
    conceal.release_request_pad(&pad);
    pipeline.set_state(gst::State::Null).unwrap();
    drop((pipeline, conceal, pad));
    // Pads that come and go, and an element that fails.
    let format = info(VideoFormat::Rgb, 24, 16, 25);
    let mut conceal = Conceal::new(&format, &format);
    conceal.push_stills(&secrets((24, 16), 1), &format);
    conceal.push_and_pull(buffer(&picture(24, 16, 1), &format, 0));
    let _ = conceal.cover.push(gst::Buffer::new());
    drop(conceal);
    let element = gst::ElementFactory::make("invmihreveal").build().unwrap();
    let mut reveal = Harness::with_element(&element, Some("sink"), Some("src_1"));
    reveal.play();
    reveal.set_src_caps(format.to_caps().unwrap());
    reveal.push_and_pull(buffer(&picture(24, 16, 1), &format, 0)).unwrap();
    let _ = reveal.push(gst::Buffer::new());
    drop((reveal, element));
    if kind == "leaking" {
        std::mem::forget(gst::Buffer::new());
    }
    // The tracer warns of what it finds.
    gst::glib::log_set_always_fatal(gst::glib::LogLevels::LEVEL_ERROR);
    // SAFETY: all that was made of GStreamer is gone, and nothing is called after it.
    unsafe { gst::deinit() };
}
