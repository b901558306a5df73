// SPDX-License-Identifier: MPL-2.0
//! What cannot work, and what the user is told.

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use common::conceal::{Conceal, element, secrets};
use common::pipeline::both;
use common::{SECRETS, buffer, bus, error_text, info, init, message, picture, read, warning_text};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

const SIZE: (usize, usize) = (24, 16);
const ELEMENTS: [&str; 2] = ["invmihconceal", "invmihreveal"];

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25)
}

fn between(name: &str) -> (Harness, gst::Bus) {
    init();
    let element = gst::ElementFactory::make(name).build().unwrap();
    let bus = bus(&element);
    (Harness::with_element(&element, Some("sink"), Some("src")), bus)
}

#[test]
fn a_yuv_source_is_told_why_it_is_refused() {
    for name in ELEMENTS {
        let (mut harness, bus) = between(name);
        harness.play();
        harness.set_src_caps_str("video/x-raw,format=I420,width=64,height=64,framerate=25/1");
        let text = warning_text(&bus);
        for part in ["I420", "RGB, BGR", "YUV never", "videoconvert"] {
            assert!(text.contains(part), "{name}: {text}");
        }
    }
}

#[test]
fn frames_in_other_memory_are_refused_for_that() {
    for name in ELEMENTS {
        let (mut harness, bus) = between(name);
        harness.play();
        let caps = "video/x-raw(memory:GLMemory),format=RGB,width=64,height=64,framerate=25/1";
        harness.set_src_caps_str(caps);
        let text = warning_text(&bus);
        assert!(text.contains("system memory") && text.contains("gldownload"), "{name}: {text}");
    }
}

/// A program in C may set any bytes.
#[test]
fn strings_that_are_not_utf_8_are_paths_passphrases_and_unknown_devices() {
    init();
    let latin = |text: &[u8]| PathBuf::from(OsStr::from_bytes(text));
    for name in ELEMENTS {
        let element = gst::ElementFactory::make(name).build().unwrap();
        let bus = bus(&element);
        element.set_property("passphrase", latin(b"caf\xe9"));
        element.set_property("device", latin(b"caf\xe9"));
        assert!(element.set_state(gst::State::Paused).is_err());
        assert!(error_text(&bus).contains("caf\u{fffd}"));
        element.set_state(gst::State::Null).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join(latin(b"\xe9t\xe9"));
    std::fs::create_dir(&photos).unwrap();
    for u in 0..SECRETS {
        image::RgbImage::new(8, 8).save(photos.join(format!("{u}.png"))).unwrap();
    }
    let element = gst::ElementFactory::make("invmihconceal").build().unwrap();
    element.set_property("secret-location", &photos);
    element.set_state(gst::State::Paused).unwrap();
    assert_eq!(element.property::<Option<PathBuf>>("secret-location"), Some(photos));
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_neighbour_behind_that_takes_only_yuv_is_named() {
    for name in ELEMENTS {
        let (mut harness, bus) = between(name);
        harness.set_sink_caps_str("video/x-raw,format={NV12,Y444}");
        harness.play();
        let sink = harness.element().unwrap().static_pad("sink").unwrap();
        assert!(sink.query_caps(None).is_empty());
        let text = warning_text(&bus);
        assert!(text.contains("NV12") && text.contains("lossless RGB"), "{name}: {text}");
    }
}

#[test]
fn a_cover_that_is_never_linked_is_asked_for() {
    let element = element();
    let bus = bus(&element);
    let mut secret = Harness::with_element(&element, Some("secret_0"), Some("src"));
    secret.play();
    secret.set_src_caps(format().to_caps().unwrap());
    secret.push(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0)).unwrap();
    let text = warning_text(&bus);
    assert!(text.contains("cover is missing") && text.contains("secret_1, secret_2"), "{text}");
}

#[test]
fn a_cover_that_is_unlinked_under_way_is_asked_for_again() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    let sink = conceal.element.static_pad("sink").unwrap();
    sink.peer().unwrap().unlink(&sink).unwrap();
    let text = warning_text(&bus);
    assert!(text.contains("cover is missing") && !text.contains("secret pads are"), "{text}");
}

