// SPDX-License-Identifier: MPL-2.0
//! Hides frames that a program makes in others that it makes, reveals them, and prints how like they are.
//!
//! `hide_frames FOLDER` leaves the last frame's cover, stego, secrets and revealed secrets there as PNG.

use std::error::Error;
use std::path::Path;

use gst::prelude::*;
use gstinvmih::training::metrics::psnr;
use image::RgbImage;

const WIDTH: u32 = 96;
const HEIGHT: u32 = 64;
const SECRETS: usize = 4;
const FRAMES: u32 = 3;
const FPS: u32 = 25;

/// One appsrc for the cover, one for each secret; one appsink for the stego, one for what it reveals.
const PIPELINE: &str = "
    appsrc name=cover ! c.sink
    appsrc name=secret_0 ! c.secret_0
    appsrc name=secret_1 ! c.secret_1
    appsrc name=secret_2 ! c.secret_2
    appsrc name=secret_3 ! c.secret_3
    invmihconceal name=c secrets=4 ! tee name=t
    t. ! queue ! appsink name=stego
    t. ! queue ! invmihreveal secrets=4 ! appsink name=revealed";

/// A smooth pattern that moves, another one for each `kind`.
fn frame(kind: usize, number: u32) -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let (x, y) = (x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
        let turn = kind as f32 * 1.9 + number as f32 * 0.1;
        let wave = |shift: f32| (3.0 * (x * turn.cos() + y * turn.sin()) + turn + shift).sin();
        image::Rgb([0.0, 2.0, 4.0].map(|shift| (127.5 + 100.0 * wave(shift)) as u8))
    })
}

/// The cover is kind 0, secret u is kind u + 1.
fn names() -> impl Iterator<Item = String> {
    std::iter::once("cover".into()).chain((0..SECRETS).map(|u| format!("secret_{u}")))
}

fn named<T: IsA<gst::Element>>(pipeline: &gst::Bin, name: &str) -> Result<T, Box<dyn Error>> {
    let element = pipeline.by_name(name).ok_or_else(|| format!("no element {name}"))?;
    element.downcast().map_err(|other| format!("{name} is a {}", other.type_()).into())
}

/// Gives a source its frames and its end; a queue inside takes them at once.
fn feed(source: &gst_app::AppSrc, kind: usize) -> Result<(), Box<dyn Error>> {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, WIDTH, HEIGHT)
        .fps(gst::Fraction::new(FPS as i32, 1))
        .build()?;
    source.set_caps(Some(&info.to_caps()?));
    source.set_format(gst::Format::Time);
    for number in 0..FRAMES {
        // No padding: three times the width is a multiple of four.
        let mut buffer = gst::Buffer::from_mut_slice(frame(kind, number).into_raw());
        let duration = gst::ClockTime::SECOND / u64::from(FPS);
        let target = buffer.make_mut();
        target.set_pts(duration * u64::from(number));
        target.set_duration(duration);
        source.push_buffer(buffer)?;
    }
    source.end_of_stream()?;
    Ok(())
}

/// The next frame of a sink, as the program is to see it.
fn pull(sink: &gst_app::AppSink) -> Result<RgbImage, Box<dyn Error>> {
    let sample = sink.pull_sample()?;
    let bytes = sample.buffer().ok_or("a sample without a buffer")?.map_readable()?.to_vec();
    RgbImage::from_raw(WIDTH, HEIGHT, bytes).ok_or_else(|| "a frame of another size".into())
}

/// What an element said that failed, in place of the sink's mere "end of stream".
fn explained(pipeline: &gst::Bin, error: Box<dyn Error>) -> Box<dyn Error> {
    let message = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(element)) => element.error().into(),
        _ => error,
    }
}

fn show(pipeline: &gst::Bin, folder: &Path) -> Result<(), Box<dyn Error>> {
    let (stego, revealed) = (named(pipeline, "stego")?, named(pipeline, "revealed")?);
    for number in 0..FRAMES {
        let (cover, stego) = (frame(0, number), pull(&stego)?);
        println!("frame {number}: cover and stego {:5.2} dB", psnr(&cover, &stego));
        cover.save(folder.join("cover.png"))?;
        stego.save(folder.join("stego.png"))?;
        for u in 0..SECRETS {
            let (secret, revealed) = (frame(u + 1, number), pull(&revealed)?);
            println!("frame {number}: secret {u} and revealed {:5.2} dB", psnr(&secret, &revealed));
            secret.save(folder.join(format!("secret_{u}.png")))?;
            revealed.save(folder.join(format!("revealed_{u}.png")))?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: hide_frames FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    gst::init()?;
    // Linked in; a program that does not have this crate finds the elements by GST_PLUGIN_PATH.
    gstinvmih::plugin_register_static()?;

    let pipeline = gst::parse::launch(PIPELINE)?;
    let pipeline = pipeline.downcast_ref::<gst::Bin>().ok_or("not a pipeline")?;
    for (kind, name) in names().enumerate() {
        feed(&named(pipeline, &name)?, kind)?;
    }
    let shown = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => show(pipeline, Path::new(&folder)),
        Err(error) => Err(error.into()),
    };
    let shown = shown.map_err(|error| explained(pipeline, error));
    pipeline.set_state(gst::State::Null)?;
    shown
}
