// SPDX-License-Identifier: MPL-2.0
//! `invmih-train train`.

use std::num::{NonZeroU16, NonZeroU64};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use clap::builder::RangedI64ValueParser;
use indicatif::ProgressBar;

use gstinvmih::network::weights::{MOST_BLOCKS, Module};
use gstinvmih::network::{Device, Grid, Precision, device};
use gstinvmih::training::Error;
use gstinvmih::training::dataset::Photographs;
use gstinvmih::training::distinct;
use gstinvmih::training::folders;
use gstinvmih::training::modules::{Blocks, most_blocks};
use gstinvmih::training::preset::Preset;
use gstinvmih::training::run::{Config, Event, Report, Stage};
use gstinvmih::training::schedule::Budget;
use gstinvmih::training::state::State;
use gstinvmih::training::trainer::Trainer;
use gstinvmih::training::validation::Score;

use crate::terminal::{progress_bar, say, set_threads};

#[derive(Args)]
pub struct TrainArgs {
    /// Folders of photographs (PNG, JPEG).
    #[arg(long, required = true, num_args = 1..)]
    images: Vec<PathBuf>,
    /// Folder for the weights, the curves (TensorBoard) and an unfinished run's state.
    #[arg(long)]
    out: PathBuf,
    /// Grids to train, ROWSxCOLUMNS; one is drawn each step.
    #[arg(long, num_args = 1.., default_value = "2x2")]
    grid: Vec<Grid>,
    /// Give the one grid a hiding module of its own, `hiding-RxC.safetensors`; with --resume it
    /// starts from the one that serves the grid so far.
    #[arg(long)]
    own_hiding: bool,
    /// Recipe: the paper's, or the one behind the shipped weights.
    #[arg(long, default_value = "shipped")]
    preset: Preset,
    /// One stage alone; by default all three share the budget, in this order.
    #[arg(long)]
    stage: Option<Stage>,
    /// Budget in minutes. Over each stage's share of it the shipped recipe's learning rate falls to
    /// zero; the paper's is halved, four times in all.
    #[arg(long, default_value = "60", value_parser = minutes, conflicts_with = "steps")]
    minutes: Duration,
    /// Budget in steps, instead of minutes.
    #[arg(long)]
    steps: Option<NonZeroU64>,
    /// Folder of a run to go on with: where it stood if it was broken off, else anew from its
    /// weights; modules without a file there start fresh.
    #[arg(long)]
    resume: Option<PathBuf>,
    /// InvBlocks of the hiding module; by default those it goes on from, 16 if it starts fresh.
    #[arg(long, value_parser = blocks())]
    hiding_blocks: Option<usize>,
    /// InvBlocks of each rescaling module; by default the most of those it goes on from, 8 if all
    /// start fresh.
    #[arg(long, value_parser = blocks())]
    rescaling_blocks: Option<usize>,
    /// Peak learning rate; by default the recipe's.
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// Covers a step; secrets, while rescaling is trained alone.
    #[arg(long, default_value = "1")]
    batch: NonZeroU16,
    /// Side of the patches in pixels.
    #[arg(long, default_value_t = 144, value_parser = clap::value_parser!(i64).range(1..=1 << 14))]
    patch: i64,
    /// Weight of the cover's error beside the secrets', instead of the recipe's: more makes a better
    /// stego. In the shipped recipe 1 makes a dB of the one about as dear as a dB of the other, once
    /// both modules are trained.
    #[arg(long, value_parser = positive)]
    cover_weight: Option<f64>,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on the CPU; by default all cores, beside CUDA one.
    #[arg(long)]
    threads: Option<NonZeroU16>,
    /// Seed of patches and fresh weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Trains, and writes the averaged weights to a folder.
pub fn train(mut args: TrainArgs) -> Result<(), Error> {
    let device = device::parse(&args.device)?;
    // Beside a GPU they have little to do, and those of several runs would wait for each other.
    let single = matches!(device, Device::Cuda(_)).then_some(NonZeroU16::MIN);
    set_threads(args.threads.or(single));
    let _reserved = folders::reserve(&args.out)?;
    // However it is spelt.
    if args.resume.as_ref().is_some_and(|from| folders::same(from, &args.out)) {
        args.resume = Some(args.out.clone());
    }
    folders::check(&args.out, args.resume.as_deref())?;
    keep_blocks(&mut args, device)?;
    let mut resume: Vec<_> = args.resume.iter().cloned().collect();
    for (stage, share) in stages(&args) {
        Trainer::check(&config(&args, device, stage, share), &resume)?;
    }
    let (photographs, held_out) = load(&args, device)?;
    tell_of_other_grids(&args.grid);
    let stopped = stop_when_asked();
    let mut state = unfinished(&args, device)?;
    bring_modules(&args, device)?;
    let first = state.as_ref().map(State::stage);
    for (stage, share) in
        stages(&args).into_iter().skip_while(|(s, _)| first.is_some_and(|first| first != *s))
    {
        let config = config(&args, device, stage, share);
        let mut trainer = Trainer::new(config.clone(), &photographs, &held_out, &resume)?;
        begin(&mut trainer, &config, state.take())?;
        let progress = progress_bar("{percent}% [{bar:30}] {eta} left, {msg}");
        progress.set_length(1000);
        trainer.run(|event| {
            show(&event, stage, &progress);
            if stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        progress.finish();
        if stopped() {
            say!("broken off; the same command with --resume {} goes on", args.out.display());
            return Ok(());
        }
        if !resume.contains(&args.out) {
            resume.insert(0, args.out.clone());
        }
    }
    State::remove(&args.out)?;
    say!("weights written to {}", args.out.display());
    Ok(())
}

/// Says which grids are for experiments alone.
fn tell_of_other_grids(grids: &[Grid]) {
    for grid in distinct(grids).into_iter().filter(|grid| !Grid::SHIPPED.contains(grid)) {
        say!(
            "grid {grid} is for experiments: elements and evaluate take 2x2, 3x2, 4x2, 3x3 and 4x4"
        );
    }
}

/// Has a folder's modules to go on from in the run's own, and says which are not there.
fn bring_modules(args: &TrainArgs, device: Device) -> Result<(), Error> {
    let Some(from) = &args.resume else { return Ok(()) };
    let modules = modules(args, device);
    for file in folders::absent(from, &modules) {
        say!("there is no {file} in {} to go on from", from.display());
    }
    folders::bring(from, &args.out, &modules)
}

/// Has a stage begin, or go on from the state that it was broken off in.
fn begin(trainer: &mut Trainer, config: &Config, state: Option<State>) -> Result<(), Error> {
    let stage = config.stage;
    let Some(state) = state else {
        say!("{stage}");
        return Ok(());
    };
    say!("{stage}, going on after step {}", state.standing().step);
    for change in state.changes(config) {
        say!("from here on {change}");
    }
    trainer.restore(&state)
}

/// What the stages train or make tiles with.
fn modules(args: &TrainArgs, device: Device) -> Vec<Module> {
    let of_stage = |(stage, share)| config(args, device, stage, share).modules();
    distinct(stages(args).into_iter().flat_map(of_stage))
}

/// Has modules that are gone on from keep their InvBlocks where no number is asked for.
fn keep_blocks(args: &mut TrainArgs, device: Device) -> Result<(), Error> {
    let Some(from) = &args.resume else { return Ok(()) };
    let is_hiding = |module: &Module| matches!(module, Module::Hiding(_));
    let (hiding, rescaling): (Vec<_>, Vec<_>) =
        modules(args, device).into_iter().partition(is_hiding);
    let (hiding, rescaling) = (most_blocks(&hiding, from)?, most_blocks(&rescaling, from)?);
    args.hiding_blocks = args.hiding_blocks.or(hiding);
    args.rescaling_blocks = args.rescaling_blocks.or(rescaling);
    Ok(())
}

/// The state to go on from, if the folder has that of the same run, not yet finished.
fn unfinished(args: &TrainArgs, device: Device) -> Result<Option<State>, Error> {
    let Some(folder) = &args.resume else { return Ok(None) };
    let state = State::open(folder)?;
    let [(stage, share), ..] = stages(args)[..] else { return Ok(None) };
    let fits = state.as_ref().is_some_and(|state| state.fits(&config(args, device, stage, share)));
    if !fits && state.is_some() && *folder == args.out {
        return Err(Error::OtherRun(folder.clone()));
    }
    if !fits {
        say!("a new schedule from the weights in {}", folder.display());
    }
    Ok(state.filter(|_| fits))
}

/// A finite number above zero.
fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("it has to be above 0".into()) }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    match Duration::try_from_secs_f64(60.0 * minutes) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("not a length of time".into()),
    }
}

