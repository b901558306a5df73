// SPDX-License-Identifier: MPL-2.0
//! Runs that are broken off, killed or out of disk, and what the next makes of them.

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gstinvmih::network::{Device, Grid};
use gstinvmih::training::dataset::Photographs;
use gstinvmih::training::modules::Blocks;
use gstinvmih::training::preset::Preset;
use gstinvmih::training::run::{Config, Event, Stage};
use gstinvmih::training::schedule::Budget;
use gstinvmih::training::state::State;
use gstinvmih::training::trainer::Trainer;
use indicatif::ProgressBar;
use safetensors::SafeTensors;

use program::{pictures, refused, worked};

fn config(stage: Stage, out: &Path) -> Config {
    let grids = vec![Grid::new(2, 2).unwrap(), Grid::new(3, 2).unwrap()];
    Config {
        blocks: Blocks { hiding: 1, rescaling: 1 },
        budget: Budget::Steps(8),
        rate: 1e-3,
        patch: 24,
        seed: 3,
        ..Config::of(Preset::Shipped, stage, grids, out)
    }
}

/// Trains from where the folder's state stands, or from fresh, until some step or the end.
fn train(stage: Stage, photographs: &Photographs, out: &Path, last: u64) {
    fs::create_dir_all(out).unwrap();
    let mut trainer = Trainer::new(config(stage, out), photographs, photographs, &[]).unwrap();
    if let Some(state) = State::open(out).unwrap() {
        trainer.restore(&state).unwrap();
    }
    let until = |event| match event {
        Event::Step(report) if report.step == last => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    trainer.run(until).unwrap();
}

/// A tensor's file, name and bytes.
type Weight = (PathBuf, String, Vec<u8>);

/// The tensors of a folder's weights files; a file's header has no fixed order.
fn weights(folder: &Path) -> Vec<Weight> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut weights = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|e| e == "safetensors")) {
        let bytes = fs::read(&path).unwrap();
        for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let file = path.file_name().unwrap().into();
            weights.push((file, name.to_string(), tensor.data().to_vec()));
        }
    }
    weights.sort();
    weights
}

/// The only test here that trains in this process: libtorch's random numbers are the process's.
#[test]
fn a_run_broken_off_and_gone_on_with_is_the_run_in_one_go() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    let folders = [folder.path().into()];
    let photographs = Photographs::load(&folders, 24, Device::Cpu, &ProgressBar::hidden()).unwrap();
    for stage in [Stage::Rescaling, Stage::Joint] {
        let out = |name: &str| folder.path().join(format!("{name} {stage}"));
        train(stage, &photographs, &out("whole"), u64::MAX);
        train(stage, &photographs, &out("parts"), 3);
        let early = weights(&out("parts"));
        train(stage, &photographs, &out("parts"), 6);
        train(stage, &photographs, &out("parts"), u64::MAX);
        let late = weights(&out("parts"));
        assert!(late == weights(&out("whole")), "{stage}: gone on with, it ends elsewhere");
        assert!(late != early, "{stage}: it did not go on");
    }
}

/// A run's folders, and the arguments of a run there.
struct Run {
    folder: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        pictures(&folder.path().join("images"));
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn arguments(&self, steps: u32, resume: bool) -> Vec<String> {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_string();
        let mut arguments: Vec<String> = [
            "train",
            "--stage",
            "hiding",
            "--hiding-blocks",
            "1",
            "--patch",
            "24",
            "--threads",
            "1",
        ]
        .map(Into::into)
        .into();
        arguments.extend(["--steps".into(), steps.to_string()]);
        arguments.extend(["--images".into(), path("images"), "--out".into(), path("out")]);
        if resume {
            arguments.extend(["--resume".into(), path("out")]);
        }
        arguments
    }

    /// A run that has made its first checkpoint.
    fn started(&self, steps: u32, resume: bool) -> Child {
        let state = self.out().join("run.state");
        if !resume {
            let _ = fs::remove_dir_all(self.out());
        }
        let before = fs::metadata(&state).and_then(|state| state.modified()).ok();
        let child = Command::new(env!("CARGO_BIN_EXE_invmih-train"))
            .args(self.arguments(steps, resume))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while fs::metadata(&state).and_then(|state| state.modified()).ok() == before {
            assert!(Instant::now() < deadline, "no checkpoint");
            sleep(Duration::from_millis(5));
        }
        child
    }

