// SPDX-License-Identifier: MPL-2.0
//! `invmih-train evaluate` as users run it.

#[path = "common/program.rs"]
mod program;

use std::fs;

use program::{pictures, worked};

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
