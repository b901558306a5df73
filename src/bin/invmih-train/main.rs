// SPDX-License-Identifier: MPL-2.0
//! `invmih-train`: makes, measures and describes the weights of gst-plugin-invmih.

mod bench;
mod evaluate;
mod terminal;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use gstinvmih::network::Device;
use gstinvmih::network::weights::{Module, WeightsFile};
use gstinvmih::training::{Error, speed};

use crate::terminal::say;

/// Makes, measures and describes the weights of gst-plugin-invmih.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train the network on photographs.
    Train(train::TrainArgs),
    /// Measure cover and secret quality from 8-bit PNGs on disk.
    Evaluate(evaluate::EvaluateArgs),
    /// Time conceal and reveal.
    Bench(bench::BenchArgs),
    /// Plot times and memory over N and over size.
    Plot {
        /// What `bench` printed, with a line `# NAME` before each program's.
        output: PathBuf,
        /// Folder for the plots.
        #[arg(long)]
        out: PathBuf,
    },
    /// Describe weights files.
    Info {
        /// Files to describe.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::train(args),
        Command::Evaluate(args) => evaluate::evaluate(args),
        Command::Bench(args) => bench::bench(args),
        Command::Plot { output, out } => speed::plot(&output, &out),
        Command::Info { files } => info_of_all(&files),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &Error) {
    eprintln!("invmih-train: {error}");
}

/// Describes each file that can be, whatever is wrong with others.
fn info_of_all(files: &[PathBuf]) -> Result<(), Error> {
    let mut failures: Vec<Error> = files.iter().filter_map(|file| info(file).err()).collect();
    let last = failures.pop();
    failures.iter().for_each(complain);
    last.map_or(Ok(()), Err)
}

fn info(path: &Path) -> Result<(), Error> {
    let file = WeightsFile::open(path)?;
    let shapes = file.shapes();
    let parameters: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    say!("{}: {}", path.display(), file.header.module);
    say!("  InvBlocks {}, clamp {}, z = 0", file.header.blocks, file.header.clamp);
    say!("  {parameters} parameters in {} tensors", shapes.len());
    if let Module::Hiding(_) = file.header.module {
        let shaped = file.shaper(Device::Cpu)?.is_some();
        say!("  rounding {}", if shaped { "shaped for reveal" } else { "to the nearest" });
    }
    Ok(())
}
