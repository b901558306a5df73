// SPDX-License-Identifier: MPL-2.0
//! Between raw video buffers and the network's frames: the bytes of R, G and B, wherever the format
//! keeps them, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFormatFlags, VideoFrameRef, VideoInfo, VideoMeta};

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

/// The plane of a palette, 256 colours of four bytes, which is as large for every picture.
const PALETTE_PLANE: usize = 1;
const PALETTE_BYTES: usize = 1024;

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
    let text = match elsewhere(caps) {
        Some(features) => format!(
            "caps of a neighbour ({caps}) are of video/x-raw({features}), and this element reads and writes plain \
             system memory alone. Put what downloads the frames before it, such as gldownload, or uploads them behind it"
        ),
        None => format!(
            "caps of a neighbour ({caps}) cannot carry secrets: that takes 8-bit R, G and B ({formats}); YUV never, because \
             converting to it rounds away what is hidden. Put a videoconvert before the cover, or a \
             lossless RGB encoder behind the stego"
        ),
    };
    gst::error!(category, obj = element, "{text}");
    if !said.swap(true, Ordering::Relaxed) {
        gst::element_warning!(element, gst::CoreError::Negotiation, ("{text}"));
    }
}

/// The features of caps all of which are of memory other than the system's.
fn elsewhere(caps: &gst::CapsRef) -> Option<&gst::CapsFeaturesRef> {
    let other = |feature: &str| {
        feature.starts_with("memory:") && feature != gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY.as_str()
    };
    let is_elsewhere = |features: &gst::CapsFeaturesRef| features.iter().any(|one| other(one));
    let all = || caps.iter_with_features().map(|(_, features)| features);
    all().next().filter(|_| all().all(is_elsewhere))
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
    plane: usize,
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
        let plane = frame.comp_plane(component) as usize;
        let stride = frame.plane_stride()[plane];
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

    /// Where a row's first pixel is, and how many bytes there are from there to its last. The last row
    /// of a plane may end there: what the bindings' slices of planes take for granted is not all there.
    fn row<T>(&self, frame: &VideoFrameRef<T>, row: usize, width: usize) -> (*mut u8, usize)
    where
        VideoFrameRef<T>: VideoFrameExt,
    {
        // SAFETY: the frame lives, and with it what it has mapped.
        let plane = unsafe { (*frame.as_ptr()).data[self.plane] };
        let start = plane.cast::<u8>().wrapping_add(row * self.stride + self.offset);
        (start, (width - 1) * self.step + 1)
    }
}

/// Maps a raw video buffer to read it.
pub fn map<'a>(
    buffer: &'a gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, gst::ErrorMessage> {
    check(buffer, info)?;
    VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| unmapped(buffer, info, "read"))
}

/// Fails for a buffer whose description of itself does not fit.
fn check(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), gst::ErrorMessage> {
    match buffer.iter_meta::<VideoMeta>().find(|meta| !fits(meta, buffer, info)) {
        Some(meta) => Err(gst::error_msg!(
            gst::StreamError::Format,
            (
                "a buffer of {} bytes for {} of {}x{} describes itself as {} of {}x{} with offsets \
                 {:?} and strides {:?}, which does not fit",
                buffer.size(),
                info.format(),
                info.width(),
                info.height(),
                meta.format(),
                meta.width(),
                meta.height(),
                meta.offset(),
                meta.stride()
            )
        )),
        None => Ok(()),
    }
}

