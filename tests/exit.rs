// SPDX-License-Identifier: MPL-2.0
//! A process that exits while its pipelines run, as programs do whose window is closed.

mod common;

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use common::init;
use common::pipeline::small_weights;
use gst::prelude::*;

const STATUS: i32 = 7;

/// The process that exits; the other test starts it.
#[test]
#[ignore = "ends its process"]
fn leaves() {
    init();
    let weights = format!("model-location={}", small_weights().display());
    let secrets: String = (0..4)
        .map(|u| format!(" videotestsrc ! video/x-raw,width=64,height=48 ! c.secret_{u}"))
        .collect();
    let pipeline = gst::parse::launch(&format!(
        "invmihconceal name=c {weights} ! queue ! invmihreveal {weights} ! fakesink name=end \
         videotestsrc ! video/x-raw,format=RGB,width=64,height=48 ! c.sink {secrets}"
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Bin>().unwrap();
    let revealed = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    let (tell, told) = mpsc::channel();
    revealed.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = tell.send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    // All parts of the network have been in use, and are.
    for _ in 0..20 {
        told.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    std::process::exit(STATUS);
}

#[test]
fn a_process_exits_with_its_status_while_pipelines_run() {
    for _ in 0..3 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "leaves", "--nocapture"])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.code(), Some(STATUS), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}
