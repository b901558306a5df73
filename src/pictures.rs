// SPDX-License-Identifier: MPL-2.0
//! Pictures on disk: which files of a folder are some, and their pixels.

use std::io;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult, RgbImage};

/// The PNG and JPEG files of a folder, in byte order of their names; others are left alone.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| is_picture(path)).collect();
    // Paths in one folder differ only in their names, and on Unix they sort by their bytes.
    files.sort();
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    let named = ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    named && path.is_file()
}

/// A picture as 8-bit RGB, the right way up: grey and 16 bits converted, alpha dropped.
pub fn open(path: &Path) -> ImageResult<RgbImage> {
    let reader = ImageReader::open(path)?.with_guessed_format()?;
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}
