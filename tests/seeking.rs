// SPDX-License-Identifier: MPL-2.0
//! Seeks through `invmihconceal`.

mod common;

use std::path::Path;
use std::time::Duration;

use common::pipeline::parsed;
use common::{buffer, error_text, info, picture, warning_text};
use gst::prelude::*;
use gst_video::VideoFormat;

const SIZE: (usize, usize) = (64, 64);

/// Two moving secrets and a still; `last` is the source of another secret.
fn seekable(behind: &str, last: &str) -> gst::Pipeline {
    let line = format!(
        "invmihconceal name=c ! {behind} ! fakesink name=sink \
         videotestsrc pattern=smpte75 ! video/x-raw,format=RGB,width=64,height=64,framerate=25/1 ! c.sink \
         videotestsrc pattern=ball ! video/x-raw,width=64,height=64,framerate=25/1 ! c.secret_0 \
         videotestsrc pattern=ball ! video/x-raw,width=32,height=32,framerate=10/1 ! c.secret_1 \
         videotestsrc num-buffers=1 ! video/x-raw,width=64,height=64,framerate=25/1 ! c.secret_2 \
         {last} ! c.secret_3"
    );
    parsed(&line)
}

/// A still from a file, which cannot seek in time.
fn still(folder: &Path) -> String {
    let png = folder.join("still.png");
    image::RgbImage::try_from(picture(SIZE.0, SIZE.1, 3)).unwrap().save(&png).unwrap();
    format!("filesrc location={} ! pngdec", png.display())
}

/// The source of `secret_3` in an application.
fn application(pipeline: &gst::Pipeline) -> gst_app::AppSrc {
    let source = pipeline.by_name("app").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    source.set_caps(Some(&info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25).to_caps().unwrap()));
    source.set_format(gst::Format::Time);
    source
}

/// A frame that an application makes.
fn frame(start: u64) -> gst::Buffer {
    buffer(&picture(SIZE.0, SIZE.1, 3), &info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25), start)
}

fn pause(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Paused).unwrap();
    wait_for(pipeline, gst::MessageType::AsyncDone);
}

/// Waits for a message and panics on an error.
fn wait_for(pipeline: &gst::Pipeline, wanted: gst::MessageType) {
    let types = [wanted, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let found = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &types);
    let found = found.unwrap_or_else(|| panic!("no {wanted:?}"));
    assert_eq!(found.type_(), wanted, "{found:?}");
}

