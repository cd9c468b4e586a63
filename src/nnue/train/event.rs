//! What a training tells whoever watches it, and what it leaves at its end.

use super::evaluate::Evaluation;
use std::path::{Path, PathBuf};

/// What happens in a training, for whoever watches it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The first event.
    Started {
        /// The device.
        device: &'a str,
        /// Why this device.
        reason: &'a str,
        /// Positions in the data.
        positions: u64,
        /// Steps in an epoch.
        steps_per_epoch: u64,
        /// Steps in all.
        total_steps: u64,
        /// The step it goes on after, if it was resumed.
        resumed_from: Option<u64>,
    },
    /// The loss of a step has come back.
    Step {
        /// The step, counted from 1.
        step: u64,
        /// Its epoch, counted from 0.
        epoch: u64,
        /// A running mean of the loss.
        loss: f64,
        /// Its learning rate.
        learning_rate: f32,
        /// Positions of its batch.
        positions: u64,
        /// Positions a second since this call began, validation left out.
        positions_per_second: f64,
    },
    /// An epoch ended and the validation data were tried.
    Validation {
        /// Steps done.
        step: u64,
        /// The epoch that ended, counted from 0.
        epoch: u64,
        /// The mean loss.
        loss: f64,
        /// The correlation with the scores.
        correlation: f64,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// Its file.
        path: &'a Path,
    },
}

/// How a training ended, and where everything is.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Whether all steps are done; if not, it was stopped and can be resumed.
    pub finished: bool,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total_steps: u64,
    /// The last validation of this call.
    pub validation: Option<Evaluation>,
    /// The result, if finished.
    pub net: Option<PathBuf>,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
    /// The log.
    pub log: PathBuf,
    /// Seconds of this call.
    pub seconds: f64,
    /// Positions a second of this call, validation left out.
    pub positions_per_second: f64,
}
