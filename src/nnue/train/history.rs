//! The courses of a run over its steps, from its log.

use super::log::{self, Entry};
use super::settings::Settings;
use crate::error::Result;
use crate::optim::schedule::Timeline;
use serde::Serialize;
use std::path::Path;

/// What the log of a run says about its steps and validations, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The settings of each stage that has begun, and the number of steps before it.
    pub stages: Vec<(u64, Settings)>,
    /// The devices of the start and of each resume.
    pub devices: Vec<String>,
    /// The number of positions in the data of the first stage.
    pub positions: Option<u64>,
    /// One point for each line of steps.
    pub steps: Vec<Point>,
    /// One point for each validation.
    pub validations: Vec<Validated>,
    /// The reason of the last end, and the duration since the start or resume before it in seconds;
    /// `None` while the run goes on.
    pub end: Option<(String, f64)>,
}

/// The steps of a line of the log, which is one step in the first 4,096.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The last step, counted from 1.
    pub step: u64,
    /// The number of steps.
    pub steps: u64,
    /// The mean loss of their batches, each before its update. It may be NaN.
    pub loss: f64,
    /// η, the learning rate of the last update.
    pub learning_rate: f64,
    /// λ of the last batch, as the settings say; NaN if the log does not have them.
    pub lambda: f64,
    /// The number of times that the run was started or resumed before the steps.
    pub call: usize,
    /// The positions since the start or the last resume.
    pub positions: u64,
    /// The seconds since then without the time of validations; NaN if the log does not say.
    pub seconds: f64,
}

/// A validation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Validated {
    /// The number of steps so far.
    pub step: u64,
    /// The mean loss. It may be NaN.
    pub loss: f64,
    /// The correlation of the outputs with the scores. It may be NaN.
    pub correlation: f64,
    /// The number of positions in the validation data.
    pub positions: u64,
}

impl History {
    /// Reads a log, which may still be growing.
    ///
    /// # Errors
    /// As [`log::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let mut reader = Reader::default();
        log::for_each(path, |entry| reader.add(entry))?;
        Ok(reader.history)
    }

    /// The history that the lines of a log tell.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut reader = Reader::default();
        entries.into_iter().for_each(|entry| reader.add(entry));
        reader.history
    }

    /// The validation of the last stage with the lowest loss: the losses of stages need not compare.
    pub fn best(&self) -> Option<&Validated> {
        let before = self.stages.last().map_or(0, |(before, _)| *before);
        let own = self.validations.iter().filter(|one| one.step > before);
        let finite = own.filter(|one| one.loss.is_finite());
        finite.min_by(|a, b| a.loss.total_cmp(&b.loss))
    }

    /// The speed in the course of the run: a step, and the positions per second of the steps since
    /// the entry before. There are about `count` entries, and at least one for each start or resume
    /// whose steps took a measurable time.
    pub fn speeds(&self, count: usize) -> Vec<(u64, f64)> {
        // A damaged log may have any numbers.
        let steps = |points: &[Point]| {
            let steps = points.iter().map(|point| point.steps);
            steps.fold(0, u64::saturating_add).max(1)
        };
        let share = steps(&self.steps).div_ceil(count.max(1) as u64).max(1);
        let mut speeds = Vec::new();
        for call in self.steps.chunk_by(|a, b| a.call == b.call) {
            let (mut positions, mut seconds) = (0, 0.0);
            // Every window has at least so many steps: the losses of the last few steps of a call
            // are read together.
            let steps = steps(call);
            let windows = (steps / share).max(1);
            let before = call[0].step.saturating_sub(call[0].steps);
            let window = |point: &Point| {
                let own = point.step.saturating_sub(before);
                own.saturating_mul(windows).div_ceil(steps)
            };
            let ends = call.chunk_by(|a, b| window(a) == window(b));
            for last in ends.filter_map(<[Point]>::last) {
                let took = last.seconds - seconds;
                if took.is_finite() && took > 0.0 {
                    let done = last.positions.saturating_sub(positions);
                    speeds.push((last.step, done as f64 / took));
                    (positions, seconds) = (last.positions, last.seconds);
                }
            }
        }
        speeds
    }
}

/// A history while its log is read.
#[derive(Default)]
struct Reader {
    history: History,
    /// The positions that the stage was trained on.
    seen: u64,
    /// The positions since the start or the last resume.
    of_call: u64,
    /// The plan of the stage.
    timeline: Option<Timeline>,
}