/// Waits until the end of `secret_3` has come.
fn wait_for_its_end(pipeline: &gst::Pipeline) {
    let pad = pipeline.by_name("c").unwrap().static_pad("secret_3").unwrap();
    for _ in 0..1000 {
        if pad.sticky_event::<gst::event::Eos>(0).is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no end of secret_3");
}

fn position(pipeline: &gst::Pipeline) -> Option<gst::ClockTime> {
    let sample: gst::Sample = pipeline.by_name("sink").unwrap().property("last-sample");
    sample.buffer().unwrap().pts()
}

fn can_seek(pipeline: &gst::Pipeline, format: gst::Format) -> bool {
    let mut query = gst::query::Seeking::new(format);
    let stegos = pipeline.by_name("c").unwrap().static_pad("src").unwrap();
    stegos.query(&mut query) && query.result().0
}

/// Plays three frames from there.
fn seek(pipeline: &gst::Pipeline, milliseconds: u64) {
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let start = gst::ClockTime::from_mseconds(milliseconds);
    let stop = start + gst::ClockTime::from_mseconds(120);
    pipeline.seek(1.0, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop).unwrap();
    wait_for(pipeline, gst::MessageType::AsyncDone);
    assert_eq!(position(pipeline), Some(gst::ClockTime::from_mseconds(milliseconds)));
}

#[test]
fn a_flushing_seek_gives_frames_from_the_new_position() {
    let folder = tempfile::tempdir().unwrap();
    for behind in ["identity", "invmihreveal output=preview"] {
        let pipeline = seekable(behind, &still(folder.path()));
        pause(&pipeline);
        assert_eq!(position(&pipeline), Some(gst::ClockTime::ZERO));
        assert!(can_seek(&pipeline, gst::Format::Time));
        seek(&pipeline, 2000);
        seek(&pipeline, 1000);
        seek(&pipeline, 3800);
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_for(&pipeline, gst::MessageType::Eos);
        assert_eq!(position(&pipeline), Some(gst::ClockTime::from_mseconds(3880)));
        // From the end back; paused, so that the sink shows the first frame.
        pipeline.set_state(gst::State::Paused).unwrap();
        seek(&pipeline, 400);
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_for(&pipeline, gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_seek_without_a_flush_goes_on_from_the_new_position() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = seekable("identity", &still(folder.path()));
    pause(&pipeline);
    wait_for_its_end(&pipeline);
    // A source waits with such a seek until its frame is taken.
    pipeline.set_state(gst::State::Playing).unwrap();
    let (set, start) = (gst::SeekType::Set, gst::ClockTime::from_seconds(20));
    let stop = start + gst::ClockTime::from_mseconds(120);
    pipeline.seek(1.0, gst::SeekFlags::empty(), set, start, set, stop).unwrap();
    wait_for(&pipeline, gst::MessageType::Eos);
    assert_eq!(position(&pipeline), Some(gst::ClockTime::from_mseconds(20_080)));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_seek_through_two_sinks_flushes_once() {
    let folder = tempfile::tempdir().unwrap();
    let behind = "tee name=t ! queue ! fakesink t. ! queue";
    let pipeline = seekable(behind, &still(folder.path()));
    pause(&pipeline);
    let (sender, flushes) = std::sync::mpsc::channel();
    let stegos = pipeline.by_name("c").unwrap().static_pad("src").unwrap();
    stegos.add_probe(gst::PadProbeType::EVENT_FLUSH, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::FlushStart) {
            let _ = sender.send(());
        }
        gst::PadProbeReturn::Ok
    });
    seek(&pipeline, 2000);
    assert_eq!(flushes.try_iter().count(), 1);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_secret_that_goes_on_and_cannot_seek_refuses_the_seek() {
    let pipeline = seekable("identity", "appsrc name=app");
    let source = application(&pipeline);
    for start in [0, 40, 80, 120, 160] {
        source.push_buffer(frame(start)).unwrap();
    }
    pause(&pipeline);
    assert!(!can_seek(&pipeline, gst::Format::Time));
    for flags in [gst::SeekFlags::FLUSH, gst::SeekFlags::empty()] {
        assert!(pipeline.seek_simple(flags, gst::ClockTime::SECOND).is_err());
        assert!(warning_text(&pipeline.bus().unwrap()).contains("secret_3 cannot seek"));
    }
    // All goes on, and after the secret's end its last frame serves at the new position.
    source.end_of_stream().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_its_end(&pipeline);
    pause(&pipeline);
    assert!(can_seek(&pipeline, gst::Format::Time));
    seek(&pipeline, 1000);
    pipeline.set_state(gst::State::Null).unwrap();
}

/// What ended the stegos before a seek.
#[derive(Clone, Copy)]
enum Ended {
    No,
    ByCover,
    ByDownstream,
}

/// Ends the stegos.
fn end_stegos(pipeline: &gst::Pipeline, ended: Ended) {
    let conceal = pipeline.by_name("c").unwrap();
    let stegos = conceal.static_pad("src").unwrap();
    let mut probe = None;
    match ended {
        Ended::No => return,
        Ended::ByCover => assert!(conceal.send_event(gst::event::Eos::new())),
        Ended::ByDownstream => {
            probe = stegos.add_probe(gst::PadProbeType::BUFFER, |_, info| {
                info.flow_res = Err(gst::FlowError::Eos);
                gst::PadProbeReturn::Handled
            });
        }
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for(pipeline, gst::MessageType::Eos);
    pipeline.set_state(gst::State::Paused).unwrap();
    probe.into_iter().for_each(|probe| stegos.remove_probe(probe));
}

/// The stego at one second after a seek, of a last secret that has ended with these frames.
fn sought_after(slides: &[(u64, usize)], ended: Ended) -> Vec<u8> {
    let pipeline = seekable("identity", "appsrc name=app");
    let source = application(&pipeline);
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    for &(start, seed) in slides {
        let slide = picture(SIZE.0, SIZE.1, seed);
        source.push_buffer(buffer(&slide, &format, start)).unwrap();
    }
    source.end_of_stream().unwrap();
    pause(&pipeline);
    wait_for_its_end(&pipeline);
    end_stegos(&pipeline, ended);
    seek(&pipeline, 1000);
    let sample: gst::Sample = pipeline.by_name("sink").unwrap().property("last-sample");
    pipeline.set_state(gst::State::Null).unwrap();
    sample.buffer().unwrap().map_readable().unwrap().to_vec()
}

#[test]
fn a_secrets_last_frame_that_was_still_to_come_serves_after_a_seek() {
    let (first, last) = ((0, 3), (60_000, 8));
    let made = sought_after(&[first, last], Ended::No);
    assert!(made == sought_after(&[(0, last.1)], Ended::No));
    assert!(made != sought_after(&[first], Ended::No));
    assert!(made == sought_after(&[first, last], Ended::ByCover));
    assert!(made == sought_after(&[first, last], Ended::ByDownstream));
}

#[test]
fn a_seek_to_key_frames_takes_all_sources_to_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = seekable("identity", &still(folder.path()));
    pause(&pipeline);
    let (sender, seeks) = std::sync::mpsc::channel();
    for name in ["sink", "secret_0"] {
        let pad = pipeline.by_name("c").unwrap().static_pad(name).unwrap();
        let sender = sender.clone();
        pad.peer().unwrap().add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if let Some(gst::EventView::Seek(seek)) = info.event().map(|event| event.view()) {
                let _ = sender.send(seek.get().1);
            }
            gst::PadProbeReturn::Ok
        });
    }
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
    pipeline.seek_simple(flags, gst::ClockTime::SECOND).unwrap();
    wait_for(&pipeline, gst::MessageType::AsyncDone);
    let exact = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    assert_eq!(seeks.try_iter().collect::<Vec<_>>(), [exact; 2]);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_source_that_refuses_a_seek_is_an_error() {
    let pipeline = seekable("identity", "appsrc name=app stream-type=seekable");
    // A source that has not sought has no segment for more.
    let mut starts = [0, 40].into_iter();
    let callbacks = gst_app::AppSrcCallbacks::builder()
        .seek_data(|_, offset| offset == 0)
        .need_data(move |source, _| {
            if let Some(start) = starts.next() {
                source.push_buffer(frame(start)).unwrap();
            }
        });
    application(&pipeline).set_callbacks(callbacks.build());
    pause(&pipeline);
    assert!(pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::SECOND).is_err());
    assert!(error_text(&pipeline.bus().unwrap()).contains("refused to seek"));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn seeks_in_bytes_to_a_segment_and_of_the_rate_alone_are_refused_and_all_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = seekable("identity", &still(folder.path()));
    pause(&pipeline);
    seek(&pipeline, 1000);
    let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
    let (start, stop) = (gst::format::Bytes::ZERO, gst::format::Bytes::NONE);
    let bytes = |flags| gst::event::Seek::new(1.0, flags, set, start, none, stop);
    let stegos = pipeline.by_name("c").unwrap().static_pad("src").unwrap();
    assert!(!can_seek(&pipeline, gst::Format::Bytes));
    assert!(!stegos.send_event(bytes(gst::SeekFlags::FLUSH)));
    assert!(!stegos.send_event(bytes(gst::SeekFlags::empty())));
    let segment = gst::SeekFlags::FLUSH | gst::SeekFlags::SEGMENT;
    assert!(pipeline.seek_simple(segment, gst::ClockTime::ZERO).is_err());
    let (flags, never) = (gst::SeekFlags::INSTANT_RATE_CHANGE, gst::ClockTime::NONE);
    assert!(pipeline.seek(2.0, flags, none, never, none, never).is_err());
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for(&pipeline, gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
}
