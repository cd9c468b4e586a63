//! What determines the numbers of a training.

use crate::error::{Error, Result};
use crate::nnue::Architecture;
use crate::nnue::loss::Loss;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use serde::{Deserialize, Serialize};

const ABOVE_0: &str = "a finite number above 0";

/// Rows of one accumulator, unless said otherwise.
pub const DEFAULT_HIDDEN: usize = 128;
/// Passes over the data, unless said otherwise.
pub const DEFAULT_EPOCHS: u64 = 20;
/// Samples in a batch, unless said otherwise.
pub const DEFAULT_BATCH: usize = 4096;
/// Positions that are shuffled among each other, unless said otherwise: 32 MiB of bulletformat records.
pub const DEFAULT_SHUFFLE_BUFFER: usize = 1 << 20;

/// Everything that determines the numbers of a training beside the data and the kind of device, and nothing that does
/// not: no path, no thread count, no time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The network.
    pub architecture: Architecture,
    /// What is made small.
    pub loss: Loss,
    /// How the parameters follow the gradients.
    pub optimizer: Optimizer,
    /// The course of the learning rate.
    pub schedule: Schedule,
    /// η, the learning rate at the start.
    pub learning_rate: f32,
    /// Passes over the data.
    pub epochs: u64,
    /// L, the samples in a batch; the last one of an epoch may have fewer.
    pub batch: usize,
    /// λ, the share of the game's result in the target t = λ·result + (1 − λ)·σ(score/scale).
    pub wdl: f32,
    /// What a score is divided by in the objective.
    pub scale: f32,
    /// Seed of the initial parameters and of the shuffle.
    pub seed: u64,
    /// Positions that are shuffled among each other; 0 keeps the order of the files.
    pub shuffle_buffer: usize,
}

impl Settings {
    /// The defaults for a network of N = `inputs`: 128 hidden, untied, CReLU with T = 1, squared error on σ(Y), AdamW
    /// (0.9, 0.999, 1e-8, decay 0.01), 2e-3 with a cosine to 0, batches of 4096, λ = 0, scale 400, seed 0.
    pub fn new(inputs: usize) -> Self {
        Self {
            architecture: Architecture::new(inputs, DEFAULT_HIDDEN),
            loss: Loss::SIGMOID_MSE,
            optimizer: Optimizer::ADAMW,
            schedule: Schedule::Cosine,
            learning_rate: 2e-3,
            epochs: DEFAULT_EPOCHS,
            batch: DEFAULT_BATCH,
            wdl: 0.0,
            scale: 400.0,
            seed: 0,
            shuffle_buffer: DEFAULT_SHUFFLE_BUFFER,
        }
    }

    /// Refuses what cannot be trained with; the error names the option.
    pub fn check(&self) -> Result<()> {
        self.architecture.check()?;
        let buckets = self.architecture.buckets;
        let expected = "1, because no loader assigns output buckets to positions yet";
        require("buckets", buckets == 1, expected, buckets)?;
        self.optimizer.check()?;
        self.objective().check()?;
        // ReLU has no clip, but an infinity or NaN could not be told in a checkpoint.
        let clip = self.architecture.clip;
        require("clip (T)", clip.is_finite(), "a finite number", clip)?;
        let rate = self.learning_rate;
        let valid = rate > 0.0 && rate.is_finite();
        require("lr (learning rate)", valid, ABOVE_0, rate)?;
        require("epochs", self.epochs > 0, "at least 1", self.epochs)?;
        require("batch", self.batch > 0, "at least 1", self.batch)?;
        // Places in index lists of up to 32 a sample are 32 bits wide on the device.
        let valid = self.batch <= i32::MAX as usize / 32;
        require("batch", valid, "at most 67108863", self.batch)?;
        let (shuffle, valid) = (
            self.shuffle_buffer,
            u32::try_from(self.shuffle_buffer).is_ok(),
        );
        require("shuffle_buffer", valid, "at most 4294967295", shuffle)
    }

    /// Steps in one pass over `positions` of data: ⌈positions / batch⌉.
    pub fn steps_per_epoch(&self, positions: u64) -> u64 {
        positions.div_ceil(self.batch.max(1) as u64)
    }

    /// Steps of the whole training over `positions` of data.
    pub fn total_steps(&self, positions: u64) -> u64 {
        self.epochs.saturating_mul(self.steps_per_epoch(positions))
    }

    /// The learning rate of step `step`, counted from 1, of a training over `positions` of data.
    pub fn learning_rate_at(&self, step: u64, positions: u64) -> f32 {
        let total = self.total_steps(positions);
        self.schedule.learning_rate(self.learning_rate, step, total)
    }

    /// What the network learns to predict.
    pub fn objective(&self) -> Objective {
        Objective {
            loss: self.loss,
            wdl: self.wdl,
            scale: self.scale,
        }
    }
}

/// What a network was trained to predict: kept beside it, so that an evaluation can ask the same of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The loss, with its link.
    pub loss: Loss,
    /// λ, as in [`Settings::wdl`].
    pub wdl: f32,
    /// As [`Settings::scale`].
    pub scale: f32,
}

impl Objective {
    /// Refuses a loss, share or scale that gives no target; the error names the option.
    pub fn check(&self) -> Result<()> {
        self.loss.check()?;
        let share = (0.0..=1.0).contains(&self.wdl);
        require("wdl (λ)", share, "a number from 0 to 1", self.wdl)?;
        let scale = self.scale > 0.0 && self.scale.is_finite();
        require("scale", scale, ABOVE_0, self.scale)
    }
}

fn require(name: &str, valid: bool, expected: &str, found: impl ToString) -> Result<()> {
    if valid {
        return Ok(());
    }
    Err(Error::argument(name, expected, found))
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
            text.contains(r#""learning_rate":0.002,"epochs":20,"batch":4096"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
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
            ("lr", &|s| s.learning_rate = f32::NAN),
            ("lr", &|s| s.learning_rate = f32::INFINITY),
            ("lr", &|s| s.learning_rate = 0.0),
            ("lr", &|s| s.learning_rate = -1e-3),
            ("batch", &|s| s.batch = 0),
            ("batch", &|s| s.batch = 1 << 31),
            ("epochs", &|s| s.epochs = 0),
            ("shuffle_buffer", &|s| s.shuffle_buffer = usize::MAX),
            ("wdl", &|s| s.wdl = 1.5),
            ("wdl", &|s| s.wdl = f32::NAN),
            ("scale", &|s| s.scale = 0.0),
            ("scale", &|s| s.scale = f32::INFINITY),
            ("power", &|s| s.loss.power = 0.5),
            ("hidden (K)", &|s| s.architecture.hidden = 0),
            ("clip (T)", &|s| s.architecture.clip = 0.0),
            ("clip (T)", &|s| s.architecture.clip = f32::NAN),
            ("decay", &|s| s.optimizer = decay(-0.01)),
            ("decay", &|s| s.optimizer = decay(f32::NAN)),
            ("momentum", &|s| {
                s.optimizer = Sgd { momentum: f32::NAN }.into()
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
