//! The settings that determine the numbers of a training.

use crate::error::{Error, Result};
use crate::nnue::data::{BadRecords, ChessInputs, Dataset, Encoding, Filter, OutputBuckets, Side};
use crate::nnue::export::FormatChoice;
use crate::nnue::initial::Initial;
use crate::nnue::loss::{Loss, WinRate};
use crate::nnue::train::objective::Objective;
use crate::nnue::tuning::Tuning;
use crate::nnue::{Architecture, FakeQuantization, ParameterGroups};
use crate::nnue::{penalty, ranks};
use crate::optim::Optimizer;
use crate::optim::schedule::{Allowed, Moment, Schedule, Shares, Timeline, Unit, Warmup};
use serde::{Deserialize, Serialize};

const ABOVE_0: &str = "a finite number above 0";

/// With batches of 16,384 positions a superbatch has 100,007,936 positions, the unit in which the
/// field counts.
const BATCHES_PER_SUPERBATCH: u64 = 6104;

/// Mates and missing scores of engines are above it, and evaluations below.
pub const MAX_SCORE: u16 = 20_000;

/// Everything that determines the numbers of a training, except the data and the kind of device.
/// Paths, thread counts and times are in [`Run`](super::Run) instead.
///
/// ```
/// use wgrad::nnue::train::Settings;
///
/// let mut settings = Settings::new(768).epochs(5).lambda(0.3);
/// settings.architecture.hidden = 256;
/// assert_eq!(settings.batch_size, 4096);
///
/// let settings = settings.output_buckets("material:8".parse()?);
/// assert_eq!(settings.architecture.buckets, 8);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// If a file of an earlier release lacks a field, the field takes its default value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// The network.
    pub architecture: Architecture,
    /// The features of a position. The architecture has their N.
    #[serde(skip_serializing_if = "ChessInputs::is_chess768")]
    pub inputs: ChessInputs,
    /// The output bucket of a position. The architecture has as many buckets.
    #[serde(skip_serializing_if = "OutputBuckets::is_one")]
    pub output_buckets: OutputBuckets,
    /// The training loss.
    pub loss: Loss,
    /// The L1 penalty on the input of the head: see
    /// [`Learner::set_l1`](crate::nnue::Learner::set_l1).
    #[serde(skip_serializing_if = "is_default")]
    pub l1: f32,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The numbers of the optimizer that differ between tensors.
    #[serde(skip_serializing_if = "ParameterGroups::is_empty")]
    pub groups: ParameterGroups,
    /// Whether a step stores Z and its gradients, or slopes, in 16 bits: see
    /// [`Learner::set_half`](crate::nnue::Learner::set_half).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub half: bool,
    /// Whether the forward pass of a step reads A in 16 bits: see
    /// [`Learner::set_half_weights`](crate::nnue::Learner::set_half_weights).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub half_weights: bool,
    /// The save format whose numbers the passes of a step read in place of the parameters: see
    /// [`Learner::set_quantization`](crate::nnue::Learner::set_quantization).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization_aware: Option<FormatChoice>,
    /// The initial values of the parameters.
    #[serde(skip_serializing_if = "is_default")]
    pub initial: Initial,
    /// The variants that a step chooses by the card: see
    /// [`Learner::set_tuning`](crate::nnue::Learner::set_tuning). A training records those that
    /// differ from the table by vendor, and does not use the recordings per submission.
    #[serde(skip_serializing_if = "Tuning::is_empty")]
    pub tuning: Tuning,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// η, the learning rate at the start.
    pub learning_rate: f32,
    /// The rise of the learning rate over the first steps.
    #[serde(skip_serializing_if = "is_default")]
    pub warmup: Warmup,
    /// How often the schedules of η and λ move; `None` for every superbatch, or for every step if
    /// the length is a number of epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_per: Option<Unit>,
    /// The number of passes over the data. It does not count if `superbatches` is above 0.
    pub epochs: u64,
    /// The number of superbatches; 0 if the length is a number of epochs. The data start again when
    /// they end.
    #[serde(skip_serializing_if = "is_default")]
    pub superbatches: u64,
    /// The number of batches in a superbatch.
    #[serde(skip_serializing_if = "is_usual_superbatch")]
    pub batches_per_superbatch: u64,
    /// L, the samples of a batch. The last batch of an epoch has the remaining samples.
    #[serde(alias = "batch")]
    pub batch_size: usize,
    /// S, the shards of a batch, whose gradients are summed in a binary tree: see
    /// [`ranks`](crate::nnue::ranks). The bits of a training depend on it, and not on the number of
    /// processes.
    #[serde(skip_serializing_if = "is_one")]
    pub shards: usize,
    /// λ, the share of the game result in the target: t = λ·result + (1 − λ)·σ(score ÷ scale).
    #[serde(alias = "wdl")]
    pub lambda: f32,
    /// The schedule of λ, which starts at `lambda`.
    #[serde(skip_serializing_if = "Schedule::is_constant")]
    pub lambda_schedule: Schedule,
    /// The rise of λ over the first steps.
    #[serde(skip_serializing_if = "is_default")]
    pub lambda_warmup: Warmup,
    /// The divisor of a score in the target.
    pub scale: f32,
    /// The win-rate model of a score in the target, in place of σ(score ÷ scale).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_win_rate: Option<WinRate>,
    /// The seed of the initial parameters, of the shuffle and of the filter's chance.
    pub seed: u64,
    /// The least size of a score, in centipawns, of positions that are left out; 0 keeps all.
    /// Engines write mates and missing scores as such numbers.
    #[serde(skip_serializing_if = "is_usual_max_score")]
    pub max_score: u16,
    /// The filter of the positions; `None` keeps all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// What happens at a damaged record.
    #[serde(skip_serializing_if = "is_default")]
    pub bad_records: BadRecords,
    /// Whose scores lines of text hold.
    #[serde(skip_serializing_if = "is_default")]
    pub text_scores: Side,
    /// Whose results lines of text hold.
    #[serde(skip_serializing_if = "is_default")]
    pub text_results: Side,
    /// The number of positions that are shuffled together; 0 keeps the order of the files.
    pub shuffle_buffer: usize,
}

