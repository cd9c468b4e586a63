//! The events of a training, and the summary at its end.

use super::evaluate::Evaluation;
use super::stage::Stage;
use std::path::{Path, PathBuf};

/// An event of a training, for the observer of [`Trainer::run`](super::Trainer::run).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The training begins. It is the first event.
    #[non_exhaustive]
    Started {
        /// The name of the device.
        device: &'a str,
        /// The reason why this device was taken.
        reason: &'a str,
        /// The planned number of steps in all stages.
        total_steps: u64,
        /// The step after which a resumed training continues, if it is resumed.
        resumed_from: Option<u64>,
    },
    /// A stage begins or continues.
    #[non_exhaustive]
    Stage {
        /// Its index, counted from 0.
        index: usize,
        /// The number of stages.
        stages: usize,
        /// The stage.
        stage: &'a Stage,
        /// The number of positions in its data.
        positions: u64,
        /// Its planned number of steps.
        steps: u64,
        /// The number of steps in a superbatch, or in an epoch.
        steps_per_period: u64,
    },
    /// The loss of a step was read back.
    #[non_exhaustive]
    Step {
        /// The step, counted from 1.
        step: u64,
        /// The epoch of the step, counted from 0.
        epoch: u64,
        /// A running mean of the loss.
        loss: f64,
        /// The learning rate of the step.
        learning_rate: f32,
        /// The number of positions in the batch.
        positions: u64,
        /// Positions per second since the call began, without the time of validation.
        positions_per_second: f64,
    },
    /// A superbatch or an epoch ended, after its validation and its checkpoint.
    #[non_exhaustive]
    Period {
        /// Its number in the stage, counted from 1.
        period: u64,
        /// The number of superbatches or epochs of the stage.
        periods: u64,
    },
    /// The network was evaluated on the validation data.
    #[non_exhaustive]
    Validation {
        /// The number of steps so far.
        step: u64,
        /// The epoch of the step before, counted from 0.
        epoch: u64,
        /// The mean loss.
        loss: f64,
        /// The correlation with the scores.
        correlation: f64,
        /// The mean loss of the integer network, if the run wants it: see
        /// [`Run::validate_integers`](super::Run::validate_integers).
        integer_loss: Option<f64>,
        /// Why there is no integer network now: a weight does not fit its type.
        integer_error: Option<&'a str>,
    },
    /// A checkpoint was written.
    #[non_exhaustive]
    Checkpoint {
        /// The number of steps so far.
        step: u64,
        /// The file.
        path: &'a Path,
    },
}

/// The end of a training, and the files that it wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Whether all steps are done. A training that was stopped can be resumed.
    pub finished: bool,
    /// The number of steps so far.
    pub step: u64,
    /// The planned number of steps in all stages.
    pub total_steps: u64,
    /// The last evaluation on the validation data in this call.
    pub validation: Option<Evaluation>,
    /// That of the integer network, if the run wants it and all weights fit.
    pub integer_validation: Option<Evaluation>,
    /// The checkpoint with the lowest validation loss of the last stage, if it is kept.
    pub best: Option<PathBuf>,
    /// The file of the trained network, if the training has finished.
    pub net: Option<PathBuf>,
    /// The file of the newest checkpoint.
    pub checkpoint: PathBuf,
    /// The file of the log.
    pub log: PathBuf,
    /// The duration of this call in seconds.
    pub seconds: f64,
    /// Positions per second in this call, without the time of validation.
    pub positions_per_second: f64,
}
