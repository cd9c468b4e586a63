//! What a trainer does when its data or its device fail.

use super::{InFlight, Pace, Trainer};
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::nnue::train::event::Event;
use crate::nnue::train::log::Entry;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

impl Trainer {
    /// After an error between two steps: finishes the steps in flight and saves a checkpoint, if the
    /// device can still do both. Returns the error that ended the training.
    pub(super) fn rescue(
        &mut self,
        error: Error,
        in_flight: VecDeque<InFlight>,
        observe: &mut dyn FnMut(Event<'_>),
        pace: &mut Pace,
    ) -> Error {
        // Their losses belong in the log, even if they are NaN.
        for done in in_flight {
            if let Err(first) = self.finish_step(done, observe, pace) {
                return first;
            }
        }
        if self.newest_step() == Some(self.steps()) {
            return error;
        }
        match self.save_and_tell(observe) {
            Err(first @ Error::NotFinite { .. }) => first,
            Err(second) => {
                ::log::warn!("no checkpoint after step {}: {second}", self.steps());
                error
            }
            Ok(()) => error,
        }
    }

    fn newest_step(&self) -> Option<u64> {
        self.newest.as_ref().map(|(step, _)| *step)
    }

    /// The file of the newest checkpoint.
    pub(super) fn newest_path(&self) -> Option<PathBuf> {
        self.newest.as_ref().map(|(_, path)| path.clone())
    }

    /// The error of a training, with its cause or with what is left of its work.
    pub(super) fn stopped_by(&self, error: Error, stop: &AtomicBool) -> Error {
        if matches!(error, Error::NotFinite { .. }) {
            return self.explained(error, stop);
        }
        let step = self.steps();
        Error::Training {
            step,
            error: error.into(),
            checkpoint: self.newest_path(),
            lost: step - self.newest_step().unwrap_or(0).min(step),
        }
    }

    /// Continues a run on another device, from its newest checkpoint. The log tells why.
    ///
    /// # Errors
    /// As [`Trainer::resume_with`]. The stages must be possible on the device: the CPU executor has
    /// no steps in 16 bits.
    pub fn fall_back(self, device: &Device, reason: &Error) -> Result<Self> {
        let (stages, run, failed) = (self.stages.clone(), self.run.clone(), self.steps());
        let before = self.device.name().to_owned();
        // The directory is free for the trainer that goes on.
        drop(self);
        let mut trainer = Self::resume_with(device, &stages, &run)?;
        trainer.log.append(&Entry::Fallback {
            step: trainer.steps(),
            failed,
            from: before,
            device: device.name().to_owned(),
            reason: reason.to_string(),
        })?;
        Ok(trainer)
    }
}
