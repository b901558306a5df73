// SPDX-License-Identifier: MPL-2.0
//! The programs and scripts in examples/ that the README's recipes do not run, and what all of them print.

mod common;

use std::path::{Path, PathBuf};

use common::launch::{FRAMES, Folder};
use common::stream::decoded;
use gstinvmih::training::metrics::psnr;

/// In examples/, where the scripts are.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// A program that cargo made of examples/.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is built by `cargo test` without --test", program.display());
    program
}

/// Checks the lines "frame 0: cover and stego 36.55 dB" of three frames with four secrets.
fn prints_psnr(text: &str) {
    let qualities: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" dB")?.rsplit(' ').next()?.parse().ok())
        .collect();
    assert_eq!(qualities.len(), 3 * (1 + 4), "{text}");
    assert!(qualities.iter().all(|quality| (30.0..99.0).contains(quality)), "{text}");
}

#[test]
fn a_rust_program_hides_its_frames_and_shows_what_it_reveals() {
    let folder = Folder::new();
    prints_psnr(&folder.run(program("hide_frames"), &["shown"]));
    for u in 0..4 {
        let secret = folder.picture(&format!("shown/secret_{u}.png"));
        let revealed = folder.picture(&format!("shown/revealed_{u}.png"));
        assert!(psnr(&secret, &revealed) > 30.0, "secret {u}");
    }
}

#[test]
fn a_python_program_does_so_too() {
    prints_psnr(&Folder::new().run(script("hide_frames.py"), &[]));
}

#[test]
fn a_script_hides_and_reveals_stills() {
    let folder = Folder::new();
    folder.run(script("stills.sh"), &["cover.png", "photos", "out", "9"]);
    for u in 0..9 {
        let secret = folder.picture(&format!("photos/{u:02}.png"));
        let revealed = folder.picture(&format!("out/revealed_{u:02}.png"));
        assert!(psnr(&secret, &revealed) > 15.0, "secret {u}");
    }
    assert!(!folder.path("out/revealed_09.png").exists());
}

#[test]
fn a_silent_cover_and_secrets_with_sound_are_fine() {
    let folder = Folder::new();
    folder.add_videos();
    let secrets = ["cover.mkv", "secret_1.mkv", "secret_2.mkv", "cover.mkv"];
    folder.run(script("videos.sh"), &[&["secret_0.mkv"], &secrets[..], &["out"]].concat());
    for file in ["stego", "revealed_0", "revealed_3"] {
        assert_eq!(decoded(&folder.path(&format!("out/{file}.mkv"))).len(), FRAMES, "{file}");
    }
}

#[test]
fn programs_say_what_an_element_said() {
    let folder = Folder::new();
    folder.add_broken_weights("broken");
    for path in [program("hide_frames"), script("hide_frames.py")] {
        let call = format!("! INVMIH_MODEL_PATH=broken {} shown", path.display());
        let text = folder.run("bash", &["-c", &call]);
        assert!(text.contains("broken/hiding.safetensors"), "{text}");
    }
}

#[test]
fn scripts_say_how_they_are_called() {
    let folder = Folder::new();
    for name in ["stills.sh", "videos.sh", "live.sh"] {
        let call = format!("! {}", script(name).display());
        let text = folder.run("bash", &["-c", &call]);
        assert!(text.starts_with(&format!("{name} ")) && text.contains("OUT"), "{text}");
    }
}
