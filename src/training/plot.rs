// SPDX-License-Identifier: MPL-2.0
//! Plots of measured figures, as SVG.

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
    /// In the units of the axes.
    pub points: Vec<(f64, f64)>,
}

/// What a plot's axes show.
pub struct Axes {
    /// With its unit.
    pub x: &'static str,
    /// With its unit.
    pub y: &'static str,
    /// Whether y starts at zero.
    pub from_zero: bool,
}

/// The picture's size in pixels.
const SIZE: (u32, u32) = (640, 400);
/// Width of a sample in the legend.
const SAMPLE: i32 = 18;

/// The text of an SVG file. Points that are not finite are left out: no axis reaches them.
///
/// # Errors
/// Of the drawing library.
pub fn svg(title: &str, axes: &Axes, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let points = |line: &Line| -> Vec<(f64, f64)> {
        line.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let range = |value: fn(&(f64, f64)) -> f64| {
        let all: Vec<_> = lines.iter().flat_map(points).collect();
        let values = || all.iter().map(value);
        values().reduce(f64::min).zip(values().reduce(f64::max)).unwrap_or((0.0, 1.0))
    };
    let ((left, right), (lowest, highest)) = (range(|point| point.0), range(|point| point.1));
    let margin = ((right - left) / 12.0).max(0.1);
    let lowest = if axes.from_zero { 0.0 } else { lowest.floor() - 1.0 };
    let highest = highest.ceil();
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
            .build_cartesian_2d(left - margin..right + margin, lowest..highest)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(axes.x).y_desc(axes.y).x_labels(14);
        mesh.x_label_formatter(&|x| format!("{x}")).y_label_formatter(&|y| format!("{y}"));
        mesh.light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.15)).draw()?;
        for line in lines {
            let (colour, points) = (line.colour, points(line));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_left_out() {
        let axes = Axes { x: "N", y: "dB", from_zero: false };
        let drawn = |points: &[(f64, f64)]| {
            let (name, colour) = ("stego".into(), RGBColor(0, 0, 0));
            let line = Line { name, colour, dots_only: true, points: points.into() };
            svg("PSNR", &axes, &[line]).unwrap().matches("<circle").count()
        };
        assert_eq!(drawn(&[(4.0, 30.0), (6.0, f64::INFINITY), (8.0, f64::NAN), (9.0, 31.0)]), 2);
        assert_eq!(drawn(&[(4.0, f64::INFINITY)]), 0);
    }
}
