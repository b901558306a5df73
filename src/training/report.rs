// SPDX-License-Identifier: MPL-2.0
//! The report of an evaluation: tables in Markdown beside others' figures, plots, contact sheets.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use plotters::style::RGBColor;

use super::Error;
use super::distinct;
use super::evaluation::{Measured, Scores, Side, SideScores};
use super::plot::{Axes, Line, svg};
use super::published::{
    CLASSICAL_SECRETS, Figure, PAPER, Published, classical, classical_secret, published,
};
use super::sheet::GAIN;
use crate::whole_file;

const AXES: Axes = Axes { x: "secrets in a cover", y: "PSNR in dB", from_zero: false };
const STEGO_COLOUR: RGBColor = RGBColor(31, 90, 180);
const SECRET_COLOUR: RGBColor = RGBColor(200, 50, 40);
const PAPER_STEGO_COLOUR: RGBColor = RGBColor(130, 175, 230);
const PAPER_SECRET_COLOUR: RGBColor = RGBColor(240, 150, 140);
const CLASSICAL_COLOUR: RGBColor = RGBColor(60, 150, 70);

/// The report's file and the folder of its pictures, named as the file is.
pub struct ReportFiles {
    file: PathBuf,
    folder: PathBuf,
}

impl ReportFiles {
    /// Makes the folder; `pictures` is the one that what is measured goes to.
    ///
    /// # Errors
    /// [`Error::ReportName`], [`Error::ReportFolder`], [`Error::Io`].
    pub fn create(file: &Path, pictures: &Path) -> Result<Self, Error> {
        let absolute = |path| std::path::absolute(path).ok();
        if absolute(file) == absolute(pictures)
            || file.is_dir()
            || file.as_os_str().as_encoded_bytes().ends_with(b"/")
        {
            return Err(Error::ReportFolder(file.into()));
        }
        if file.extension().is_none() {
            return Err(Error::ReportName(file.into()));
        }
        let folder = file.with_extension("");
        fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        Ok(Self { file: file.into(), folder })
    }

    /// Where the contact sheet of a number of secrets belongs.
    pub fn sheet(&self, secrets: u32) -> PathBuf {
        self.folder.join(format!("sheet-{secrets}.jpg"))
    }

    /// Writes plots and the report; `command` is what made it, `failure` what ended it too early.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(
        &self,
        command: &str,
        measured: &[Measured],
        failure: Option<&Error>,
    ) -> Result<(), Error> {
        let sets = distinct(measured.iter().map(|entry| entry.images.as_str()));
        for set in &sets {
            let text = svg(set, &AXES, &lines(set, measured));
            let text = text.map_err(|error| std::io::Error::other(error.to_string()));
            let path = self.folder.join(format!("{set}.svg"));
            text.and_then(|text| fs::write(&path, text))
                .map_err(|source| Error::Io { path, source })?;
        }
        let made = match failure {
            Some(error) => format!("{command}\n\nwhich is incomplete, as it failed: {error}."),
            None => command.into(),
        };
        whole_file::write(&self.file, self.markdown(&made, measured, &sets).as_bytes())
            .map_err(|source| Error::Io { path: self.file.clone(), source })
    }

    /// `made` says by what command.
    fn markdown(&self, made: &str, measured: &[Measured], sets: &[&str]) -> String {
        let mut text = format!("{HEAD}\n    {made}\n\n{EXPLANATION}");
        let four = measured.iter().filter(|entry| entry.secrets == 4).collect::<Vec<_>>();
        let more = measured.iter().filter(|entry| entry.secrets != 4).collect::<Vec<_>>();
        for (title, entries) in [
            ("Four secrets (the paper's Table 1)", four),
            ("More secrets (the paper's Fig. 3)", more),
        ] {
            if !entries.is_empty() {
                text += &format!("\n## {title}\n\n### Cover and stego\n\n");
                text += &table(Side::Cover, &entries);
                text += "\n### Secret and revealed\n\n";
                text += &table(Side::Secret, &entries);
            }
        }
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy();
        text += "\n## PSNR over the number of secrets\n\n";
        for set in sets {
            text += &format!("![{set}]({folder}/{set}.svg)\n");
        }
        text += &classical_tables(sets);
        text += &damage_table(measured);
        text += &format!(
            "\n## Contact sheets\n\nThe first group of `{}`: cover, stego, their difference \u{d7}{GAIN}; \
             below, the first secrets over what the stego gave back of them.\n",
            sets.first().unwrap_or(&"")
        );
        for secrets in distinct(measured.iter().map(|entry| entry.secrets)) {
            text +=
                &format!("\n### N = {secrets}\n\n![N = {secrets}]({folder}/sheet-{secrets}.jpg)\n");
        }
        text
    }
}

const HEAD: &str = "# Results\n\nMade by\n";

const EXPLANATION: &str = "\
Measured from the 8-bit PNG files that the stego and the revealed secrets were saved to. PSNR in dB
and SSIM over R, G and B; Y is BT.601 luma; the mean over as many pictures as the table counts, and
the worst of them. Every fifth file of a set, in byte order, is a cover, of every N; its secrets are the
N files after it, the first ones after the last. Secrets of another size than their cover are
turned and stretched to it first. Unless the command says `--no-enhance`, stegos carry in their low
bits, coded, what the network alone would miss of the secrets.

