// SPDX-License-Identifier: MPL-2.0
//! The pictures of `secret-location`.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::network::Frame;
use crate::pictures;

/// Decoded secrets, each of its own size.
#[derive(Debug)]
pub struct Stills(Vec<Frame>);

impl Stills {
    /// Decodes the first `count` pictures of a folder, in byte order of their names, or the
    /// pictures that a printf pattern such as `photos/%02d.png` names, counted from 0.
    pub fn load(location: &Path, count: usize) -> Result<Self, gst::ErrorMessage> {
        let paths = match location.to_str().and_then(Pattern::parse) {
            _ if location.is_dir() => folder(location, count)?,
            Some(pattern) => (0..count).map(|number| pattern.path(number)).collect(),
            None => {
                return Err(not_found(format!(
                    "secret-location='{}' is neither a folder nor a pattern such as photos/%02d.png",
                    location.display()
                )));
            }
        };
        let pictures = paths.iter().map(|path| decode(path));
        Ok(Self(pictures.collect::<Result<_, _>>()?))
    }

    /// The secrets stretched to a cover's size.
    pub fn frames(&self, width: usize, height: usize) -> Result<Vec<Frame>, gst::ErrorMessage> {
        let frames = self.0.par_iter().map(|picture| Ok(picture.stretched(width, height)?));
        frames.collect()
    }
}

fn folder(location: &Path, count: usize) -> Result<Vec<PathBuf>, gst::ErrorMessage> {
    let shown = location.display();
    let mut pictures = pictures::files(location)
        .map_err(|error| not_found(format!("secret-location='{shown}': {error}")))?;
    if pictures.len() < count {
        let found = pictures.len();
        return Err(not_found(format!(
            "secret-location='{shown}' holds {found} PNG or JPEG pictures, secrets={count} needs {count}"
        )));
    }
    pictures.truncate(count);
    Ok(pictures)
}

fn decode(path: &Path) -> Result<Frame, gst::ErrorMessage> {
    let picture = pictures::open(path).map_err(|error| {
        gst::error_msg!(
            gst::StreamError::Decode,
            ("secret '{}' is not a picture that can be read: {error}", path.display())
        )
    })?;
    Ok(Frame::try_from(picture)?)
}

fn not_found(message: String) -> gst::ErrorMessage {
    gst::error_msg!(gst::ResourceError::NotFound, ("{message}"))
}

/// A path with a `%d` or `%04d`, the last one; any other `%` stands for itself.
struct Pattern<'a> {
    before: &'a str,
    digits: u8,
    after: &'a str,
}

impl<'a> Pattern<'a> {
    fn parse(location: &'a str) -> Option<Self> {
        location.rmatch_indices('%').find_map(|(place, _)| Self::at(location, place))
    }

    fn at(location: &'a str, place: usize) -> Option<Self> {
        let (before, rest) = (&location[..place], &location[place + 1..]);
        let (digits, after) = rest.split_once('d')?;
        let digits = match digits.strip_prefix('0') {
            Some(digits) => digits.parse().ok()?,
            None if digits.is_empty() => 0,
            None => return None,
        };
        Some(Self { before, digits, after })
    }

    fn path(&self, number: usize) -> PathBuf {
        let Self { before, after, .. } = self;
        let digits = usize::from(self.digits);
        format!("{before}{number:0digits$}{after}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn picture(path: &Path, size: (u32, u32), colour: [u8; 3]) {
        RgbImage::from_pixel(size.0, size.1, Rgb(colour)).save(path).unwrap();
    }

    fn text(error: &gst::ErrorMessage) -> String {
        format!("{error:?}")
    }

    #[test]
    fn a_folder_gives_its_first_pictures_in_byte_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        picture(&path("b.png"), (4, 3), [2, 0, 0]);
        picture(&path("B.PNG"), (5, 5), [1, 0, 0]);
        picture(&path("c.jpeg"), (8, 8), [200, 200, 200]);
        picture(&path("d.png"), (4, 4), [4, 0, 0]);
        std::fs::write(path("a.txt"), "left alone").unwrap();
        std::fs::create_dir(path("a.png")).unwrap();
        let stills = Stills::load(folder.path(), 3).unwrap();
        let frames = stills.frames(6, 2).unwrap();
        assert!(frames.iter().all(|frame| (frame.width(), frame.height()) == (6, 2)));
        assert_eq!(frames[0].pixels()[0], 1);
        assert_eq!(frames[1].pixels()[0], 2);
        assert!(frames[2].pixels()[0].abs_diff(200) < 4);
    }

    #[test]
    fn a_folder_with_too_few_pictures_is_refused_with_both_counts() {
        let folder = tempfile::tempdir().unwrap();
        picture(&folder.path().join("0.png"), (2, 2), [0; 3]);
        let location = folder.path().to_str().unwrap();
        let message = text(&Stills::load(folder.path(), 4).unwrap_err());
        assert!(message.contains("holds 1 PNG") && message.contains("needs 4"), "{message}");
        assert!(message.contains(location), "{message}");
    }

    #[test]
    fn a_pattern_counts_from_0() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3u8 {
            let path = folder.path().join(format!("x{number:03}.png"));
            picture(&path, (2, 2), [number; 3]);
        }
        let pattern = folder.path().join("x%03d.png");
        let frames = Stills::load(&pattern, 3).unwrap().frames(2, 2).unwrap();
        let first: Vec<_> = frames.iter().map(|frame| frame.pixels()[0]).collect();
        assert_eq!(first, [0, 1, 2]);
        let message = text(&Stills::load(&pattern, 4).unwrap_err());
        assert!(message.contains("x003.png"), "{message}");
    }

    #[test]
    fn only_a_plain_number_makes_a_pattern() {
        assert_eq!(Pattern::parse("a%db").unwrap().path(12), Path::new("a12b"));
        assert_eq!(
            Pattern::parse("100%/%03d_5%.png").unwrap().path(7),
            Path::new("100%/007_5%.png")
        );
        assert_eq!(Pattern::parse("%02d.png").unwrap().path(3), Path::new("03.png"));
        for location in ["a", "a%", "a%s", "a%3d", "a%0xd", "a%070000d"] {
            assert!(Pattern::parse(location).is_none(), "{location}");
        }
    }

    #[test]
    fn text_named_png_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0.png"), "text").unwrap();
        let message = text(&Stills::load(folder.path(), 1).unwrap_err());
        assert!(message.contains("0.png"), "{message}");
    }
}
