//! A panel: a number over the steps of one or several runs.

use crate::picture::scale::Scale;
use crate::picture::{Drawing, FAINT, FONT, GRID, INK, MARKS, UNITS, painted, short, text, wide};
use plotters::coord::Shift;
use plotters::prelude::*;

/// Okabe and Ito's colors, which color-blind people tell apart, without their yellow, which white
/// paper swallows.
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
/// Lengths of dashes and gaps in pixels, from the second round of colors on.
const DASHES: [(i32, i32); 3] = [(9, 5), (3, 4), (14, 4)];

/// The line of a run: a color, and dashes once the colors are used up.
#[derive(Clone, Copy)]
pub struct Line {
    pub colour: RGBColor,
    pub dashes: Option<(i32, i32)>,
}

impl Line {
    /// The line of a run, by its index.
    pub fn of(run: usize) -> Self {
        let round = run / COLOURS.len();
        Self {
            colour: COLOURS[run % COLOURS.len()],
            dashes: round
                .checked_sub(1)
                .map(|round| DASHES[round % DASHES.len()]),
        }
    }
}

/// The points of a run: steps and values.
pub struct Series {
    pub line: Line,
    pub points: Vec<(f64, f64)>,
    /// What is drawn in a pale color below the line, such as unsmoothed points.
    pub pale: Vec<(f64, f64)>,
    /// Whether each point has a mark, unless there are too many.
    pub marks: bool,
}

/// A number over the steps of runs.
pub struct Panel {
    pub title: &'static str,
    /// `None` if no run has a value.
    pub scale: Option<Scale>,
    pub series: Vec<Series>,
    /// The last step of all runs, at least 1.
    pub last: f64,
}

/// An area of a picture.
pub type Area<'a, 'b> = DrawingArea<SVGBackend<'a>, Shift>;

impl Panel {
    /// The panel as a picture of its own, of `size` pixels.
    pub fn to_svg(&self, size: (u32, u32)) -> std::io::Result<String> {
        painted(size, |svg| {
            let size = (UNITS as u32 * size.0, UNITS as u32 * size.1);
            let root = SVGBackend::with_string(svg, size).into_drawing_area();
            root.fill(&WHITE)?;
            self.paint(&root)?;
            root.present()?;
            Ok(())
        })
    }

    /// Draws the panel into an area.
    pub fn paint(&self, area: &Area<'_, '_>) -> Drawing {
        let title = match &self.scale {
            Some(scale) if scale.logarithmic => format!("{} (logarithmic)", self.title),
            _ => self.title.to_owned(),
        };
        text(area, &title, (70, 12), 18, INK)?;
        let Some(scale) = &self.scale else {
            return text(area, "no values yet", (70, 44), 16, FAINT);
        };
        let mut chart = ChartBuilder::on(area)
            .margin(10 * UNITS)
            .margin_top(42 * UNITS)
            .margin_right(18 * UNITS)
            .x_label_area_size(44 * UNITS)
            .y_label_area_size(60 * UNITS)
            .build_cartesian_2d(0.0..self.last * 1.005, scale.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(wide(GRID, 1))
            .axis_style(wide(FAINT, 1))
            .label_style((FONT, 15 * UNITS, &INK))
            .axis_desc_style((FONT, 15 * UNITS, &FAINT))
            .x_labels(5)
            .x_label_formatter(&|step| count(*step))
            .x_desc("step")
            .set_all_tick_mark_size(5 * UNITS)
            .draw()?;
        let placed = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            let place = |&(step, value): &(f64, f64)| (step, scale.place(value));
            points.iter().map(place).collect()
        };
        for series in &self.series {
            let pale = series.line.colour.mix(0.28).stroke_width(UNITS as u32);
            chart.draw_series(LineSeries::new(placed(&series.pale), pale))?;
        }
        for series in &self.series {
            let (colour, points) = (series.line.colour, placed(&series.points));
            let style = wide(colour, 2);
            match series.line.dashes {
                None => chart.draw_series(LineSeries::new(points.clone(), style))?,
                Some((dash, gap)) => {
                    let (dash, gap) = (dash * UNITS, gap * UNITS);
                    let points = points.iter().copied();
                    chart.draw_series(DashedLineSeries::new(points, dash, gap, style))?
                }
            };
            // A single point is no line.
            if points.len() == 1 || (series.marks && points.len() <= MARKS) {
                let mark = |point| Circle::new(point, 7 * UNITS / 2, colour.filled());
                chart.draw_series(points.into_iter().map(mark))?;
            }
        }
        Ok(())
    }
}

/// A step on an axis: in full up to 9,999, then `20 k`, `1.5 M`.
fn count(step: f64) -> String {
    match step.round() {
        step if step < 1e4 => indicatif::HumanCount(step as u64).to_string(),
        step => short(step),
    }
}
