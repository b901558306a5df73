// SPDX-License-Identifier: MPL-2.0
//! `invmih-train evaluate` as users run it.

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gstinvmih::training::damage::Damage;
use program::{pictures, refused, worked};

/// Six pictures of 40×32 in `parent`/`name`.
fn folder(parent: &Path, name: &str) -> String {
    let folder = parent.join(name);
    fs::create_dir(&folder).unwrap();
    pictures(&folder);
    fs::remove_file(folder.join("text.png")).unwrap();
    fs::remove_file(folder.join("tiny.png")).unwrap();
    folder.to_str().unwrap().into()
}

#[test]
fn evaluate_measures_the_pngs_that_it_leaves() {
    let parent = tempfile::tempdir().unwrap();
    let (images, out) = (folder(parent.path(), "images"), parent.path().join("out"));
    let call = ["evaluate", "--images", &images, "--out", out.to_str().unwrap()];
    let (stdout, _) = worked(&[&call[..], &["--covers", "1", "--threads", "1"]].concat());
    let psnr = psnr(&stdout, "cover");
    let open = |path: &Path| image::open(path).unwrap().into_rgb8();
    let stego = open(&out.join("images/4/000/stego.png"));
    let measured =
        gstinvmih::training::metrics::psnr(&open(&Path::new(&images).join("0.png")), &stego);
    assert!((psnr - measured).abs() < 0.01, "{stdout}, but {measured}");
    assert!(out.join("images/4/000/revealed_03.png").is_file());
}

/// A network bends where a codec in the low bits breaks, and the table says how far.
#[test]
fn damage_is_measured_from_the_stego_as_it_arrives() {
    let parent = tempfile::tempdir().unwrap();
    let (images, out) = (folder(parent.path(), "images"), parent.path().join("out"));
    let report = parent.path().join("r.md");
    let call = ["evaluate", "--images", &images, "--out", out.to_str().unwrap(), "--damage"];
    let alone = ["--covers", "1", "--threads", "1", "--no-enhance"];
    let more = [&alone[..], &["--report", report.to_str().unwrap()]].concat();
    let (stdout, _) = worked(&[&call[..], &more].concat());
    for damage in Damage::ALL {
        assert!(psnr(&stdout, &format!("stego, {damage}")).is_finite(), "{stdout}");
    }
    let secret = |damage: Damage| psnr(&stdout, &format!("secret, {damage}"));
    let report = fs::read_to_string(report).unwrap();
    let row = format!(
        "| images | 4 | {} | {:.2} | {:.2} |",
        Damage::Video,
        psnr(&stdout, &format!("stego, {}", Damage::Video)),
        secret(Damage::Video)
    );
    assert!(report.contains(&row), "{row}\n{report}");
    let whole = psnr(&stdout, "secret");
    let (few, all) = (secret(Damage::OffByOne(0.01)), secret(Damage::OffByOne(1.0)));
    assert!(whole - 3.0 < few && few <= whole + 0.1 && all < few, "{whole} {few} {all}");
    // Every sample off by one is 20 lg 255 from what was saved, less where there is no room for it.
    let stego = psnr(&stdout, &format!("stego, {}", Damage::OffByOne(1.0)));
    assert!((48.1..50.0).contains(&stego), "{stego}");
}

