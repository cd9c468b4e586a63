//! Checkpoints: the whole state of a training in one file, whose bytes are a function of that state alone.
//!
//! A checkpoint is a network file with more in it: the optimiser's moments as tensors `A1.m`, `A1.v` …, and one JSON object
//! under the metadata key `training`. It holds no time, path or host, so equal trainings write equal files.

use super::settings::{Objective, Settings};
use crate::error::{Error, Result};
use crate::files::atomic::remove_unfinished;
use crate::files::safetensors::{Metadata, TensorFile};
use crate::nnue::activation::Activation;
use crate::nnue::{Parameters, write_network};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The metadata key of everything that is not the network.
const TRAINING: &str = "training";
/// The place that errors about it name.
const PLACE: &str = "metadata `training`";
const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";

/// The state of a training between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the training was started with.
    pub settings: Settings,
    /// Steps done; the optimiser's t.
    pub step: u64,
    /// The epoch of the next batch, counted from 0; the number of epochs when the training is done.
    pub epoch: u64,
    /// Batches of that epoch already done.
    pub batch: u64,
    /// A fingerprint of the data's contents.
    pub data: String,
    /// Positions in the data: one epoch.
    pub positions: u64,
    /// The network.
    pub parameters: Parameters,
    /// The optimiser's state: one for each of [`Optimizer::moments`](crate::optim::Optimizer::moments), in its order.
    pub moments: Vec<Parameters>,
    /// The running loss that is shown, if there is one yet.
    pub running_loss: Option<f64>,
}

/// The JSON object under [`TRAINING`], its keys in the order of the file.
#[derive(Serialize, Deserialize)]
struct Training {
    settings: Settings,
    step: u64,
    epoch: u64,
    batch: u64,
    data: String,
    positions: u64,
    /// As text: the JSON reader may miss the last bit of an f64, Rust's own does not.
    running_loss: Option<String>,
}

/// The JSON object under [`TRAINING`] in the result of a training; a checkpoint's reads as one, too.
#[derive(Serialize, Deserialize)]
struct Trained {
    settings: Objective,
}

