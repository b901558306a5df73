// SPDX-License-Identifier: MPL-2.0
//! Programs as users run them, in a folder of their own with small pictures and the bundled weights.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gstinvmih::training::metrics::psnr;
use image::RgbImage;
use image::imageops::{self, FilterType};

/// Photographs, more than any number of secrets.
pub const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos");

pub const WIDTH: u32 = 96;
pub const HEIGHT: u32 = 64;
/// Of the cover's video.
pub const FRAMES: usize = 12;

/// A secret's video: a pattern of `videotestsrc`, frames, frame rate, width and height.
pub type Video = (&'static str, usize, &'static str, u32, u32);

/// Where the cover has 12 frames of 64×64, 25 a second: one of another size, one with half as many
/// frames a second, one with twice as many, and one that ends early.
pub const SECRET_VIDEOS: [Video; 4] = [
    ("smpte75", 12, "25/1", 80, 48),
    ("bar", 6, "25/2", 48, 32),
    ("pinwheel", 24, "50/1", 64, 64),
    ("ball", 5, "25/1", 64, 64),
];

/// A folder with `cover.png` and, in `photos`, sixteen other photographs, all small.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("photos")).unwrap();
        let photos = photographs();
        photos[0].save(folder.path("cover.png")).unwrap();
        for (u, photo) in photos[1..].iter().enumerate() {
            photo.save(folder.path(&format!("photos/{u:02}.png"))).unwrap();
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn picture(&self, name: &str) -> RgbImage {
        image::open(self.path(name)).unwrap().into_rgb8()
    }

    /// Adds `cover.mkv`, with sound, and `secret_0.mkv` to `secret_3.mkv`, the [`SECRET_VIDEOS`].
    pub fn add_videos(&self) {
        let source = |(pattern, frames, fps, width, height): Video| {
            format!(
                "videotestsrc pattern={pattern} num-buffers={frames} ! video/x-raw,width={width},height={height},framerate={fps} ! jpegenc"
            )
        };
        let cover = source(("gradient", FRAMES, "25/1", 64, 64));
        self.launch(&format!(
            "matroskamux name=m ! filesink location=cover.mkv {cover} ! queue ! m. audiotestsrc num-buffers=20 samplesperbuffer=441 ! audio/x-raw,rate=44100,channels=2 ! flacenc ! queue ! m."
        ));
        for (u, video) in SECRET_VIDEOS.into_iter().enumerate() {
            let secret = source(video);
            self.launch(&format!("{secret} ! matroskamux ! filesink location=secret_{u}.mkv"));
        }
    }

    /// Adds a folder of weights for four secrets that cannot be used.
    pub fn add_broken_weights(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        for file in ["hiding.safetensors", "rescaling-2x2.safetensors"] {
            fs::write(self.path(name).join(file), "broken").unwrap();
        }
    }

    /// Starts `gst-launch-1.0` with a line.
    pub fn start(&self, line: &str) -> Launch {
        Launch::start(self.0.path(), "gst-launch-1.0", line.split_whitespace())
    }

    /// Runs a line that has to work.
    pub fn launch(&self, line: &str) {
        self.start(line).succeed(line);
    }

    /// Runs a program that has to work; its output.
    pub fn run(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
        let what = format!("{} {}", program.as_ref().display(), arguments.join(" "));
        Launch::start(self.0.path(), program, arguments).succeed(&what)
    }

    /// Runs a line that has to fail with a message that contains all of some texts.
    pub fn refused(&self, line: &str, texts: &[&str]) {
        let (status, text) = self.start(line).wait();
        assert!(!status.success(), "{line}\n{text}");
        let error = text.lines().find(|line| line.starts_with("ERROR: from element"));
        let error = error.unwrap_or_else(|| panic!("no error for {line}\n{text}"));
        assert!(texts.iter().all(|part| error.contains(part)), "{texts:?} not in {error}");
        assert!(!text.contains("panicked"), "{line}\n{text}");
    }

    /// Runs a line that hides in `cover.png` and has to fail.
    pub fn conceal_refused(&self, properties: &str, texts: &[&str]) {
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
    let mut paths: Vec<_> =
        fs::read_dir(PHOTOS).unwrap().map(|entry| entry.unwrap().path()).collect();
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

/// A running program with nothing but GST_PLUGIN_PATH set, and one thread of the network's: tests run
/// side by side.
pub struct Launch {
    pub child: Child,
    output: tempfile::NamedTempFile,
}

impl Launch {
    fn start(
        folder: &Path,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        let output = tempfile::NamedTempFile::new().unwrap();
        let streams = output.reopen().unwrap();
        let child = Command::new(&program)
            .args(arguments)
            .current_dir(folder)
            .env("GST_PLUGIN_PATH", &*PLUGIN_FOLDER)
            .env("G_DEBUG", "fatal-warnings")
            .env("OMP_NUM_THREADS", "1")
            .env_remove("INVMIH_MODEL_PATH")
            .stdin(Stdio::null())
            .stdout(streams.try_clone().unwrap())
            .stderr(streams)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()));
        Self { child, output }
    }

    /// Waits for an end without an error; the output.
    fn succeed(self, what: &str) -> String {
        let (status, text) = self.wait();
        assert!(status.success(), "{what}\n{text}");
        assert!(!text.contains("CRITICAL") && !text.contains("panicked"), "{what}\n{text}");
        text
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.output.path()).unwrap()
    }

    pub fn wait(mut self) -> (ExitStatus, String) {
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

/// Each `revealed_NN.png` has to be nearer to its own photograph than to any other, and not further
/// from it than `floor` dB.
pub fn come_back(folder: &Folder, count: usize, floor: f64) {
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