#[test]
fn a_secret_pad_released_under_way_is_asked_for_again() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    // The harness releases its pad.
    drop(conceal.secrets.remove(1));
    assert!(conceal.element.static_pad("secret_1").is_none());
    let cover = buffer(&picture(SIZE.0, SIZE.1, 2), &format(), 40);
    conceal.cover.push(cover).unwrap();
    conceal.cover.push_event(gst::event::Eos::new());
    let text = error_text(&bus);
    assert!(text.contains("3 of 4 secret pads") && text.contains("link secret_1"), "{text}");
}

#[test]
fn a_secret_unlinked_before_its_end_is_asked_for() {
    let pipeline = both("");
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    message(&bus, gst::MessageType::AsyncDone);
    let secret = pipeline.by_name("conceal").unwrap().static_pad("secret_0").unwrap();
    secret.peer().unwrap().unlink(&secret).unwrap();
    let text = warning_text(&bus);
    assert!(text.contains("3 of 4 secret pads") && text.contains("link secret_0"), "{text}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn secret_pads_released_after_the_last_stego_are_not_missed() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0));
    conceal.cover.push_event(gst::event::Eos::new());
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
    conceal.secrets.clear();
    let said = [gst::MessageType::Error, gst::MessageType::Warning];
    let said = bus.timed_pop_filtered(gst::ClockTime::from_seconds(7), &said);
    assert!(said.is_none(), "{said:?}");
    // Another stream's cover misses them.
    conceal.cover.push_event(gst::event::StreamStart::new("another"));
    assert!(warning_text(&bus).contains("0 of 4 secret pads"));
}

/// Caps that fit the template and are too large for any buffer.
fn unreadable() -> gst::Event {
    let caps = "video/x-raw,format=RGB,width=50000,height=50000,framerate=25/1";
    gst::event::Caps::new(&caps.parse().unwrap())
}

#[test]
fn caps_of_the_cover_that_cannot_be_read_end_the_stream() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    let cover = |start| buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start);
    conceal.push_and_pull(cover(0));
    conceal.cover.push_event(unreadable());
    conceal.cover.push(cover(40)).unwrap();
    let text = error_text(&bus);
    assert!(text.starts_with("sink: caps ") && text.contains("50000"), "{text}");
    assert_eq!(conceal.cover.try_pull(), None);
}

/// Downstream takes its time with the stego that comes before the error.
#[test]
fn a_flush_does_not_wait_for_the_stegos_before_a_fault() {
    let element = element();
    element.set_property("batch-size", 8u32);
    let mut conceal = Conceal::of(element, &format(), &format());
    let stegos = conceal.element.static_pad("src").unwrap();
    let (came, comes) = mpsc::channel();
    let (go_on, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    stegos.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        came.send(()).unwrap();
        let _ = waits.lock().unwrap().recv();
        gst::PadProbeReturn::Remove
    });
    for harness in conceal.secrets.iter_mut().chain([&mut conceal.cover]) {
        harness.set_live(false);
    }
    conceal.push_stills(&secrets(SIZE, 10), &format());
    let cover = |start| buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start);
    conceal.cover.push(cover(0)).unwrap();
    conceal.cover.push_event(unreadable());
    conceal.cover.push(cover(40)).unwrap();
    comes.recv().unwrap();
    let source = conceal.element.static_pad("sink").unwrap().peer().unwrap();
    let (done, flushed) = mpsc::channel();
    let flush = std::thread::spawn(move || {
        source.push_event(gst::event::FlushStart::new());
        source.push_event(gst::event::FlushStop::new(true));
        let _ = done.send(());
    });
    let result = flushed.recv_timeout(Duration::from_secs(10));
    drop(go_on);
    flush.join().unwrap();
    assert_eq!(result, Ok(()));
}

