//! Validations and checkpoints.

use super::Trainer;
use super::parallel::shards_of;
use crate::error::Result;
use crate::nnue::train::checkpoint::Checkpoint;
use crate::nnue::train::data_state::DataState;
use crate::nnue::train::evaluate::{Evaluation, evaluate_on};
use crate::nnue::train::event::Event;
use crate::nnue::train::log::Entry;
use crate::optim::schedule::Timeline;
use std::path::PathBuf;

/// The result of a validation.
#[derive(Clone, Copy)]
pub(super) struct Validated {
    pub(super) floats: Evaluation,
    /// The result of the integer network, if there is one.
    pub(super) integers: Option<Evaluation>,
}

impl Trainer {
    /// Whether the current stage has no more steps.
    pub(super) fn is_done(&self, timeline: &Timeline) -> bool {
        let patience = self.run.patience;
        if patience > 0 && self.progress.stale >= patience {
            return true;
        }
        match timeline.batches {
            Some(_) => self.learner.steps() >= timeline.steps,
            None => self.epoch >= timeline.periods,
        }
    }

    /// Validates. If that fails, a checkpoint keeps the steps so far, and a resumed run validates
    /// first.
    pub(super) fn validate_or_leave(
        &mut self,
        epoch: u64,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Validated>> {
        let validated = self.validate(epoch, observe);
        if validated.is_err() {
            self.progress.validation_due = true;
            if let Err(error) = self.save_and_tell(observe) {
                ::log::warn!("no checkpoint after step {}: {error}", self.steps());
            }
        }
        validated
    }

    /// Evaluates the network on the validation data of the stage, if there are any, and the integer
    /// network if the run wants it.
    fn validate(
        &mut self,
        epoch: u64,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Validated>> {
        let step = self.steps();
        let Some(validation) = &self.input.validation else {
            return Ok(None);
        };
        let settings = &self.stages[self.progress.stage()].settings;
        let encoding = settings.encoding();
        let task = (validation, &encoding, settings.objective());
        let shards = shards_of(&*self.ranks, settings.shards)?;
        let (ranks, threads) = (&*self.ranks, self.run.loader_threads());
        let result = evaluate_on(ranks, shards, &mut *self.learner, task, threads)?;
        let (mut integers, mut integer_error) = (None, None);
        if let Some(own) = &self.integers {
            match own.model(&self.learner.parameters()?) {
                Ok(mut model) => {
                    integers = Some(evaluate_on(ranks, shards, &mut model, task, threads)?);
                }
                Err(error) => {
                    ::log::warn!("no integer network after step {step}: {error}");
                    integer_error = Some(error.to_string());
                }
            }
        }
        let integer_loss = integers.map(|integers| integers.loss);
        self.log.append(&Entry::Validation {
            step,
            epoch,
            loss: result.loss,
            correlation: result.correlation,
            positions: result.positions,
            integer_loss,
            integer_error: integer_error.clone(),
        })?;
        observe(Event::Validation {
            step,
            epoch,
            loss: result.loss,
            correlation: result.correlation,
            integer_loss,
            integer_error: integer_error.as_deref(),
        });
        self.progress.validated(step, result.loss);
        Ok(Some(Validated {
            floats: result,
            integers,
        }))
    }

    /// Writes a checkpoint, removes those that the run does not keep, and tells the observer.
    pub(super) fn save_and_tell(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let (step, path) = (self.steps(), self.save()?);
        observe(Event::Checkpoint { step, path: &path });
        Ok(())
    }

    /// Writes the state as a checkpoint, and then removes the checkpoints that the run does not
    /// keep. A state that is not finite is an error, and earlier checkpoints stay.
    pub(super) fn save(&mut self) -> Result<PathBuf> {
        let input = &self.input;
        let checkpoint = Checkpoint {
            settings: self.settings().clone(),
            step: self.steps(),
            epoch: self.epoch,
            batch: self.batch,
            data: DataState::Read {
                place: self.place,
                past: input.dataset.past(&self.place)?,
                seen: self.seen,
            },
            positions: input.positions,
            progress: self.progress.clone(),
            parameters: self.learner.parameters()?,
            moments: self.learner.moments()?,
            running_loss: self.running_loss,
        };
        self.check_sets(checkpoint.step, &checkpoint.parameters, &checkpoint.moments)?;
        if !self.writes() {
            return Ok(self.run.checkpoints().path(checkpoint.step));
        }
        // A resume finds lines up to the checkpoint.
        self.log.write_steps()?;
        let path = self.run.checkpoints().save(&checkpoint)?;
        self.newest = Some((checkpoint.step, path.clone()));
        self.prune()?;
        Ok(path)
    }

    /// Removes the checkpoints that the run does not keep.
    pub(super) fn prune(&self) -> Result<()> {
        let best = self.progress.best.filter(|_| self.run.keep_best);
        let spared = self.progress.later_stages.iter().copied();
        let spared: Vec<_> = spared.chain(best.map(|best| best.step)).collect();
        self.run.checkpoints().prune(self.run.keep, &spared)
    }

    /// The checkpoint with the lowest validation loss of the current stage, if it is kept.
    pub(super) fn best(&self) -> Option<PathBuf> {
        let best = self.progress.best?;
        let path = self.run.checkpoints().path(best.step);
        path.exists().then_some(path)
    }
}
