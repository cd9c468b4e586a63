//! Pictures of the speed and its limit, over K and over L.

use super::report::Measurement;
use crate::picture::{Drawing, FAINT, FONT, GRID, INK, SIZE, UNITS, save, short, text, wide};
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const COLOURS: [RGBColor; 4] = [
    RGBColor(38, 110, 188),
    RGBColor(217, 95, 14),
    RGBColor(27, 128, 90),
    RGBColor(126, 72, 168),
];

/// The points of a device: the varied size, the positions per second, and the limit of that speed.
type Points = Vec<(f64, f64, Option<f64>)>;

/// One picture.
struct Plot<'a> {
    title: String,
    axis: &'a str,
    devices: BTreeMap<&'a str, Points>,
}

/// Draws the speed over K and over L, with the other size as in `base`. Returns the files.
pub fn draw(
    directory: &Path,
    measured: &[Measurement],
    (hidden, batch): (usize, usize),
) -> wgrad::Result<Vec<PathBuf>> {
    let over_hidden = Plot {
        title: format!("A training step, L = {batch}"),
        axis: "K",
        devices: points(measured, |one| (one.batch == batch).then_some(one.hidden)),
    };
    let over_batch = Plot {
        title: format!("A training step, K = {hidden}"),
        axis: "L",
        devices: points(measured, |one| (one.hidden == hidden).then_some(one.batch)),
    };
    let mut paths = Vec::new();
    for (name, plot) in [("hidden.svg", over_hidden), ("batch.svg", over_batch)] {
        if plot.devices.is_empty() {
            continue;
        }
        let path = directory.join(name);
        save(&path, |svg| plot.paint(svg))?;
        paths.push(path);
    }
    Ok(paths)
}

/// The points of each device for which `place` returns a coordinate, ascending.
fn points(
    measured: &[Measurement],
    place: impl Fn(&Measurement) -> Option<usize>,
) -> BTreeMap<&str, Points> {
    let mut devices: BTreeMap<&str, Points> = BTreeMap::new();
    for one in measured {
        if let Some(place) = place(one) {
            let floor = one.floor_seconds.map(|seconds| one.batch as f64 / seconds);
            let point = (place as f64, one.positions_per_second, floor);
            devices.entry(&one.device).or_default().push(point);
        }
    }
    for points in devices.values_mut() {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    devices
}

impl Plot<'_> {
    fn paint(&self, svg: &mut String) -> Drawing {
        let size = (UNITS as u32 * SIZE.0, UNITS as u32 * SIZE.1);
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        text(&root, &self.title, (86, 24), 24, INK)?;
        text(
            &root,
            "dashed: the floor of memory and arithmetic",
            (86, 54),
            16,
            FAINT,
        )?;

        let all = || self.devices.values().flatten();
        let places = range(all().map(|point| point.0));
        let speeds = all().flat_map(|point| [Some(point.1), point.2]);
        let (low, high) = range(speeds.flatten());
        // This leaves room for the names of the devices.
        let speeds = (0.7 * low, 2.0 * high);
        let mut chart = ChartBuilder::on(&root)
            .margin(20 * UNITS)
            .margin_top(84 * UNITS)
            .margin_right(28 * UNITS)
            .x_label_area_size(48 * UNITS)
            .y_label_area_size(80 * UNITS)
            .build_cartesian_2d(
                (places.0 * 0.9..places.1 * 1.1)
                    .log_scale()
                    .with_key_points(distinct(all().map(|point| point.0))),
                (speeds.0..speeds.1)
                    .log_scale()
                    .with_key_points(ticks(speeds)),
            )?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(wide(GRID, 1))
            .axis_style(wide(FAINT, 1))
            .label_style((FONT, 16 * UNITS, &INK))
            .axis_desc_style((FONT, 18 * UNITS, &INK))
            .x_label_formatter(&|place| format!("{place:.0}"))
            .y_label_formatter(&|speed| short(*speed))
            .x_desc(self.axis)
            .y_desc("positions a second")
            .set_all_tick_mark_size(5 * UNITS)
            .draw()?;
        for (points, colour) in self.devices.iter().zip(COLOURS.iter().cycle()) {
            let (name, points) = points;
            let measured = points.iter().map(|point| (point.0, point.1));
            let style = wide(*colour, 2);
            let legend = wide(*colour, 3);
            chart
                .draw_series(LineSeries::new(measured.clone(), style))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 26 * UNITS, y)], legend));
            let marks = measured.map(|point| Circle::new(point, 4 * UNITS, colour.filled()));
            chart.draw_series(marks)?;
            let floor = points.iter().filter_map(|point| Some((point.0, point.2?)));
            let (dash, gap) = (8 * UNITS, 6 * UNITS);
            chart.draw_series(DashedLineSeries::new(floor, dash, gap, style))?;
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
}

/// The smallest and the largest.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| {
        (f64::min(low, value), f64::max(high, value))
    })
}

/// Ascending, without repetitions.
fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// 1, 2 and 5 times the powers of ten within a range.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)));
    ticks.filter(|tick| (low..=high).contains(tick)).collect()
}
