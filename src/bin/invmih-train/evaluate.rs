// SPDX-License-Identifier: MPL-2.0
//! `invmih-train evaluate`.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::Args;

use gstinvmih::network::location::WeightsPaths;
use gstinvmih::network::{Device, Effort, Grid, MOST_STEPS, Model, Scrambler, device};
use gstinvmih::training::Error;
use gstinvmih::training::bicubic::BicubicModel;
use gstinvmih::training::damage::Damage;
use gstinvmih::training::dataset::picture_files;
use gstinvmih::training::evaluation::{
    Measured, Network, Scores, SideScores, groups, measure, measure_damaged,
};
use gstinvmih::training::report::ReportFiles;
use gstinvmih::training::sheet;

use crate::terminal::{progress_bar, say, set_threads};

#[derive(Args)]
pub struct EvaluateArgs {
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
    /// File for a report in Markdown, beside others' figures; plots and contact sheets go to the
    /// folder of its name.
    #[arg(long, value_name = "FILE.md")]
    report: Option<PathBuf>,
    /// Stop after this many covers of each folder; all by default.
    #[arg(long)]
    covers: Option<NonZeroUsize>,
    /// Passphrase that scrambles what is hidden; none by default.
    #[arg(long)]
    passphrase: Option<String>,
    /// Passphrase to reveal with, where it is another: what a wrong one gives.
    #[arg(long, conflicts_with_all = ["bicubic", "report"])]
    reveal_passphrase: Option<String>,
    /// Folder of hiding weights to measure with tiles made by the bicubic filter, in place of the
    /// rescaling module (the paper's Table 2).
    #[arg(long, value_name = "MODELS", conflicts_with_all = ["models", "passphrase", "report"])]
    bicubic: Option<PathBuf>,
    /// Gradient steps by which each stego is fitted to its cover and secrets.
    #[arg(
        long,
        default_value_t = 0,
        conflicts_with = "bicubic",
        value_parser = clap::value_parser!(u32).range(..=i64::from(MOST_STEPS))
    )]
    refine: u32,
    /// Leave out what a stego otherwise carries in its low bits, what reveal would miss: the network alone.
    #[arg(long)]
    no_enhance: bool,
    /// Also reveal from stegos that changed on their way, in several ways: what is left of the secrets.
    #[arg(long)]
    damage: bool,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on the CPU; all cores by default.
    #[arg(long)]
    threads: Option<NonZeroU16>,
}

/// Prints a table of Markdown, a row for each folder, number of secrets and kind of picture; writes
/// the report if one was asked for.
pub fn evaluate(mut args: EvaluateArgs) -> Result<(), Error> {
    args.secrets.sort_unstable();
    args.secrets.dedup();
    let device = device::parse(&args.device)?;
    set_threads(args.threads);
    let sets = sets(&args)?;
    let report = args.report.as_deref().map(|file| ReportFiles::create(file, &args.out));
    let report = report.transpose()?;
    say!(
        "| images | N | picture | PSNR RGB | SSIM RGB | PSNR Y | SSIM Y | worst PSNR RGB | worst SSIM RGB |"
    );
    say!("|---|---|---|---|---|---|---|---|---|");
    let mut measured = Vec::new();
    let result = measure_sets(&args, device, &sets, report.as_ref(), &mut measured);
    // What was measured before something failed is not lost.
    let written = report.filter(|_| !measured.is_empty()).map_or(Ok(()), |report| {
        let command = command(args.passphrase.as_deref());
        report.write(&command, &measured, result.as_ref().err())
    });
    result.and(written)
}

/// Measures and prints; what is done stays in `measured` whatever happens.
fn measure_sets(
    args: &EvaluateArgs,
    device: Device,
    sets: &[Set],
    report: Option<&ReportFiles>,
    measured: &mut Vec<Measured>,
) -> Result<(), Error> {
    for set in sets {
        for &secrets in &args.secrets {
            // One sheet for each number of secrets, of the first folder.
            let first = measured.iter().all(|entry| entry.secrets != secrets);
            let sheet = report.filter(|_| first).map(|report| report.sheet(secrets));
            let mut entry = unmeasured(set, secrets, args.damage);
            let result = measure_set(args, device, set, sheet.as_deref(), &mut entry);
            if entry.scores.secret.count() > 0 {
                print_entry(&entry);
                measured.push(entry);
            }
            result?;
        }
    }
    Ok(())
}

/// The pictures of a folder.
struct Set {
    name: String,
    files: Vec<PathBuf>,
}