/// Whether a buffer's description of itself fits its caps and its memory: whoever maps it trusts it.
fn fits(meta: &VideoMeta, buffer: &gst::BufferRef, info: &VideoInfo) -> bool {
    let format = info.format_info();
    // A frame's lengths are signed, the description's are not.
    let covers = |own: u32, wanted: u32| (wanted..=i32::MAX as u32).contains(&own);
    if meta.format() != info.format()
        || !covers(meta.width(), info.width())
        || !covers(meta.height(), info.height())
        || meta.n_planes() != info.n_planes()
    {
        return false;
    }
    // The strides of tiled formats count tiles.
    format.flags().contains(VideoFormatFlags::TILED)
        || (0..info.n_components()).all(|component| {
            let component = component as u8;
            let plane = info.comp_plane(component) as usize;
            // A row's bytes without padding, which the last row may lack.
            let row = match info.comp_pstride(component) {
                0 => info.stride()[plane] as usize,
                step => step as usize * info.comp_width(component) as usize,
            };
            let rows = format.scale_height(component, meta.height()) as usize;
            let start = meta.offset()[plane];
            // A plane is mapped from one memory.
            let holds = |bytes: usize| {
                let memories = buffer.find_memory(start..start.saturating_add(bytes));
                memories.is_some_and(|(memories, _)| memories.len() == 1)
            };
            if format.flags().contains(VideoFormatFlags::PALETTE) && plane == PALETTE_PLANE {
                return holds(PALETTE_BYTES);
            }
            usize::try_from(meta.stride()[plane])
                .is_ok_and(|stride| stride >= row && holds(rows.saturating_sub(1) * stride + row))
        })
}

