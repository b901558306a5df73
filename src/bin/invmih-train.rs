// SPDX-License-Identifier: MPL-2.0
//! `invmih-train`: makes, measures and describes the weights of gst-plugin-invmih.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use gstinvmih::network::weights::WeightsFile;
use gstinvmih::network::{Device, Grid, Model, device};
use gstinvmih::training::Error;
use gstinvmih::training::dataset::{Photographs, picture_files};
use gstinvmih::training::evaluation::{self, Scores};
use gstinvmih::training::losses::Weights;
use gstinvmih::training::modules::{Blocks, check_unoccupied};
use gstinvmih::training::preset::Preset;
use gstinvmih::training::schedule::Budget;
use gstinvmih::training::trainer::{Config, Report, Stage, Trainer};

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
    Train(TrainArgs),
    /// Measure cover and secret quality from 8-bit PNGs on disk.
    Evaluate(EvaluateArgs),
    /// Describe weights files.
    Info {
        /// Files to describe.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct TrainArgs {
    /// Folders of photographs (PNG, JPEG).
    #[arg(long, required = true, num_args = 1..)]
    images: Vec<PathBuf>,
    /// Folder for the weights.
    #[arg(long)]
    out: PathBuf,
    /// Grids to train, ROWSxCOLUMNS; one is drawn each step.
    #[arg(long, num_args = 1.., default_value = "2x2")]
    grid: Vec<Grid>,
    /// Recipe: the paper's, or the one behind the shipped weights.
    #[arg(long, default_value = "shipped")]
    preset: PresetName,
    /// One stage alone; by default all three share the budget, in this order.
    #[arg(long)]
    stage: Option<StageName>,
    /// Budget in minutes; the learning rate falls to zero over it.
    #[arg(long, default_value_t = 60.0, conflicts_with = "steps")]
    minutes: f64,
    /// Budget in steps, instead of minutes.
    #[arg(long)]
    steps: Option<u64>,
    /// Folder of weights to go on from; modules without a file there start fresh.
    #[arg(long)]
    resume: Option<PathBuf>,
    /// InvBlocks of the hiding module.
    #[arg(long, default_value_t = 16)]
    hiding_blocks: usize,
    /// InvBlocks of each rescaling module.
    #[arg(long, default_value_t = 8)]
    rescaling_blocks: usize,
    /// Peak learning rate; by default the recipe's.
    #[arg(long)]
    rate: Option<f64>,
    /// Covers a step.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Side of the patches in pixels.
    #[arg(long, default_value_t = 144)]
    patch: i64,
    /// Weight of ‖cover − stego‖² beside |secret − recovered|, instead of the recipe's: more makes
    /// a better stego.
    #[arg(long)]
    cover_weight: Option<f64>,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on the CPU; all cores by default.
    #[arg(long)]
    threads: Option<u16>,
    /// Seed of patches and fresh weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct EvaluateArgs {
    /// Folders of pictures (PNG, JPEG), each measured by itself.
    #[arg(long, required = true, num_args = 1..)]
    images: Vec<PathBuf>,
    /// Secrets in a cover: 4, 6, 8, 9 or 16.
    #[arg(long, num_args = 1.., default_value = "4")]
    secrets: Vec<u32>,
    /// Folder of weights; by default where the elements look.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Folder for the PNGs of stegos and revealed secrets.
    #[arg(long)]
    out: PathBuf,
    /// Stop after this many covers of each folder; all by default.
    #[arg(long)]
    covers: Option<usize>,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on the CPU; all cores by default.
    #[arg(long)]
    threads: Option<u16>,
}

#[derive(Clone, Copy, ValueEnum)]
enum StageName {
    /// Hiding alone, on bicubic mosaics.
    Hiding,
    /// Rescaling alone, with noise in place of hiding.
    Rescaling,
    /// Both.
    Joint,
}

#[derive(Clone, Copy, ValueEnum)]
enum PresetName {
    /// Eq. 3 of the paper.
    Paper,
    /// The recipe of models/README.md.
    Shipped,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Paper => Self::Paper,
            PresetName::Shipped => Self::Shipped,
        }
    }
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Self {
        match name {
            StageName::Hiding => Self::Hiding,
            StageName::Rescaling => Self::Rescaling,
            StageName::Joint => Self::Joint,
        }
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train(args),
        Command::Evaluate(args) => evaluate(args),
        Command::Info { files } => files.iter().try_for_each(|file| info(file)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("invmih-train: {error}");
            ExitCode::FAILURE
        }
    }
}

fn train(args: TrainArgs) -> Result<(), Error> {
    let device = device::parse(&args.device)?;
    set_threads(args.threads);
    std::fs::create_dir_all(&args.out)
        .map_err(|source| Error::Io { path: args.out.clone(), source })?;
    if args.resume.as_ref() != Some(&args.out) {
        check_unoccupied(&args.out)?;
    }
    let photographs = load(&args, device)?;
    println!(
        "{} photographs, device {device:?}, convolutions in {:?}",
        photographs.len(),
        device::precision(device)
    );
    let mut resume: Vec<_> = args.resume.iter().cloned().collect();
    for (stage, share) in stages(&args) {
        println!("{stage:?}");
        let progress = progress_bar("{percent}% [{bar:30}] {eta} left, {msg}");
        progress.set_length(1000);
        let config = config(&args, device, stage, share);
        Trainer::new(config, &photographs, &resume)?.run(|report| show(report, &progress))?;
        progress.finish();
        if !resume.contains(&args.out) {
            resume.insert(0, args.out.clone());
        }
    }
    println!("weights written to {}", args.out.display());
    Ok(())
}

