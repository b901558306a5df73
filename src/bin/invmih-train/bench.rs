// SPDX-License-Identifier: MPL-2.0
//! `invmih-train bench`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedI64ValueParser;
use gstinvmih::network::{Device, Effort, Grid, Model, Precision, device};
use gstinvmih::training::Error;
use gstinvmih::training::benchmark::{Times, measure, peak_memory, peak_rate};

use crate::terminal::{say, set_threads};

#[derive(Args)]
pub struct BenchArgs {
    /// Secrets in a cover: 4, 6, 8, 9 or 16.
    #[arg(long, default_value_t = 4)]
    secrets: u32,
    /// Width of cover and secrets in pixels.
    #[arg(long, default_value_t = 512, value_parser = side())]
    width: u16,
    /// Height of cover and secrets in pixels.
    #[arg(long, default_value_t = 512, value_parser = side())]
    height: u16,
    /// Timed runs, after one that warms up.
    #[arg(long, default_value = "3")]
    runs: NonZeroU16,
    /// Find out what reveal would miss and have the stego carry it, as invmihconceal does by default.
    #[arg(long)]
    enhance: bool,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Precision of the convolutions; by default what the device is good at.
    #[arg(long)]
    precision: Option<Precision>,
    /// Folder of weights; by default where the elements look.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Threads on the CPU; all cores by default.
    #[arg(long)]
    threads: Option<NonZeroU16>,
}

/// Prints a line each for conceal and reveal, then what they hold and what a GPU can do.
pub fn bench(args: BenchArgs) -> Result<(), Error> {
    set_threads(args.threads);
    let (grid, device) = (Grid::for_secrets(args.secrets)?, device::parse(&args.device)?);
    let precision = args.precision.unwrap_or(Precision::best(device));
    let model = Model::open_in(args.models.as_deref(), grid, device, precision)?;
    let size @ (width, height) = (args.width.into(), args.height.into());
    let effort = Effort { enhance: args.enhance, ..Effort::default() };
    let (conceal, reveal) = measure(&model, grid, size, args.runs.get().into(), effort)?;
    let flops = model.flops(width, height)?;
    print_times("conceal", &args, device, &conceal, flops.0);
    print_times("reveal", &args, device, &reveal, flops.1);
    if let Some(memory) = peak_memory(device) {
        say!("precision {precision:?} peak memory {memory:.0} MiB");
    }
    if let Some(rate) = peak_rate(device)? {
        say!("matrices {:.0} GFLOP/s", rate / 1e9);
    }
    Ok(())
}

/// More than any picture has that is looked at.
fn side() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=1 << 15)
}

fn print_times(direction: &str, args: &BenchArgs, device: Device, times: &Times, flops: f64) {
    let BenchArgs { secrets, width, height, .. } = args;
    let (device, median) = (device::name(device), times.median());
    say!(
        "{direction} N={secrets} {width}x{height} {device} median {median:.3} s min {:.3} s {:.2} frames/s {:.0} GFLOP/s",
        times.min(),
        1.0 / median,
        flops / median / 1e9
    );
}