impl Reader {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Start {
                settings,
                device,
                positions,
                ..
            } => {
                self.timeline = Some(settings.timeline(positions));
                self.history.positions = Some(positions);
                self.history.devices.push(device);
                self.history.stages.push((0, settings));
            }
            Entry::Stage {
                step,
                settings,
                positions,
                ..
            } => {
                self.timeline = Some(settings.timeline(positions));
                self.history.stages.push((step, settings));
                self.seen = 0;
            }
            Entry::Resume { device, .. } => {
                self.history.devices.push(device);
                self.history.end = None;
                self.of_call = 0;
            }
            Entry::Step {
                step,
                steps,
                epoch,
                loss,
                learning_rate,
                positions,
                positions_per_second,
            } => {
                self.of_call += positions.saturating_sub(self.seen);
                self.seen = positions;
                let stage = self.history.stages.last().zip(self.timeline);
                let lambda = stage.map_or(f64::NAN, |((before, settings), timeline)| {
                    let moment = timeline.moment(step.saturating_sub(*before), epoch);
                    settings.lambda_at(&moment).into()
                });
                self.history.steps.push(Point {
                    step,
                    steps,
                    loss,
                    learning_rate: learning_rate.into(),
                    lambda,
                    call: self.history.devices.len().saturating_sub(1),
                    positions: self.of_call,
                    seconds: self.of_call as f64 / positions_per_second,
                });
            }
            Entry::Validation {
                step,
                loss,
                correlation,
                positions,
                ..
            } => self.history.validations.push(Validated {
                step,
                loss,
                correlation,
                positions,
            }),
            Entry::End {
                reason, seconds, ..
            } => self.history.end = Some((reason, seconds)),
            Entry::Dropped { .. } | Entry::Fallback { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::train::log::VERSION;
    use approx::assert_relative_eq;

    fn start(settings: Settings) -> Entry {
        Entry::Start {
            version: VERSION,
            settings,
            device: "cpu".into(),
            positions: 400,
            steps: 4,
            ranks: Vec::new(),
        }
    }

    fn step(step: u64, positions: u64, speed: f64) -> Entry {
        Entry::Step {
            step,
            steps: 1,
            epoch: (step - 1) % 4 / 2,
            loss: 1.0 / step as f64,
            learning_rate: 0.5,
            positions,
            positions_per_second: speed,
        }
    }

    #[test]
    fn a_history_follows_lambda_and_speed_through_stages_and_resumes() {
        let settings = Settings::new(768).epochs(2).batch_size(200).lambda(0.0);
        let first = settings
            .clone()
            .lambda_schedule("linear:1".parse().unwrap());
        let history = History::of([
            start(first),
            step(1, 200, 200.0),
            step(2, 400, 100.0),
            step(3, 600, 100.0),
            Entry::End {
                step: 3,
                reason: "interrupted".into(),
                seconds: 6.5,
            },
            Entry::Resume {
                version: VERSION,
                step: 3,
                epoch: 1,
                device: "gpu".into(),
                checkpoint: "c".into(),
                ranks: Vec::new(),
            },
            step(4, 800, 50.0),
            Entry::Stage {
                step: 4,
                stage: 1,
                name: "late".into(),
                settings: settings.lambda(0.75),
                positions: 400,
                steps: 4,
            },
            step(5, 200, 80.0),
        ]);
        let lambda: Vec<_> = history.steps.iter().map(|point| point.lambda).collect();
        assert_eq!(lambda, [0.0, 0.25, 0.5, 0.75, 0.75]);
        // Calls of 1, 4 and 6 seconds, and after the resume of 4 and 5 seconds.
        let seconds: Vec<_> = history.steps.iter().map(|point| point.seconds).collect();
        assert_eq!(seconds, [1.0, 4.0, 6.0, 4.0, 5.0]);
        let speeds = [
            (1, 200.0),
            (2, 200.0 / 3.0),
            (3, 100.0),
            (4, 50.0),
            (5, 200.0),
        ];
        for (found, expected) in history.speeds(100).into_iter().zip(speeds) {
            assert_eq!(found.0, expected.0);
            assert_relative_eq!(found.1, expected.1);
        }
        // In one entry for each call.
        assert_eq!(history.speeds(1), [(3, 100.0), (5, 80.0)]);
        assert_eq!(history.devices, ["cpu", "gpu"]);
        assert_eq!(history.end, None, "it goes on after the resume");
        assert_eq!(history.best(), None);
    }

    #[test]
    fn what_is_no_number_is_neither_a_speed_nor_the_best() {
        let validation = |step, loss| Entry::Validation {
            step,
            epoch: 0,
            loss,
            correlation: f64::NAN,
            positions: 9,
            integer_loss: None,
            integer_error: None,
        };
        let entries = [
            step(1, 100, f64::NAN),
            step(2, 200, 0.0),
            step(3, 300, 100.0),
        ];
        let losses = [(1, f64::NAN), (2, 0.5), (3, 0.25), (4, 0.75)];
        let losses = losses.map(|(step, loss)| validation(step, loss));
        let history = History::of(entries.into_iter().chain(losses));
        assert_eq!(history.speeds(9), [(3, 100.0)]);
        assert_eq!(history.best().map(|best| best.step), Some(3));
        assert!(history.steps[0].lambda.is_nan(), "there are no settings");
        let late = Entry::Stage {
            step: 3,
            stage: 1,
            name: String::new(),
            settings: Settings::new(768),
            positions: 400,
            steps: 4,
        };
        let stages = [validation(3, 0.25), late, validation(4, 0.75)];
        assert_eq!(History::of(stages).best().map(|best| best.step), Some(4));
        assert_eq!(History::of([]), History::default());
        assert_eq!(History::default().speeds(5), []);
    }
}
