// SPDX-License-Identifier: MPL-2.0
//! Prints how like the pictures of `make demo` are, and lays them side by side in sheet.png.
//!
//! `contact_sheet FOLDER` reads cover.png, stego.png, secrets/*.png and revealed_00.png, … there.

mod canvas;
mod sheet;

use std::error::Error;
use std::path::Path;

use gstinvmih::training::metrics::psnr;
use image::RgbImage;

/// A picture and what came of it: cover and stego, or secret and revealed.
struct Pair {
    name: String,
    original: RgbImage,
    result: RgbImage,
    psnr: f64,
}

impl Pair {
    fn open(original: &Path, result: &Path) -> Result<Self, Box<dyn Error>> {
        let name = original.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (original, result) = (open(original)?, open(result)?);
        if original.dimensions() != result.dimensions() {
            let (before, after) = (original.dimensions(), result.dimensions());
            return Err(format!("{name}: {before:?} pixels became {after:?}").into());
        }
        let psnr = psnr(&original, &result);
        Ok(Self { name, original, result, psnr })
    }
}

fn open(path: &Path) -> Result<RgbImage, String> {
    let picture = image::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(picture.into_rgb8())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: contact_sheet FOLDER")?;
    let folder = Path::new(&folder);
    let cover = Pair::open(&folder.join("cover.png"), &folder.join("stego.png"))?;
    let secrets = open_secrets(folder)?;
    print_table(&cover, &secrets);

    let path = folder.join("sheet.png");
    sheet::draw(&cover, &secrets).save(&path)?;
    println!("\nSide by side: {}", path.display());
    Ok(())
}

/// The secrets in byte order of their names: the order in which they were hidden.
fn open_secrets(folder: &Path) -> Result<Vec<Pair>, Box<dyn Error>> {
    let entries = std::fs::read_dir(folder.join("secrets"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    let revealed = |index| folder.join(format!("revealed_{index:02}.png"));
    paths.iter().enumerate().map(|(index, path)| Pair::open(path, &revealed(index))).collect()
}

fn print_table(cover: &Pair, secrets: &[Pair]) {
    println!("PSNR over R, G and B, from the 8-bit PNG files\n");
    print_row("cover and stego", cover.psnr);
    for (index, secret) in secrets.iter().enumerate() {
        print_row(&format!("{} and revealed_{index:02}", secret.name), secret.psnr);
    }
    let mean = secrets.iter().map(|secret| secret.psnr).sum::<f64>() / secrets.len() as f64;
    print_row(&format!("mean of the {} secrets", secrets.len()), mean);
}

fn print_row(name: &str, psnr: f64) {
    println!("    {name:<28} {psnr:6.2} dB");
}
