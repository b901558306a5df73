// SPDX-License-Identifier: MPL-2.0
//! `invmih-train` as users run it.

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::path::Path;

use program::{invmih_train, pictures, refused, worked};

#[test]
fn a_run_leaves_weights_that_info_describes() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    fs::create_dir(&images).unwrap();
    pictures(&images);
    let (images, out) = (images.to_str().unwrap(), out.to_str().unwrap());
    let run = [
        "train",
        "--images",
        images,
        "--out",
        out,
        "--steps",
        "6",
        "--patch",
        "24",
        "--grid",
        "2x2",
        "--hiding-blocks",
        "1",
        "--rescaling-blocks",
        "1",
    ];
    let (stdout, stderr) = worked(&run);
    assert!(stdout.contains("6 photographs"), "{stdout}");
    assert!(stderr.contains("2 file(s) skipped"), "{stderr}");
    assert!(stdout.contains("validation, cover / secret dB: 2x2 "), "{stdout}");
    let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    // Curves of each of the three stages; no state of a finished run.
    assert_eq!(names.iter().filter(|name| name.contains("tfevents")).count(), 3, "{names:?}");
    assert!(!names.contains(&"run.state".into()), "{names:?}");
    let hiding = format!("{out}/hiding.safetensors");
    let rescaling = format!("{out}/rescaling-2x2.safetensors");
    let (stdout, _) = worked(&["info", &hiding, &rescaling]);
    assert!(stdout.contains("hiding for any grid") && stdout.contains("253140 parameters"));
    assert!(stdout.contains("rescaling for 2x2") && stdout.contains("InvBlocks 1"));

    refused(&run, &[out, "--resume"]);
    let (stdout, _) = worked(&[&run[..11], &["--resume", out, "--hiding-blocks", "2"]].concat());
    assert!(stdout.contains("validation, cover / mosaic dB"), "{stdout}");
    assert!(stdout.contains("cover / secret dB: 2x2 - / "), "{stdout}");
    // What is not asked for stays.
    let check_blocks = || {
        let (stdout, _) = worked(&["info", &hiding, &rescaling]);
        let blocks = ["InvBlocks 2", "InvBlocks 1"].map(|blocks| stdout.contains(blocks));
        assert_eq!(blocks, [true; 2], "{stdout}");
    };
    check_blocks();
    worked(&[&run[..11], &["--resume", out]].concat());
    check_blocks();
    refused(&[&run[..], &["--resume", out]].concat(), &[&hiding, "2 InvBlocks", "1 asked"]);
    // The same folder, spelt in another way.
    worked(&[&run[..11], &["--resume", &format!("{out}/.")]].concat());
}

#[test]
fn a_rate_far_too_high_is_refused_and_not_called_done() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    let (images, out) = (folder.path().to_str().unwrap(), folder.path().join("out"));
    let run = "--stage hiding --hiding-blocks 1 --patch 24 --steps 400 --rate 100 --threads 1";
    let call = ["train", "--images", images, "--out", out.to_str().unwrap()];
    refused(&[&call[..], &run.split(' ').collect::<Vec<_>>()].concat(), &["5 times", "--rate"]);
}

#[test]
fn what_cannot_work_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, out) = (folder.path().join("empty"), folder.path().join("out"));
    fs::create_dir(&empty).unwrap();
    let (empty, out) = (empty.to_str().unwrap(), out.to_str().unwrap());
    let missing = format!("{empty}/missing");
    let train = |images: &str, more: &[&str], texts: &[&str]| {
        refused(&[&["train", "--images", images, "--out", out][..], more].concat(), texts);
    };
    train(empty, &[], &["0 usable", empty]);
    train(&missing, &[], &[&missing]);
    train(empty, &["--device", "cuda:77"], &["cuda:77"]);
    train(empty, &["--device", "tpu"], &["'tpu'"]);
    fs::write(folder.path().join("empty/text.png"), "no picture").unwrap();
    train(empty, &[], &["0 usable", "1 skipped", "text.png"]);
    fs::remove_file(folder.path().join("empty/text.png")).unwrap();
    pictures(Path::new(empty));
    train(empty, &["--patch", "26", "--grid", "3x2"], &["26", "3x2"]);
    train(empty, &["--patch", "24", "--grid", "1x1"], &["1x1"]);
    train(empty, &["--resume", empty], &["no weights", empty]);
    refused(&["evaluate", "--images", empty, "--out", out, "--secrets", "5"], &["secrets=5"]);
    refused(
        &["evaluate", "--images", empty, "--out", out, "--secrets", "16"],
        &["8 pictures", "17"],
    );
    for argument in [
        "--steps=0",
        "--batch=0",
        "--batch=18446744073709551615",
        "--threads=0",
        "--minutes=-1",
        "--hiding-blocks=65",
        "--rate=nan",
        "--rate=-1",
        "--cover-weight=0",
        "--patch=-144",
    ] {
        let output = invmih_train(&["train", "--images", empty, "--out", out, argument]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("invalid value") && !stderr.contains("panicked"), "{stderr}");
    }
    let output = invmih_train(&["bench", "--runs=1000000000000"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("invalid value"));
    refused(&["info", &missing], &[&missing]);
}

#[test]
fn weights_are_described_whatever_is_wrong_with_others() {
    let hiding = concat!(env!("CARGO_MANIFEST_DIR"), "/models/hiding.safetensors");
    let output = invmih_train(&["info", "missing-1", hiding, "missing-2"]);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.contains("hiding.safetensors: hiding"), "{stdout}");
    assert!(stderr.contains("missing-1") && stderr.contains("missing-2"), "{stderr}");
}

#[test]
fn a_benchmark_prints_a_line_for_each_direction_and_one_of_memory() {
    let run = "bench --secrets 6 --width 40 --height 36 --runs 1 --device cpu --threads 1";
    let (stdout, _) = worked(&run.split(' ').collect::<Vec<_>>());
    let lines: Vec<_> = stdout.lines().collect();
    let [conceal, reveal, memory] = lines.as_slice() else {
        panic!("{stdout}");
    };
    for (line, direction) in [(conceal, "conceal"), (reveal, "reveal")] {
        let figures = line.strip_prefix(&format!("{direction} N=6 40x36 cpu median ")).unwrap();
        let words: Vec<_> = figures.split(' ').collect();
        let units = ["s", "s", "frames/s", "GFLOP/s"];
        let numbers = [words[0], words[3], words[5], words[7]].map(|word| word.parse::<f64>());
        assert_eq!([words[1], words[4], words[6], words[8]], units, "{line}");
        assert!(numbers.iter().all(|number| *number.as_ref().unwrap() > 0.0), "{line}");
    }
    assert!(memory.starts_with("precision ") && memory.ends_with(" MiB"), "{memory}");
}