impl Default for Settings {
    /// The settings of [`Settings::new`] for 768 inputs.
    fn default() -> Self {
        Self::new(768)
    }
}

crate::setters! { Settings {
    architecture: Architecture,
    loss: Loss,
    l1: f32,
    optimizer: Optimizer,
    groups: ParameterGroups,
    half: bool,
    half_weights: bool,
    quantization_aware: Option<FormatChoice>,
    initial: Initial,
    tuning: Tuning,
    schedule: Schedule,
    learning_rate: f32,
    warmup: Warmup,
    schedule_per: Option<Unit>,
    epochs: u64,
    superbatches: u64,
    batches_per_superbatch: u64,
    batch_size: usize,
    shards: usize,
    lambda: f32,
    lambda_schedule: Schedule,
    lambda_warmup: Warmup,
    scale: f32,
    target_win_rate: Option<WinRate>,
    seed: u64,
    max_score: u16,
    filter: Option<Filter>,
    bad_records: BadRecords,
    text_scores: Side,
    text_results: Side,
    shuffle_buffer: usize,
} }

impl Settings {
    /// Replaces the field `inputs`, and N of the architecture.
    #[must_use]
    pub fn inputs(mut self, inputs: ChessInputs) -> Self {
        self.architecture.inputs = inputs.inputs();
        Self { inputs, ..self }
    }

    /// Replaces the field `output_buckets`, and the number of buckets of the architecture.
    #[must_use]
    pub fn output_buckets(mut self, output_buckets: OutputBuckets) -> Self {
        self.architecture.buckets = output_buckets.count();
        Self {
            output_buckets,
            ..self
        }
    }

