// SPDX-License-Identifier: MPL-2.0
//! Both elements as users run them: gst-launch-1.0, with the bundled weights, on pictures on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gstinvmih::training::metrics::psnr;
use image::RgbImage;
use image::imageops::{self, FilterType};

const WIDTH: u32 = 96;
const HEIGHT: u32 = 64;

/// A folder with `cover.png` and, in `photos`, sixteen other photographs, all small.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("photos")).unwrap();
        let photos = photographs();
        photos[0].save(folder.path("cover.png")).unwrap();
        for (u, photo) in photos[1..].iter().enumerate() {
            photo.save(folder.path(&format!("photos/{u:02}.png"))).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn picture(&self, name: &str) -> RgbImage {
        image::open(self.path(name)).unwrap().into_rgb8()
    }

    fn start(&self, line: &str) -> Launch {
        Launch::start(self.0.path(), line)
    }

    /// Runs a line that has to work.
    fn launch(&self, line: &str) {
        let (status, text) = self.start(line).wait();
        assert!(status.success(), "{line}\n{text}");
        assert!(!text.contains("CRITICAL") && !text.contains("panicked"), "{line}\n{text}");
    }

    /// Runs a line that has to fail with a message that contains all of some texts.
    fn refused(&self, line: &str, texts: &[&str]) {
        let (status, text) = self.start(line).wait();
        assert!(!status.success(), "{line}\n{text}");
        let error = text.lines().find(|line| line.starts_with("ERROR: from element"));
        let error = error.unwrap_or_else(|| panic!("no error for {line}\n{text}"));
        assert!(texts.iter().all(|part| error.contains(part)), "{texts:?} not in {error}");
        assert!(!text.contains("panicked"), "{line}\n{text}");
    }

    /// Runs a line that hides in `cover.png` and has to fail.
    fn conceal_refused(&self, properties: &str, texts: &[&str]) {
        let source = "filesrc location=cover.png ! decodebin ! videoconvert";
        let line =
            format!("{source} ! invmihconceal {properties} ! pngenc ! filesink location=stego.png");
        self.refused(&line, texts);
        let written = fs::read(self.path("stego.png")).unwrap_or_default();
        assert!(written.is_empty(), "{line} left {} bytes", written.len());
    }
}

/// Seventeen landscape photographs.
fn photographs() -> Vec<RgbImage> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    let photos = paths.iter().map(|path| image::open(path).unwrap().into_rgb8());
    let small = photos
        .filter(|photo| photo.width() > photo.height())
        .map(|photo| imageops::resize(&photo, WIDTH, HEIGHT, FilterType::CatmullRom));
    let photos: Vec<_> = small.take(17).collect();
    assert_eq!(photos.len(), 17);
    photos
}

/// A folder with nothing but the plugin that was built with this test, beside it.
static PLUGIN_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
    let test = std::env::current_exe().unwrap();
    let link = folder.join("libgstinvmih.so");
    fs::create_dir_all(&folder).unwrap();
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(test.with_file_name("libgstinvmih.so"), link).unwrap();
    folder
});

/// A running gst-launch-1.0 that knows only this plugin's folder and ends at warnings of GLib.
struct Launch {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Launch {
    fn start(folder: &Path, line: &str) -> Self {
        let output = tempfile::NamedTempFile::new().unwrap();
        let streams = output.reopen().unwrap();
        let child = Command::new("gst-launch-1.0")
            .args(line.split_whitespace())
            .current_dir(folder)
            .env("GST_PLUGIN_PATH", &*PLUGIN_FOLDER)
            .env("G_DEBUG", "fatal-warnings")
            .env_remove("INVMIH_MODEL_PATH")
            .stdin(Stdio::null())
            .stdout(streams.try_clone().unwrap())
            .stderr(streams)
            .spawn()
            .expect("gst-launch-1.0");
        Self { child, output }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.output.path()).unwrap()
    }

    fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.text());
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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

/// Each `revealed_NN.png` has to be nearer to its own photograph than to any other, and not further
/// from it than `floor` dB.
fn come_back(folder: &Folder, count: usize, floor: f64) {
    let photos: Vec<_> =
        (0..count).map(|u| folder.picture(&format!("photos/{u:02}.png"))).collect();
    for u in 0..count {
        let revealed = folder.picture(&format!("revealed_{u:02}.png"));
        let qualities: Vec<_> = photos.iter().map(|photo| psnr(photo, &revealed)).collect();
        let best = qualities.iter().copied().fold(0.0, f64::max);
        assert_eq!(qualities[u], best, "secret {u}: {qualities:.1?}");
        assert!(qualities[u] >= floor, "secret {u} at {:.1} dB", qualities[u]);
    }
}

#[test]
fn videos_hide_in_a_video() {
    Folder::new().launch(
        "invmihconceal name=c secrets=4 ! videoconvert ! fakesink  videotestsrc num-buffers=2 ! c.sink  videotestsrc pattern=ball ! c.secret_0  videotestsrc pattern=snow ! c.secret_1  videotestsrc pattern=smpte ! c.secret_2  videotestsrc pattern=circular ! c.secret_3",
    );
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
