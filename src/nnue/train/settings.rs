//! The settings that determine the numbers of a training.

use crate::error::{Error, Result};
use crate::nnue::Architecture;
use crate::nnue::data::{ChessInputs, Encoding, OutputBuckets, Target};
use crate::nnue::loss::Loss;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use serde::{Deserialize, Serialize};

const ABOVE_0: &str = "a finite number above 0";

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
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Whether a step stores Z and its gradients, or slopes, in 16 bits: see
    /// [`Learner::set_half`](crate::nnue::Learner::set_half).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub half: bool,
    /// Whether the forward pass of a step reads A in 16 bits: see
    /// [`Learner::set_half_weights`](crate::nnue::Learner::set_half_weights).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub half_weights: bool,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// η, the learning rate at the start.
    pub learning_rate: f32,
    /// The number of passes over the data.
    pub epochs: u64,
    /// L, the samples of a batch. The last batch of an epoch has the remaining samples.
    #[serde(alias = "batch")]
    pub batch_size: usize,
    /// λ, the share of the game result in the target: t = λ·result + (1 − λ)·σ(score ÷ scale).
    #[serde(alias = "wdl")]
    pub lambda: f32,
    /// The divisor of a score in the target.
    pub scale: f32,
    /// The seed of the initial parameters and of the shuffle.
    pub seed: u64,
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
    optimizer: Optimizer,
    half: bool,
    half_weights: bool,
    schedule: Schedule,
    learning_rate: f32,
    epochs: u64,
    batch_size: usize,
    lambda: f32,
    scale: f32,
    seed: u64,
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
            optimizer: Optimizer::ADAMW,
            half: false,
            half_weights: false,
            schedule: Schedule::Cosine,
            learning_rate: 2e-3,
            epochs: 20,
            batch_size: 4096,
            lambda: 0.0,
            scale: 400.0,
            seed: 0,
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
        self.optimizer.check()?;
        self.objective().check()?;
        let rate = self.learning_rate;
        let valid = rate > 0.0 && rate.is_finite();
        require("learning_rate (η)", valid, ABOVE_0, rate)?;
        require("epochs", self.epochs > 0, "at least 1", self.epochs)?;
        let samples = self.batch_size;
        require("batch_size", samples > 0, "at least 1", samples)?;
        // Offsets into index lists are 32-bit numbers on a device.
        let most = i32::MAX as usize / self.inputs.max_indices();
        let expected = format!("at most {most}");
        require("batch_size", samples <= most, &expected, samples)?;
        let shuffle = self.shuffle_buffer;
        let valid = u32::try_from(shuffle).is_ok();
        require("shuffle_buffer", valid, "at most 4294967295", shuffle)
    }

    /// The number of steps in one pass over the data: ⌈positions ÷ L⌉.
    pub fn steps_per_epoch(&self, positions: u64) -> u64 {
        positions.div_ceil(self.batch_size.max(1) as u64)
    }

    /// The number of steps in the whole training.
    pub fn total_steps(&self, positions: u64) -> u64 {
        self.epochs.saturating_mul(self.steps_per_epoch(positions))
    }

    /// The learning rate of a step, counted from 1, in a training over `positions` of data.
    pub fn learning_rate_at(&self, step: u64, positions: u64) -> f32 {
        let total = self.total_steps(positions);
        self.schedule.learning_rate(self.learning_rate, step, total)
    }

    /// How positions become samples of the network.
    pub fn encoding(&self) -> Encoding {
        Encoding::new(self.inputs.clone(), self.output_buckets)
    }

    /// The quantity that the network learns to predict.
    pub fn objective(&self) -> Objective {
        Objective::new(self.loss, self.lambda, self.scale)
    }
}

/// The quantity that a network was trained to predict. Network files hold it, so that an evaluation
/// can use the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Objective {
    /// The loss, with its link.
    pub loss: Loss,
    /// λ, as in [`Settings::lambda`].
    // Network files keep the key of release 0.1.0, so that equal trainings write equal files.
    #[serde(rename = "wdl", alias = "lambda")]
    pub lambda: f32,
    /// The divisor of a score, as in [`Settings::scale`].
    pub scale: f32,
}

impl Objective {
    /// An objective with this loss, this λ and this scale.
    pub fn new(loss: Loss, lambda: f32, scale: f32) -> Self {
        Self {
            loss,
            lambda,
            scale,
        }
    }

    /// The target of a position.
    pub fn target(&self) -> Target {
        Target::new(self.lambda, self.scale)
    }

