// SPDX-License-Identifier: MPL-2.0
//! `invmih-train` as users run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn invmih_train(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_invmih-train")).args(arguments).output().unwrap()
}

/// Output of a call that has to work.
fn worked(arguments: &[&str]) -> (String, String) {
    let output = invmih_train(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}\n{stdout}{stderr}");
    (stdout, stderr)
}

/// A call that has to fail; its last line has to contain all of some texts.
fn refused(arguments: &[&str], texts: &[&str]) {
    let output = invmih_train(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    let error = stderr.lines().last().unwrap();
    assert!(error.starts_with("invmih-train: ") && !stderr.contains("panicked"), "{stderr}");
    assert!(texts.iter().all(|text| error.contains(text)), "{texts:?} not in {error}");
}

/// Fills a folder with pictures of several kinds, each 40×32 unless it says otherwise.
fn pictures(folder: &Path) {
    let value = |x: u32, y: u32| [x * 6, y * 7, x * y % 256].map(|v| v as u8);
    let rgb = image::RgbImage::from_fn(40, 32, |x, y| image::Rgb(value(x, y)));
    for number in 0..5 {
        image::imageops::huerotate(&rgb, 50 * number)
            .save(folder.join(format!("{number}.png")))
            .unwrap();
    }
    let grey = image::DynamicImage::ImageRgb8(rgb.clone()).into_luma16();
    grey.save(folder.join("grey16.png")).unwrap();
    image::imageops::thumbnail(&rgb, 8, 8).save(folder.join("tiny.png")).unwrap();
    fs::write(folder.join("text.png"), "no picture").unwrap();
}

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
    let hiding = format!("{out}/hiding.safetensors");
    let rescaling = format!("{out}/rescaling-2x2.safetensors");
    let (stdout, _) = worked(&["info", &hiding, &rescaling]);
    assert!(stdout.contains("hiding for any grid") && stdout.contains("253140 parameters"));
    assert!(stdout.contains("rescaling for 2x2") && stdout.contains("InvBlocks 1"));

    refused(&run, &[out, "--resume"]);
    worked(
        &[&run[..11], &["--resume", out, "--hiding-blocks", "2", "--rescaling-blocks", "1"]]
            .concat(),
    );
    let (stdout, _) = worked(&["info", &hiding]);
    assert!(stdout.contains("InvBlocks 2"), "{stdout}");
    refused(&[&run[..], &["--resume", out]].concat(), &[&hiding, "2 InvBlocks", "1 asked"]);
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
    for argument in ["--steps=0", "--batch=0", "--threads=0", "--minutes=-1", "--hiding-blocks=65"]
    {
        let output = invmih_train(&["train", "--images", empty, "--out", out, argument]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("invalid value") && !stderr.contains("panicked"), "{stderr}");
    }
    refused(&["info", &missing], &[&missing]);
}

#[test]
fn evaluate_measures_the_pngs_that_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (folder.path().join("images"), folder.path().join("out"));
    fs::create_dir(&images).unwrap();
    pictures(&images);
    fs::remove_file(images.join("text.png")).unwrap();
    fs::remove_file(images.join("tiny.png")).unwrap();
    let (stdout, _) = worked(&[
        "evaluate",
        "--images",
        images.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--secrets",
        "4",
        "--covers",
        "1",
    ]);
    let row = stdout.lines().find(|line| line.starts_with("| images | 4 | cover |")).unwrap();
    let psnr: f64 = row.split('|').nth(4).unwrap().trim().parse().unwrap();
    let open = |path| image::open(path).unwrap().into_rgb8();
    let stego = open(out.join("images/4/000/stego.png"));
    let measured = gstinvmih::training::metrics::psnr(&open(images.join("0.png")), &stego);
    assert!((psnr - measured).abs() < 0.01, "{row}, but {measured}");
    assert!(out.join("images/4/000/revealed_03.png").is_file());
}