    fn worked(&self, steps: u32, resume: bool) -> String {
        let arguments = self.arguments(steps, resume);
        worked(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).0
    }

    fn info(&self) {
        worked(&["info", self.out().join("hiding.safetensors").to_str().unwrap()]);
    }
}

/// Ends a child by a signal of this name.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn killed_at_any_moment_it_leaves_what_the_next_goes_on_from() {
    let run = Run::new();
    for moment in 0..6 {
        let mut child = run.started(3, false);
        sleep(Duration::from_millis(25 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        run.info();
        // None once it was finished.
        State::open(&run.out()).unwrap();
    }
    let mut child = run.started(1_000_000, false);
    child.kill().unwrap();
    child.wait().unwrap();
    let text = run.worked(3, true);
    assert!(text.contains("going on after step 0") && text.contains("weights written"), "{text}");
    let text = run.worked(3, true);
    assert!(text.contains("a new schedule from the weights"), "{text}");
}

/// By the second the process may have saved and be gone.
#[test]
fn a_second_ctrl_c_kills_without_a_crash() {
    let run = Run::new();
    for _ in 0..4 {
        let mut child = run.started(1_000_000, false);
        signal(&child, "INT");
        signal(&child, "INT");
        let status = child.wait().unwrap();
        assert!(matches!(status.code(), Some(0 | 130)), "{status}");
        run.info();
    }
}

#[test]
fn another_run_does_not_overwrite_an_unfinished_one() {
    let run = Run::new();
    let mut child = run.started(1_000_000, false);
    child.kill().unwrap();
    child.wait().unwrap();
    let state = fs::read(run.out().join("run.state")).unwrap();
    let arguments = run.arguments(3, true);
    let mut other: Vec<_> = arguments.iter().map(String::as_str).collect();
    other[4] = "2";
    refused(&other, &[run.out().to_str().unwrap(), "InvBlocks"]);
    assert_eq!(fs::read(run.out().join("run.state")).unwrap(), state);
}

#[test]
fn hiding_brings_the_rescaling_weights_that_it_is_trained_with() {
    let run = Run::new();
    let [from, images, out] = ["from", "images", "out"]
        .map(|name| run.folder.path().join(name).to_str().unwrap().to_string());
    let train = |stage: &str, more: &[&str]| {
        let call =
            ["train", "--stage", stage, "--images", &images, "--steps", "2", "--patch", "24"];
        let blocks = ["--hiding-blocks", "1", "--rescaling-blocks", "1", "--threads", "1"];
        worked(&[&call[..], &blocks, more].concat());
    };
    train("rescaling", &["--out", &from]);
    train("hiding", &["--out", &out, "--resume", &from]);
    let tiles =
        |folder: &str| fs::read(Path::new(folder).join("rescaling-2x2.safetensors")).unwrap();
    assert_eq!(tiles(&from), tiles(&out));
}

#[test]
fn asked_to_stop_it_saves_and_the_next_goes_on() {
    for name in ["INT", "TERM"] {
        stopped_by(name);
    }
}

fn stopped_by(name: &str) {
    let run = Run::new();
    let child = run.started(1_000_000, false);
    sleep(Duration::from_millis(500));
    signal(&child, name);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("broken off"), "{text}");
    run.info();
    let step = State::open(&run.out()).unwrap().unwrap().standing().step;
    // At the share of the budget that was spent, of another budget: nothing to speak of.
    let text = run.worked(3, true);
    assert!(step > 0 && text.contains(&format!("going on after step {step}")), "{text}");
    assert!(text.contains("budget 3 steps, so far 1000000 steps"), "{text}");
}

#[test]
fn a_full_disk_is_an_error_and_the_last_checkpoint_stays() {
    let run = Run::new();
    run.worked(2, false);
    let before = weights(&run.out());
    // No file past 100 blocks of 512 bytes; the signal ignored, writing fails.
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_invmih-train")])
        .args(run.arguments(2, true))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let last = error.lines().last().unwrap();
    assert!(!output.status.success() && !error.contains("panicked"), "{error}");
    assert!(last.contains("hiding.safetensors") && last.contains("too large"), "{error}");
    assert!(weights(&run.out()) == before);
    run.info();
}

#[test]
fn a_broken_state_is_refused_by_its_name() {
    let run = Run::new();
    run.worked(2, false);
    fs::write(run.out().join("run.state"), "not one").unwrap();
    let arguments = run.arguments(2, true);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    program::refused(&arguments, &["run.state", "cannot be used"]);
}