    /// Checks the loss, λ and the scale.
    ///
    /// # Errors
    /// [`Error::Argument`] with the name of the value.
    pub fn check(&self) -> Result<()> {
        self.loss.check()?;
        self.target().check()
    }
}

fn require(name: &str, valid: bool, expected: &str, found: impl ToString) -> Result<()> {
    match valid {
        true => Ok(()),
        false => Err(Error::argument(name, expected, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{AdamW, Sgd};

    #[test]
    fn defaults_are_valid_and_survive_json() {
        let settings = Settings::new(768);
        settings.check().unwrap();
        let text = serde_json::to_string(&settings).unwrap();
        assert!(
            text.contains(r#""learning_rate":0.002,"epochs":20,"batch_size":4096,"lambda":0.0"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    }

    #[test]
    fn the_architecture_follows_inputs_and_buckets() {
        let mut table = [0; 32];
        table[31] = 1;
        let kings = crate::nnue::data::KingBuckets::mirrored(&table).unwrap();
        let buckets = OutputBuckets::material(8).unwrap();
        let settings = Settings::default()
            .inputs(kings.into())
            .output_buckets(buckets);
        assert_eq!(settings.architecture.inputs, 2 * 768);
        assert_eq!(settings.architecture.buckets, 8);
        settings.check().unwrap();
        let encoding = settings.encoding();
        encoding.check(&settings.architecture).unwrap();
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        let other = Architecture::new(768, 128).buckets(8);
        let error = encoding.check(&other).unwrap_err().to_string();
        let words =
            "inputs (N): expected 1536, as king-buckets-mirrored (2 buckets) has, found 768";
        assert_eq!(error, words);
        let other = Architecture::new(1536, 128);
        let error = settings.architecture(other).check().unwrap_err();
        let words = "buckets: expected 8, as output_buckets has, found 1";
        assert_eq!(error.to_string(), words);
        // Equal trainings write equal files: what is as in an earlier release is left out.
        let text = serde_json::to_string(&Settings::default()).unwrap();
        assert!(
            !text.contains("output_buckets")
                && !text.contains("chess768")
                && !text.contains("half"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_trained_with_names_its_option() {
        let decay = |weight_decay| {
            Optimizer::AdamW(AdamW {
                weight_decay,
                ..AdamW::default()
            })
        };
        type Spoil<'a> = &'a dyn Fn(&mut Settings);
        let cases: [(&str, Spoil); 20] = [
            ("buckets", &|s| s.architecture.buckets = 8),
            ("learning_rate", &|s| s.learning_rate = f32::NAN),
            ("learning_rate", &|s| s.learning_rate = f32::INFINITY),
            ("learning_rate", &|s| s.learning_rate = 0.0),
            ("learning_rate", &|s| s.learning_rate = -1e-3),
            ("batch_size", &|s| s.batch_size = 0),
            ("batch_size", &|s| s.batch_size = 1 << 31),
            ("epochs", &|s| s.epochs = 0),
            ("shuffle_buffer", &|s| s.shuffle_buffer = usize::MAX),
            ("lambda", &|s| s.lambda = 1.5),
            ("lambda", &|s| s.lambda = f32::NAN),
            ("scale", &|s| s.scale = 0.0),
            ("scale", &|s| s.scale = f32::INFINITY),
            ("power", &|s| s.loss.power = 0.5),
            ("hidden (K)", &|s| s.architecture.hidden = 0),
            ("clip (T)", &|s| s.architecture.clip = 0.0),
            ("clip (T)", &|s| s.architecture.clip = f32::NAN),
            ("decay", &|s| s.optimizer = decay(-0.01)),
            ("decay", &|s| s.optimizer = decay(f32::NAN)),
            ("momentum", &|s| {
                s.optimizer = Sgd { momentum: f32::NAN }.into();
            }),
        ];
        for (name, spoil) in cases {
            let mut settings = Settings::new(768);
            spoil(&mut settings);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(name), "no {name:?} in: {error}");
        }
    }

    #[test]
    fn steps_count_the_partial_batch() {
        let settings = Settings::new(768);
        assert_eq!(settings.steps_per_epoch(200_000), 49);
        assert_eq!(settings.steps_per_epoch(8192), 2);
        assert_eq!(settings.total_steps(200_000), 980);
        assert_eq!(settings.learning_rate_at(1, 200_000), 2e-3);
        // Halfway, cos(π/2) = 0.
        assert!((settings.learning_rate_at(491, 200_000) - 1e-3).abs() < 1e-9);
    }
}