    /// The defaults for a network of N = `inputs`: K = 128, untied, CReLU with T = 1; squared error
    /// on σ(Y); one output bucket; [`Optimizer::ADAMW`]; 20 epochs; a learning rate of 2e-3 that
    /// falls to 0 on a cosine; batches of 4,096; λ = 0; scale 400; seed 0; 2²⁰ positions shuffled
    /// together, which are 32 MiB of bulletformat records.
    pub fn new(inputs: usize) -> Self {
        Self {
            architecture: Architecture::new(inputs, 128),
            inputs: ChessInputs::default(),
            output_buckets: OutputBuckets::ONE,
            loss: Loss::SIGMOID_MSE,
            l1: 0.0,
            optimizer: Optimizer::ADAMW,
            groups: ParameterGroups::new(),
            half: false,
            half_weights: false,
            quantization_aware: None,
            initial: Initial::default(),
            tuning: Tuning::default(),
            schedule: Schedule::COSINE,
            learning_rate: 2e-3,
            warmup: Warmup::default(),
            schedule_per: None,
            epochs: 20,
            superbatches: 0,
            batches_per_superbatch: BATCHES_PER_SUPERBATCH,
            batch_size: 4096,
            shards: 1,
            lambda: 0.0,
            lambda_schedule: Schedule::CONSTANT,
            lambda_warmup: Warmup::default(),
            scale: 400.0,
            target_win_rate: None,
            seed: 0,
            max_score: MAX_SCORE,
            filter: None,
            bad_records: BadRecords::Error,
            text_scores: Side::White,
            text_results: Side::White,
            shuffle_buffer: 1 << 20,
        }
    }

    /// Checks that a training with these settings is possible.
    ///
    /// # Errors
    /// [`Error::Argument`] with the name of the setting.
    pub fn check(&self) -> Result<()> {
        self.architecture.check()?;
        self.encoding().check_buckets(&self.architecture)?;
        penalty::check(self.l1, &self.architecture)?;
        self.quantization()?;
        self.optimizer.check()?;
        self.groups.check(&self.architecture, &self.optimizer)?;
        self.objective_with(self.lambda).check()?;
        let rate = self.learning_rate;
        let valid = rate > 0.0 && rate.is_finite();
        require("learning_rate (η)", valid, ABOVE_0, rate)?;
        self.schedule.check("schedule", rate, Allowed::Rates)?;
        self.lambda_schedule
            .check("lambda_schedule", self.lambda, Allowed::Shares)?;
        self.initial.check()?;
        require("epochs", self.epochs > 0, "at least 1", self.epochs)?;
        let batches = self.batches_per_superbatch;
        require("batches_per_superbatch", batches > 0, "at least 1", batches)?;
        self.filter.as_ref().map_or(Ok(()), Filter::check)?;
        let samples = self.batch_size;
        require("batch_size", samples > 0, "at least 1", samples)?;
        // Offsets into index lists are 32-bit numbers on a device.
        let most = i32::MAX as usize / self.inputs.max_indices();
        let expected = format!("at most {most}");
        require("batch_size", samples <= most, &expected, samples)?;
        ranks::check_shards(self.shards, samples)?;
        let shuffle = self.shuffle_buffer;
        let valid = u32::try_from(shuffle).is_ok();
        require("shuffle_buffer", valid, "at most 4294967295", shuffle)
    }

    /// How the passes of a step quantize the parameters, if they do.
    ///
    /// # Errors
    /// A network that the format is not for, and a format without integers.
    pub(super) fn quantization(&self) -> Result<Option<FakeQuantization>> {
        let Some(choice) = &self.quantization_aware else {
            return Ok(None);
        };
        let architecture = &self.architecture;
        let format = choice.for_network(architecture);
        let found = format.and_then(|format| {
            FakeQuantization::new(&format, architecture, Some(&self.encoding()))
        });
        found.map(Some).map_err(|error| match error {
            Error::Argument(fault) => Error::Argument(fault.within("quantization_aware")),
            error => error,
        })
    }

    /// The number of steps in one pass over the data: ⌈positions ÷ L⌉.
    pub fn steps_per_epoch(&self, positions: u64) -> u64 {
        positions.div_ceil(self.batch_size.max(1) as u64)
    }

