//! The training loop: takes batches, runs steps on the device, reads the losses a few steps later,
//! and writes checkpoints and log lines.

mod start;

use super::checkpoint::{Checkpoint, write_result};
use super::evaluate::{Evaluation, evaluate};
use super::event::{Event, Summary};
use super::log::{Entry, Log};
use super::run::Run;
use super::settings::Settings;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::files::lock::DirectoryLock;
use crate::nnue::data::{Dataset, Loader, LoaderSettings};
use crate::nnue::{Parameters, PendingLoss, Trainable};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The running loss is a mean over about this many steps.
const RUNNING: f64 = 64.0;

/// A training run on a device. No other run can use its directory until the trainer is dropped.
#[derive(Debug)]
pub struct Trainer {
    device: Device,
    settings: Settings,
    run: Run,
    dataset: Dataset,
    fingerprint: String,
    validation: Option<Dataset>,
    learner: Box<dyn Trainable>,
    log: Log,
    epoch: u64,
    /// The number of batches of the epoch that are done.
    batch: u64,
    running_loss: Option<f64>,
    resumed_from: Option<u64>,
    newest: Option<PathBuf>,
    _lock: DirectoryLock,
}

/// A step whose loss has not been read yet.
struct InFlight {
    loss: PendingLoss,
    step: u64,
    epoch: u64,
    /// The positions of the batch.
    positions: u64,
    /// The positions since the start of the run, including the batch.
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
    /// The settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The directory of the run.
    pub fn directory(&self) -> &Path {
        &self.run.out
    }

    /// Trains until all epochs are done or `stop` is set, which takes effect after the current
    /// step. In both cases the newest checkpoint holds the state at the end.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a loss or a parameter is not a finite number, and the errors of the
    /// data, the file system and the device. Earlier checkpoints stay valid.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Summary> {
        let start = Instant::now();
        let result = self.run_until(stop, observe, start);
        let seconds = start.elapsed().as_secs_f64();
        let reason = match &result {
            Ok(summary) if summary.finished => "finished".to_owned(),
            Ok(_) => "interrupted".to_owned(),
            Err(error) => error.to_string(),
        };
        let end = Entry::End {
            step: self.learner.steps(),
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
        let positions = self.dataset.positions();
        let total_steps = self.settings.total_steps(positions);
        observe(Event::Started {
            device: self.device.name(),
            reason: self.device.reason(),
            positions,
            steps_per_epoch: self.settings.steps_per_epoch(positions),
            total_steps,
            resumed_from: self.resumed_from,
        });
        let mut pace = Pace {
            start,
            paused: Duration::ZERO,
            positions: 0,
        };
        let mut validated = None;
        let mut stopped = false;
        let mut loader = self.loader()?;
        while self.epoch < self.settings.epochs && !stopped {
            stopped = self.run_epoch(&mut loader, stop, observe, &mut pace)?;
            if !stopped {
                validated = self.end_epoch(observe, &mut pace)?;
                stopped = self.epoch < self.settings.epochs && stop.load(Ordering::Relaxed);
            }
        }
        let net = (!stopped).then(|| self.run.net());
        if let Some(net) = &net {
            write_result(net, &self.learner.parameters()?, &self.settings)?;
        }
        Ok(Summary {
            finished: !stopped,
            step: self.learner.steps(),
            total_steps,
            validation: validated,
            net,
            checkpoint: self.newest.clone().unwrap_or_default(),
            log: self.run.log(),
            seconds: 0.0,
            positions_per_second: pace.positions_per_second(),
        })
    }

    /// The batches of all remaining epochs, so that a new epoch begins without a delay.
    fn loader(&self) -> Result<Loader> {
        let settings = LoaderSettings {
            batch_size: self.settings.batch_size,
            shuffle_buffer: self.settings.shuffle_buffer,
            seed: self.settings.seed,
            epoch: self.epoch,
            epochs: self.settings.epochs.saturating_sub(self.epoch),
            skip: self.batch,
            target: self.settings.objective().target(),
            output_buckets: self.settings.output_buckets,
            threads: self.run.loader_threads(),
        };
        let (inputs, needs) = (&self.settings.inputs, self.learner.step_needs());
        inputs.loader(&self.dataset, &settings, needs)
    }

