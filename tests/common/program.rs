// SPDX-License-Identifier: MPL-2.0
//! Calls of `invmih-train`, and pictures for them.

// Each test uses its part.
#![allow(dead_code)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A call with these arguments, whatever comes of it.
pub fn invmih_train(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_invmih-train")).args(arguments).output().unwrap()
}

/// Output of a call that has to work.
pub fn worked(arguments: &[&str]) -> (String, String) {
    let output = invmih_train(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}\n{stdout}{stderr}");
    (stdout, stderr)
}

/// A call that has to fail; its last line has to contain all of some texts.
pub fn refused(arguments: &[&str], texts: &[&str]) {
    let output = invmih_train(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    let error = stderr.lines().last().unwrap();
    assert!(error.starts_with("invmih-train: ") && !stderr.contains("panicked"), "{stderr}");
    assert!(texts.iter().all(|text| error.contains(text)), "{texts:?} not in {error}");
}

/// Fills a folder with pictures of several kinds, each 40×32 unless it says otherwise.
pub fn pictures(folder: &Path) {
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
