//! The loss curve as an SVG picture, and the drawing code that every picture shares.

mod png;
pub mod scale;

pub use png::{ending, write_picture};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use scale::Scale;
use std::io::Write;
use std::path::Path;
use wgrad::Result;
use wgrad::files::atomic::write_atomically;
use wgrad::nnue::train::log::Curve;

pub const SIZE: (u32, u32) = (960, 600);
/// The number of units per pixel. The backend rounds coordinates to whole units, so several units
/// per pixel make lines smooth.
pub const UNITS: i32 = 8;
pub const FONT: &str = "Helvetica, Arial, sans-serif";
pub const INK: RGBColor = RGBColor(45, 50, 58);
pub const FAINT: RGBColor = RGBColor(110, 118, 128);
pub const GRID: RGBColor = RGBColor(228, 231, 235);
const TRAINING: RGBColor = RGBColor(38, 110, 188);
const VALIDATION: RGBColor = RGBColor(217, 95, 14);
/// The most points that are visible at this size.
pub const POINTS: usize = 1200;
/// From this many points on, the training loss is smoothed over at most this fraction of the
/// points.
pub const SMOOTHED: usize = 80;
/// The most marks that do not run into each other.
pub const MARKS: usize = 60;

/// Draws the curve of a training to `path`. The file is replaced atomically. Returns false if there
/// is nothing to draw yet.
pub fn draw(path: &Path, curve: &Curve, title: &str, steps_per_epoch: u64) -> Result<bool> {
    let training = thin(&drawable(&curve.training), POINTS);
    let validation = drawable(&curve.validation);
    if training.is_empty() && validation.is_empty() {
        return Ok(false);
    }
    save(path, |svg| {
        paint(svg, &training, &validation, title, steps_per_epoch)
    })?;
    Ok(true)
}

/// The error of a drawing.
pub type Drawing = std::result::Result<(), Box<dyn std::error::Error>>;

/// As [`save_sized`], with a canvas of [`SIZE`] times [`UNITS`].
pub fn save(path: &Path, paint: impl FnOnce(&mut String) -> Drawing) -> Result<()> {
    save_sized(path, SIZE, paint)
}

/// Writes a painting to `path`. The file is replaced atomically. The canvas is `size` times
/// [`UNITS`].
pub fn save_sized(
    path: &Path,
    size: (u32, u32),
    paint: impl FnOnce(&mut String) -> Drawing,
) -> Result<()> {
    let svg = painted(size, paint).map_err(wgrad::Error::io(path, "draw the picture"))?;
    write_atomically(path, |out| out.write_all(svg.as_bytes()))
}

/// A painting as SVG of `size` pixels. The canvas is `size` times [`UNITS`].
pub fn painted(
    size: (u32, u32),
    paint: impl FnOnce(&mut String) -> Drawing,
) -> std::io::Result<String> {
    let mut svg = String::new();
    // The backend writes to memory, so it fails only if the drawing itself is wrong.
    paint(&mut svg).map_err(|error| std::io::Error::other(error.to_string()))?;
    let (width, height) = (UNITS as u32 * size.0, UNITS as u32 * size.1);
    let drawn = format!("<svg width=\"{width}\" height=\"{height}\"");
    let shown = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
    Ok(svg.replacen(&drawn, &shown, 1))
}