    /// Trains on the rest of the epoch. Returns true if it was stopped, after writing a checkpoint.
    fn run_epoch(
        &mut self,
        loader: &mut Loader,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Event<'_>),
        pace: &mut Pace,
    ) -> Result<bool> {
        let positions = self.dataset.positions();
        let steps_per_epoch = self.settings.steps_per_epoch(positions);
        let timeline = self.settings.timeline(positions);
        // Few enough to notice a NaN soon.
        let most_in_flight = self.device.steps_in_flight();
        let mut in_flight = VecDeque::new();
        while self.batch < steps_per_epoch {
            let batch = match loader.next().transpose() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    // The steps before the damaged record are done. Their losses belong in the log,
                    // even if they are NaN.
                    for done in in_flight {
                        self.finish_step(done, observe, pace)?;
                    }
                    return Err(error);
                }
            };
            let step = self.learner.steps() + 1;
            let moment = timeline.moment(step, self.epoch);
            let learning_rate = self.settings.learning_rate_at(&moment);
            self.batch += 1;
            let of_epoch = positions.min(self.batch * self.settings.batch_size as u64);
            in_flight.push_back(InFlight {
                loss: self.learner.step(batch.as_ref(), learning_rate)?,
                step,
                epoch: self.epoch,
                positions: batch.len() as u64,
                seen: self.epoch * positions + of_epoch,
                learning_rate,
            });
            // This returns the memory to the loader before the wait for a loss.
            drop(batch);
            // The end of the epoch writes a checkpoint after the validation.
            let last = self.batch == steps_per_epoch;
            let stopped = stop.load(Ordering::Relaxed) && !last;
            let due = self.run.save_every > 0 && step.is_multiple_of(self.run.save_every) && !last;
            let all = stopped || due || last;
            let keep = if all { 0 } else { most_in_flight };
            while in_flight.len() > keep {
                if let Some(done) = in_flight.pop_front() {
                    self.finish_step(done, observe, pace)?;
                }
            }
            if stopped || due {
                let path = self.save()?;
                observe(Event::Checkpoint { step, path: &path });
            }
            if stopped {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finish_step(
        &mut self,
        done: InFlight,
        observe: &mut dyn FnMut(Event<'_>),
        pace: &mut Pace,
    ) -> Result<()> {
        let loss = done.loss.wait()?;
        if !loss.is_finite() {
            return Err(self.not_finite(done.step, loss));
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

    /// Runs the validation and writes the checkpoint at the end of an epoch.
    fn end_epoch(
        &mut self,
        observe: &mut dyn FnMut(Event<'_>),
        pace: &mut Pace,
    ) -> Result<Option<Evaluation>> {
        let (step, epoch) = (self.learner.steps(), self.epoch);
        let began = Instant::now();
        let mut evaluation = None;
        if let Some(validation) = &self.validation {
            let threads = self.run.loader_threads();
            let result = evaluate(
                &mut *self.learner,
                validation,
                &self.settings.encoding(),
                self.settings.objective(),
                threads,
            )?;
            self.log.append(&Entry::Validation {
                step,
                epoch,
                loss: result.loss,
                correlation: result.correlation,
                positions: result.positions,
            })?;
            observe(Event::Validation {
                step,
                epoch,
                loss: result.loss,
                correlation: result.correlation,
            });
            evaluation = Some(result);
        }
        self.epoch += 1;
        self.batch = 0;
        let path = self.save()?;
        observe(Event::Checkpoint { step, path: &path });
        pace.paused += began.elapsed();
        Ok(evaluation)
    }

    /// Writes the state as a checkpoint. A state that is not finite is an error, and earlier
    /// checkpoints stay.
    fn save(&mut self) -> Result<PathBuf> {
        let checkpoint = Checkpoint {
            settings: self.settings.clone(),
            step: self.learner.steps(),
            epoch: self.epoch,
            batch: self.batch,
            data: self.fingerprint.clone(),
            positions: self.dataset.positions(),
            parameters: self.learner.parameters()?,
            moments: self.learner.moments()?,
            running_loss: self.running_loss,
        };
        let sets = checkpoint.moments.iter().chain([&checkpoint.parameters]);
        let mut values = sets.flat_map(Parameters::values).flatten();
        if let Some(&value) = values.find(|value| !value.is_finite()) {
            return Err(self.not_finite(checkpoint.step, value));
        }
        let path = self.run.checkpoints().save(&checkpoint)?;
        self.newest = Some(path.clone());
        Ok(path)
    }

    fn not_finite(&self, step: u64, found: f32) -> Error {
        Error::NotFinite {
            step,
            found,
            last_checkpoint: self.newest.clone(),
        }
    }
}
