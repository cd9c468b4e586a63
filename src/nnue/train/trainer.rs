//! The training loop: takes batches, runs steps on the device, reads the losses a few steps later,
//! and writes checkpoints and log lines.

mod failure;
mod parallel;
mod period;
mod replay;
mod stage;
mod start;

use super::checkpoint::write_result;
use super::event::{Event, Summary};
use super::init::Taken;
use super::integers::Integers;
use super::log::{Entry, Log};
use super::progress::Progress;
use super::run::Run;
use super::settings::Settings;
use super::stage::Stage;
use crate::engine::device::Device;
use crate::error::Result;
use crate::files::lock::DirectoryLock;
use crate::nnue::data::{Loader, Place};
use crate::nnue::ranks::Ranks;
use crate::nnue::{Batch, PendingCheck, PendingLoss, Trainable};
use crate::optim::schedule::Timeline;
use period::Validated;
use stage::Input;
pub(super) use stage::learner_at;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The running loss is a mean over about this many steps.
const RUNNING: f64 = 64.0;

/// The number of steps between checks whether parameters and moments are finite. A checkpoint
/// checks them too.
const CHECK_EVERY: u64 = 64;

/// A training run on a device. No other run can use its directory until the trainer is dropped.
#[derive(Debug)]
pub struct Trainer {
    device: Device,
    stages: Vec<Stage>,
    /// The data of the current stage, and of those after it.
    input: Input,
    later_inputs: VecDeque<Input>,
    run: Run,
    /// The learner of the current stage.
    learner: Box<dyn Trainable>,
    /// For validations in integers.
    integers: Option<Integers>,
    log: Log,
    progress: Progress,
    epoch: u64,
    /// The number of batches of the epoch that are done.
    batch: u64,
    /// Where the batches of the stage go on.
    place: Place,
    /// The positions that the stage was trained on.
    seen: u64,
    running_loss: Option<f64>,
    resumed_from: Option<u64>,
    /// The newest checkpoint, with its step.
    newest: Option<(u64, PathBuf)>,
    taken: Option<Taken>,
    ranks: Arc<dyn Ranks>,
    /// `None` for a rank that writes no files.
    _lock: Option<DirectoryLock>,
}

/// How a stage went on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All of its steps are done, or its validations ended it.
    Ended,
    /// It was asked to stop.
    Stopped,
}

/// A step whose loss has not been read yet.
struct InFlight {
    loss: PendingLoss,
    check: Option<PendingCheck>,
    /// The number of the step in the training.
    step: u64,
    epoch: u64,
    /// The positions of the batch.
    positions: u64,
    /// The positions since the start of the stage, including the batch.
    seen: u64,
    learning_rate: f32,
}

/// The time and the positions of a call, without the time of validation.
struct Pace {
    start: Instant,
    paused: Duration,
    positions: u64,
}

impl Pace {
    fn positions_per_second(&self) -> f64 {
        let seconds = (self.start.elapsed() - self.paused).as_secs_f64();
        self.positions as f64 / seconds.max(1e-9)
    }
}

impl Trainer {
    /// The settings of the current stage.
    pub fn settings(&self) -> &Settings {
        &self.stages[self.progress.stage()].settings
    }

    /// The stages of the training.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The directory of the run.
    pub fn directory(&self) -> &Path {
        &self.run.out
    }

    /// The number of steps so far, in all stages.
    fn steps(&self) -> u64 {
        self.progress.stage_start() + self.learner.steps()
    }

    /// The plan of the current stage.
    fn timeline(&self) -> Timeline {
        self.input.timeline
    }

    /// The planned number of steps in all stages.
    fn total_steps(&self) -> u64 {
        let inputs = std::iter::once(&self.input).chain(&self.later_inputs);
        inputs.fold(self.progress.stage_start(), |total, input| {
            total.saturating_add(input.timeline.steps)
        })
    }

