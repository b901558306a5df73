// SPDX-License-Identifier: MPL-2.0
//! What `src` gives: the property `output`, its caps and its frames.

use gst::glib;
use gst::prelude::MulDiv;
use gst_video::VideoInfo;

use crate::network::{self, Frame, Grid};

/// The property `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstInvMihRevealOutput")]
pub enum Output {
    /// N frames for each stego.
    #[default]
    #[enum_value(
        name = "All secrets one after the other, N frames for each stego",
        nick = "sequence"
    )]
    Sequence,
    /// One large frame.
    #[enum_value(
        name = "All secrets side by side in one frame, each of the stego's size",
        nick = "montage"
    )]
    Montage,
    /// One frame of the stego's size.
    #[enum_value(
        name = "The mosaic of all secrets in one frame of the stego's size; the fastest",
        nick = "preview"
    )]
    Preview,
}

impl Output {
    /// The caps for a stego's caps; an error if a number in them would be too large.
    pub fn caps(self, stego: &gst::CapsRef, grid: Grid) -> Result<gst::Caps, gst::ErrorMessage> {
        let info = VideoInfo::from_caps(stego).map_err(|error| {
            gst::error_msg!(gst::CoreError::Negotiation, ("caps of the stego ({stego}): {error}"))
        })?;
        let mut caps = secret_caps(stego);
        let fields = caps.make_mut();
        let set = match self {
            Self::Sequence => ["framerate", "max-framerate"].into_iter().try_for_each(|name| {
                if let Ok(rate) = stego.structure(0)?.get(name) {
                    fields.set(name, sequence_rate(rate, grid)?);
                }
                Some(())
            }),
            Self::Montage => {
                montage_size(info.width(), info.height(), grid).map(|(width, height)| {
                    fields.set("width", width);
                    fields.set("height", height);
                })
            }
            Self::Preview => Some(()),
        };
        set.map(|()| caps).ok_or_else(|| {
            gst::error_msg!(
                gst::CoreError::Negotiation,
                (
                    "{} secrets of {}x{} at {} frames a second are too many for src: use \
                     output=preview, or src_0 and so on",
                    grid.secrets(),
                    info.width(),
                    info.height(),
                    info.fps()
                )
            )
        })
    }
}

/// The caps of a secret alone: it is one whole picture, however fields or views lie in the stego.
pub fn secret_caps(stego: &gst::CapsRef) -> gst::Caps {
    let mut caps = stego.to_owned();
    for fields in caps.make_mut().iter_mut() {
        if fields.has_field("interlace-mode") {
            fields.set("interlace-mode", "progressive");
        }
        fields.remove_fields(["field-order", "views", "multiview-mode", "multiview-flags"]);
    }
    caps
}

/// N times a frame rate, unless it is too large for caps; 0 stays a variable one.
fn sequence_rate(fps: gst::Fraction, grid: Grid) -> Option<gst::Fraction> {
    // The frame rate is in its lowest terms already.
    let factor = gst::Fraction::new(grid.secrets() as i32, fps.denom());
    let numerator = fps.numer().checked_mul(factor.numer())?;
    Some(gst::Fraction::new(numerator, factor.denom()))
}

/// Width and height of a montage, unless they are too large for caps.
fn montage_size(width: u32, height: u32, grid: Grid) -> Option<(i32, i32)> {
    let times = |length: u32, count: usize| i32::try_from(length as usize * count).ok();
    times(width, grid.columns()).zip(times(height, grid.rows()))
}

/// All secrets in the grid, each of its full size.
pub fn montage(secrets: &[Frame], grid: Grid) -> Result<Frame, network::Error> {
    let Some(first) = secrets.first() else {
        return Err(network::Error::SecretCount { given: 0, expected: grid.secrets() });
    };
    let (width, height) = (first.width(), first.height());
    let mut pixels = Vec::with_capacity(grid.secrets() * first.pixels().len());
    for row in secrets.chunks(grid.columns()) {
        for line in 0..height {
            for secret in row {
                pixels.extend_from_slice(&secret.pixels()[line * width * 3..][..width * 3]);
            }
        }
    }
    Frame::new(width * grid.columns(), height * grid.rows(), pixels)
}

