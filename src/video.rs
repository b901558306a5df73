// SPDX-License-Identifier: MPL-2.0
//! Between raw video buffers and the network's frames: the bytes of R, G and B, wherever the format
//! keeps them, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

use crate::network::Frame;

/// The formats of cover, stego and revealed secrets: 8-bit R, G and B, stored as they are, because
/// a conversion would lose what is hidden.
const FORMATS: [VideoFormat; 7] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Gbr,
];

/// The caps of cover, stego and revealed secrets.
pub fn caps() -> gst::Caps {
    gst_video::VideoCapsBuilder::new().format_list(FORMATS).build()
}

/// Says in the log and on the bus why caps are refused, unless that was `said` already.
pub fn refuse(
    element: &impl IsA<gst::Element>,
    category: gst::DebugCategory,
    caps: &gst::CapsRef,
    said: &AtomicBool,
) {
    let formats = FORMATS.map(|format| format.to_str().as_str()).join(", ");
    let text = format!(
        "caps of a neighbour ({caps}) cannot carry secrets: that takes 8-bit R, G and B ({formats}); YUV never, because \
         converting to it rounds away what is hidden. Put a videoconvert before the cover, or a \
         lossless RGB encoder behind the stego"
    );
    gst::error!(category, obj = element, "{text}");
    if !said.swap(true, Ordering::Relaxed) {
        gst::element_warning!(element, gst::CoreError::Negotiation, ("{text}"));
    }
}

/// Answers a caps query with some caps, in the order of the query's filter.
pub fn answer(query: &mut gst::query::Caps, caps: &gst::Caps) {
    query.set_result(&match query.filter() {
        Some(filter) => filter.intersect_with_mode(caps, gst::CapsIntersectMode::First),
        None => caps.clone(),
    });
}

/// Where a frame keeps one of R, G and B.
struct Component {
    plane: u32,
    /// Bytes before the first pixel, from one pixel to the next, from one row to the next.
    offset: usize,
    step: usize,
    stride: usize,
}

impl Component {
    fn of<T>(frame: &VideoFrameRef<T>, component: u32) -> Result<Self, gst::ErrorMessage>
    where
        VideoFrameRef<T>: VideoFrameExt,
    {
        let plane = frame.comp_plane(component);
        let stride = frame.plane_stride()[plane as usize];
        Ok(Self {
            plane,
            offset: frame.comp_poffset(component) as usize,
            step: frame.comp_pstride(component) as usize,
            stride: usize::try_from(stride).map_err(|_| {
                gst::error_msg!(
                    gst::StreamError::Format,
                    ("a frame with a stride of {stride} bytes cannot be read")
                )
            })?,
        })
    }
}

/// Reads R, G and B of a raw video buffer.
pub fn read(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<Frame, gst::ErrorMessage> {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| unmapped(buffer, info, "read"))?;
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut pixels = vec![0; width * height * 3];
    for colour in 0..3 {
        let component = Component::of(&frame, colour)?;
        let plane =
            frame.plane_data(component.plane).map_err(|_| unmapped(buffer, info, "read"))?;
        for (row, target) in pixels.chunks_exact_mut(width * 3).enumerate() {
            let source =
                plane[row * component.stride + component.offset..].iter().step_by(component.step);
            let target = target[colour as usize..].iter_mut().step_by(3);
            target.zip(source).for_each(|(to, from)| *to = *from);
        }
    }
    Ok(Frame::new(width, height, pixels)?)
}

/// Overwrites R, G and B of a raw video buffer of the picture's size; alpha and padding stay.
pub fn write(
    picture: &Frame,
    buffer: &mut gst::BufferRef,
    info: &VideoInfo,
) -> Result<(), gst::ErrorMessage> {
    let failure = unmapped(buffer, info, "written");
    let mut frame =
        VideoFrameRef::from_buffer_ref_writable(buffer, info).map_err(|_| failure.clone())?;
    for colour in 0..3 {
        let component = Component::of(&frame, colour)?;
        let plane = frame.plane_data_mut(component.plane).map_err(|_| failure.clone())?;
        let rows = picture.pixels().chunks_exact(picture.width() * 3);
        for (row, source) in rows.enumerate() {
            let target = plane[row * component.stride + component.offset..]
                .iter_mut()
                .step_by(component.step);
            let source = source[colour as usize..].iter().step_by(3);
            target.zip(source).for_each(|(to, from)| *to = *from);
        }
    }
    Ok(())
}

/// A buffer of its own for a picture; alpha, where the format has it, is opaque.
pub fn buffer(picture: &Frame, info: &VideoInfo) -> Result<gst::Buffer, gst::ErrorMessage> {
    let mut buffer = gst::Buffer::from_mut_slice(vec![u8::MAX; info.size()]);
    write(picture, buffer.make_mut(), info)?;
    Ok(buffer)
}

fn unmapped(buffer: &gst::BufferRef, info: &VideoInfo, what: &str) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::ResourceError::Failed,
        (
            "a buffer of {} bytes cannot be {what} as {} of {}x{}, which takes {}",
            buffer.size(),
            info.format(),
            info.width(),
            info.height(),
            info.size()
        )
    )
}
