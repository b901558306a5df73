// SPDX-License-Identifier: MPL-2.0
//! Pictures and raw video buffers that the element tests share.

// Each of them uses its part.
#![allow(dead_code)]

pub mod conceal;
pub mod fuzz;
pub mod launch;
pub mod pipeline;
pub mod stream;

use std::sync::{Arc, LazyLock, Once};

use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use gstinvmih::network::{Frame, Grid, Model, device};

/// The formats of cover, stego and revealed secrets, with the byte of R, G, B and alpha or padding
/// in a pixel; `GBR` has planes instead.
pub const FORMATS: [(VideoFormat, [usize; 3], Option<usize>); 7] = [
    (VideoFormat::Rgb, [0, 1, 2], None),
    (VideoFormat::Bgr, [2, 1, 0], None),
    (VideoFormat::Rgbx, [0, 1, 2], Some(3)),
    (VideoFormat::Bgrx, [2, 1, 0], Some(3)),
    (VideoFormat::Rgba, [0, 1, 2], Some(3)),
    (VideoFormat::Bgra, [2, 1, 0], Some(3)),
    (VideoFormat::Gbr, [2, 0, 1], None),
];

/// Makes the elements known. A warning of GLib or GStreamer ends the test, as with
/// `G_DEBUG=fatal-warnings`.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        use gst::glib::{LogLevels, log_set_always_fatal};
        log_set_always_fatal(
            LogLevels::LEVEL_ERROR | LogLevels::LEVEL_CRITICAL | LogLevels::LEVEL_WARNING,
        );
        gst::init().unwrap();
        gstinvmih::plugin_register_static().unwrap();
    });
}

/// How many secrets the tests hide, the elements' default.
pub const SECRETS: usize = 4;

/// The model that the elements use.
pub static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let grid = Grid::for_secrets(SECRETS as u32).unwrap();
    Model::open(None, grid, device::parse("auto").unwrap()).unwrap()
});

/// A smooth picture, another one for each seed.
pub fn picture(width: usize, height: usize, seed: usize) -> Frame {
    let wave = |x: usize, y: usize, colour: usize| {
        let turn = seed as f32 * 1.7 + colour as f32 * 2.1;
        let across = x as f32 / width as f32 * (2.0 + turn.sin());
        let down = y as f32 / height as f32 * (2.0 + turn.cos());
        (127.5 + 110.0 * (across + down + turn).sin()).round() as u8
    };
    let pixels = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [0, 1, 2].map(|colour| wave(x, y, colour)))
        .collect();
    Frame::new(width, height, pixels).unwrap()
}

/// The caps' contents; a frame rate of 0 is that of stills.
pub fn info(format: VideoFormat, width: usize, height: usize, fps: i32) -> VideoInfo {
    init();
    VideoInfo::builder(format, width as u32, height as u32)
        .fps(gst::Fraction::new(fps, 1))
        .build()
        .unwrap()
}

/// A buffer of a picture that starts at `start` milliseconds and lasts 40; alpha and padding are 77.
pub fn buffer(picture: &Frame, info: &VideoInfo, start: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![77; info.size()]);
    let target = buffer.get_mut().unwrap();
    target.set_pts(gst::ClockTime::from_mseconds(start));
    target.set_duration(gst::ClockTime::from_mseconds(40));
    write(picture, target, info);
    buffer
}

/// Where R, G or B of a pixel is: plane and byte.
fn place(info: &VideoInfo, strides: &[i32], (x, y): (usize, usize), colour: usize) -> (u32, usize) {
    let (format, bytes, other) =
        FORMATS.into_iter().find(|(format, ..)| *format == info.format()).unwrap();
    if format == VideoFormat::Gbr {
        let plane = bytes[colour];
        return (plane as u32, y * strides[plane] as usize + x);
    }
    let step = if other.is_some() { 4 } else { 3 };
    (0, y * strides[0] as usize + x * step + bytes[colour])
}

/// Each pixel's x and y and colour with its byte in R, G, B order.
fn samples(width: usize, height: usize) -> impl Iterator<Item = ((usize, usize), usize, usize)> {
    (0..width * height * 3).map(move |index| {
        let pixel = index / 3;
        ((pixel % width, pixel / width), index % 3, index)
    })
}

/// Writes a picture into a buffer.
pub fn write(picture: &Frame, buffer: &mut gst::BufferRef, info: &VideoInfo) {
    let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, info).unwrap();
    let strides = frame.plane_stride().to_vec();
    for (pixel, colour, index) in samples(picture.width(), picture.height()) {
        let (plane, byte) = place(info, &strides, pixel, colour);
        frame.plane_data_mut(plane).unwrap()[byte] = picture.pixels()[index];
    }
}

/// Reads the picture in a buffer.
pub fn read(buffer: &gst::BufferRef, info: &VideoInfo) -> Frame {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let (width, height) = (info.width() as usize, info.height() as usize);
    let pixels = samples(width, height)
        .map(|(pixel, colour, _)| {
            let (plane, byte) = place(info, frame.plane_stride(), pixel, colour);
            frame.plane_data(plane).unwrap()[byte]
        })
        .collect();
    Frame::new(width, height, pixels).unwrap()
}

/// Asserts that an element's request pads `NAME_u` have numbers of their own, also those that are asked for at
/// once; the pad of one number is asked for by name.
pub fn no_two_pads_have_one_number(element: &gst::Element, name: &str, number: usize) {
    let template = element.pad_template(&format!("{name}_%u")).unwrap();
    let request = |name: Option<&str>| element.request_pad(&template, name, None);
    let (own, same) = (format!("{name}_{number}"), format!("{name}_0{number}"));
    let first = request(Some(&own)).unwrap();
    assert!(request(Some(&same)).is_none());
    let others: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(|| request(None).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().name()).collect()
    });
    let distinct: std::collections::BTreeSet<_> = others.iter().collect();
    assert_eq!(distinct.len(), 12, "{others:?}");
    assert!(!others.contains(&first.name()));
    element.release_request_pad(&first);
    assert_eq!(request(Some(&same)).unwrap().name(), own);
}

/// A bus that takes an element's messages.
pub fn bus(element: &gst::Element) -> gst::Bus {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    bus
}

/// The text of the next error on an element's bus.
pub fn error_text(bus: &gst::Bus) -> String {
    error(bus).to_string()
}

/// The next error on an element's bus.
pub fn error(bus: &gst::Bus) -> gst::glib::Error {
    match message(bus, gst::MessageType::Error).view() {
        gst::MessageView::Error(error) => error.error(),
        _ => unreachable!("only errors were asked for"),
    }
}

/// The text of the next warning on an element's bus.
pub fn warning_text(bus: &gst::Bus) -> String {
    match message(bus, gst::MessageType::Warning).view() {
        gst::MessageView::Warning(warning) => warning.error().to_string(),
        _ => unreachable!("only warnings were asked for"),
    }
}

/// The next message of a type on an element's bus; others before it are dropped.
pub fn message(bus: &gst::Bus, wanted: gst::MessageType) -> gst::Message {
    let found = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &[wanted]);
    found.unwrap_or_else(|| panic!("no {wanted:?} on the bus"))
}
