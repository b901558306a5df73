// SPDX-License-Identifier: MPL-2.0
//! How long a frame may take in the network, as live pipelines are told.

use std::time::Duration;

/// The longest pass of the network so far, rounded up to a power of two of milliseconds: so a
/// pipeline is told anew only when passes take much longer than it was told, a few times in all.
#[derive(Debug, Default)]
pub struct PassTime(Duration);

impl PassTime {
    /// Takes the measured time of a pass; the time to announce anew if that has grown.
    pub fn measured(&mut self, pass: Duration) -> Option<gst::ClockTime> {
        if pass <= self.0 {
            return None;
        }
        let milliseconds = pass.as_nanos().div_ceil(1_000_000) as u64;
        self.0 = Duration::from_millis(milliseconds.next_power_of_two());
        Some(self.announced())
    }

    /// What was announced last.
    pub fn announced(&self) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(self.0.as_millis() as u64)
    }
}

/// A frame's duration at a constant frame rate; none at a variable one.
pub fn frame_duration(fps: gst::Fraction) -> Option<gst::ClockTime> {
    use gst::prelude::MulDiv;
    let (frames, seconds) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
    (frames > 0).then(|| gst::ClockTime::SECOND.mul_div_round(seconds, frames))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_is_announced() {
        let mut time = PassTime::default();
        let mut announced = |pass| time.measured(pass).map(|time| time.mseconds());
        assert_eq!(announced(Duration::from_micros(70_100)), Some(128));
        assert_eq!(announced(Duration::from_millis(128)), None);
        assert_eq!(announced(Duration::from_millis(129)), Some(256));
        assert_eq!(announced(Duration::from_millis(3)), None);
    }

    #[test]
    fn a_variable_frame_rate_has_no_duration() {
        assert_eq!(frame_duration(gst::Fraction::new(0, 1)), None);
        let ntsc = frame_duration(gst::Fraction::new(30_000, 1001));
        assert_eq!(ntsc, Some(gst::ClockTime::from_nseconds(33_366_667)));
    }
}
