// SPDX-License-Identifier: MPL-2.0
//! An 8-bit RGB picture in memory, and its way to and from a tensor.

use std::fmt;
use std::slice;
use std::sync::Arc;

use image::RgbImage;
use image::imageops::{FilterType, resize};
use tch::{Cuda, Device, Kind, Tensor};

use super::Error;

/// So many squares of bytes' differences add up in 32 bits, which processors add four times as fast as 64.
const SUMMED: usize = 1 << 16;

/// A picture of `width`×`height`: interleaved R, G, B of 8 bits, rows without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    width: usize,
    height: usize,
    pixels: Pixels,
}

/// Bytes, those that the network made where it put them: frames are large.
enum Pixels {
    Own(Arc<Vec<u8>>),
    /// Contiguous, on the CPU.
    Made(Tensor),
}

// SAFETY: they are only read, once they are a frame's, and a tensor's bytes may be read from several
// threads at once.
unsafe impl Sync for Pixels {}

impl Pixels {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            // SAFETY: so many bytes the tensor has, contiguous, as long as it lives; nobody writes them.
            Self::Made(tensor) => unsafe {
                slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel())
            },
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => Arc::unwrap_or_clone(bytes),
            Self::Made(_) => self.bytes().to_vec(),
        }
    }
}

/// Shares the bytes.
impl Clone for Pixels {
    fn clone(&self) -> Self {
        match self {
            Self::Own(bytes) => Self::Own(bytes.clone()),
            Self::Made(tensor) => Self::Made(tensor.shallow_clone()),
        }
    }
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Pixels {}

impl Frame {
    /// A frame of these pixels.
    ///
    /// # Errors
    /// [`Error::FrameBytes`] unless there are width·height·3 bytes, and some.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, Error> {
        let bytes = pixels.len();
        let needed = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if bytes == 0 || needed != Some(bytes) {
            return Err(Error::FrameBytes { width, height, bytes });
        }
        Ok(Self { width, height, pixels: Pixels::Own(Arc::new(pixels)) })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Height and width in pixels, as tensors have them.
    pub(super) fn size(&self) -> [i64; 2] {
        [self.height as i64, self.width as i64]
    }

    /// Interleaved RGB.
    pub fn pixels(&self) -> &[u8] {
        self.pixels.bytes()
    }

    /// PSNR in dB to a frame of the same size, over R, G and B; infinite if they are equal.
    pub fn psnr(&self, other: &Self) -> f64 {
        let (own, other) = (self.pixels(), other.pixels());
        let parts = own.chunks(SUMMED).zip(other.chunks(SUMMED));
        let sum = parts.map(|(a, b)| u64::from(squared_difference(a, b))).sum::<u64>();
        decibels(sum as f64 / own.len() as f64 / (255.0 * 255.0))
    }

    /// The same picture at another size, stretched with the Lanczos filter.
    ///
    /// # Errors
    /// [`Error::FrameBytes`] for an empty size.
    pub fn stretched(&self, width: usize, height: usize) -> Result<Self, Error> {
        if (self.width, self.height) == (width, height) {
            return Ok(self.clone());
        }
        let picture = RgbImage::try_from(self.clone())?;
        Self::try_from(resize(&picture, width as u32, height as u32, FilterType::Lanczos3))
    }

    /// 1×3×H×W of f32 in [0, 1].
    pub(crate) fn to_tensor(&self, device: Device) -> Tensor {
        self.levels(device).to_kind(Kind::Float).divide_scalar_(255.0)
    }

    /// 1×3×H×W of bytes. A GPU fetches them when it comes to them, so that the next frame can be got
    /// ready meanwhile.
    pub(crate) fn levels(&self, device: Device) -> Tensor {
        let size = [1, self.height as i64, self.width as i64, 3];
        let levels = match device {
            Device::Cuda(_) => {
                let (pixels, kind) = (self.pixels().as_ptr(), Kind::Uint8);
                // SAFETY: so many pixels there are, and they are copied, never changed, before `self` can go.
                let own = unsafe { Tensor::from_blob(pixels, &size, &[], kind, Device::Cpu) };
                // `pin_memory` would warn of its argument, which tch cannot leave out.
                match own.f_internal_pin_memory(device) {
                    Ok(pinned) => pinned.to_device_(device, kind, true, false),
                    Err(_) => own.to_device(device),
                }
            }
            _ => Tensor::from_data_size(self.pixels(), &size, Kind::Uint8),
        };
        levels.permute([0, 3, 1, 2])
    }