    /// Trains until all stages are done or `stop` is set, which takes effect after the current
    /// step. In both cases the newest checkpoint holds the state at the end.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) if a loss, a gradient, a parameter or a moment
    /// is not a finite number. The steps since the newest checkpoint are then replayed to find the
    /// first such number. [`Error::Training`](crate::Error::Training) with the errors of the data,
    /// the file system and the device. Earlier checkpoints stay valid. If the device can still do
    /// it, an error of the training data or of the device leaves a checkpoint of the last whole
    /// step.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Summary> {
        let start = Instant::now();
        let result = self.run_until(stop, observe, start);
        let result = result.map_err(|error| self.stopped_by(error, stop));
        let seconds = start.elapsed().as_secs_f64();
        let reason = match &result {
            Ok(summary) if summary.finished => "finished".to_owned(),
            Ok(_) => "interrupted".to_owned(),
            Err(error) => error.to_string(),
        };
        let end = Entry::End {
            step: self.steps(),
            reason,
            seconds,
        };
        let logged = self.log.append(&end);
        let summary = result?;
        logged?;
        Ok(Summary { seconds, ..summary })
    }

    fn run_until(
        &mut self,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Event<'_>),
        start: Instant,
    ) -> Result<Summary> {
        observe(Event::Started {
            device: self.device.name(),
            reason: self.device.reason(),
            total_steps: self.total_steps(),
            resumed_from: self.resumed_from,
        });
        let mut pace = Pace {
            start,
            paused: Duration::ZERO,
            positions: 0,
        };
        let mut validated = None;
        let stopped = loop {
            self.announce_stage(observe);
            let outcome = self.run_stage(stop, observe, &mut pace, &mut validated)?;
            self.tell_dropped()?;
            if outcome == Outcome::Stopped {
                break true;
            }
            if self.progress.stage() + 1 == self.stages.len() {
                break false;
            }
            self.next_stage(observe)?;
            if self.is_asked_to(stop)? {
                break true;
            }
        };
        let net = (!stopped).then(|| self.run.net());
        if let Some(net) = net.as_ref().filter(|_| self.writes()) {
            write_result(net, &self.learner.parameters()?, self.settings())?;
        }
        Ok(Summary {
            finished: !stopped,
            step: self.steps(),
            total_steps: self.total_steps(),
            validation: validated.map(|validated| validated.floats),
            integer_validation: validated.and_then(|validated| validated.integers),
            best: self.best(),
            net,
            checkpoint: self.newest_path().unwrap_or_default(),
            log: self.run.log(),
            seconds: 0.0,
            positions_per_second: pace.positions_per_second(),
        })
    }

    /// Trains on the rest of the current stage.
    fn run_stage(
        &mut self,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Event<'_>),
        pace: &mut Pace,
        validated: &mut Option<Validated>,
    ) -> Result<Outcome> {
        let (timeline, settings) = (self.timeline(), self.settings().clone());
        // Few enough to notice a NaN soon.
        let most_in_flight = self.device.steps_in_flight();
        let mut in_flight = VecDeque::new();
        if std::mem::take(&mut self.progress.validation_due) {
            let epoch = self.epoch.saturating_sub(u64::from(self.batch == 0));
            *validated = self.validate_or_leave(epoch, observe)?;
            self.save_and_tell(observe)?;
        }
        if self.is_done(&timeline) {
            return Ok(Outcome::Ended);
        }
        let mut loader: Loader = self.loader()?;
        while let Some(shards) = self.next_batch(&mut loader) {
            let shards = match shards {
                Ok(shards) => shards,
                Err(error) => return Err(self.rescue(error, in_flight, observe, pace)),
            };
            let Some(batch) = shards.last() else { break };
            let samples = batch.samples();
            let own = self.learner.steps() + 1;
            let step = self.progress.stage_start() + own;
            let moment = timeline.moment(own, self.epoch);
            let learning_rate = settings.learning_rate_at(&moment);
            let epoch = self.epoch;
            let parts: Vec<&Batch> = shards.iter().map(AsRef::as_ref).collect();
            let loss = match self.learner.step_shards(&parts, samples, learning_rate) {
                Ok(loss) => loss,
                Err(error) => return Err(self.rescue(error, in_flight, observe, pace)),
            };
            let checks = step.is_multiple_of(CHECK_EVERY);
            let check = checks.then(|| self.learner.check()).transpose()?;
            self.batch += 1;
            self.seen += samples as u64;
            self.place = *batch.next_place();
            let ends_epoch = batch.ends_epoch();
            in_flight.push_back(InFlight {
                loss,
                check,
                step,
                epoch,
                positions: samples as u64,
                seen: self.seen,
                learning_rate,
            });
            // This returns the memory to the loader before the wait for a loss.
            drop(shards);
            if ends_epoch {
                (self.epoch, self.batch) = (self.epoch + 1, 0);
            }
            let ends_period = match timeline.batches {
                Some(batches) => own.is_multiple_of(batches),
                None => ends_epoch,
            };
            let every = |steps: u64| steps > 0 && step.is_multiple_of(steps);
            let stopped = self.is_asked_to(stop)?;
            let validates = ends_period || every(self.run.validate_every);
            let saves = validates || stopped || every(self.run.save_every);
            let keep = if saves { 0 } else { most_in_flight };
            while in_flight.len() > keep {
                if let Some(done) = in_flight.pop_front() {
                    self.finish_step(done, observe, pace)?;
                }
            }
            if saves {
                let began = Instant::now();
                if validates {
                    *validated = self.validate_or_leave(epoch, observe)?.or(*validated);
                }
                self.save_and_tell(observe)?;
                pace.paused += began.elapsed();
            }
            if ends_period {
                observe(Event::Period {
                    period: moment.period,
                    periods: moment.periods,
                });
            }
            if self.is_done(&timeline) {
                return Ok(Outcome::Ended);
            }
            // A checkpoint holds this state, so that a stop takes no other step.
            if stopped || (saves && self.is_asked_to(stop)?) {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Ended)
    }

    fn finish_step(
        &mut self,
        done: InFlight,
        observe: &mut dyn FnMut(Event<'_>),
        pace: &mut Pace,
    ) -> Result<()> {
        let loss = done.loss.wait()?;
        if !loss.is_finite() {
            return Err(self.not_finite(done.step, "the loss", loss));
        }
        if let Some(check) = done.check
            && !check.wait()?
        {
            self.check_values(done.step)?;
        }
        let loss = f64::from(loss);
        // At first this is a plain mean, so that the first losses lose their weight.
        let weight = 1.0 / RUNNING.min(done.step as f64);
        let running = self
            .running_loss
            .map_or(loss, |running| running + weight * (loss - running));
        self.running_loss = Some(running);
        pace.positions += done.positions;
        let positions_per_second = pace.positions_per_second();
        self.log.append(&Entry::Step {
            step: done.step,
            steps: 1,
            epoch: done.epoch,
            loss,
            learning_rate: done.learning_rate,
            positions: done.seen,
            positions_per_second,
        })?;
        observe(Event::Step {
            step: done.step,
            epoch: done.epoch,
            loss: running,
            learning_rate: done.learning_rate,
            positions: done.positions,
            positions_per_second,
        });
        Ok(())
    }
}