fn paint(
    svg: &mut String,
    training: &[(f64, f64)],
    validation: &[(f64, f64)],
    title: &str,
    steps_per_epoch: u64,
) -> Drawing {
    let size = (UNITS as u32 * SIZE.0, UNITS as u32 * SIZE.1);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    text(&root, title, (86, 24), 24, INK)?;
    let epochs = format!("{} steps an epoch", indicatif::HumanCount(steps_per_epoch));
    text(&root, &epochs, (86, 54), 16, FAINT)?;

    let last = training
        .iter()
        .chain(validation)
        .map(|point| point.0)
        .fold(1.0, f64::max);
    let scale = Scale::of(training.iter().chain(validation).map(|point| point.1));
    let places = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points
            .iter()
            .map(|&(step, loss)| (step, scale.place(loss)))
            .collect()
    };
    let mut chart = ChartBuilder::on(&root)
        .margin(20 * UNITS)
        .margin_top(84 * UNITS)
        .margin_right(28 * UNITS)
        .x_label_area_size(48 * UNITS)
        .y_label_area_size(66 * UNITS)
        .build_cartesian_2d(0.0..last * 1.005, scale.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(wide(GRID, 1))
        .axis_style(wide(FAINT, 1))
        .label_style((FONT, 16 * UNITS, &INK))
        .axis_desc_style((FONT, 18 * UNITS, &INK))
        .x_labels(8)
        .x_label_formatter(&|step| indicatif::HumanCount(step.round() as u64).to_string())
        .x_desc("step")
        .y_desc(if scale.logarithmic {
            "loss (logarithmic)"
        } else {
            "loss"
        })
        .set_all_tick_mark_size(5 * UNITS)
        .draw()?;

    let (training, validation) = (places(training), places(validation));
    if training.len() >= SMOOTHED {
        let faint = TRAINING.mix(0.28).stroke_width(UNITS as u32);
        chart.draw_series(LineSeries::new(training.iter().copied(), faint))?;
    }
    let line = |colour: RGBColor| {
        move |(x, y): (i32, i32)| PathElement::new([(x, y), (x + 26 * UNITS, y)], wide(colour, 3))
    };
    if !training.is_empty() {
        let smooth = smoothed(&training);
        let name = match training.len() {
            ..SMOOTHED => "training",
            _ => "training, smoothed",
        };
        let series = chart.draw_series(LineSeries::new(smooth, wide(TRAINING, 2)))?;
        series.label(name).legend(line(TRAINING));
    }
    if !validation.is_empty() {
        let points = validation.iter().copied();
        let series = chart.draw_series(LineSeries::new(points.clone(), wide(VALIDATION, 2)))?;
        series.label("validation").legend(line(VALIDATION));
        if validation.len() <= MARKS {
            chart.draw_series(
                points.map(|point| Circle::new(point, 4 * UNITS, VALIDATION.filled())),
            )?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(14 * UNITS as u32)
        .legend_area_size(36 * UNITS as u32)
        .background_style(WHITE.mix(0.9))
        .border_style(wide(GRID, 1))
        .label_font((FONT, 17 * UNITS, &INK))
        .draw()?;
    root.present()?;
    Ok(())
}

pub fn text(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    words: &str,
    place: (i32, i32),
    size: i32,
    colour: RGBColor,
) -> Drawing {
    let style = TextStyle::from((FONT, size * UNITS).into_font()).color(&colour);
    let place = (place.0 * UNITS, place.1 * UNITS);
    root.draw_text(words, &style.pos(Pos::new(HPos::Left, VPos::Top)), place)?;
    Ok(())
}

/// A line of `pixels` pixels.
pub fn wide(colour: RGBColor, pixels: i32) -> ShapeStyle {
    colour.stroke_width((pixels * UNITS) as u32)
}

/// The points that a logarithmic axis can show.
pub fn drawable(points: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let drawable = |&&(_, loss): &&(u64, f64)| loss.is_finite() && loss > 0.0;
    points
        .iter()
        .filter(drawable)
        .map(|&(step, loss)| (step as f64, loss))
        .collect()
}

/// At most `most` means of neighboring points, at even distances on the axis of steps: a log has
/// more lines for the first steps than for later ones.
pub fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let [Some(&(first, _)), Some(&(last, _))] = [points.first(), points.last()] else {
        return Vec::new();
    };
    let width = (last - first) / most as f64;
    let share = |step: f64| (((step - first) / width) as usize).min(most - 1);
    let shares = points.chunk_by(|a, b| share(a.0) == share(b.0));
    shares.map(mean).collect()
}

/// For each point, the mean over the points around it. The window is a fortieth of all points.
pub fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = points.len() / SMOOTHED;
    let around = |at: usize| {
        // The start is steep, so its window stays centered. The end is flat, so its window keeps
        // its width to the left.
        let reach = reach.min(at);
        let around = at - reach..(at + reach + 1).min(points.len());
        (points[at].0, mean(&points[around]).1)
    };
    (0..points.len()).map(around).collect()
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let sum = points
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
}

/// `20 k`, `1.5 M`.
pub fn short(value: f64) -> String {
    let units = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
    let unit = units.into_iter().find(|(size, _)| value >= *size);
    let (size, unit) = unit.unwrap_or((1.0, ""));
    let digits = format!("{:.2}", value / size);
    format!(
        "{}{unit}",
        digits.trim_end_matches('0').trim_end_matches('.')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinned_points_are_even_on_the_axis_although_a_log_has_more_lines_at_its_start() {
        let early = (0..1000).map(|step| (f64::from(step), 2.0));
        let late = (1..=100).map(|line| (1000.0 + 90.0 * f64::from(line), 1.0));
        let points: Vec<_> = early.chain(late).collect();
        let thinned = thin(&points, 50);
        // The first tenth of the axis has nearly all points, and a tenth of the means.
        let count = thinned.iter().filter(|point| point.0 < 1000.0).count();
        assert_eq!((count, thinned.len()), (5, 50));
        assert!(thinned.iter().all(|point| [1.0, 2.0].contains(&point.1)));
        assert_eq!(thin(&points[..50], 50), points[..50]);
        assert_eq!(thin(&[], 50), []);
    }
}
