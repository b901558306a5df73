// SPDX-License-Identifier: MPL-2.0
//! What flows through a pad of a pipeline.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::init;

/// A buffer's timestamp and bytes.
pub type Sample = (gst::ClockTime, Vec<u8>);

/// Runs a line to its end; all that went through the pad `pad` of its element `element`.
pub fn samples(line: &str, element: &str, pad: &str) -> Vec<Sample> {
    init();
    let pipeline = gst::parse::launch(line).unwrap_or_else(|error| panic!("{line}\n{error}"));
    let element = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name(element).unwrap();
    let seen = Arc::<Mutex<Vec<Sample>>>::default();
    let samples = seen.clone();
    element.static_pad(pad).unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().unwrap();
        let bytes = buffer.map_readable().unwrap().to_vec();
        samples.lock().unwrap().push((buffer.pts().unwrap_or_default(), bytes));
        gst::PadProbeReturn::Ok
    });
    run(&pipeline, line);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Plays a pipeline to its end, which has to come without an error.
fn run(pipeline: &gst::Element, line: &str) {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap_or_else(|error| panic!("{line}\n{error}"));
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(error)) => {
            panic!("{line}\n{} {:?}", error.error(), error.debug())
        }
        _ => panic!("no end: {line}"),
    }
}

/// The R, G and B of each frame of a file, as packed RGB.
pub fn decoded(file: &Path) -> Vec<Sample> {
    let file = file.display();
    let line = format!(
        "filesrc location={file} ! decodebin ! videoconvert ! video/x-raw,format=RGB ! fakesink name=end"
    );
    samples(&line, "end", "sink")
}
