// SPDX-License-Identifier: MPL-2.0
//! A pipeline of both elements at 64×64, and what it leaves in memory.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use gst::prelude::*;
use gstinvmih::network::hiding::Hiding;
use gstinvmih::network::rescaling::Rescaling;
use gstinvmih::network::weights::{self, Header, Module};
use gstinvmih::network::{Device, Grid};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::{SECRETS, init};

/// A folder of weights with one InvBlock a module, for tests of many frames: always the same, and no
/// identity, so that a revealed secret shows what was hidden.
pub fn small_weights() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(make_small_weights);
    &FOLDER
}

fn make_small_weights() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("small-weights");
    std::fs::create_dir_all(&folder).unwrap();
    let grid = Grid::for_secrets(SECRETS as u32).unwrap();
    let (blocks, clamp) = (1, 1.0);
    for module in [Module::Hiding(None), Module::Rescaling(grid)] {
        let store = VarStore::new(Device::Cpu);
        match module {
            Module::Hiding(_) => drop(Hiding::new(&store.root(), blocks, clamp)),
            Module::Rescaling(grid) => drop(Rescaling::new(&store.root(), grid, blocks, clamp)),
        }
        let variables = store.variables().into_iter();
        let waves = variables.map(|(name, variable)| {
            let count = variable.numel() as i64;
            let values = Tensor::arange(count, (Kind::Float, Device::Cpu)).sin() * 0.05;
            (name, values.view_as(&variable))
        });
        weights::save(&folder, Header { module, blocks, clamp }, &waves.collect()).unwrap();
    }
    folder
}

/// The elements are `conceal`, `reveal` and `sink`, with [`small_weights`]; every secret moves.
/// `cover` is for the cover's source, `num-buffers=9` for example.
pub fn both(cover: &str) -> gst::Pipeline {
    // More threads would wait for each other where other tests have the cores.
    tch::set_num_threads(1);
    let weights = format!("model-location={}", small_weights().display());
    let source = |pattern: &str, pad: &str| {
        format!("videotestsrc {pattern} ! video/x-raw,width=64,height=64 ! conceal.{pad} ")
    };
    let secrets: String = ["ball", "pinwheel", "smpte", "circular"]
        .iter()
        .enumerate()
        .map(|(u, pattern)| source(&format!("pattern={pattern}"), &format!("secret_{u}")))
        .collect();
    let line = format!(
        "invmihconceal {weights} name=conceal ! invmihreveal {weights} name=reveal ! fakesink name=sink {} {secrets}",
        source(cover, "sink")
    );
    parsed(&line)
}

/// The pipeline of a launch line that may name the elements.
pub fn parsed(line: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(line).unwrap().downcast().unwrap()
}

/// Runs what must not take longer: it may have come to a standstill.
pub fn within(limit: Duration, run: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    let ended = waiting.recv_timeout(limit);
    assert_ne!(ended, Err(mpsc::RecvTimeoutError::Timeout), "not done after {limit:?}");
    thread.join().unwrap();
}

/// Bytes of memory in use by the process.
pub fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Runs until the end of the stream.
pub fn run_to_end(pipeline: &gst::Pipeline, timeout: gst::ClockTime) {
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_end(pipeline, timeout);
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Waits for the end of the stream; an error ends the test.
pub fn wait_for_end(pipeline: &gst::Pipeline, timeout: gst::ClockTime) {
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(timeout, &wanted);
    let message = message.expect("the end of the stream in time");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
}