/// The folders, each known to have enough pictures, and the weights of the whole network to be there,
/// before anything is measured.
fn sets(args: &EvaluateArgs) -> Result<Vec<Set>, Error> {
    if args.bicubic.is_none() {
        for &secrets in &args.secrets {
            WeightsPaths::find(args.models.as_deref(), Grid::for_secrets(secrets)?)?;
        }
    }
    let mut sets: Vec<Set> = Vec::new();
    for folder in &args.images {
        let name = name(folder)?;
        if sets.iter().any(|set| set.name == name) {
            return Err(Error::SameName(name));
        }
        let files = picture_files(folder)?;
        for &secrets in &args.secrets {
            groups(&files, Grid::for_secrets(secrets)?)?;
        }
        sets.push(Set { name, files });
    }
    Ok(sets)
}

/// A folder's name, also of `.` and `..`.
fn name(folder: &Path) -> Result<String, Error> {
    let failed = |source| Error::Io { path: folder.into(), source };
    let whole = match folder.file_name() {
        Some(_) => folder.into(),
        None => folder.canonicalize().map_err(failed)?,
    };
    Ok(whole.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// What is to be measured of a folder.
fn unmeasured(set: &Set, secrets: u32, damage: bool) -> Measured {
    let damaged = match damage {
        true => Damage::ALL.map(|damage| (damage, SideScores::default())).into(),
        false => Vec::new(),
    };
    Measured { images: set.name.clone(), secrets, scores: SideScores::default(), damaged }
}

/// Measures the groups of a folder; the first one also goes to a contact sheet. What came before a
/// picture that cannot be read stays in the entry.
fn measure_set(
    args: &EvaluateArgs,
    device: Device,
    set: &Set,
    sheet: Option<&Path>,
    entry: &mut Measured,
) -> Result<(), Error> {
    let Measured { images, secrets, scores, damaged } = entry;
    let grid = Grid::for_secrets(*secrets)?;
    let network = network(args, grid, device)?;
    let mut groups = groups(&set.files, grid)?;
    groups.truncate(args.covers.map_or(usize::MAX, NonZeroUsize::get));
    let progress = progress_bar("{msg} [{bar:30}] {pos}/{len}, {eta} left");
    progress.set_length(groups.len() as u64);
    progress.set_message(format!("{images}, {secrets} secrets"));
    let result = groups.iter().enumerate().try_for_each(|(k, group)| {
        let out = args.out.join(&*images).join(format!("{secrets}")).join(format!("{k:03}"));
        let (cover, revealed) = measure(&network, group, &out, scores)?;
        if let Some(path) = sheet.filter(|_| k == 0) {
            let failed = |source| Error::Picture { path: path.into(), source };
            sheet::draw(&cover, &revealed).save(path).map_err(failed)?;
        }
        measure_damaged(&network, &cover.received, &revealed, k as u64, damaged)?;
        progress.inc(1);
        Ok(())
    });
    progress.finish_and_clear();
    result
}

fn network(args: &EvaluateArgs, grid: Grid, device: Device) -> Result<Network, Error> {
    if let Some(folder) = &args.bicubic {
        return Ok(Network::Bicubic(BicubicModel::open(folder, grid, device)?));
    }
    let hiding = args.passphrase.as_ref().map(String::as_bytes);
    let revealing = args.reveal_passphrase.as_ref().map(String::as_bytes);
    Ok(Network::Whole {
        model: Model::open(args.models.as_deref(), grid, device)?,
        conceal: Scrambler::optional(hiding)?,
        reveal: Scrambler::optional(revealing.or(hiding))?,
        effort: Effort { refine: args.refine, enhance: !args.no_enhance },
    })
}

/// This program's call, as it was typed but for the passphrase.
fn command(passphrase: Option<&str>) -> String {
    let shown = std::env::args_os().map(|argument| {
        let argument = argument.to_string_lossy().into_owned();
        match passphrase.and_then(|secret| argument.strip_suffix(secret)) {
            Some(option @ ("" | "--passphrase=")) => format!("{option}…"),
            _ => argument,
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn print_entry(entry: &Measured) {
    let Measured { images, secrets, scores, damaged } = entry;
    let print = |picture: &str, scores| print_scores(images, *secrets, picture, scores);
    print("cover", &scores.cover);
    print("secret", &scores.secret);
    for (damage, scores) in damaged {
        print(&format!("stego, {damage}"), &scores.cover);
        print(&format!("secret, {damage}"), &scores.secret);
    }
}

fn print_scores(images: &str, secrets: u32, picture: &str, scores: &Scores) {
    let (rgb, luma, worst) = (scores.mean_rgb(), scores.mean_luma(), scores.worst_rgb());
    say!(
        "| {images} | {secrets} | {picture} | {:.2} | {:.4} | {:.2} | {:.4} | {:.2} | {:.4} |",
        rgb.psnr,
        rgb.ssim,
        luma.psnr,
        luma.ssim,
        worst.psnr,
        worst.ssim
    );
}
