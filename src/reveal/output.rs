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
    /// The caps for a stego's caps; none if a number in them would be too large.
    pub fn caps(self, stego: &gst::CapsRef, grid: Grid) -> Option<gst::Caps> {
        let info = VideoInfo::from_caps(stego).ok()?;
        let times = |length: u32, count: usize| i32::try_from(length as usize * count).ok();
        let mut caps = stego.to_owned();
        let fields = caps.make_mut();
        match self {
            Self::Sequence => {
                let secrets = i32::try_from(grid.secrets()).ok()?;
                let numerator = info.fps().numer().checked_mul(secrets)?;
                fields.set("framerate", gst::Fraction::new(numerator, info.fps().denom()));
            }
            Self::Montage => {
                fields.set("width", times(info.width(), grid.columns())?);
                fields.set("height", times(info.height(), grid.rows())?);
            }
            Self::Preview => {}
        }
        Some(caps)
    }
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
    let (Some(start), Some(duration)) = (start, duration) else {
        return (start, duration);
    };
    let part = |index: usize| duration.mul_div_round(index as u64, count as u64);
    match (part(index), part(index + 1)) {
        (Some(begin), Some(end)) => (Some(start + begin), Some(end - begin)),
        _ => (Some(start), Some(duration)),
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
        let montage = info(Output::Montage);
        assert_eq!((montage.width(), montage.height()), (10, 9));
        assert_eq!(montage.fps(), gst::Fraction::new(30000, 1001));
        assert_eq!(info(Output::Preview), VideoInfo::from_caps(&stego).unwrap());
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
    }
}