impl Checkpoint {
    /// Writes the checkpoint; what stood at `path` stays as it was if that fails.
    ///
    /// # Errors
    /// A state that [`Self::read`] would refuse, NaN in it above all, is refused here, and nothing is written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let architecture = &self.settings.architecture;
        let names = self.settings.optimizer.moments();
        let all = std::iter::once(&self.parameters).chain(&self.moments);
        if self.moments.len() != names.len()
            || all.clone().any(|one| one.architecture() != architecture)
        {
            return Err(Error::argument(
                "checkpoint",
                format!("parameters and the moments {names:?} of {architecture:?}"),
                format!(
                    "{:?}",
                    all.map(Parameters::architecture).collect::<Vec<_>>()
                ),
            ));
        }
        self.check()?;
        let training = to_json(&Training {
            settings: self.settings,
            step: self.step,
            epoch: self.epoch,
            batch: self.batch,
            data: self.data.clone(),
            positions: self.positions,
            running_loss: self.running_loss.map(|loss| loss.to_string()),
        })?;
        let mut file = TensorFile::network(path, &self.parameters, training);
        for (name, moment) in names.iter().zip(&self.moments) {
            file.push_parameters(moment, &format!(".{name}"));
        }
        file.write_finite()
    }

    /// Reads a checkpoint and verifies all of it: the tensors against the architecture of its own settings, the settings, and
    /// the place in the data against the step.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TensorFile::read(path)?;
        let text = file.text(TRAINING)?;
        let training: Training = serde_json::from_str(text)
            .map_err(|error| file.fault(PLACE, "the state of a training", error))?;
        let running_loss = match &training.running_loss {
            Some(text) => Some(text.parse().map_err(|_| {
                file.fault(
                    format!("{PLACE}, running_loss"),
                    "a number",
                    format!("{text:?}"),
                )
            })?),
            None => None,
        };
        let settings = training.settings;
        settings.check().map_err(|error| file.place(error))?;
        let (expected, mut found) = (settings.architecture, file.architecture()?);
        if found.activation == Activation::Relu {
            found.clip = expected.clip;
        }
        if found != expected {
            let expected = format!("{expected:?}, as its own settings say");
            return Err(file.fault("architecture", expected, format!("{found:?}")));
        }
        let moments = settings.optimizer.moments().iter();
        let moments = moments.map(|name| file.parameters(expected, &format!(".{name}")));
        let checkpoint = Self {
            settings,
            step: training.step,
            epoch: training.epoch,
            batch: training.batch,
            data: training.data,
            positions: training.positions,
            parameters: file.parameters(expected, "")?,
            moments: moments.collect::<Result<_>>()?,
            running_loss,
        };
        checkpoint.check().map_err(|error| file.place(error))?;
        Ok(checkpoint)
    }

    /// The invariants beside the tensors: valid settings, data, and step = epoch·⌈positions/L⌉ + batch.
    fn check(&self) -> Result<()> {
        self.settings.check()?;
        if self.positions == 0 {
            return Err(Error::argument("positions", "at least 1", 0));
        }
        let per_epoch = self.settings.steps_per_epoch(self.positions);
        if (self.epoch, self.batch) != (self.step / per_epoch, self.step % per_epoch) {
            return Err(Error::argument(
                "epoch and batch",
                format!("those of step {} at {per_epoch} steps an epoch", self.step),
                format!("{} and {}", self.epoch, self.batch),
            ));
        }
        let total = self.settings.total_steps(self.positions);
        if self.step > total {
            return Err(Error::argument(
                "step",
                format!("at most {total}"),
                self.step,
            ));
        }
        match self.running_loss {
            Some(loss) if !loss.is_finite() => {
                Err(Error::argument("running_loss", "a finite number", loss))
            }
            _ => Ok(()),
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<Metadata> {
    let text = serde_json::to_string(value)
        .map_err(|error| Error::argument(TRAINING, "what JSON can hold", error))?;
    Ok(Metadata::from([(TRAINING.to_string(), text)]))
}

/// Writes the result of a training: a network file that says what the network was trained to predict.
pub fn write_result(path: &Path, parameters: &Parameters, objective: Objective) -> Result<()> {
    write_network(
        path,
        parameters,
        to_json(&Trained {
            settings: objective,
        })?,
    )
}

/// What the network in a file was trained to predict, from the metadata that
/// [`read_network`](crate::nnue::read_network) gave; none for a network that says nothing of it.
pub fn objective_of(path: &Path, metadata: &Metadata) -> Result<Option<Objective>> {
    let Some(text) = metadata.get(TRAINING) else {
        return Ok(None);
    };
    let file = TensorFile::new(path, Metadata::new());
    let trained: Trained = serde_json::from_str(text)
        .map_err(|error| file.fault(PLACE, "an objective: loss, wdl and scale", error))?;
    trained
        .settings
        .check()
        .map_err(|error| file.place(error))?;
    Ok(Some(trained.settings))
}

/// The checkpoints of one training: `step-00000123.safetensors` and so on in one directory.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoints {
    /// Those under `run`/checkpoints. Creates nothing.
    pub fn new(run: &Path) -> Self {
        let directory = run.join("checkpoints");
        Self { directory }
    }

    /// The directory they are in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates the directory, with those above it, where there is none, and removes what a killed process left of a file
    /// it was writing.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.directory).map_err(Error::io(&self.directory, "create"))?;
        remove_unfinished(&self.directory)
    }

    /// Where the checkpoint of a step stands.
    pub fn path(&self, step: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{step:08}{SUFFIX}"))
    }

    /// Writes a checkpoint to its place and returns it. Fails, leaving all others, where the directory is gone.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.path(checkpoint.step);
        checkpoint.write(&path)?;
        Ok(path)
    }

    /// Steps and paths of all checkpoints, ascending; none where there is no directory. Other files are passed over.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io(&self.directory, "list"))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry
                .map_err(Error::io(&self.directory, "list"))?
                .file_name();
            let step = name.to_str().and_then(|name| {
                let step = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
                step.parse().ok()
            });
            // A name that is not the one of its step, such as "step-7.safetensors", was not written here.
            if let Some(step) = step
                && self.path(step).file_name() == Some(&name)
            {
                found.push((step, self.path(step)));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The checkpoint of the highest step, whole and verified.
    ///
    /// # Errors
    /// If it does not read well, its own error, which then also names the newest one that does.
    pub fn latest(&self) -> Result<Option<(PathBuf, Checkpoint)>> {
        let mut paths = self.list()?.into_iter().rev().map(|(_, path)| path);
        let Some(newest) = paths.next() else {
            return Ok(None);
        };
        match Checkpoint::read(&newest) {
            Ok(checkpoint) => Ok(Some((newest, checkpoint))),
            Err(error) => {
                let good = paths.find(|path| Checkpoint::read(path).is_ok());
                Err(with_advice(error, good.as_deref()))
            }
        }
    }
}

/// Adds to an error about the newest checkpoint which one could be used in its place.
fn with_advice(error: Error, good: Option<&Path>) -> Error {
    let advice = match good {
        Some(path) => format!("; the newest that reads well is {}", path.display()),
        None => "; no other checkpoint there reads well".to_string(),
    };
    match error {
        Error::Tensors {
            path,
            place,
            expected,
            found,
        } => Error::Tensors {
            path,
            place,
            expected,
            found: found + &advice,
        },
        Error::Io {
            path,
            action,
            source,
        } => Error::Io {
            path,
            action,
            source: std::io::Error::new(source.kind(), format!("{source}{advice}")),
        },
        other => other,
    }
}
