// SPDX-License-Identifier: MPL-2.0
//! `invmih-train evaluate`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;

use gstinvmih::network::{Grid, Model, Scrambler, device};
use gstinvmih::training::Error;
use gstinvmih::training::dataset::picture_files;
use gstinvmih::training::evaluation::{self, Scores};

use crate::terminal::{progress_bar, set_threads};

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
    /// Stop after this many covers of each folder; all by default.
    #[arg(long)]
    covers: Option<usize>,
    /// Passphrase that scrambles what is hidden; none by default.
    #[arg(long)]
    passphrase: Option<String>,
    /// Device: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads on the CPU; all cores by default.
    #[arg(long)]
    threads: Option<NonZeroU16>,
}

/// Prints a table of Markdown, a row for each folder, number of secrets and kind of picture.
pub fn evaluate(args: EvaluateArgs) -> Result<(), Error> {
    let device = device::parse(&args.device)?;
    set_threads(args.threads);
    let scrambler = Scrambler::optional(args.passphrase.as_deref())?;
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
            let groups: Vec<_> = evaluation::groups(&files, grid)?
                .into_iter()
                .take(args.covers.unwrap_or(usize::MAX))
                .collect();
            let progress = progress_bar("{msg} [{bar:30}] {pos}/{len}, {eta} left");
            progress.set_length(groups.len() as u64);
            progress.set_message(format!("{name}, {secrets} secrets"));
            let mut report = evaluation::Report::default();
            for (k, group) in groups.iter().enumerate() {
                let out = args.out.join(&name).join(format!("{secrets}")).join(format!("{k:03}"));
                evaluation::measure(&model, scrambler.as_ref(), group, &out, &mut report)?;
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
