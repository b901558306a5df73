// SPDX-License-Identifier: MPL-2.0
//! Seconds that a frame takes to conceal and to reveal.

use std::time::Instant;

use tch::{Cuda, Kind, Tensor};

use crate::network::device::memory_taken;
use crate::network::{Device, Effort, Error, Frame, Grid, Model};

/// Side of the matrices that a GPU's peak is measured with, and how many products are timed.
const SIDE: i64 = 8192;
const PRODUCTS: usize = 10;

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

/// Times conceal (mosaic and stego) and reveal of noise in itself, 8-bit frames in and out.
///
/// # Errors
/// Those of [`Model`].
pub fn measure(
    model: &Model,
    grid: Grid,
    size: (usize, usize),
    runs: usize,
    effort: Effort,
) -> Result<(Times, Times), Error> {
    let (width, height) = size;
    let byte = |k: usize| (k.wrapping_mul(2_654_435_761) >> 13) as u8;
    let cover = Frame::new(width, height, (0..width * height * 3).map(byte).collect())?;
    let secrets = vec![cover.clone(); grid.secrets()];
    let stego = || model.conceal(&cover, &model.mosaic_for(&secrets, None, effort)?);
    let conceal = Times::of(runs, || stego().map(drop))?;
    let stego = stego()?;
    let reveal = Times::of(runs, || model.reveal(&stego, None).map(drop))?;
    Ok((conceal, reveal))
}

/// Operations a second at which a GPU multiplies large matrices of bf16: its measured peak. None for a CPU.
///
/// # Errors
/// [`Error::Torch`].
pub fn peak_rate(device: Device) -> Result<Option<f64>, Error> {
    let Device::Cuda(index) = device else {
        return Ok(None);
    };
    let matrix = Tensor::f_randn([SIDE, SIDE], (Kind::BFloat16, device))?;
    let times = Times::of(1, || {
        for _ in 0..PRODUCTS {
            let _ = matrix.f_matmul(&matrix)?;
        }
        Cuda::synchronize(index as i64);
        Ok(())
    })?;
    let operations = 2.0 * (SIDE as f64).powi(3) * PRODUCTS as f64;
    Ok(Some(operations / times.median()))
}

/// The most memory held so far, in MiB: on a CPU by the process (Linux only), of a GPU's by all that use it.
pub fn peak_memory(device: Device) -> Option<f64> {
    match device {
        Device::Cuda(_) => memory_taken(device).map(|bytes| bytes as f64 / f64::from(1 << 20)),
        _ => most_resident(&std::fs::read_to_string("/proc/self/status").ok()?),
    }
}

/// In MiB, of what Linux says of a process.
fn most_resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_memory_is_what_linux_says() {
        let status = "VmPeak:\t  400000 kB\nVmHWM:\t  200704 kB\nVmRSS:\t  100000 kB\n";
        assert_eq!(most_resident(status), Some(196.0));
        assert_eq!(most_resident("VmRSS:\t  100000 kB\n"), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Times(vec![1.0, 2.0, 9.0]).median(), 2.0);
        assert_eq!(Times(vec![1.0, 2.0, 4.0, 9.0]).median(), 3.0);
    }
}
