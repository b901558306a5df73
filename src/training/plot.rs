// SPDX-License-Identifier: MPL-2.0
//! PSNR over the number of secrets, as SVG.

use std::error::Error;

use plotters::prelude::*;

/// A curve of a plot.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub colour: RGBColor,
    /// Dots alone tell others' figures from one's own.
    pub dots_only: bool,
    /// Numbers of secrets, and PSNR in dB.
    pub points: Vec<(f64, f64)>,
}

/// The picture's size in pixels.
const SIZE: (u32, u32) = (640, 400);
/// Width of a sample in the legend.
const SAMPLE: i32 = 18;

/// The text of an SVG file.
///
/// # Errors
/// Of the drawing library.
pub fn svg(title: &str, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let lowest = points().map(|(_, psnr)| *psnr).fold(f64::INFINITY, f64::min).floor() - 1.0;
    let highest = points().map(|(_, psnr)| *psnr).fold(lowest, f64::max).ceil();
    // Room for the legend.
    let highest = highest + 0.4 * (highest - lowest) + 1.0;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .caption(title, ("sans-serif", 18))
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(3.0..17.0, lowest..highest)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("secrets in a cover").y_desc("PSNR in dB").x_labels(14);
        mesh.x_label_formatter(&|n| format!("{n:.0}")).y_label_formatter(&|db| format!("{db:.0}"));
        mesh.light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.15)).draw()?;
        for line in lines {
            let (colour, points) = (line.colour, line.points.clone());
            let width = if line.dots_only { 0 } else { 2 };
            let style = colour.stroke_width(width);
            let dots = points.iter().map(|&point| Circle::new(point, 4, colour.filled()));
            chart.draw_series(dots)?.label(&line.name).legend(move |(x, y)| {
                let corners = [(x, y - 2), (x + SAMPLE, y + 2)];
                Rectangle::new(corners, colour.filled())
            });
            if !line.dots_only {
                chart.draw_series(LineSeries::new(points, style))?;
            }
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8));
        legend.border_style(BLACK.mix(0.3)).draw()?;
        root.present()?;
    }
    Ok(text)
}