#[test]
fn a_report_has_tables_plots_and_sheets() {
    let parent = tempfile::tempdir().unwrap();
    // Named as a set that figures are published for.
    let set = folder(parent.path(), "div2k_256");
    let (out, report) = (parent.path().join("out"), parent.path().join("docs/results.md"));
    let (out, file) = (out.to_str().unwrap(), report.to_str().unwrap());
    let call = ["evaluate", "--images", &set, "--out", out, "--covers", "1", "--threads", "1"];
    let (stdout, _) = worked(&[&call[..], &["--report", file]].concat());
    let text = fs::read_to_string(&report).unwrap();
    assert!(text.contains(&format!("evaluate --images {set} --out")), "{text}");
    for (side, count) in [("cover", 1), ("secret", 4)] {
        let row = stdout.lines().find(|line| line.contains(&format!("| {side} |"))).unwrap();
        let cells = row.split(" | ").skip(3).take(2).collect::<Vec<_>>().join(" | ");
        assert!(
            text.contains(&format!("| **this plugin** | {count} | {cells} |")),
            "{cells}\n{text}"
        );
    }
    let published =
        ["InvMIHNet | | 37.66 | 0.945", "ISN | | 27.65", "DeepMIH | | 33.13", "bits | | 39.57"];
    for figures in published {
        assert!(text.contains(figures), "{figures}\n{text}");
    }
    let pictures = report.with_extension("");
    for link in ["results/div2k_256.svg", "results/sheet-4.jpg"] {
        assert!(text.contains(&format!("({link})")), "{text}");
    }
    let plot = fs::read_to_string(pictures.join("div2k_256.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("paper, secret"), "{plot}");
    assert_eq!(image::open(pictures.join("sheet-4.jpg")).unwrap().width(), 1024);
}

#[test]
fn what_would_lose_the_measurements_is_refused_before_them() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("other")).unwrap();
    let images = folder(parent.path(), "images");
    let same = folder(&parent.path().join("other"), "images");
    let out = parent.path().join("out").to_str().unwrap().to_string();
    let refuse = |more: &[&str], texts: &[&str]| {
        refused(&[&["evaluate", "--out", &out, "--images", &images][..], more].concat(), texts);
    };
    refuse(&["--report", "results"], &["'results'", "extension"]);
    refuse(&["--report", &images], &[&images, "folder"]);
    refuse(&["--report", "new.md/"], &["'new.md/'", "folder"]);
    refuse(&["--report", &out], &[&out, "folder"]);
    refuse(&[&same], &["'images'"]);
    let empty = parent.path().join("other").to_str().unwrap().to_string();
    refuse(&[&empty], &["0 pictures"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_picture_too_small_to_measure_is_named_with_its_size() {
    let parent = tempfile::tempdir().unwrap();
    let images = folder(parent.path(), "images");
    image::RgbImage::new(40, 8).save(Path::new(&images).join("0.png")).unwrap();
    let out = parent.path().join("out");
    let call = ["evaluate", "--out", out.to_str().unwrap(), "--images", &images];
    refused(&call, &["0.png", "40x8", "11 pixels"]);
}

#[test]
fn a_report_of_a_failed_evaluation_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| folder(parent.path(), name));
    fs::write(Path::new(&broken).join("2.png"), "no picture").unwrap();
    let [out, report] = ["out", "r.md"].map(|name| parent.path().join(name));
    let (out, report) = (out.to_str().unwrap(), report.to_str().unwrap());
    // A path that ends in `..` has no name of its own.
    fs::create_dir(Path::new(&whole).join("inner")).unwrap();
    let whole = format!("{whole}/inner/..");
    let call = ["evaluate", "--out", out, "--report", report, "--covers", "1", "--threads", "1"];
    refused(&[&call[..], &["--images", &whole, &broken]].concat(), &["2.png"]);
    let text = fs::read_to_string(report).unwrap();
    assert!(text.contains("incomplete, as it failed") && text.contains("2.png"), "{text}");
    assert!(text.contains("| whole | 4 | **this plugin** |"), "{text}");
}

#[test]
fn groups_before_a_broken_picture_are_counted() {
    let parent = tempfile::tempdir().unwrap();
    let images = folder(parent.path(), "images");
    for k in 0..5 {
        let copy = Path::new(&images).join(format!("{k}.png"));
        fs::copy(&copy, Path::new(&images).join(format!("x{k}.png"))).unwrap();
    }
    fs::write(Path::new(&images).join("x1.png"), "no picture").unwrap();
    let [out, report] = ["out", "r.md"].map(|name| parent.path().join(name));
    let (out, report) = (out.to_str().unwrap(), report.to_str().unwrap());
    let call =
        ["evaluate", "--out", out, "--report", report, "--images", &images, "--threads", "1"];
    refused(&call, &["x1.png"]);
    let text = fs::read_to_string(report).unwrap();
    // Four secrets of the one whole group.
    assert!(text.contains("| images | 4 | **this plugin** | 4 |"), "{text}");
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/hiding.safetensors");
    let mut child = Command::new(env!("CARGO_BIN_EXE_invmih-train"))
        .arg("info")
        .arg(weights)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Five photographs of 128×96.
fn photographs(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for name in ["kodim03", "kodim04", "kodim12", "kodim20", "kodim23"].map(|n| format!("{n}.png"))
    {
        let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
        let part = image::open(photos.join(&name)).unwrap().crop_imm(200, 150, 128, 96);
        part.save(folder.join(&name)).unwrap();
    }
}

/// The mean PSNR of a side in a printed table.
fn psnr(table: &str, side: &str) -> f64 {
    let row = table.lines().find(|line| line.contains(&format!("| {side} |"))).unwrap();
    row.split('|').nth(4).unwrap().trim().parse().unwrap()
}

#[test]
fn another_passphrase_to_reveal_with_reveals_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| parent.path().join(name));
    photographs(&images);
    let call = ["evaluate", "--images", images.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let call = [&call[..], &["--covers", "1", "--threads", "1", "--passphrase", "sesame"]].concat();
    let (right, _) = worked(&call);
    let (wrong, _) = worked(&[&call[..], &["--reveal-passphrase", "Sesame"]].concat());
    assert_eq!(psnr(&right, "cover"), psnr(&wrong, "cover"));
    assert!(psnr(&right, "secret") > 20.0 && psnr(&wrong, "secret") < 12.0, "{right}{wrong}");
}

#[test]
fn bicubic_tiles_take_hiding_weights_alone() {
    let parent = tempfile::tempdir().unwrap();
    let [images, out, weights] = ["images", "out", "weights"].map(|name| parent.path().join(name));
    photographs(&images);
    let call = ["evaluate", "--images", images.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let call =
        [&call[..], &["--covers", "1", "--threads", "1", "--bicubic", weights.to_str().unwrap()]]
            .concat();
    fs::create_dir(&weights).unwrap();
    refused(&call, &["hiding.safetensors"]);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/hiding.safetensors");
    fs::copy(shipped, weights.join("hiding.safetensors")).unwrap();
    let (stdout, _) = worked(&call);
    assert!(psnr(&stdout, "cover") > 25.0 && psnr(&stdout, "secret") > 15.0, "{stdout}");
    let odd = image::open(images.join("kodim03.png")).unwrap().crop_imm(0, 0, 39, 32);
    odd.save(images.join("kodim03.png")).unwrap();
    refused(&call, &["39x32", "multiples of 2 and 2"]);
}