    /// Whether the length is a number of superbatches.
    pub fn in_superbatches(&self) -> bool {
        self.superbatches > 0
    }

    /// The word for a period of the training: superbatch or epoch.
    pub fn period_name(&self) -> &'static str {
        match self.in_superbatches() {
            true => "superbatch",
            false => "epoch",
        }
    }

    /// The steps and periods of a training over this number of positions, which may be an estimate.
    pub fn timeline(&self, positions: u64) -> Timeline {
        if self.in_superbatches() {
            return Timeline {
                steps: self
                    .superbatches
                    .saturating_mul(self.batches_per_superbatch),
                periods: self.superbatches,
                batches: Some(self.batches_per_superbatch),
            };
        }
        Timeline {
            steps: self.epochs.saturating_mul(self.steps_per_epoch(positions)),
            periods: self.epochs,
            batches: None,
        }
    }

    /// The number of steps in the whole training.
    pub fn total_steps(&self, positions: u64) -> u64 {
        self.timeline(positions).steps
    }

    /// How often the schedules move.
    pub fn unit(&self) -> Unit {
        let usual = match self.in_superbatches() {
            true => Unit::Period,
            false => Unit::Step,
        };
        self.schedule_per.unwrap_or(usual)
    }

    /// The learning rate at a moment.
    pub fn learning_rate_at(&self, moment: &Moment) -> f32 {
        let (start, unit) = (self.learning_rate, self.unit());
        self.schedule.rate(start, unit, moment, self.warmup)
    }

    /// λ at a moment.
    pub fn lambda_at(&self, moment: &Moment) -> f32 {
        let (start, unit) = (self.lambda, self.unit());
        let warmup = self.lambda_warmup;
        self.lambda_schedule.share(start, unit, moment, warmup)
    }

    /// λ of the batches of a loader that begins after this number of steps; `None` if λ is
    /// constant.
    pub(super) fn shares(&self, timeline: Timeline, steps: u64) -> Option<Shares> {
        if self.lambda_schedule.is_constant() && self.lambda_warmup.steps == 0 {
            return None;
        }
        Some(Shares {
            start: self.lambda,
            schedule: self.lambda_schedule.clone(),
            warmup: self.lambda_warmup,
            unit: self.unit(),
            timeline,
            steps,
        })
    }

    fn objective_with(&self, lambda: f32) -> Objective {
        let objective = Objective::new(self.loss, lambda, self.scale);
        objective.target_win_rate(self.target_win_rate)
    }

    /// The positions of a dataset that a training takes.
    ///
    /// # Errors
    /// As [`Dataset::filter`].
    pub fn sieved(&self, dataset: Dataset) -> Result<Dataset> {
        let dataset = dataset.max_score(self.max_score);
        let dataset = dataset
            .bad_records(self.bad_records)
            .text_sides(self.text_scores, self.text_results);
        match &self.filter {
            Some(filter) => dataset.filter(filter.clone(), self.seed),
            None => Ok(dataset),
        }
    }

    /// How positions become samples of the network.
    pub fn encoding(&self) -> Encoding {
        Encoding::new(self.inputs.clone(), self.output_buckets)
    }

    /// The quantity that the network has learned to predict at the end of the training. Validation
    /// uses it from the start, so that its losses compare.
    pub fn objective(&self) -> Objective {
        let periods = self.timeline(1).periods;
        let lambda = self.lambda_schedule.last(self.lambda, periods);
        self.objective_with(lambda)
    }
}

// serde passes a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_one(number: &usize) -> bool {
    *number == 1
}

/// Whether a field has its default, so that files leave it out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_usual_max_score(score: &u16) -> bool {
    *score == MAX_SCORE
}

fn is_usual_superbatch(batches: &u64) -> bool {
    *batches == BATCHES_PER_SUPERBATCH
}

fn require(name: &str, valid: bool, expected: &str, found: impl ToString) -> Result<()> {
    match valid {
        true => Ok(()),
        false => Err(Error::argument(name, expected, found)),
    }
}

#[cfg(test)]
mod tests;
