// SPDX-License-Identifier: MPL-2.0
//! `invmih-train bench`.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gstinvmih::network::{Grid, Model, Precision, device};
use gstinvmih::training::Error;
use gstinvmih::training::benchmark::{Times, measure, peak_memory};

use crate::terminal::set_threads;

#[derive(Args)]
pub struct BenchArgs {
    /// Secrets in a cover: 4, 6, 8, 9 or 16.
    #[arg(long, default_value_t = 4)]
    secrets: u32,
    /// Width of cover and secrets in pixels.
    #[arg(long, default_value_t = 512)]
    width: usize,
    /// Height of cover and secrets in pixels.
    #[arg(long, default_value_t = 512)]
    height: usize,
    /// Timed runs, after one that warms up.
    #[arg(long, default_value = "3")]
    runs: NonZeroUsize,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Precision of the convolutions; by default what the device is good at.
    #[arg(long)]
    precision: Option<PrecisionName>,
    /// Folder of weights; by default where the elements look.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Threads on the CPU; all cores by default.
    #[arg(long)]
    threads: Option<NonZeroU16>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionName {
    /// bf16, channels innermost in memory.
    Bf16,
    /// f32, channels innermost in memory.
    F32,
    /// f32, planes in memory, as the authors' program computes.
    F32Planes,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::Bf16 => Self::Bf16,
            PrecisionName::F32 => Self::F32,
            PrecisionName::F32Planes => Self::F32Planes,
        }
    }
}

/// Prints a line each for conceal and reveal.
pub fn bench(args: BenchArgs) -> Result<(), Error> {
    set_threads(args.threads);
    let (grid, device) = (Grid::for_secrets(args.secrets)?, device::parse(&args.device)?);
    let precision = args.precision.map_or(Precision::best(device), Precision::from);
    let model = Model::open_in(args.models.as_deref(), grid, device, precision)?;
    let size = (args.width, args.height);
    let (conceal, reveal) = measure(&model, grid, size, args.runs.get())?;
    let flops = model.flops(args.width, args.height)?;
    for (direction, times) in [("conceal", conceal), ("reveal", reveal)] {
        print_times(direction, &args, &times, flops);
    }
    if let Some(memory) = peak_memory() {
        println!("precision {precision:?} peak memory {memory:.0} MiB");
    }
    Ok(())
}

fn print_times(direction: &str, args: &BenchArgs, times: &Times, flops: f64) {
    let BenchArgs { secrets, width, height, device, .. } = args;
    let median = times.median();
    println!(
        "{direction} N={secrets} {width}x{height} {device} median {median:.3} s min {:.3} s {:.2} frames/s {:.0} GFLOP/s",
        times.min(),
        1.0 / median,
        flops / median / 1e9
    );
}
