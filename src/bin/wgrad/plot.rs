//! `wgrad plot`: the courses of runs in one picture.

pub mod courses;
pub mod panel;

use crate::picture::{Drawing, FAINT, INK, UNITS, painted, text, wide, write_picture};
use crate::{Failure, Outcome, print};
use panel::{Area, Line, Panel};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::Error;
use wgrad::nnue::train::History;

/// Options of `wgrad plot`.
#[derive(clap::Args)]
pub struct Options {
    /// Directories of runs, or their logs. A run may still be going on
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The picture, as SVG or PNG by the ending of the name
    #[arg(long, value_name = "FILE", default_value = "runs.svg")]
    out: PathBuf,
}

/// The width of the picture in pixels.
const WIDTH: u32 = 1200;
/// The heights of its panels: those of the losses, and the others.
const HEIGHTS: [u32; 2] = [380, 280];
/// The height of the title, and of a line of the legend.
const TITLE: i32 = 58;
const LEGEND_LINE: i32 = 26;
/// Where lines of text begin and end.
const MARGIN: i32 = 70;
/// The width of a letter of the legend, which has no font to measure.
const LETTER: i32 = 9;
/// A line of the legend with the room around it.
const SAMPLE: i32 = 62;

/// Draws the picture.
pub fn run(options: &Options) -> Outcome {
    crate::picture::ending(&options.out)?;
    let logs: Vec<_> = options.runs.iter().map(|run| log_of(run)).collect();
    let inputs: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();
    crate::distinct(&options.out, &inputs)?;
    let histories = logs.iter().map(|log| read(log));
    let histories = histories.collect::<Result<Vec<_>, Failure>>()?;
    let names = names(&options.runs);
    let svg = svg(&names, &histories);
    let svg = svg.map_err(Error::io(&options.out, "draw the picture"))?;
    write_picture(&options.out, &svg)?;
    print(format_args!("picture  {}", options.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The log of a run, which may also be named itself.
pub fn log_of(run: &Path) -> PathBuf {
    match run.is_file() {
        true => run.to_owned(),
        false => run.join("log.jsonl"),
    }
}

/// The history of a log with at least one step.
pub fn read(log: &Path) -> Result<History, Failure> {
    let history = History::read(log)?;
    if history.steps.is_empty() {
        let message = format!("{}: there is no step in it yet", log.display());
        return Err(Failure::Message(message));
    }
    Ok(history)
}

/// The names of runs in a legend: those of their directories, or whole paths if two are alike.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let short = runs.iter().map(|run| {
        let directory = match run.is_file() {
            true => run.parent().unwrap_or(run),
            false => run,
        };
        let name = directory.file_name();
        name.map_or_else(
            || run.display().to_string(),
            |name| name.to_string_lossy().into(),
        )
    });
    let short: Vec<String> = short.collect();
    let alike = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    let named = short.iter().zip(runs).map(|(name, run)| match alike(name) {
        true => run.display().to_string(),
        false => name.clone(),
    });
    named.collect()
}

/// The whole picture: a title, a legend, and the panels in two rows.
fn svg(names: &[String], histories: &[History]) -> std::io::Result<String> {
    let panels = courses::panels(&histories.iter().collect::<Vec<_>>());
    let legend = legend(names);
    let lines = legend.last().map_or(0, |entry| entry.line + 1);
    let top = TITLE + lines * LEGEND_LINE;
    let size = (WIDTH, top as u32 + HEIGHTS.iter().sum::<u32>() + 12);
    painted(size, |svg| {
        let canvas = (UNITS as u32 * size.0, UNITS as u32 * size.1);
        let root = SVGBackend::with_string(svg, canvas).into_drawing_area();
        root.fill(&WHITE)?;
        text(&root, &title(histories), (MARGIN, 22), 24, INK)?;
        for (entry, name) in legend.iter().zip(names) {
            entry.paint(&root, name)?;
        }
        let (_, below) = root.split_vertically(top * UNITS);
        let (first, second) = below.split_vertically(HEIGHTS[0] as i32 * UNITS);
        let (second, _) = second.split_vertically(HEIGHTS[1] as i32 * UNITS);
        row(&first, &panels.losses)?;
        row(&second, &panels.others)?;
        root.present()?;
        Ok(())
    })
}

fn row(area: &Area<'_, '_>, panels: &[Panel]) -> Drawing {
    let areas = area.split_evenly((1, panels.len().max(1)));
    areas
        .iter()
        .zip(panels)
        .try_for_each(|(area, panel)| panel.paint(area))
}

fn title(histories: &[History]) -> String {
    let settings = histories.first().and_then(|run| run.stages.last());
    match (histories.len(), settings) {
        (1, Some((_, settings))) => {
            let architecture = &settings.architecture;
            format!(
                "A run of {architecture}, {}",
                architecture.activation.name()
            )
        }
        (count, _) => crate::counted(count, "run"),
    }
}

/// Where the name of a run is, and its line.
struct Entry {
    run: usize,
    line: i32,
    left: i32,
}

/// The entries of the legend, in as many lines as they need.
fn legend(names: &[String]) -> Vec<Entry> {
    let (mut line, mut left) = (0, MARGIN);
    let entries = names.iter().enumerate().map(|(run, name)| {
        let width = SAMPLE + LETTER * name.chars().count() as i32;
        if left > MARGIN && left + width > WIDTH as i32 - 20 {
            (line, left) = (line + 1, MARGIN);
        }
        let entry = Entry { run, line, left };
        left += width;
        entry
    });
    entries.collect()
}

impl Entry {
    fn paint(&self, root: &Area<'_, '_>, name: &str) -> Drawing {
        let (x, y) = (self.left, TITLE + self.line * LEGEND_LINE);
        let line = Line::of(self.run);
        let ends = [(x, y + 8), (x + 28, y + 8)].map(|(x, y)| (x * UNITS, y * UNITS));
        let style = wide(line.colour, 3);
        match line.dashes {
            None => root.draw(&PathElement::new(ends, style))?,
            Some((dash, gap)) => {
                let element = DashedPathElement::new(ends, dash * UNITS, gap * UNITS, style);
                root.draw(&element)?;
            }
        }
        text(root, name, (x + 36, y), 16, FAINT)
    }
}
