// SPDX-License-Identifier: MPL-2.0
//! The formats and sizes of covers and secrets that `invmihconceal` takes.

mod common;

use common::conceal::{Conceal, secrets, stego};
use common::{FORMATS, MODEL, SECRETS, buffer, bus, error_text, info, picture, read};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstinvmih::network::Frame;

const SIZE: (usize, usize) = (24, 16);

#[test]
fn all_formats_give_the_same_colours_and_keep_the_other_bytes() {
    let size = (23, 17);
    let (cover, stills) = (picture(size.0, size.1, 1), secrets(size, 10));
    let expected = stego(&cover, &stills);
    let secret_info = info(VideoFormat::Rgb, size.0, size.1, 25);
    for (format, _, other) in FORMATS {
        let format = info(format, size.0, size.1, 25);
        let mut conceal = Conceal::new(&format, &secret_info);
        conceal.push_stills(&stills, &secret_info);
        let output = conceal.push_and_pull(padded(&cover, &format));
        assert_eq!(read(&output, &format), expected, "{}", format.format());
        let map = output.map_readable().unwrap();
        if let Some(byte) = other {
            let rows = map.chunks_exact(size.0 * 4 + 20);
            let mut pixels = rows.flat_map(|row| row[..size.0 * 4].chunks_exact(4));
            assert!(pixels.all(|pixel| pixel[byte] == 77));
        }
        let kept = map.iter().filter(|byte| **byte == 77).count();
        assert!(kept >= size.1 * 20, "row padding of {} changed", format.format());
    }
}

/// A cover whose rows are wider than its format asks for.
fn padded(cover: &Frame, info: &VideoInfo) -> gst::Buffer {
    let pixel = info.comp_pstride(0) as usize;
    let stride = cover.width() * pixel + 20;
    let plane = stride * cover.height();
    let planes = info.n_planes() as usize;
    let mut buffer = gst::Buffer::from_mut_slice(vec![77; plane * planes]);
    let target = buffer.get_mut().unwrap();
    target.set_pts(gst::ClockTime::ZERO);
    gst_video::VideoMeta::add_full(
        target,
        gst_video::VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        &(0..planes).map(|index| index * plane).collect::<Vec<_>>(),
        &vec![stride as i32; planes],
    )
    .unwrap();
    common::write(cover, target, info);
    buffer
}

#[test]
fn secrets_are_converted_and_stretched_to_the_cover() {
    let cover_info = info(VideoFormat::Bgrx, SIZE.0, SIZE.1, 25);
    let (cover, stills) = (picture(SIZE.0, SIZE.1, 1), secrets((37, 11), 10));
    let made = [VideoFormat::Rgb, VideoFormat::Bgra, VideoFormat::Gbr].map(|format| {
        let secret_info = info(format, 37, 11, 30);
        let mut conceal = Conceal::new(&cover_info, &secret_info);
        conceal.push_stills(&stills, &secret_info);
        read(&conceal.push_and_pull(buffer(&cover, &cover_info, 0)), &cover_info)
    });
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], made[2]);
    // The same pictures at the cover's size, sampled anew from their formula, hide nearly alike.
    let alike = stego(&cover, &secrets(SIZE, 10));
    let other = stego(&cover, &secrets(SIZE, 30));
    assert!(difference(&made[0], &alike) < difference(&made[0], &other));
}

