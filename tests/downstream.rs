// SPDX-License-Identifier: MPL-2.0
//! What `invmihconceal` does when the element behind it ends the stream or refuses a stego.

mod common;

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use common::conceal::{Conceal, element, secrets, stego};
use common::{buffer, bus, error_text, info, picture, read};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

const SIZE: (usize, usize) = (24, 16);

fn format() -> VideoInfo {
    info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25)
}

fn cover() -> gst::Buffer {
    buffer(&picture(SIZE.0, SIZE.1, 1), &format(), 0)
}

/// Answers the next stego with the end of the stream, once it is told to; tells when that has come.
fn ends(conceal: &Conceal) -> (gst::PadProbeId, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (answer, wait) = mpsc::channel();
    let (seen, end) = mpsc::channel();
    let wait = Mutex::new(wait);
    let stegos = conceal.element.static_pad("src").unwrap();
    let probe = stegos.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        wait.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        info.flow_res = Err(gst::FlowError::Eos);
        seen.send(()).unwrap();
        gst::PadProbeReturn::Handled
    });
    (probe.unwrap(), answer, end)
}

#[test]
fn a_refusal_that_the_covers_source_cannot_see_is_an_error() {
    for cover_ends_first in [true, false] {
        let conceal = element();
        conceal.set_property("secret-location", common::launch::PHOTOS);
        let bus = bus(&conceal);
        let mut covers = Harness::with_element(&conceal, Some("sink"), None);
        // The source pad is not linked.
        covers.play();
        covers.set_src_caps(format().to_caps().unwrap());
        if cover_ends_first {
            // Held back until the end has come too.
            let stegos = conceal.static_pad("src").unwrap();
            let block = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
            let block = stegos.add_probe(block, |_, _| gst::PadProbeReturn::Ok).unwrap();
            covers.push(cover()).unwrap();
            covers.push_event(gst::event::Eos::new());
            stegos.remove_probe(block);
        } else {
            covers.push(cover()).unwrap();
            let frames = || conceal.property::<gst::Structure>("stats").get::<u64>("frames");
            while frames().unwrap() == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(100));
            covers.push_event(gst::event::Eos::new());
        }
        let text = error_text(&bus);
        assert!(text.contains("refused downstream"), "{text}");
    }
}

#[test]
fn after_an_end_from_downstream_no_pads_are_missed() {
    let mut conceal = Conceal::new(&format(), &format());
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets(SIZE, 10), &format());
    let (_, answer, end) = ends(&conceal);
    answer.send(()).unwrap();
    conceal.cover.push(cover()).unwrap();
    end.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
    conceal.cover.push_event(gst::event::Eos::new());
    conceal.secrets.clear();
    let said = [gst::MessageType::Error, gst::MessageType::Warning];
    let said = bus.timed_pop_filtered(gst::ClockTime::from_seconds(7), &said);
    assert!(said.is_none(), "{said:?}");
}

#[test]
fn caps_that_come_at_an_end_from_downstream_hold_after_a_flush() {
    let mut conceal = Conceal::new(&format(), &format());
    let stills = secrets(SIZE, 10);
    conceal.push_stills(&stills, &format());
    let (probe, answer, end) = ends(&conceal);
    conceal.cover.push(cover()).unwrap();
    let larger = info(VideoFormat::Rgb, 2 * SIZE.0, 2 * SIZE.1, 25);
    conceal.cover.push_event(gst::event::Caps::new(&larger.to_caps().unwrap()));
    answer.send(()).unwrap();
    end.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(conceal.cover.pull_until_eos().unwrap(), None);
    conceal.element.static_pad("src").unwrap().remove_probe(probe);
    conceal.flush();
    let stills = secrets((2 * SIZE.0, 2 * SIZE.1), 10);
    for harness in &mut conceal.secrets {
        harness.set_src_caps(larger.to_caps().unwrap());
    }
    conceal.push_stills(&stills, &larger);
    let cover = picture(2 * SIZE.0, 2 * SIZE.1, 1);
    let made = conceal.push_and_pull(buffer(&cover, &larger, 0));
    assert_eq!(read(&made, &larger), stego(&cover, &stills));
    let caps = conceal.cover.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(VideoInfo::from_caps(&caps).unwrap(), larger);
}