The figures of InvMIHNet (the paper), ISN and DeepMIH are those published. The paper's are from
float stegos, which no file can hold, and from other pictures than the sets here: 100 of DIV2K at
1024\u{d7}1024, 1,000 of ImageNet and 5,000 of COCO; for N > 4 its data set is not named, so that they
stand beside all three. \"AVIF in low bits\" is what a careful user gets without a network: AVIF of each
secret, spread over the three low bits of the cover, which then differ from their own by
(4\u{b3} - 1) / 6 in the mean square. One bit of the file changed, and those secrets are gone.
";

fn table(side: Side, entries: &[&Measured]) -> String {
    let mut text = String::from(
        "| images | N | system | pictures | PSNR | SSIM | PSNR Y | SSIM Y | worst PSNR | worst SSIM | \
         worst PSNR Y | worst SSIM Y |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for entry in entries {
        let start = format!("| {} | {} |", entry.images, entry.secrets);
        let own = own_cells(entry.scores.of(side));
        text += &format!("{start} **this plugin** | {own} |\n");
        for other in published(&entry.images, entry.secrets) {
            if let Some((psnr, ssim)) = figure(side, other) {
                let ssim = ssim.map_or(String::new(), |ssim| format!("{ssim:.3}"));
                text += &format!("{start} {} | | {psnr:.2} | {ssim} | | | | | | |\n", other.system);
            }
        }
        if let Some(classical) = classical_secret(&entry.images, entry.secrets) {
            let psnr = if side == Side::Cover { classical.cover } else { classical.secret };
            text += &format!("{start} AVIF in low bits | | {psnr:.2} | | | | | | | |\n");
        }
    }
    text
}

/// What is left of the secrets of stegos that changed; nothing if that was not measured.
fn damage_table(measured: &[Measured]) -> String {
    if measured.iter().all(|entry| entry.damaged.is_empty()) {
        return String::new();
    }
    let mut text = String::from(
        "\n## Stegos that changed\n\nMean PSNR of the saved stego and what came of it, and of the secrets \
         revealed from that.\n\n| images | N | change | stego | secret | worst secret |\n|---|---|---|---|---|---|\n",
    );
    for Measured { images, secrets, damaged, .. } in measured {
        for (damage, SideScores { cover, secret }) in damaged {
            let (stego, mean) = (cover.mean_rgb().psnr, secret.mean_rgb().psnr);
            let worst = secret.worst_rgb().psnr;
            text += &format!(
                "| {images} | {secrets} | {damage} | {stego:.2} | {mean:.2} | {worst:.2} |\n"
            );
        }
    }
    text
}

fn own_cells(scores: &Scores) -> String {
    let qualities =
        [scores.mean_rgb(), scores.mean_luma(), scores.worst_rgb(), scores.worst_luma()];
    let qualities = qualities.map(|q| format!("{:.2} | {:.4}", q.psnr, q.ssim));
    format!("{} | {}", scores.count(), qualities.join(" | "))
}

fn figure(side: Side, published: &Published) -> Option<Figure> {
    match side {
        Side::Cover => published.cover,
        Side::Secret => published.secret,
    }
}

/// A set's lines: one's own, the paper's, the classical bar.
fn lines(set: &str, measured: &[Measured]) -> Vec<Line> {
    let entries = || measured.iter().filter(|entry| entry.images == set);
    let own = |side| {
        entries()
            .map(move |entry| (f64::from(entry.secrets), entry.scores.of(side).mean_rgb().psnr))
    };
    let paper = |side| {
        entries().filter_map(move |entry| {
            let mut all = published(set, entry.secrets);
            let (psnr, _) = figure(side, all.find(|other| other.system == PAPER)?)?;
            Some((f64::from(entry.secrets), psnr))
        })
    };
    let classical = entries().filter_map(|entry| {
        Some((f64::from(entry.secrets), classical_secret(set, entry.secrets)?.secret))
    });
    let line = |name: &str, colour, dots_only, points: Vec<(f64, f64)>| Line {
        name: name.into(),
        colour,
        dots_only,
        points,
    };
    let mut lines = vec![
        line("stego", STEGO_COLOUR, false, own(Side::Cover).collect()),
        line("secret", SECRET_COLOUR, false, own(Side::Secret).collect()),
        line("paper, stego", PAPER_STEGO_COLOUR, true, paper(Side::Cover).collect()),
        line("paper, secret", PAPER_SECRET_COLOUR, true, paper(Side::Secret).collect()),
        line("AVIF in low bits, secret", CLASSICAL_COLOUR, true, classical.collect()),
    ];
    lines.retain(|line| !line.points.is_empty());
    lines
}

/// The classical bar at other numbers of low bits.
fn classical_tables(sets: &[&str]) -> String {
    let known: Vec<_> = sets.iter().filter_map(|set| Some((set, classical(set)?))).collect();
    if known.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## AVIF in low bits\n\nMean secret PSNR with 1, 1.5, 2, 2.5, 3 and 3.5 low bits a sample.\n\n| images | cover |",
    );
    for secrets in CLASSICAL_SECRETS {
        let _ = write!(text, " N = {secrets} |");
    }
    text += "\n|---|---|---|---|---|---|---|\n";
    for (set, points) in known {
        for (cover, secrets) in points {
            let cells = secrets.map(|psnr| format!("{psnr:.2}")).join(" | ");
            let _ = writeln!(text, "| {set} | {cover:.2} | {cells} |");
        }
    }
    text
}