/// Timestamp and duration of frame `index` of `count` that share a stego's time.
pub fn share(
    start: Option<gst::ClockTime>,
    duration: Option<gst::ClockTime>,
    index: usize,
    count: usize,
) -> (Option<gst::ClockTime>, Option<gst::ClockTime>) {
    let part = |index: usize| duration?.mul_div_round(index as u64, count as u64);
    match (part(index), part(index + 1)) {
        (Some(begin), Some(end)) => {
            (start.map(|start| start.saturating_add(begin)), Some(end - begin))
        }
        _ => (start, duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid::for_secrets(6).unwrap()
    }

    #[test]
    fn caps_follow_the_grid() {
        gst::init().unwrap();
        let stego = gst_video::VideoInfo::builder(gst_video::VideoFormat::Bgrx, 5, 3)
            .fps(gst::Fraction::new(30000, 1001))
            .build()
            .unwrap()
            .to_caps()
            .unwrap();
        let info =
            |output: Output| VideoInfo::from_caps(&output.caps(&stego, grid()).unwrap()).unwrap();
        assert_eq!(info(Output::Sequence).fps(), gst::Fraction::new(180_000, 1001));
        let mut variable = stego.copy();
        let rates = variable.make_mut();
        rates.set("framerate", gst::Fraction::new(0, 1));
        rates.set("max-framerate", gst::Fraction::new(30, 1));
        let variable = Output::Sequence.caps(&variable, grid()).unwrap();
        let rate = |name| variable.structure(0).unwrap().get::<gst::Fraction>(name).unwrap();
        assert_eq!(rate("framerate"), gst::Fraction::new(0, 1));
        assert_eq!(rate("max-framerate"), gst::Fraction::new(180, 1));
        let montage = info(Output::Montage);
        assert_eq!((montage.width(), montage.height()), (10, 9));
        assert_eq!(montage.fps(), gst::Fraction::new(30000, 1001));
        assert_eq!(info(Output::Preview), VideoInfo::from_caps(&stego).unwrap());
    }

    #[test]
    fn secrets_are_progressive_and_of_one_view() {
        gst::init().unwrap();
        let caps = |more: &str| {
            let caps = format!("video/x-raw,format=RGB,width=5,height=3,framerate=5/1{more}");
            caps.parse::<gst::Caps>().unwrap()
        };
        let stego = caps(
            ",interlace-mode=interleaved,field-order=top-field-first,views=2,\
             multiview-mode=separated,multiview-flags=0",
        );
        let progressive = caps(",interlace-mode=progressive");
        assert_eq!(secret_caps(&stego), progressive);
        assert_eq!(Output::Preview.caps(&stego, grid()).unwrap(), progressive);
        assert_eq!(secret_caps(&caps("")), caps(""));
    }

    #[test]
    fn numbers_too_large_for_caps_are_refused() {
        let rate = |fps| sequence_rate(fps, grid());
        let largest = gst::Fraction::new(i32::MAX, 18);
        assert_eq!(rate(largest), Some(gst::Fraction::new(i32::MAX, 3)));
        assert_eq!(rate(gst::Fraction::new(i32::MAX, 5)), None);
        let size = |width, height| montage_size(width, height, grid());
        assert_eq!(size((1 << 30) - 1, 2), Some((i32::MAX - 1, 6)));
        assert_eq!(size(1 << 30, 2), None);
        assert_eq!(size(2, 1 << 30), None);
    }

    #[test]
    fn a_montage_has_secret_u_at_row_u_over_columns() {
        let secrets: Vec<_> = (0..6u8).map(|u| Frame::new(3, 2, vec![u; 18]).unwrap()).collect();
        let montage = montage(&secrets, grid()).unwrap();
        assert_eq!((montage.width(), montage.height()), (6, 6));
        // Row 4, column 3: the first pixel of secret 5.
        assert_eq!(montage.pixels()[(4 * 6 + 3) * 3], 5);
        assert_eq!(montage.pixels()[(4 * 6 + 2) * 3], 4);
    }

    #[test]
    fn shares_fill_the_duration_without_gaps() {
        gst::init().unwrap();
        let (start, duration) =
            (gst::ClockTime::from_seconds(1), gst::ClockTime::from_nseconds(100));
        let mut next = start;
        for index in 0..6 {
            let (begin, length) = share(Some(start), Some(duration), index, 6);
            assert_eq!(begin, Some(next));
            next += length.unwrap();
        }
        assert_eq!(next, start + duration);
        assert_eq!(share(Some(start), None, 3, 6), (Some(start), None));
        assert_eq!(share(None, Some(duration), 0, 4), (None, Some(duration / 4)));
        let (last, _) = share(Some(gst::ClockTime::MAX), Some(gst::ClockTime::MAX), 3, 4);
        assert_eq!(last, Some(gst::ClockTime::MAX));
    }
}