fn blocks() -> RangedI64ValueParser<usize> {
    RangedI64ValueParser::new().range(1..=MOST_BLOCKS as i64)
}

/// Tells from now on whether Ctrl-C was pressed or SIGTERM sent: the run then saves and ends. A second
/// one kills.
fn stop_when_asked() -> impl Fn() -> bool {
    static STOPPED: AtomicBool = AtomicBool::new(false);
    let handler = || {
        if STOPPED.swap(true, Ordering::Relaxed) {
            // SAFETY: the process ends at once, and nothing of it runs any more: the training thread is in
            // libtorch, which an orderly exit would take apart under it.
            unsafe { libc::_exit(130) };
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("Ctrl-C will not save: {error}");
    }
    || STOPPED.load(Ordering::Relaxed)
}

/// The stages asked for, with their shares of the budget.
fn stages(args: &TrainArgs) -> Vec<(Stage, f64)> {
    match args.stage {
        Some(stage) => vec![(stage, 1.0)],
        None => Preset::STAGES.to_vec(),
    }
}

fn config(args: &TrainArgs, device: Device, stage: Stage, share: f64) -> Config {
    let preset = args.preset;
    let recipe = Config::of(preset, stage, distinct(args.grid.iter().copied()), &args.out);
    Config {
        stages: stages(args).into_iter().map(|(stage, _)| stage).collect(),
        blocks: Blocks {
            hiding: args.hiding_blocks.unwrap_or(recipe.blocks.hiding),
            rescaling: args.rescaling_blocks.unwrap_or(recipe.blocks.rescaling),
        },
        budget: match args.steps {
            Some(steps) => Budget::Steps((steps.get() as f64 * share).ceil() as u64),
            None => Budget::Time(args.minutes.mul_f64(share)),
        },
        rate: args.rate.unwrap_or(recipe.rate),
        batch: args.batch.get().into(),
        own_hiding: args.own_hiding,
        patch: args.patch,
        weights: preset.weights(stage, args.cover_weight),
        device,
        seed: args.seed,
        ..recipe
    }
}

/// The photographs to train on and those to validate with.
fn load(args: &TrainArgs, device: Device) -> Result<(Photographs, Photographs), Error> {
    let progress = progress_bar("decoding [{bar:30}] {pos}/{len}, {eta} left");
    let mut photographs = Photographs::load(&args.images, args.patch, device, &progress)?;
    progress.finish_and_clear();
    if let Some((file, reason)) = photographs.skipped.first() {
        let count = photographs.skipped.len();
        eprintln!("{count} file(s) skipped, the first '{}': {reason}", file.display());
    }
    let held_out = photographs.held_out();
    let validation = match held_out.len() {
        few if few < photographs.len() => format!("{few} more to validate"),
        _ => "too few to keep some to validate".into(),
    };
    say!(
        "{} photographs, {validation}, device {device:?}, convolutions in {:?}",
        photographs.len(),
        Precision::best(device)
    );
    Ok((photographs, held_out))
}

/// Shows a run's events.
fn show(event: &Event, stage: Stage, progress: &ProgressBar) {
    match event {
        Event::Step(report) => show_step(report, stage, progress),
        Event::Validation(scores) => {
            progress.suspend(|| say!("{}", validation_line(scores, stage)))
        }
    }
}

/// `validation, cover / secret dB: 2x2 37.12 / 31.50, …`
fn validation_line(scores: &[Score], stage: Stage) -> String {
    let grid =
        |score: &Score| format!("{} {} / {}", score.grid, psnr(score.cover), psnr(score.secret));
    let grids: Vec<_> = scores.iter().map(grid).collect();
    format!("validation, cover / {} dB: {}", stage.recovered(), grids.join(", "))
}

/// While rescaling is trained alone there is no cover.
fn psnr(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.2}") }
}

/// Lines of a run in a terminal's bar, or every hundred steps where there is no terminal.
fn show_step(report: &Report, stage: Stage, progress: &ProgressBar) {
    let line = format!(
        "step {} loss {:.5} cover {} dB {} {} dB rate {:.1e} {:.0} px/s skipped {} setbacks {}",
        report.step,
        report.loss,
        psnr(report.cover),
        stage.recovered(),
        psnr(report.secret),
        report.rate,
        report.pixels_per_second,
        report.skipped,
        report.setbacks
    );
    if progress.is_hidden() && report.step.is_multiple_of(100) {
        say!("{:.1}% {line}", 100.0 * report.progress);
    }
    progress.set_position((1000.0 * report.progress) as u64);
    progress.set_message(line);
}
