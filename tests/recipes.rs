// SPDX-License-Identifier: MPL-2.0
//! The commands of README.md and of the element pages, run as they are written, one after the other.

mod common;

use std::path::Path;

use common::launch::{FRAMES, Folder, HEIGHT, SECRET_VIDEOS, WIDTH, come_back};
use common::stream::{Sample, decoded, samples};
use gst::prelude::*;
use gstinvmih::training::metrics::psnr;
use image::RgbImage;
use image::imageops::{self, FilterType};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Text of a page's section, up to the next of its level.
fn section(page: &str, heading: &str) -> String {
    let text = std::fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
    let rest = text.split(&format!("\n## {heading}\n")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no {heading} in {page}"));
    rest.split("\n## ").next().unwrap().into()
}

/// The indented blocks of some text, without the indentation.
fn blocks(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().map(|line| line.strip_prefix("    ")).collect();
    let blocks = lines.split(|line| line.is_none()).filter(|block| !block.is_empty());
    blocks.map(|block| block.iter().flatten().copied().collect::<Vec<_>>().join("\n")).collect()
}

/// Runs all of a section's blocks, but for settings, in a folder with what the pages name.
fn run_all(page: &str, heading: &str, expected: usize) -> Folder {
    let folder = Folder::new();
    folder.add_videos();
    std::os::unix::fs::symlink(Path::new(ROOT).join("examples"), folder.path("examples")).unwrap();
    let blocks = blocks(&section(page, heading));
    let commands: Vec<_> = blocks.iter().filter(|block| !block.starts_with("export ")).collect();
    assert_eq!(commands.len(), expected, "{commands:#?}");
    for command in commands {
        folder.run("bash", &["-euo", "pipefail", "-c", command]);
    }
    folder
}

/// How near a picture of the folder is to the photograph of secret `u`.
fn quality(folder: &Folder, name: &str, u: usize) -> f64 {
    psnr(&folder.picture(&format!("photos/{u:02}.png")), &folder.picture(name))
}

#[test]
fn the_readmes_recipes_do_what_it_says() {
    let folder = run_all("README.md", "Recipes", 10);
    come_back(&folder, 4, 18.0);
    assert!(folder.picture("third.png") == folder.picture("revealed_02.png"));
    assert_eq!(folder.picture("montage.png").dimensions(), (2 * WIDTH, 2 * HEIGHT));
    assert_eq!(folder.picture("preview.png").dimensions(), (WIDTH, HEIGHT));
    for u in 0..4 {
        let unlocked = quality(&folder, &format!("unlocked_{u:02}.png"), u);
        assert!(unlocked > 17.0, "secret {u} at {unlocked:.1} dB");
    }
    assert_eq!(decoded(&folder.path("stego.mkv")).len(), FRAMES);
    let live = decoded(&folder.path("live/stego.mkv")).len();
    assert!((1..=20).contains(&live), "{live} frames");
    assert_eq!(decoded(&folder.path("live/preview.mkv")).len(), live);
    four_videos_came_back(&folder);
}

/// What `examples/videos.sh` left in `out`.
fn four_videos_came_back(folder: &Folder) {
    let cover = decoded(&folder.path("cover.mkv"));
    let stego = decoded(&folder.path("out/stego.mkv"));
    same_times("stego", &cover, &stego);
    let sound = |file: &str| {
        let file = folder.path(file);
        let line = format!(
            "filesrc location={} ! decodebin ! audioconvert ! audio/x-raw,format=S16LE ! fakesink name=end",
            file.display()
        );
        samples(&line, "end", "sink").into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    let heard = sound("cover.mkv");
    assert!(heard.iter().any(|byte| *byte != 0));
    assert!(heard == sound("out/stego.mkv"));

    let secrets: Vec<_> =
        (0..4).map(|u| decoded(&folder.path(&format!("secret_{u}.mkv")))).collect();
    for u in 0..4 {
        let revealed = decoded(&folder.path(&format!("out/revealed_{u}.mkv")));
        same_times(&format!("secret {u}"), &cover, &revealed);
        for (index, (time, frame)) in revealed.iter().enumerate() {
            let frame = RgbImage::from_raw(64, 64, frame.clone()).unwrap();
            let qualities: Vec<_> = secrets
                .iter()
                .zip(SECRET_VIDEOS)
                .map(|(secret, (.., width, height))| {
                    psnr(&hidden(secret, (width, height), *time), &frame)
                })
                .collect();
            let best = qualities.iter().copied().fold(0.0, f64::max);
            assert_eq!(qualities[u], best, "secret {u}, frame {index}: {qualities:.1?}");
            assert!(best > 15.0, "secret {u}, frame {index} at {best:.1} dB");
        }
    }
}

/// The frame of a secret that is hidden at a time, stretched to the cover's size.
fn hidden(secret: &[Sample], (width, height): (u32, u32), time: gst::ClockTime) -> RgbImage {
    let (_, pixels) = secret.iter().rfind(|(start, _)| *start <= time).unwrap();
    let frame = RgbImage::from_raw(width, height, pixels.clone()).unwrap();
    imageops::resize(&frame, 64, 64, FilterType::Triangle)
}

/// As many frames, and each at its time, but for the milliseconds that Matroska rounds to.
fn same_times(what: &str, left: &[Sample], right: &[Sample]) {
    assert_eq!((left.len(), right.len()), (FRAMES, FRAMES), "{what}");
    for ((left, _), (right, _)) in left.iter().zip(right) {
        let apart = left.nseconds().abs_diff(right.nseconds());
        assert!(apart <= 1_000_000, "{what}: {left} became {right}");
    }
}

#[test]
fn the_lines_of_the_page_of_invmihconceal_work() {
    let folder = run_all("docs/invmihconceal.md", "Example launch lines", 4);
    let stego = folder.picture("stego.png");
    assert!(psnr(&folder.picture("cover.png"), &stego) > 20.0);
    assert_eq!(decoded(&folder.path("stego.mkv")).len(), FRAMES);
}

#[test]
fn a_stego_is_the_same_before_and_after_its_file() {
    let folder = Folder::new();
    folder.add_videos();
    let blocks = blocks(&section("docs/invmihconceal.md", "Example launch lines"));
    let line = blocks.iter().find(|block| block.contains("flacenc")).unwrap();
    let line = line.replace("gst-launch-1.0 ", "").replace('\\', " ");
    let prefix = format!("location={}/", folder.path("").display());
    let line = line.replace("location=", &prefix);
    let before = samples(&line, "c", "src");
    let after = decoded(&folder.path("stego.mkv"));
    same_times("stego", &before, &after);
    for (index, ((_, before), (_, after))) in before.iter().zip(&after).enumerate() {
        assert!(rgb(before) == *after, "frame {index}");
    }
}

/// Packed RGB of a frame with a fourth byte a pixel.
fn rgb(bgrx: &[u8]) -> Vec<u8> {
    bgrx.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect()
}

#[test]
fn the_lines_of_the_page_of_invmihreveal_work() {
    let folder = run_all("docs/invmihreveal.md", "Example launch lines", 4);
    come_back(&folder, 6, 17.0);
    assert!(folder.picture("fifth.png") == folder.picture("revealed_04.png"));
    assert_eq!(folder.picture("montage.png").dimensions(), (2 * WIDTH, 3 * HEIGHT));
    assert_eq!(folder.picture("preview.png").dimensions(), (WIDTH, HEIGHT));
}

#[test]
fn the_pages_have_a_row_for_each_property_and_pad() {
    common::init();
    for name in ["invmihconceal", "invmihreveal"] {
        let page = format!("docs/{name}.md");
        let (properties, pads) = (section(&page, "Properties"), section(&page, "Pads"));
        let element = gst::ElementFactory::make(name).build().unwrap();
        let own = element.list_properties();
        let own: Vec<_> = own.iter().filter(|spec| spec.owner_type() == element.type_()).collect();
        assert!(own.len() >= 5, "{own:?}");
        for spec in own {
            let row =
                properties.lines().find(|row| row.starts_with(&format!("| `{}` |", spec.name())));
            let row = row.unwrap_or_else(|| panic!("no {} in {page}", spec.name()));
            let blurb = spec.blurb();
            assert!(spec.nick() != spec.name() && blurb.is_some_and(|blurb| blurb != spec.name()));
            if let Some(default) = default(spec) {
                assert!(row.contains(&format!("| {default} |")), "{default} not in {row}");
            }
        }
        for template in element.pad_template_list() {
            let row = format!("| `{}` | ", template.name_template());
            assert!(pads.contains(&row), "no {row} in {page}");
        }
    }
}

/// A default as the pages write it, of a property that can be set.
fn default(spec: &gst::glib::ParamSpec) -> Option<String> {
    let value = spec.default_value();
    if !spec.flags().contains(gst::glib::ParamFlags::WRITABLE) {
        return None;
    }
    match value.get::<Option<String>>() {
        Ok(text) => Some(text.unwrap_or_else(|| "null".into())),
        Err(_) => Some(value.serialize().unwrap().trim_matches('"').into()),
    }
}
