// SPDX-License-Identifier: MPL-2.0
//! What the elements tell about each frame, and covers that go through the network together.

mod common;

use std::sync::{Arc, Mutex};

use common::{SECRETS, init};
use gst::prelude::*;

const COVERS: usize = 5;

/// A pipeline's stegos in the order in which they came, and its messages named `invmihconceal`.
struct Run {
    stegos: Vec<gst::Buffer>,
    messages: Vec<gst::Structure>,
    pipeline: gst::Pipeline,
}

impl Run {
    fn new(properties: &str) -> Self {
        init();
        let caps = "video/x-raw,format=RGB,width=48,height=32,framerate=10/1";
        let source = |pattern: &str, count: usize, pad: &str| {
            format!(" videotestsrc pattern={pattern} num-buffers={count} ! {caps} ! c.{pad}")
        };
        let secrets = (0..SECRETS).map(|u| source("ball", 2 + u, &format!("secret_{u}")));
        let description = format!(
            "invmihconceal name=c {properties} ! tee name=t ! queue ! fakesink  t. ! queue ! \
             invmihreveal name=r ! fakesink {}{}",
            source("smpte", COVERS, "sink"),
            secrets.collect::<String>()
        );
        let pipeline = gst::parse::launch(&description).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let stegos = Arc::new(Mutex::new(Vec::new()));
        let seen = stegos.clone();
        let src = pipeline.by_name("c").unwrap().static_pad("src").unwrap();
        src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            seen.lock().unwrap().extend(info.buffer().cloned());
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let messages = messages_until_eos(&pipeline);
        let stegos = std::mem::take(&mut *stegos.lock().unwrap());
        Self { stegos, messages, pipeline }
    }

    fn stats(&self, element: &str) -> gst::Structure {
        self.pipeline.by_name(element).unwrap().property("stats")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

fn messages_until_eos(pipeline: &gst::Pipeline) -> Vec<gst::Structure> {
    let mut structures = Vec::new();
    let bus = pipeline.bus().unwrap();
    while let Some(message) = bus.timed_pop(gst::ClockTime::from_seconds(60)) {
        match message.view() {
            gst::MessageView::Eos(_) => return structures,
            gst::MessageView::Error(error) => panic!("{error}"),
            gst::MessageView::Element(element) => structures.extend(
                element.structure().filter(|s| s.name() == "invmihconceal").map(|s| s.to_owned()),
            ),
            _ => (),
        }
    }
    panic!("no end of the stream")
}

#[test]
fn each_stego_has_a_message_and_stats_sum_them_up() {
    let run = Run::new("post-messages=true");
    assert_eq!(run.messages.len(), COVERS);
    let field = |name: &'static str| {
        run.messages.iter().map(move |message| message.get::<u64>(name).unwrap())
    };
    let times: Vec<_> = (0..COVERS as u64).map(|k| k * 100_000_000).collect();
    for name in ["timestamp", "stream-time", "running-time"] {
        assert!(field(name).eq(times.iter().copied()), "{name}");
    }
    assert!(field("duration").all(|duration| duration == 100_000_000));
    let stats = run.stats("c");
    assert_eq!(stats.get("frames"), Ok(COVERS as u64));
    assert_eq!(stats.get("inference-time"), Ok(field("inference-time").sum::<u64>()));
    let error = |psnr: f64| 255.0 * 255.0 / 10f64.powf(psnr / 10.0);
    let psnrs = run.messages.iter().map(|message| message.get::<f64>("cover-psnr").unwrap());
    let mean = psnrs.map(error).sum::<f64>() / COVERS as f64;
    let pooled = error(stats.get("cover-psnr").unwrap());
    assert!((pooled / mean - 1.0).abs() < 1e-9, "{pooled} {mean}");
    assert_eq!(run.stats("r").get("frames"), Ok(COVERS as u64));
    assert!(run.stats("r").get::<f64>("cover-psnr").is_err());
}

#[test]
fn a_batch_gives_the_same_stegos_in_the_same_order() {
    let single = Run::new("");
    assert!(single.messages.is_empty());
    // Five covers are a full batch of three, and two at the end.
    let batched = Run::new("batch-size=3");
    let times = |run: &Run| run.stegos.iter().map(|stego| stego.pts()).collect::<Vec<_>>();
    assert_eq!(times(&single), times(&batched));
    assert_eq!(batched.stats("c").get("frames"), Ok(COVERS as u64));
    for (one, other) in single.stegos.iter().zip(&batched.stegos) {
        let (one, other) = (one.map_readable().unwrap(), other.map_readable().unwrap());
        let differences = one.iter().zip(other.iter()).map(|(a, b)| a.abs_diff(*b));
        // The convolutions may add up in another order.
        assert!(differences.max() <= Some(1));
    }
}
