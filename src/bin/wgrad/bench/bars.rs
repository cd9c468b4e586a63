//! A picture of the kernels of each step: one bar per step, cut into the times of its kernels.

use super::kernels::KernelRow;
use super::report::Measurement;
use crate::picture::{Drawing, FAINT, GRID, INK, UNITS, save_sized, text};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

const COLOURS: [RGBColor; 8] = [
    RGBColor(38, 110, 188),
    RGBColor(217, 95, 14),
    RGBColor(27, 128, 90),
    RGBColor(126, 72, 168),
    RGBColor(196, 60, 86),
    RGBColor(132, 110, 30),
    RGBColor(20, 140, 160),
    RGBColor(110, 118, 128),
];
/// The sizes in pixels: the picture, its margin, and what lies above and below a bar.
const WIDTH: i32 = 960;
const MARGIN: i32 = 40;
const TOP: i32 = 84;
const TITLE: i32 = 50;
const BAR: i32 = 44;
/// The height of the labels on the segments, and of one line of the legend.
const LINE: i32 = 22;
const LEGEND_COLUMNS: usize = 2;
const GAP: i32 = 34;
/// The narrowest segment that has room for its time.
const LABELLED: f64 = 58.0;

/// One bar.
struct Bar<'a> {
    measurement: &'a Measurement,
    kernels: &'a [KernelRow],
    /// The seconds of all kernels, and of the whole step.
    seconds: (f64, f64),
}

impl Bar<'_> {
    fn height(&self) -> i32 {
        let lines = (self.kernels.len() + 1).div_ceil(LEGEND_COLUMNS) as i32;
        TITLE + BAR + (lines + 1) * LINE + GAP
    }
}

type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the bars of all measurements that have kernels. Returns the file, if there is one.
pub fn draw(directory: &Path, measured: &[Measurement]) -> wgrad::Result<Option<PathBuf>> {
    let bars: Vec<_> = measured.iter().filter_map(bar).collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let height = TOP + bars.iter().map(Bar::height).sum::<i32>();
    let path = directory.join("kernels.svg");
    save_sized(&path, (WIDTH as u32, height as u32), |svg| {
        let size = (UNITS as u32 * WIDTH as u32, UNITS as u32 * height as u32);
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        text(
            &root,
            "The kernels of a training step",
            (MARGIN, 24),
            24,
            INK,
        )?;
        let shaded = "dark: the share of a kernel's time that memory and arithmetic need";
        text(&root, shaded, (MARGIN, 54), 16, FAINT)?;
        let mut top = TOP;
        for bar in &bars {
            paint(&root, bar, top)?;
            top += bar.height();
        }
        root.present()?;
        Ok(())
    })?;
    Ok(Some(path))
}

fn bar(measurement: &Measurement) -> Option<Bar<'_>> {
    Some(Bar {
        measurement,
        kernels: measurement.kernels.as_deref()?,
        seconds: (
            measurement.device_seconds_per_step?,
            measurement.seconds_per_step,
        ),
    })
}

fn paint(root: &Root<'_>, bar: &Bar<'_>, top: i32) -> Drawing {
    let (device, step) = bar.seconds;
    let Measurement {
        shape, device: on, ..
    } = bar.measurement;
    text(root, &format!("{shape} on {on}"), (MARGIN, top), 18, INK)?;
    let times = format!(
        "a step takes {}, its kernels and copies {}",
        microseconds(step),
        microseconds(device)
    );
    text(root, &times, (MARGIN, top + 25), 15, FAINT)?;

    // The bar is as long as the step, or as its kernels if they alone take longer.
    let pixels = f64::from(WIDTH - 2 * MARGIN) / device.max(step);
    let (from, to) = (top + TITLE, top + TITLE + BAR);
    let legend = |index: usize| {
        let column = (index % LEGEND_COLUMNS) as i32 * (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS as i32;
        let line = (index / LEGEND_COLUMNS) as i32;
        (MARGIN + column, to + (line + 1) * LINE + 8)
    };
    let mut x = f64::from(MARGIN);
    let colours = COLOURS.iter().cycle();
    for ((index, row), colour) in bar.kernels.iter().enumerate().zip(colours) {
        let width = row.seconds_per_step * pixels;
        rectangle(root, (x, x + width), (from, to), &colour.mix(0.35))?;
        let floor = row.share_of_floor.map_or(0.0, |share| share.min(1.0));
        rectangle(root, (x, x + width * floor), (from, to), &colour.mix(1.0))?;
        if width >= LABELLED {
            let label = microseconds(row.seconds_per_step);
            text(root, &label, (x as i32, to + 5), 14, INK)?;
        }
        x += width;

        let place = legend(index);
        swatch(root, place, &colour.mix(1.0))?;
        let floor = row.share_of_floor;
        let floor = floor.map_or(String::new(), |share| {
            format!(", floor {:.0}%", 100.0 * share)
        });
        let time = microseconds(row.seconds_per_step);
        let words = format!("{} × {}: {time}{floor}", row.runs_per_step, row.kernel);
        text(root, &words, (place.0 + 20, place.1), 15, INK)?;
    }
    if step > device {
        let end = f64::from(WIDTH - MARGIN);
        rectangle(root, (x, end), (from, to), &GRID.mix(1.0))?;
        let place = legend(bar.kernels.len());
        swatch(root, place, &GRID.mix(1.0))?;
        let words = format!("host and gaps: {}", microseconds(step - device));
        text(root, &words, (place.0 + 20, place.1), 15, INK)?;
    }
    Ok(())
}

fn swatch(root: &Root<'_>, (x, y): (i32, i32), colour: &RGBAColor) -> Drawing {
    let x = f64::from(x);
    rectangle(root, (x, x + 13.0), (y - 1, y + 12), colour)
}

/// A filled rectangle, whose corners are in pixels.
fn rectangle(
    root: &Root<'_>,
    (left, right): (f64, f64),
    (top, bottom): (i32, i32),
    colour: &RGBAColor,
) -> Drawing {
    let units = |pixels: f64| (pixels * f64::from(UNITS)).round() as i32;
    let corners = [(units(left), UNITS * top), (units(right), UNITS * bottom)];
    root.draw(&Rectangle::new(corners, colour.filled()))?;
    Ok(())
}

fn microseconds(seconds: f64) -> String {
    let value = 1e6 * seconds;
    if value < 100.0 {
        return format!("{value:.1} µs");
    }
    format!("{} µs", indicatif::HumanCount(value.round() as u64))
}
