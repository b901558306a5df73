// SPDX-License-Identifier: MPL-2.0
//! Which files keep R, G and B: every row of the README's table, on frames of noise with
//! an alpha channel.

mod common;

use std::fs;
use std::path::Path;

use common::launch::Folder;
use common::stream::decoded;
use image::{RgbImage, RgbaImage};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
/// Rows for one picture have `pngenc` or `webpenc` last; all others are for video.
const FRAMES: u32 = 4;

/// A row: the elements before `filesink`, and whether the file is exact.
fn rows(readme: &str) -> Vec<(&str, bool)> {
    let section = readme.split("## Which files keep the secrets").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, elements, kept] = cells[..] else { panic!("not three cells: {row}") };
        let elements = elements.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        (
            elements.unwrap_or_else(|| panic!("no code: {row}")),
            match kept {
                "exact" => true,
                "lost" => false,
                _ => panic!("neither exact nor lost: {row}"),
            },
        )
    })
    .collect()
}

fn noise(seed: u32) -> RgbImage {
    let mut state = seed;
    RgbImage::from_fn(WIDTH, HEIGHT, |_, _| {
        image::Rgb([(); 3].map(|()| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }))
    })
}

/// The same with an alpha channel: every other column cannot be seen.
fn noise_with_alpha(seed: u32) -> RgbaImage {
    let noise = noise(seed);
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let [r, g, b] = noise.get_pixel(x, y).0;
        image::Rgba([r, g, b, if x % 2 == 0 { 0 } else { 255 }])
    })
}

/// The R, G and B that went into a file and came out of it again, frame by frame.
fn carry(folder: &Folder, elements: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let single = ["pngenc", "webpenc"]
        .iter()
        .any(|encoder| elements.rsplit(" ! ").next().is_some_and(|last| last.starts_with(encoder)));
    let frames = if single { 1 } else { FRAMES };
    folder.launch(&format!(
        "multifilesrc location=noise_%02d.png stop-index={} caps=image/png,framerate=25/1 ! pngdec ! {elements} ! filesink location=file",
        frames - 1
    ));
    let before = (0..frames).map(|seed| noise(seed).into_raw()).collect();
    let after = decoded(&folder.path("file"));
    (before, after.into_iter().map(|(_, pixels)| pixels).collect())
}

#[test]
fn what_the_readme_calls_exact_is_exact_and_what_it_calls_lost_is_lost() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let rows = rows(&readme);
    assert_eq!(rows.iter().filter(|(_, exact)| *exact).count(), 8, "{rows:?}");
    assert_eq!(rows.iter().filter(|(_, exact)| !*exact).count(), 5, "{rows:?}");
    let folder = Folder::new();
    for frame in 0..FRAMES {
        noise_with_alpha(frame).save(folder.path(&format!("noise_{frame:02}.png"))).unwrap();
    }
    for (elements, exact) in rows {
        let (before, after) = carry(&folder, elements);
        assert_eq!(before.len(), after.len(), "{elements}");
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before.len(), after.len(), "{elements}");
            assert_eq!(before == after, exact, "{elements}: frame {index}");
        }
    }
}
