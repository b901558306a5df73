// SPDX-License-Identifier: MPL-2.0
//! How long a frame may take in the network, as live pipelines are told.

use std::collections::VecDeque;
use std::time::Duration;

use gst::prelude::MulDiv;

/// More than there are sizes of a batch; past it the oldest kind is forgotten.
const MOST_KINDS: usize = 64;

/// The longest pass of the network so far, rounded up to a power of two of milliseconds: so a
/// pipeline is told anew only when passes take much longer than it was told, a few times in all.
/// The first pass of a kind does not count: libtorch warms up in it.
#[derive(Debug, Default)]
pub struct PassTime {
    /// The kinds of which there was a pass.
    warm: VecDeque<Pass>,
    announced: gst::ClockTime,
}

/// What a pass of the network works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Width and height of its frames in pixels.
    pub size: (usize, usize),
    /// How many pictures it makes.
    pub pictures: usize,
}

impl PassTime {
    /// Takes the measured time of a pass; whether what is announced has grown.
    pub fn measured(&mut self, pass: Pass, time: Duration) -> bool {
        let milliseconds = time.as_nanos().div_ceil(1_000_000) as u64;
        let announced = gst::ClockTime::from_mseconds(milliseconds.next_power_of_two());
        let grown = self.is_warm(pass) && announced > self.announced;
        if grown {
            self.announced = announced;
        }
        grown
    }

    /// Whether there was a pass of a kind before; from now on there was.
    fn is_warm(&mut self, pass: Pass) -> bool {
        let warm = self.warm.contains(&pass);
        if !warm {
            self.warm.truncate(MOST_KINDS - 1);
            self.warm.push_front(pass);
        }
        warm
    }

    /// How long a pass is said to take.
    pub fn announced(&self) -> gst::ClockTime {
        self.announced
    }
}

/// A frame's duration at a constant frame rate; none at a variable one.
pub fn frame_duration(fps: gst::Fraction) -> Option<gst::ClockTime> {
    let (frames, seconds) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
    (frames > 0).then(|| gst::ClockTime::SECOND.mul_div_round(seconds, frames))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_after_the_first_pass_of_a_kind_is_announced() {
        let mut time = PassTime::default();
        let mut of = |pictures, pass| {
            let kind = Pass { size: (4, 2), pictures };
            (time.measured(kind, pass), time.announced().mseconds())
        };
        let mut announced = |pass| of(1, pass);
        assert_eq!(announced(Duration::from_secs(1)), (false, 0));
        assert_eq!(announced(Duration::from_micros(70_100)), (true, 128));
        assert_eq!(announced(Duration::from_millis(128)), (false, 128));
        assert_eq!(announced(Duration::from_millis(129)), (true, 256));
        assert_eq!(announced(Duration::from_millis(3)), (false, 256));
        assert_eq!(of(4, Duration::from_secs(1)), (false, 256));
        assert_eq!(of(4, Duration::from_millis(300)), (true, 512));
    }

    #[test]
    fn kinds_may_alternate_and_the_oldest_is_forgotten() {
        let mut time = PassTime::default();
        let second = Duration::from_secs(1);
        let mut grows = |pictures| time.measured(Pass { size: (4, 2), pictures }, second);
        assert_eq!([1, 3, 1].map(&mut grows), [false, false, true]);
        let mut time = PassTime::default();
        let mut grows = |pictures| time.measured(Pass { size: (4, 2), pictures }, second);
        assert!(!(0..=MOST_KINDS).any(&mut grows));
        assert_eq!([0, MOST_KINDS].map(&mut grows), [false, true]);
    }

    #[test]
    fn a_variable_frame_rate_has_no_duration() {
        assert_eq!(frame_duration(gst::Fraction::new(0, 1)), None);
        let ntsc = frame_duration(gst::Fraction::new(30_000, 1001));
        assert_eq!(ntsc, Some(gst::ClockTime::from_nseconds(33_366_667)));
    }
}