/// The stages asked for, with their shares of the budget.
fn stages(args: &TrainArgs) -> Vec<(Stage, f64)> {
    match args.stage {
        Some(stage) => vec![(stage.into(), 1.0)],
        None => Preset::STAGES.to_vec(),
    }
}

fn config(args: &TrainArgs, device: Device, stage: Stage, share: f64) -> Config {
    let preset = Preset::from(args.preset);
    Config {
        stage,
        grids: args.grid.clone(),
        blocks: Blocks { hiding: args.hiding_blocks, rescaling: args.rescaling_blocks },
        budget: match args.steps {
            Some(steps) => Budget::Steps((steps as f64 * share).ceil() as u64),
            None => Budget::Time(Duration::from_secs_f64(60.0 * args.minutes * share)),
        },
        rate: args.rate.unwrap_or(preset.rate()),
        shape: preset.shape(stage),
        batch: args.batch,
        patch: args.patch,
        weights: args.cover_weight.map_or(preset.weights(), Weights::balanced),
        device,
        seed: args.seed,
        out: args.out.clone(),
    }
}

fn load(args: &TrainArgs, device: Device) -> Result<Photographs, Error> {
    let progress = progress_bar("decoding [{bar:30}] {pos}/{len}, {eta} left");
    let photographs = Photographs::load(&args.images, args.patch, 1, device, &progress)?;
    progress.finish_and_clear();
    if let Some((file, reason)) = photographs.skipped.first() {
        let count = photographs.skipped.len();
        eprintln!("{count} file(s) skipped, the first '{}': {reason}", file.display());
    }
    Ok(photographs)
}

fn set_threads(threads: Option<u16>) {
    if let Some(threads) = threads {
        tch::set_num_threads(threads.into());
    }
}

/// Prints a table of Markdown, a row for each folder, number of secrets and kind of picture.
fn evaluate(args: EvaluateArgs) -> Result<(), Error> {
    let device = device::parse(&args.device)?;
    set_threads(args.threads);
    println!(
        "| images | N | picture | PSNR RGB | SSIM RGB | PSNR Y | SSIM Y | worst PSNR RGB | worst SSIM RGB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for folder in &args.images {
        let files = picture_files(folder)?;
        for &secrets in &args.secrets {
            let grid = Grid::for_secrets(secrets)?;
            let model = Model::open(args.models.as_deref(), grid, device)?;
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let groups: Vec<_> = evaluation::groups(&files, grid)
                .into_iter()
                .take(args.covers.unwrap_or(usize::MAX))
                .collect();
            let progress = progress_bar("{msg} [{bar:30}] {pos}/{len}, {eta} left");
            progress.set_length(groups.len() as u64);
            progress.set_message(format!("{name}, {secrets} secrets"));
            let mut report = evaluation::Report::default();
            for (k, group) in groups.iter().enumerate() {
                let out = args.out.join(&name).join(format!("{secrets}")).join(format!("{k:03}"));
                evaluation::measure(&model, group, &out, &mut report)?;
                progress.inc(1);
            }
            progress.finish_and_clear();
            print_scores(&name, secrets, "cover", &report.cover);
            print_scores(&name, secrets, "secret", &report.secret);
        }
    }
    Ok(())
}

fn print_scores(images: &str, secrets: u32, picture: &str, scores: &Scores) {
    let (rgb, luma, worst) = (scores.mean_rgb(), scores.mean_luma(), scores.worst_rgb());
    println!(
        "| {images} | {secrets} | {picture} | {:.2} | {:.4} | {:.2} | {:.4} | {:.2} | {:.4} |",
        rgb.psnr, rgb.ssim, luma.psnr, luma.ssim, worst.psnr, worst.ssim
    );
}

/// Lines of a run in a terminal's bar, or every hundred steps where there is no terminal.
fn show(report: &Report, progress: &ProgressBar) {
    let line = format!(
        "step {} loss {:.5} cover {:.2} dB secret {:.2} dB rate {:.1e} {:.0} px/s skipped {} setbacks {}",
        report.step,
        report.loss,
        report.cover,
        report.secret,
        report.rate,
        report.pixels_per_second,
        report.skipped,
        report.setbacks
    );
    if progress.is_hidden() && report.step % 100 == 0 {
        println!("{:.1}% {line}", 100.0 * report.progress);
    }
    progress.set_position((1000.0 * report.progress) as u64);
    progress.set_message(line);
}

fn progress_bar(template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style)
}

fn info(path: &Path) -> Result<(), Error> {
    let file = WeightsFile::open(path)?;
    let shapes = file.shapes();
    let parameters: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    println!("{}: {}", path.display(), file.header.module);
    println!("  InvBlocks {}, clamp {}, z = 0", file.header.blocks, file.header.clamp);
    println!("  {parameters} parameters in {} tensors", shapes.len());
    Ok(())
}
