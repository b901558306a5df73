// SPDX-License-Identifier: MPL-2.0
//! Pictures on disk: which files of a folder are some, and their pixels.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::error::{DecodingError, ImageFormatHint};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits, RgbImage,
};

/// The PNG and JPEG files of a folder, in byte order of their names; hidden and other ones are left alone.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| is_picture(path)).collect();
    // Paths in one folder differ only in their names, and on Unix they sort by their bytes.
    files.sort();
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    // As other systems leave them beside a picture, under its name: `._NAME`.
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().unwrap_or_default();
    let named = ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    named && !hidden && path.is_file()
}

/// More than any picture has that is looked at; stretching one makes a copy as wide as itself.
const LONGEST_SIDE: u32 = 1 << 15;

/// A picture as 8-bit RGB, the right way up: grey and 16 bits converted, alpha dropped.
pub fn open(path: &Path) -> ImageResult<RgbImage> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        // A pipe or a device may never end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file").into());
    }
    limits.clone().reserve(metadata.len())?;
    let bytes = std::fs::read(path)?;
    let mut reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) && is_cut_short(&bytes) {
        let format = ImageFormatHint::Exact(ImageFormat::Jpeg);
        return Err(ImageError::Decoding(DecodingError::new(format, "the file is cut short")));
    }
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // A few bytes can claim more pixels than any memory holds.
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// Whether a JPEG ends within its picture, which the decoder would fill with grey. What follows the
/// picture, such as a phone's film, may hold anything.
fn is_cut_short(jpeg: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    // After the start of the image, which has no length.
    let mut place = 2;
    while let Some(found) = next_marker(jpeg, place) {
        if jpeg[found] == END_OF_IMAGE {
            return false;
        }
        let Some(length) = jpeg.get(found + 1..found + 3) else { break };
        place = found + 1 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    true
}

/// Where the code of the next marker with a length, or of the end, is: among a scan's data 0xFF is followed by 0,
/// by more of it, or by one of eight markers that stand alone.
fn next_marker(jpeg: &[u8], from: usize) -> Option<usize> {
    let rest = jpeg.get(from..)?;
    let ends = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF);
    rest.windows(2).position(ends).map(|place| from + place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_no_memory_holds_is_refused() {
        // 8,000,000×8,000,000 pixels, as its header says, in a few bytes.
        let png = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x7a\x12\x00\x00\x7a\
            \x12\x00\x08\x02\x00\x00\x00\x41\xdf\xff\x65\x00\x00\x00\x08\x49\x44\x41\x54\x78\x9c\x03\
            \x00\x00\x00\x00\x01\x48\x06\x89\xd2\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.png");
        std::fs::write(&path, png).unwrap();
        assert!(matches!(open(&path), Err(image::ImageError::Limits(_))));
    }

    #[test]
    fn a_file_that_no_memory_holds_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.png");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(open(&path), Err(ImageError::Limits(_))));
    }

    #[test]
    fn hidden_files_and_what_is_no_file_are_no_pictures() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["._0.png", "0.png", "1.PNG"] {
            RgbImage::new(2, 2).save(folder.path().join("x.png")).unwrap();
            std::fs::rename(folder.path().join("x.png"), folder.path().join(name)).unwrap();
        }
        let names: Vec<_> = files(folder.path()).unwrap();
        assert_eq!(names, ["0.png", "1.PNG"].map(|name| folder.path().join(name)));
        assert!(open(Path::new("/dev/zero")).unwrap_err().to_string().contains("not a file"));
    }

    #[test]
    fn a_jpeg_that_is_cut_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.jpg");
        let noise = |x: u32, y: u32| image::Rgb([x * 37, y * 91, x * y].map(|v| v as u8));
        RgbImage::from_fn(64, 64, noise).save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(open(&path).is_ok());
        // A film behind the picture, which may look like the start of a scan, and one cut short.
        let film = [&whole[..], b"\0\0\0\x18ftypmp42\xff\xda\x01\x01", &whole[..99]].concat();
        std::fs::write(&path, film).unwrap();
        assert!(open(&path).is_ok());
        for length in [whole.len() / 2, whole.len() - 2] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(open(&path).unwrap_err().to_string().contains("cut short"), "{length}");
        }
    }

    #[test]
    fn a_picture_with_too_long_a_side_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.png");
        for (width, height) in [(LONGEST_SIDE, 1), (LONGEST_SIDE + 1, 1), (1, LONGEST_SIDE + 1)] {
            RgbImage::new(width, height).save(&path).unwrap();
            assert_eq!(open(&path).is_ok(), width == LONGEST_SIDE, "{width}x{height}");
        }
    }
}
