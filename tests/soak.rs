// SPDX-License-Identifier: MPL-2.0
//! 2,000 frames through both elements, whose memory stays flat.

mod common;

use std::sync::{Arc, Mutex};

use common::pipeline::{both, resident, run_to_end};
use gst::prelude::*;

const FRAMES: usize = 2000;
/// Until here every pool, cache and thread has its memory.
const WARM: usize = 300;
/// One 64×64 buffer a frame would come to 20 MiB, one f32 tensor of a picture to 80.
const BOUND: i64 = 4 << 20;

#[test]
#[ignore = "takes most of a minute; run it with --ignored"]
fn two_thousand_frames_leave_memory_as_it_was() {
    let pipeline = both(&format!("num-buffers={FRAMES}"));
    let samples = Arc::new(Mutex::new(Vec::with_capacity(FRAMES)));
    let pad = pipeline.by_name("reveal").unwrap().static_pad("sink").unwrap();
    let probed = samples.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        probed.lock().unwrap().push(resident());
        gst::PadProbeReturn::Ok
    });
    run_to_end(&pipeline, gst::ClockTime::from_seconds(600));
    let samples = samples.lock().unwrap();
    assert_eq!(samples.len(), FRAMES);
    let growth = samples[FRAMES - 1] - samples[WARM];
    assert!(growth < BOUND, "{} KiB more after {} frames", growth / 1024, FRAMES - WARM);
}