    /// N×3×H×W in [0, 1] to N of H×W×3 bytes, clamped and rounded. A GPU sends them when it comes to
    /// them: they are there once it has been waited for.
    pub(crate) fn bytes(pictures: &Tensor) -> Vec<Tensor> {
        // In place: frames are large.
        let mut levels = pictures * 255.0;
        let levels = levels.round_().clamp_(0.0, 255.0).to_kind(Kind::Uint8);
        let levels = levels.permute([0, 2, 3, 1]).contiguous();
        // To pinned memory, where there is enough, and each to its own: one may be kept for longer.
        let here = |picture: &Tensor| picture.f_to_device_(Device::Cpu, Kind::Uint8, true, false);
        let sent =
            |picture: Tensor| here(&picture).unwrap_or_else(|_| picture.to_device(Device::Cpu));
        levels.unbind(0).into_iter().map(sent).collect()
    }

    /// The frames of some [`bytes`](Self::bytes) from a device, which is waited for. They stay where they are.
    pub(crate) fn from_bytes(bytes: Vec<Tensor>, device: Device) -> Result<Vec<Self>, Error> {
        if let Device::Cuda(index) = device {
            Cuda::synchronize(index as i64);
        }
        let frame = |picture: Tensor| {
            let (height, width, _) = picture.size3()?;
            let pixels = Pixels::Made(picture.contiguous());
            Ok(Self { width: width as usize, height: height as usize, pixels })
        };
        bytes.into_iter().map(frame).collect()
    }

    /// N×3×H×W in [0, 1] to N frames.
    pub(crate) fn from_tensor(pictures: &Tensor) -> Result<Vec<Self>, Error> {
        Self::from_bytes(Self::bytes(pictures), pictures.device())
    }
}

impl TryFrom<RgbImage> for Frame {
    type Error = Error;

    fn try_from(picture: RgbImage) -> Result<Self, Error> {
        let (width, height) = picture.dimensions();
        Self::new(width as usize, height as usize, picture.into_raw())
    }
}

impl TryFrom<Frame> for RgbImage {
    type Error = Error;

    fn try_from(frame: Frame) -> Result<Self, Error> {
        let Frame { width, height, pixels } = frame;
        let pixels = pixels.into_bytes();
        let too_large = Error::FrameBytes { width, height, bytes: pixels.len() };
        RgbImage::from_raw(width as u32, height as u32, pixels).ok_or(too_large)
    }
}

fn squared_difference(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
}

/// PSNR in dB of a mean squared error of pictures in [0, 1]; infinite for 0.
pub fn decibels(error: f64) -> f64 {
    -10.0 * error.log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_is_of_the_mean_squared_difference() {
        let frame = |pixels: [u8; 3]| Frame::new(1, 1, pixels.into()).unwrap();
        let psnr = |a, b| frame(a).psnr(&frame(b));
        assert_eq!(psnr([7, 8, 9], [7, 8, 9]), f64::INFINITY);
        assert_eq!(psnr([0, 0, 0], [255, 255, 255]), 0.0);
        // (12² + 0² + 0²) / 3 = 48.
        assert!((psnr([12, 3, 9], [0, 3, 9]) - 31.3184).abs() < 1e-3);
    }

    #[test]
    fn the_largest_differences_add_up() {
        let frame = |level| Frame::new(SUMMED, 1, vec![level; SUMMED * 3]).unwrap();
        assert_eq!(frame(0).psnr(&frame(255)), 0.0);
    }

    #[test]
    fn a_frame_survives_the_way_through_a_tensor() {
        let pixels: Vec<u8> = (0..5 * 3 * 3).map(|i| (i * 5) as u8).collect();
        let frame = Frame::new(5, 3, pixels).unwrap();
        let tensor = frame.to_tensor(Device::Cpu);
        assert_eq!(tensor.size(), [1, 3, 3, 5]);
        let blue = f64::from(frame.pixels()[(5 + 4) * 3 + 2]) / 255.0;
        assert!((tensor.double_value(&[0, 2, 1, 4]) - blue).abs() < 1e-6);
        let made = Frame::from_tensor(&tensor).unwrap();
        assert_eq!(made, std::slice::from_ref(&frame));
        let picture = RgbImage::try_from(made[0].clone()).unwrap();
        assert_eq!(picture.as_raw(), frame.pixels());
    }

    #[test]
    fn a_stretched_frame_keeps_its_colours() {
        let halves = [[200, 10, 10].repeat(4), [10, 10, 200].repeat(4)].concat();
        let frame = Frame::new(1, 8, halves).unwrap();
        assert_eq!(frame.stretched(1, 8).unwrap(), frame);
        let stretched = frame.stretched(6, 4).unwrap();
        assert_eq!((stretched.width(), stretched.height()), (6, 4));
        let (first, last) = (&stretched.pixels()[..3], &stretched.pixels()[6 * 4 * 3 - 3..]);
        assert!(first[0] > 180 && last[2] > 180, "{first:?} {last:?}");
        assert!(frame.stretched(0, 4).is_err());
    }

    #[test]
    fn wrong_bytes_are_refused() {
        assert!(Frame::new(2, 2, vec![0; 11]).unwrap_err().to_string().contains("12"));
        assert!(Frame::new(0, 0, vec![]).is_err());
    }
}
