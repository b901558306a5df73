// SPDX-License-Identifier: MPL-2.0
//! Plots of what `invmih-train bench` prints: time and memory over N and over size.

use std::fs;
use std::io;
use std::path::Path;

use plotters::style::RGBColor;

use super::Error;
use super::plot::{Axes, Line, svg};

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(174, 199, 232),
    RGBColor(214, 39, 40),
    RGBColor(255, 152, 150),
    RGBColor(44, 160, 44),
    RGBColor(152, 223, 138),
];
/// Size in pixels that plots over N are for.
const SIZE: (usize, usize) = (512, 512);
/// Secrets that plots over size are for.
const SECRETS: usize = 16;

/// Plots the benchmarks' output in a file into SVG files in a folder.
///
/// # Errors
/// [`Error::Io`], also for a file without any output of a benchmark.
pub fn plot(output: &Path, folder: &Path) -> Result<(), Error> {
    let io = |path: &Path, source| Error::Io { path: path.into(), source };
    let text = fs::read_to_string(output).map_err(|source| io(output, source))?;
    let times = parse(&text);
    if times.is_empty() {
        let reason = "no line of invmih-train bench is in it";
        return Err(io(output, io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    for (name, axes, title, lines) in plots(&times) {
        let path = folder.join(name);
        let text = svg(title, &axes, &lines).map_err(|error| io::Error::other(error.to_string()));
        text.and_then(|text| fs::write(&path, text)).map_err(|source| io(&path, source))?;
    }
    Ok(())
}

/// One line of a benchmark, `conceal N=4 512x512 cpu median 1.234 s …`.
#[derive(Clone, Debug, PartialEq)]
struct Time {
    /// The last line before it that starts with `#`.
    program: String,
    /// `conceal` or `reveal`.
    direction: String,
    secrets: usize,
    size: (usize, usize),
    seconds: f64,
    /// Of the process, or of a GPU by all that use it, in MiB, from the next `… peak memory 123 MiB`.
    memory: Option<f64>,
}

/// All lines of some benchmarks' output; others are passed over.
fn parse(text: &str) -> Vec<Time> {
    let mut program = String::new();
    let mut times: Vec<Time> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            program = name.into();
        } else if let Some(memory) = memory(line) {
            let own = |time: &&mut Time| time.memory.is_none() && time.program == program;
            times.iter_mut().rev().take_while(own).for_each(|time| time.memory = Some(memory));
        } else {
            times.extend(time(line, &program));
        }
    }
    times
}

fn time(line: &str, program: &str) -> Option<Time> {
    let words: Vec<_> = line.split(' ').collect();
    let &[direction @ ("conceal" | "reveal"), secrets, size, _, "median", seconds, ..] =
        words.as_slice()
    else {
        return None;
    };
    let (width, height) = size.split_once('x')?;
    Some(Time {
        program: program.into(),
        direction: direction.into(),
        secrets: secrets.strip_prefix("N=")?.parse().ok()?,
        size: (width.parse().ok()?, height.parse().ok()?),
        seconds: seconds.parse().ok()?,
        memory: None,
    })
}

fn memory(line: &str) -> Option<f64> {
    line.split_once(" peak memory ")?.1.strip_suffix(" MiB")?.parse().ok()
}

/// The plots that there are figures for: file names, axes, titles and lines.
fn plots(times: &[Time]) -> Vec<(&'static str, Axes, &'static str, Vec<Line>)> {
    let (at_size, at_secrets): (Vec<_>, Vec<_>) = (
        times.iter().filter(|time| time.size == SIZE).collect(),
        times.iter().filter(|time| time.secrets == SECRETS).collect(),
    );
    let secrets = |time: &Time| time.secrets as f64;
    let megapixels = |time: &Time| (time.size.0 * time.size.1) as f64 / 1e6;
    let seconds = |time: &Time| Some(time.seconds);
    let memory = |time: &Time| time.memory;
    let directions = |time: &Time| format!("{}, {}", time.program, time.direction);
    let programs = |time: &Time| time.program.clone();
    let axes = |x, y| Axes { x, y, from_zero: true };
    let (n, area) = ("secrets in a cover", "megapixels of a cover");
    let mut plots = vec![
        (
            "time-over-n.svg",
            axes(n, "seconds"),
            "Time, 512×512",
            lines(&at_size, directions, secrets, seconds),
        ),
        (
            "memory-over-n.svg",
            axes(n, "MiB"),
            "Peak memory, 512×512",
            lines(&at_size, programs, secrets, memory),
        ),
        (
            "time-over-size.svg",
            axes(area, "seconds"),
            "Time, N = 16",
            lines(&at_secrets, directions, megapixels, seconds),
        ),
        (
            "memory-over-size.svg",
            axes(area, "MiB"),
            "Peak memory, N = 16",
            lines(&at_secrets, programs, megapixels, memory),
        ),
    ];
    plots.retain(|(.., lines)| !lines.is_empty());
    plots
}

/// A line for each name, its points from left to right.
fn lines(
    times: &[&Time],
    name: impl Fn(&Time) -> String,
    x: impl Fn(&Time) -> f64,
    y: impl Fn(&Time) -> Option<f64>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for time in times {
        let (name, Some(y)) = (name(time), y(time)) else {
            continue;
        };
        let point = (x(time), y);
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => {
                let colour = COLOURS[lines.len() % COLOURS.len()];
                lines.push(Line { name, colour, dots_only: false, points: vec![point] });
            }
        }
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
# theirs
conceal N=4 512x512 cpu median 13.537 s min 13.537 s
reveal N=4 512x512 cpu median 14.292 s min 14.292 s
parameters 5718192 peak memory 919 MiB
# ours
conceal N=16 512x512 cpu median 1.359 s min 1.359 s 0.74 frames/s 712 GFLOP/s
reveal N=16 512x512 cpu median 1.433 s min 1.433 s 0.70 frames/s 676 GFLOP/s
precision Bf16 peak memory 252 MiB
";

    #[test]
    fn lines_of_a_benchmark_are_read_with_their_program_and_memory() {
        let times = parse(OUTPUT);
        assert_eq!(times.len(), 4);
        let last = Time {
            program: "ours".into(),
            direction: "reveal".into(),
            secrets: 16,
            size: (512, 512),
            seconds: 1.433,
            memory: Some(252.0),
        };
        assert_eq!(times[3], last);
        assert_eq!((times[0].memory, times[0].seconds), (Some(919.0), 13.537));
        // Theirs broke off before it told of memory.
        let times = parse(&OUTPUT.replace(" peak memory 919 MiB", ""));
        assert_eq!((times[0].memory, times[3].memory), (None, Some(252.0)));
    }

    #[test]
    fn a_plot_holds_a_line_for_each_program_and_direction() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("run.txt");
        fs::write(&output, OUTPUT).unwrap();
        plot(&output, folder.path()).unwrap();
        let plot = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let times = plot("time-over-n.svg");
        assert!(times.contains("ours, reveal") && times.contains("theirs, conceal"));
        let memory = plot("memory-over-n.svg");
        assert!(memory.contains("ours") && !memory.contains("conceal"));
        assert!(!plot("time-over-size.svg").contains("theirs"));
    }

    #[test]
    fn a_file_without_output_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = plot(file.path(), Path::new("nowhere")).unwrap_err().to_string();
        assert!(error.contains("invmih-train bench"), "{error}");
    }
}