/// Reads R, G and B of a raw video buffer.
pub fn read(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<Frame, gst::ErrorMessage> {
    let frame = map(buffer, info)?;
    // The buffer may have more pixels than its caps.
    let (width, height) = (info.width() as usize, info.height() as usize);
    let mut pixels = vec![0; width * height * 3];
    for colour in 0..3 {
        let component = Component::of(&frame, colour)?;
        for (row, target) in pixels.chunks_exact_mut(width * 3).enumerate() {
            let (start, length) = component.row(&frame, row, width);
            // SAFETY: the buffer was checked to have these bytes of each row, and is mapped to read.
            let source = unsafe { std::slice::from_raw_parts(start, length) };
            let target = target[colour as usize..].iter_mut().step_by(3);
            target.zip(source.iter().step_by(component.step)).for_each(|(to, from)| *to = *from);
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
    check(buffer, info)?;
    let failure = unmapped(buffer, info, "written");
    if (picture.width(), picture.height()) != (info.width() as usize, info.height() as usize) {
        return Err(failure);
    }
    let frame = VideoFrameRef::from_buffer_ref_writable(buffer, info).map_err(|_| failure)?;
    for colour in 0..3 {
        let component = Component::of(&frame, colour)?;
        let rows = picture.pixels().chunks_exact(picture.width() * 3);
        for (row, source) in rows.enumerate() {
            let (start, length) = component.row(&frame, row, picture.width());
            // SAFETY: the buffer was checked to have these bytes of each row, is mapped to write, and
            // nothing else refers to them.
            let target = unsafe { std::slice::from_raw_parts_mut(start, length) };
            let source = source[colour as usize..].iter().step_by(3);
            target
                .iter_mut()
                .step_by(component.step)
                .zip(source)
                .for_each(|(to, from)| *to = *from);
        }
    }
    Ok(())
}

/// A frame's bytes as the memory of a buffer.
struct Memory(Frame);

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self.0.pixels()
    }
}

/// A buffer for a picture, which it may share if it lies there as the caps want it: then whoever writes to
/// it gets a copy. Alpha, where the format has it, is opaque.
pub fn buffer(picture: &Frame, info: &VideoInfo) -> Result<gst::Buffer, gst::ErrorMessage> {
    let sizes = [info.width(), info.height(), info.stride()[0] as u32].map(|size| size as usize);
    let own = [picture.width(), picture.height(), picture.width() * 3];
    if info.format() == VideoFormat::Rgb && sizes == own {
        return Ok(gst::Buffer::from_slice(Memory(picture.clone())));
    }
    let mut buffer = gst::Buffer::from_mut_slice(vec![u8::MAX; info.size()]);
    write(picture, buffer.make_mut(), info)?;
    Ok(buffer)
}

fn unmapped(buffer: &gst::BufferRef, info: &VideoInfo, what: &str) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::StreamError::Format,
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

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    /// 4×3 pixels of RGB in rows of 16 bytes, described as the arguments say; each byte is its
    /// offset.
    fn described(format: VideoFormat, size: (u32, u32), offset: usize, stride: i32) -> gst::Buffer {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::from_mut_slice((0..48).collect::<Vec<u8>>());
        let flags = gst_video::VideoFrameFlags::empty();
        let target = buffer.make_mut();
        VideoMeta::add_full(target, flags, format, size.0, size.1, &[offset], &[stride]).unwrap();
        buffer
    }

    fn info(width: u32, height: u32) -> VideoInfo {
        VideoInfo::builder(VideoFormat::Rgb, width, height).build().unwrap()
    }

    #[test]
    fn a_buffer_with_more_pixels_than_its_caps_gives_theirs() {
        let buffer = described(VideoFormat::Rgb, (4, 3), 0, 16);
        let frame = read(&buffer, &info(3, 2)).unwrap();
        assert_eq!(frame.pixels(), (0..9).chain(16..25).collect::<Vec<u8>>());
    }

    #[test]
    fn the_last_row_may_be_without_padding() {
        let frame = read(&described(VideoFormat::Rgb, (4, 3), 4, 16), &info(4, 3)).unwrap();
        assert_eq!(frame.pixels()[24..], (36..48).collect::<Vec<u8>>());
    }

    #[test]
    fn a_picture_without_padding_is_not_copied() {
        gst::init().unwrap();
        for (width, shared) in [(4, true), (5, false)] {
            let levels = Tensor::arange(width * 6, (Kind::Float, Device::Cpu)) / 255.0;
            let picture = Frame::from_tensor(&levels.view([1, 3, 2, width])).unwrap().remove(0);
            let info = info(width as u32, 2);
            let buffer = buffer(&picture, &info).unwrap();
            assert_eq!(read(&buffer, &info).unwrap(), picture);
            let bytes = buffer.map_readable().unwrap();
            assert_eq!(bytes.as_ptr() == picture.pixels().as_ptr(), shared);
        }
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        gst::init().unwrap();
        let picture = Frame::new(4, 2, vec![0; 24]).unwrap();
        for (width, height) in [(4, 3), (3, 2)] {
            assert!(buffer(&picture, &info(width, height)).is_err());
        }
    }

    #[test]
    fn writing_to_a_shared_picture_leaves_it_as_it_is() {
        gst::init().unwrap();
        let picture = Frame::from_tensor(&Tensor::zeros([1, 3, 2, 4], (Kind::Float, Device::Cpu)));
        let picture = picture.unwrap().remove(0);
        let mut buffer = buffer(&picture, &info(4, 2)).unwrap();
        buffer.make_mut().map_writable().unwrap().fill(9);
        assert_eq!(picture.pixels(), [0; 24]);
        assert_eq!(*buffer.map_readable().unwrap(), [9; 24]);
    }

    #[test]
    fn a_description_that_does_not_fit_is_refused() {
        for (format, size, offset, stride) in [
            (VideoFormat::Bgr, (4, 3), 0, 16),
            (VideoFormat::Gray8, (4, 3), 0, 16),
            (VideoFormat::Rgb, (3, 3), 0, 16),
            (VideoFormat::Rgb, (4, 2), 0, 16),
            (VideoFormat::Rgb, (1 << 31, 3), 0, 16),
            (VideoFormat::Rgb, (4, 4), 0, 16),
            (VideoFormat::Rgb, (4, 3), 5, 16),
            (VideoFormat::Rgb, (4, 3), usize::MAX, 16),
            (VideoFormat::Rgb, (4, 3), 0, 19),
            (VideoFormat::Rgb, (4, 3), 0, 11),
            (VideoFormat::Rgb, (4, 3), 32, -16),
        ] {
            let buffer = described(format, size, offset, stride);
            let error = format!("{:?}", read(&buffer, &info(4, 3)).unwrap_err());
            assert!(error.contains(&format!("strides [{stride}]")), "{error}");
        }
    }
}
