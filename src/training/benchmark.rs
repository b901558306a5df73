// SPDX-License-Identifier: MPL-2.0
//! Seconds that a frame takes to conceal and to reveal.

use std::time::Instant;

use crate::network::{Error, Frame, Grid, Model};

/// Times of one direction, in seconds.
#[derive(Clone, Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// Of `runs` runs after one that warms up.
    fn of(runs: usize, mut run: impl FnMut() -> Result<(), Error>) -> Result<Self, Error> {
        run()?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = Instant::now();
            run()?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(Self(times))
    }

    /// The middle one, of an even number the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let (last, middle) = (self.0.len() - 1, self.0.len() / 2);
        (self.0[middle] + self.0[last - middle]) / 2.0
    }

    /// The shortest.
    pub fn min(&self) -> f64 {
        self.0[0]
    }
}

/// Times conceal (mosaic and stego) and reveal of noise, 8-bit frames in and out.
///
/// # Errors
/// Those of [`Model`].
pub fn measure(
    model: &Model,
    grid: Grid,
    size: (usize, usize),
    runs: usize,
) -> Result<(Times, Times), Error> {
    let (width, height) = size;
    let noise = |seed: usize| {
        let byte = |k: usize| (k.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8;
        Frame::new(width, height, (0..width * height * 3).map(byte).collect())
    };
    let cover = noise(0)?;
    let secrets = (1..=grid.secrets()).map(noise).collect::<Result<Vec<_>, _>>()?;
    let conceal =
        Times::of(runs, || model.conceal(&cover, &model.mosaic(&secrets, None)?).map(drop))?;
    let stego = model.conceal(&cover, &model.mosaic(&secrets, None)?)?;
    let reveal = Times::of(runs, || model.reveal(&stego, None).map(drop))?;
    Ok((conceal, reveal))
}

/// The most memory that the process has held so far, in MiB; Linux only.
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Times(vec![1.0, 2.0, 9.0]).median(), 2.0);
        assert_eq!(Times(vec![1.0, 2.0, 4.0, 9.0]).median(), 3.0);
    }
}