fn difference(a: &Frame, b: &Frame) -> u32 {
    let pairs = a.pixels().iter().zip(b.pixels());
    pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

#[test]
fn yuv_secrets_arrive_with_their_colours() {
    let cover_info = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let secret_info = info(VideoFormat::I420, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&cover_info, &secret_info);
    for harness in &mut conceal.secrets {
        // In limited range.
        let mut still = gst::Buffer::from_mut_slice(vec![200u8; secret_info.size()]);
        let target = still.get_mut().unwrap();
        target.set_pts(gst::ClockTime::ZERO);
        let mut frame =
            gst_video::VideoFrameRef::from_buffer_ref_writable(target, &secret_info).unwrap();
        frame.plane_data_mut(1).unwrap().fill(128);
        frame.plane_data_mut(2).unwrap().fill(128);
        drop(frame);
        harness.push(still).unwrap();
        harness.push_event(gst::event::Eos::new());
    }
    let cover = picture(SIZE.0, SIZE.1, 1);
    let made = read(&conceal.push_and_pull(buffer(&cover, &cover_info, 0)), &cover_info);
    // Taken for full range they would be fourteen levels darker.
    let means = |stego: &Frame| MODEL.reveal(stego, None).unwrap().iter().map(mean).collect();
    let grey = Frame::new(SIZE.0, SIZE.1, vec![214; SIZE.0 * SIZE.1 * 3]).unwrap();
    let [means, expected]: [Vec<f64>; 2] =
        [means(&made), means(&stego(&cover, &vec![grey; SECRETS]))];
    let near = means.iter().zip(&expected).all(|(mean, expected)| (mean - expected).abs() < 4.0);
    assert!(near, "{means:?}, expected {expected:?}");
}

fn mean(frame: &Frame) -> f64 {
    let values = frame.pixels().iter().map(|value| f64::from(*value));
    values.sum::<f64>() / frame.pixels().len() as f64
}

#[test]
fn secrets_with_a_palette_arrive_with_its_colours() {
    let cover_info = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let secret_info = info(VideoFormat::Rgb8p, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&cover_info, &secret_info);
    // Pixels 0, 1, 2, … and a palette of greys from white to black.
    let indices: Vec<_> = (0..SIZE.0 * SIZE.1).map(|pixel| (pixel % 256) as u8).collect();
    let palette = (0..=255u8).flat_map(|index| [255 - index; 4]);
    for harness in &mut conceal.secrets {
        let bytes: Vec<_> = indices.iter().copied().chain(palette.clone()).collect();
        let mut still = gst::Buffer::from_mut_slice(bytes);
        let target = still.get_mut().unwrap();
        target.set_pts(gst::ClockTime::ZERO);
        gst_video::VideoMeta::add_full(
            target,
            gst_video::VideoFrameFlags::empty(),
            VideoFormat::Rgb8p,
            SIZE.0 as u32,
            SIZE.1 as u32,
            &[0, indices.len()],
            &[SIZE.0 as i32, 4],
        )
        .unwrap();
        harness.push(still).unwrap();
        harness.push_event(gst::event::Eos::new());
    }
    let cover = picture(SIZE.0, SIZE.1, 1);
    let made = read(&conceal.push_and_pull(buffer(&cover, &cover_info, 0)), &cover_info);
    let greys = indices.iter().flat_map(|index| [255 - index; 3]).collect();
    let secret = Frame::new(SIZE.0, SIZE.1, greys).unwrap();
    assert_eq!(made, stego(&cover, &vec![secret; SECRETS]));
}

#[test]
fn a_cover_of_another_size_mid_stream_gets_its_secrets_anew() {
    let format = info(VideoFormat::Rgb, SIZE.0, SIZE.1, 25);
    let mut conceal = Conceal::new(&format, &format);
    conceal.push_stills(&secrets(SIZE, 10), &format);
    conceal.push_and_pull(buffer(&picture(SIZE.0, SIZE.1, 1), &format, 0));
    let larger = info(VideoFormat::Bgra, 31, 19, 25);
    conceal.cover.set_src_caps(larger.to_caps().unwrap());
    let cover = picture(31, 19, 2);
    let made = read(&conceal.push_and_pull(buffer(&cover, &larger, 40)), &larger);
    assert_eq!((made.width(), made.height()), (31, 19));
    assert_ne!(made, cover);
    let caps = conceal.cover.sinkpad().unwrap().current_caps();
    assert_eq!(caps, Some(larger.to_caps().unwrap()));
}

#[test]
fn odd_and_small_covers_work_and_too_small_ones_are_refused() {
    for size in [(2, 2), (3, 2), (5, 7), (33, 9)] {
        let format = info(VideoFormat::Rgb, size.0, size.1, 25);
        let mut conceal = Conceal::new(&format, &format);
        let (cover, stills) = (picture(size.0, size.1, 1), secrets(size, 10));
        conceal.push_stills(&stills, &format);
        let made = conceal.push_and_pull(buffer(&cover, &format, 0));
        assert_eq!(read(&made, &format), stego(&cover, &stills), "{size:?}");
    }
    let format = info(VideoFormat::Rgb, 1, 1, 25);
    let mut conceal = Conceal::new(&format, &format);
    let bus = bus(&conceal.element);
    conceal.push_stills(&secrets((1, 1), 10), &format);
    conceal.cover.push(buffer(&picture(1, 1, 1), &format, 0)).unwrap();
    let message = error_text(&bus);
    assert!(message.contains("1x1") && message.contains("2x2"), "{message}");
}