#[test]
fn covers_before_a_fault_still_become_stegos() {
    let element = element();
    element.set_property("batch-size", 8u32);
    let mut conceal = Conceal::of(element, &format(), &format());
    let bus = bus(&conceal.element);
    for harness in conceal.secrets.iter_mut().chain([&mut conceal.cover]) {
        harness.set_live(false);
    }
    conceal.push_stills(&secrets(SIZE, 10), &format());
    let cover = |start| buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start);
    for start in [0, 40] {
        conceal.cover.push(cover(start)).unwrap();
    }
    conceal.cover.push_event(unreadable());
    conceal.cover.push(cover(80)).unwrap();
    let text = error_text(&bus);
    assert!(text.starts_with("sink: caps "), "{text}");
    let stegos = std::iter::from_fn(|| conceal.cover.try_pull());
    assert_eq!(stegos.count(), 2);
}

#[test]
fn caps_of_a_secret_that_cannot_be_read_end_the_stream() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    let frame = |start| buffer(&picture(SIZE.0, SIZE.1, 1), &format(), start);
    conceal.cover.push(frame(0)).unwrap();
    for secret in &mut conceal.secrets {
        secret.push(frame(0)).unwrap();
    }
    conceal.secrets[1].push_event(unreadable());
    conceal.secrets[1].push(frame(40)).unwrap();
    for secret in &mut conceal.secrets {
        secret.push_event(gst::event::Eos::new());
    }
    let text = error_text(&bus);
    assert!(text.starts_with("secret_1: caps ") && text.contains("50000"), "{text}");
}

#[test]
fn no_two_secret_pads_have_one_number() {
    common::no_two_pads_have_one_number(&element(), "secret", 3);
}

/// A folder with copies of the weights for four secrets.
fn copied_weights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for name in ["hiding.safetensors", "rescaling-2x2.safetensors"] {
        std::fs::copy(bundled.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn use_weights(element: &gst::Element, folder: &Path) {
    element.set_property("model-location", folder.to_str().unwrap());
}

fn break_weights(folder: &Path) {
    std::fs::write(folder.join("hiding.safetensors"), "no weights").unwrap();
}

/// Starts an element with broken weights while another one still uses the model of the old ones.
fn refuses_broken_weights(name: &str, folder: &Path) {
    let element = gst::ElementFactory::make(name).build().unwrap();
    let bus = bus(&element);
    use_weights(&element, folder);
    assert!(element.set_state(gst::State::Paused).is_err());
    let text = error_text(&bus);
    assert!(text.contains("hiding.safetensors") && text.contains("10 bytes"), "{text}");
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_conceal_that_runs_outlives_its_weights_files() {
    let folder = copied_weights();
    let element = element();
    use_weights(&element, folder.path());
    let mut conceal = Conceal::of(element, &format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    let cover = picture(SIZE.0, SIZE.1, 1);
    let before = conceal.push_and_pull(buffer(&cover, &format(), 0));
    break_weights(folder.path());
    let after = conceal.push_and_pull(buffer(&cover, &format(), 40));
    assert_eq!(*before.map_readable().unwrap(), *after.map_readable().unwrap());
    refuses_broken_weights("invmihconceal", folder.path());
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn a_reveal_that_runs_outlives_its_weights_files() {
    let folder = copied_weights();
    let (mut harness, bus) = between("invmihreveal");
    use_weights(&harness.element().unwrap(), folder.path());
    harness.play();
    harness.set_src_caps(format().to_caps().unwrap());
    let stego = picture(SIZE.0, SIZE.1, 1);
    let mut revealed = |start| {
        harness.push(buffer(&stego, &format(), start)).unwrap();
        [(); SECRETS].map(|()| read(&harness.pull().unwrap(), &format()))
    };
    let before = revealed(0);
    break_weights(folder.path());
    assert!(before == revealed(40));
    refuses_broken_weights("invmihreveal", folder.path());
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}
