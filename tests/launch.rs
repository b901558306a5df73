// SPDX-License-Identifier: MPL-2.0
//! Both elements as users run them: gst-launch-1.0, with the bundled weights, on pictures on disk.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::launch::{Folder, HEIGHT, WIDTH, come_back};
use common::pipeline::{parsed, run_to_end};
use gst::prelude::*;
use gstinvmih::training::metrics::psnr;
use image::imageops::{self, FilterType};

#[test]
fn sixteen_photographs_hide_in_one_and_come_back() {
    let folder = Folder::new();
    folder.launch(
        "filesrc location=cover.png ! decodebin ! videoconvert ! invmihconceal secrets=16 secret-location=photos ! pngenc ! filesink location=stego.png",
    );
    folder.launch(
        "filesrc location=stego.png ! decodebin ! videoconvert ! invmihreveal secrets=16 ! videoconvert ! pngenc ! multifilesink location=revealed_%02d.png",
    );
    let quality = psnr(&folder.picture("cover.png"), &folder.picture("stego.png"));
    assert!((20.0..99.0).contains(&quality), "stego at {quality:.1} dB");
    come_back(&folder, 16, 15.0);
    assert!(!folder.path("revealed_16.png").exists());
}

#[test]
fn secrets_that_are_linked_late_are_waited_for() {
    let folder = Folder::new();
    let secrets: String = (0..4)
        .map(|u| format!(" filesrc location=photos/{u:02}.png ! decodebin ! c.secret_{u}"))
        .collect();
    folder.launch(&format!(
        "invmihconceal name=c ! pngenc ! filesink location=stego.png filesrc location=cover.png ! decodebin ! videoconvert ! c.sink{secrets}"
    ));
    folder.launch(
        "filesrc location=stego.png ! decodebin ! videoconvert ! invmihreveal ! videoconvert ! pngenc ! multifilesink location=revealed_%02d.png",
    );
    come_back(&folder, 4, 18.0);
}

#[test]
fn a_secret_can_be_had_alone_and_all_in_one_picture() {
    let folder = Folder::new();
    folder.launch(
        "filesrc location=cover.png ! decodebin ! videoconvert ! invmihconceal secret-location=photos/%02d.png ! pngenc ! filesink location=stego.png",
    );
    folder.launch(
        "filesrc location=stego.png ! decodebin ! videoconvert ! invmihreveal name=r output=montage ! queue ! pngenc ! filesink location=montage.png r.src_2 ! queue ! pngenc ! filesink location=alone.png",
    );
    let montage = folder.picture("montage.png");
    assert_eq!(montage.dimensions(), (2 * WIDTH, 2 * HEIGHT));
    let third = imageops::crop_imm(&montage, 0, HEIGHT, WIDTH, HEIGHT).to_image();
    assert!(third == folder.picture("alone.png"));
}

/// A lossy file or a scaler between the two is no error: nothing in a stego tells of it.
#[test]
fn a_stego_that_was_changed_reveals_damaged_pictures_of_its_size() {
    let folder = Folder::new();
    folder.launch(
        "filesrc location=cover.png ! decodebin ! videoconvert ! invmihconceal secret-location=photos ! pngenc ! filesink location=stego.png",
    );
    let kept = quality_through(&folder, "pngenc", (WIDTH, HEIGHT));
    let jpeg = quality_through(&folder, "jpegenc", (WIDTH, HEIGHT));
    let scaler = "videoscale ! video/x-raw,width=70,height=50 ! pngenc";
    let scaled = quality_through(&folder, scaler, (70, 50));
    println!("{kept:.1} dB, {jpeg:.1} dB through JPEG, {scaled:.1} dB scaled");
    assert!(jpeg < kept - 6.0 && scaled < kept - 6.0, "{kept} {jpeg} {scaled}");
}

/// Mean PSNR of the secrets that are revealed at a size from a file that these elements make of the
/// stego.
fn quality_through(folder: &Folder, change: &str, (width, height): (u32, u32)) -> f64 {
    folder.launch(&format!(
        "filesrc location=stego.png ! pngdec ! videoconvert ! {change} ! filesink location=changed"
    ));
    let line = format!(
        "filesrc location={} ! decodebin ! videoconvert ! invmihreveal name=reveal ! pngenc ! multifilesink location={}",
        folder.path("changed").display(),
        folder.path("revealed_%02d.png").display()
    );
    let pipeline = parsed(&line);
    run_to_end(&pipeline, gst::ClockTime::from_seconds(60));
    let stats = pipeline.by_name("reveal").unwrap().property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(1));
    let qualities = (0..4).map(|u| {
        let photo = folder.picture(&format!("photos/{u:02}.png"));
        let photo = imageops::resize(&photo, width, height, FilterType::CatmullRom);
        psnr(&photo, &folder.picture(&format!("revealed_{u:02}.png")))
    });
    qualities.sum::<f64>() / 4.0
}

