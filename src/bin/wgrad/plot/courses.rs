//! The panels of runs: losses, learning rate, λ and speed.

use super::panel::{Line, Panel, Series};
use crate::picture::scale::Scale;
use crate::picture::{SMOOTHED, drawable, smoothed, thin};
use wgrad::nnue::train::{History, Point};

/// The most points of a line, which are more than a panel has pixels.
const POINTS: usize = 600;
/// The most speeds of a line, and the least number of steps in each.
const SPEEDS: usize = 50;
const STEPS: usize = 16;
/// Up to this many runs, the losses of single steps are drawn below the smoothed ones.
const UNSMOOTHED: usize = 2;

/// The panels of runs, in two rows.
pub struct Panels {
    /// Training loss, and validation loss if a run was validated. Both have the same axis.
    pub losses: Vec<Panel>,
    /// Learning rate, λ if a log has the settings, and positions per second.
    pub others: Vec<Panel>,
}

/// The panels of runs.
pub fn panels(runs: &[&History]) -> Panels {
    let ends = runs.iter().filter_map(|run| last_step(run));
    let last = ends.fold(1.0, |last, step| f64::max(last, step as f64));
    let training = runs.iter().enumerate().map(|(index, run)| {
        let losses: Vec<_> = run
            .steps
            .iter()
            .map(|step| (step.step, step.loss))
            .collect();
        let points = thin(&drawable(&losses), POINTS);
        let dense = points.len() >= SMOOTHED;
        Series {
            line: Line::of(index),
            points: if dense {
                smoothed(&points)
            } else {
                points.clone()
            },
            pale: match dense && runs.len() <= UNSMOOTHED {
                true => points,
                false => Vec::new(),
            },
            marks: false,
        }
    });
    let validation = runs.iter().enumerate().map(|(index, run)| {
        let losses = run.validations.iter().map(|one| (one.step, one.loss));
        Series {
            line: Line::of(index),
            points: thin(&drawable(&losses.collect::<Vec<_>>()), POINTS),
            pale: Vec::new(),
            marks: true,
        }
    });
    let (training, validation): (Vec<_>, Vec<_>) = (training.collect(), validation.collect());
    let losses: Vec<f64> = training
        .iter()
        .chain(&validation)
        .flat_map(values)
        .collect();
    let scale = (!losses.is_empty()).then(|| Scale::of(losses.into_iter()));
    let panel = |title, scale, series| Panel {
        title,
        scale,
        series,
        last,
    };
    let mut losses = vec![panel("training loss", scale.clone(), training)];
    if runs.iter().any(|run| !run.validations.is_empty()) {
        losses.push(panel("validation loss", scale, validation));
    }
    let from_zero = |title, series: Vec<Series>| {
        let values: Vec<f64> = series.iter().flat_map(values).collect();
        let scale = (!values.is_empty()).then(|| Scale::from_zero(values.into_iter()));
        panel(title, scale, series)
    };
    let of_steps = |value: fn(&Point) -> f64| {
        courses(runs, |run| {
            let steps = run.steps.iter();
            steps.map(|step| (step.step, value(step))).collect()
        })
    };
    let rates = from_zero("learning rate", of_steps(|step| step.learning_rate));
    let shares = from_zero(
        "lambda (share of the game result)",
        of_steps(|step| step.lambda),
    );
    let speeds = courses(runs, |run| {
        run.speeds((run.steps.len() / STEPS).clamp(1, SPEEDS))
    });
    let speeds = from_zero("positions per second", speeds);
    let shares = Some(shares).filter(|shares| shares.scale.is_some());
    let others = [Some(rates), shares, Some(speeds)];
    Panels {
        losses,
        others: others.into_iter().flatten().collect(),
    }
}

fn values(series: &Series) -> impl Iterator<Item = f64> {
    series
        .points
        .iter()
        .chain(&series.pale)
        .map(|point| point.1)
}

/// A line for each run.
fn courses(runs: &[&History], points: impl Fn(&History) -> Vec<(u64, f64)>) -> Vec<Series> {
    let series = runs.iter().enumerate().map(|(index, run)| {
        let finite = points(run).into_iter().filter(|point| point.1.is_finite());
        let finite: Vec<_> = finite.map(|(step, value)| (step as f64, value)).collect();
        Series {
            line: Line::of(index),
            points: bends(&thin(&finite, POINTS / 3)),
            pale: Vec::new(),
            marks: false,
        }
    });
    series.collect()
}

/// The points without those inside a level stretch, which a line does not need.
fn bends(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let level = |at: usize| {
        let [before, after] = [at.checked_sub(1), Some(at + 1)];
        let neighbors = [before, after].map(|at| points.get(at?).map(|point| point.1));
        neighbors == [Some(points[at].1); 2]
    };
    let bends = points.iter().enumerate().filter(|(at, _)| !level(*at));
    bends.map(|(_, point)| *point).collect()
}

fn last_step(run: &History) -> Option<u64> {
    let steps = run.steps.iter().map(|step| step.step);
    steps
        .chain(run.validations.iter().map(|one| one.step))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_stretch_keeps_its_ends() {
        let points = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0].map(|value| (value, value));
        let values: Vec<f64> = bends(&points).iter().map(|point| point.1).collect();
        assert_eq!(values, [1.0, 1.0, 2.0, 2.0, 3.0]);
        assert_eq!(bends(&points[..1]), points[..1]);
        assert_eq!(bends(&[]), []);
    }
}
