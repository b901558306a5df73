// SPDX-License-Identifier: MPL-2.0
//! libtorch out of memory inside a running element. One test in a process of its own: the limit is
//! the process's.

mod common;

use std::process::Command;

use common::error_text;
use common::launch::PHOTOS;
use common::pipeline::{parsed, run_to_end, small_weights};
use gst::prelude::*;

const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(100);

/// Bounds the address space of this process to what it has and some MiB more, or not at all.
fn allow(more: Option<u64>) {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let soft = more.map_or("unlimited".into(), |more| (pages * 4096 + (more << 20)).to_string());
    let pid = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--as={soft}:")]).status();
    assert!(status.unwrap().success());
}

/// One frame of a size through an element.
fn one_frame(element: &str, (width, height): (u32, u32)) -> gst::Pipeline {
    let line = format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width={width},height={height} ! {element} model-location={} ! fakesink",
        small_weights().display()
    );
    parsed(&line)
}

#[test]
#[ignore = "the limit can also hit allocations that abort: by hand, with RUST_BACKTRACE=0"]
fn a_frame_too_large_for_the_memory_is_an_error_and_the_next_goes_on() {
    tch::set_num_threads(1);
    let conceal = format!("invmihconceal secret-location={PHOTOS}");
    for (element, large) in [("invmihreveal", (5120, 2880)), (&conceal, (3840, 2160))] {
        run_to_end(&one_frame(element, (64, 64)), LIMIT);
        allow(Some(400));
        let pipeline = one_frame(element, large);
        pipeline.set_state(gst::State::Playing).unwrap();
        let text = error_text(&pipeline.bus().unwrap());
        allow(None);
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(text.contains("libtorch") && text.contains("can't allocate memory"), "{text}");
        assert!(!text.contains("unwrap") && !text.contains("frame #"), "{text}");
        run_to_end(&one_frame(element, (64, 64)), LIMIT);
    }
}