#[test]
fn secrets_that_cannot_be_had_are_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path("empty")).unwrap();
    fs::create_dir(folder.path("text")).unwrap();
    for u in 0..4 {
        fs::write(folder.path(&format!("text/{u}.png")), "no picture").unwrap();
    }
    folder.conceal_refused("secrets=5 secret-location=photos", &["secrets=5", "4, 6, 8, 9 or 16"]);
    folder.conceal_refused("secret-location=empty", &["'empty'", "0 PNG", "needs 4"]);
    folder.conceal_refused("secret-location=missing", &["'missing'", "folder"]);
    folder.conceal_refused("secret-location=text", &["text/0.png"]);
    fs::remove_file(folder.path("photos/07.png")).unwrap();
    let texts = ["'photos'", "15 PNG", "secrets=16"];
    folder.conceal_refused("secrets=16 secret-location=photos", &texts);
    folder.refused(
        "videotestsrc num-buffers=1 ! video/x-raw,width=1,height=1 ! videoconvert ! invmihconceal secret-location=photos ! fakesink",
        &["1x1", "2x2"],
    );
    folder.refused(
        "filesrc location=cover.png ! decodebin ! videoconvert ! invmihreveal secrets=5 ! fakesink",
        &["secrets=5", "4, 6, 8, 9 or 16"],
    );
}

#[test]
fn a_device_that_is_absent_is_refused() {
    let folder = Folder::new();
    let texts = ["'cuda:9'", "CUDA device(s) found"];
    folder.conceal_refused("device=cuda:9 secret-location=photos", &texts);
    folder.refused(
        "filesrc location=cover.png ! decodebin ! videoconvert ! invmihreveal device=cuda:9 ! fakesink",
        &texts,
    );
}

#[test]
fn weights_that_cannot_be_used_are_refused() {
    let folder = Folder::new();
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let rescaling = fs::read(bundled.join("rescaling-2x2.safetensors")).unwrap();
    let hiding = fs::read(bundled.join("hiding.safetensors")).unwrap();
    fs::create_dir(folder.path("weights")).unwrap();
    let put =
        |name: &str, bytes: &[u8]| fs::write(folder.path("weights").join(name), bytes).unwrap();
    let refused = |secrets: u32, texts: &[&str]| {
        let properties = format!("secrets={secrets} model-location=weights secret-location=photos");
        folder.conceal_refused(&properties, texts);
    };
    refused(4, &["4 secrets", "rescaling-2x2.safetensors", "'weights'"]);
    put("rescaling-2x2.safetensors", &rescaling);
    refused(4, &["4 secrets", "hiding.safetensors", "'weights'"]);
    put("hiding.safetensors", &hiding);
    put("rescaling-4x4.safetensors", &rescaling);
    refused(16, &["rescaling-4x4.safetensors", "4x4", "2x2"]);
    put("rescaling-2x2.safetensors", &rescaling[..rescaling.len() / 2]);
    refused(4, &["rescaling-2x2.safetensors", "cannot be used"]);
    put("rescaling-2x2.safetensors", &[]);
    refused(4, &["rescaling-2x2.safetensors", "cannot be used"]);
}

#[test]
fn the_variable_names_the_weights_and_the_property_wins_over_it() {
    let folder = Folder::new();
    folder.add_broken_weights("broken");
    let conceal = |properties: &str| {
        format!(
            "INVMIH_MODEL_PATH=broken gst-launch-1.0 filesrc location=cover.png ! decodebin ! videoconvert ! invmihconceal secret-location=photos {properties} ! fakesink"
        )
    };
    let refused = folder.run("bash", &["-c", &format!("! {}", conceal(""))]);
    assert!(refused.contains("'broken/hiding.safetensors'"), "{refused}");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let property = format!("model-location={}", bundled.display());
    folder.run("bash", &["-c", &conceal(&property)]);
}

#[test]
fn a_cover_that_ends_before_its_secrets_are_linked_is_refused() {
    let folder = Folder::new();
    folder.conceal_refused("secrets=16", &["0 of 16 secret pads", "secret_15", "secret-location"]);
    folder.refused(
        "invmihconceal name=c ! fakesink videotestsrc num-buffers=10 ! c.sink videotestsrc ! c.secret_0 videotestsrc ! c.secret_2",
        &["2 of 4 secret pads", "secret_1, secret_3", "secret-location"],
    );
    folder.refused(
        "invmihconceal name=c ! fakesink videotestsrc ! c.sink videotestsrc ! c.secret_4",
        &["secret_4", "secrets=4"],
    );
}

#[test]
fn a_long_cover_warns_and_waits_for_its_secrets() {
    let folder = Folder::new();
    let mut launch =
        folder.start("videotestsrc is-live=true ! videoconvert ! invmihconceal ! fakesink");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !launch.text().contains("WARNING: from element") {
        assert!(Instant::now() < deadline, "no warning:\n{}", launch.text());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(launch.text().contains("0 of 4 secret pads"), "{}", launch.text());
    assert_eq!(launch.child.try_wait().unwrap(), None);
}
