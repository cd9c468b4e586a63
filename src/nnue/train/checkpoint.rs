//! Checkpoints: the whole state of a training in one file.
//!
//! A checkpoint is a network file with more contents: the moments of the optimizer as tensors
//! `A1.m`, `A1.v` …, and one JSON object under the metadata key `training`. It holds no time, path
//! or host, so equal trainings write equal files.
//! Like a network file it also has the metadata of its [`Encoding`].

use super::data_state::DataState;
use super::objective::Objective;
use super::progress::Progress;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::files::atomic::{list, remove_unfinished};
use crate::files::safetensors::{Metadata, TensorFile};
use crate::nnue::data::Encoding;
use crate::nnue::file::{network_file, push_parameters, read_architecture, read_parameters};
use crate::nnue::learner::initial_moments;
use crate::nnue::{Parameters, write_network};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The metadata key of the state of the training.
const TRAINING: &str = "training";
/// The name of this metadata in errors.
const PLACE: &str = "metadata `training`";
const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";

/// The state of a training between two steps.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The settings of the training.
    pub settings: Settings,
    /// The number of steps so far, which is the t of the optimizer.
    pub step: u64,
    /// The epoch of the next batch, counted from 0. At the end of the training it is the number of
    /// epochs.
    pub epoch: u64,
    /// The number of batches of that epoch that are done.
    pub batch: u64,
    /// How far the stage is in its data.
    pub data: DataState,
    /// The number of positions of an epoch, from which the stage is planned. It may be an estimate.
    pub positions: u64,
    /// The stages that have begun, and the validations.
    pub progress: Progress,
    /// The network.
    pub parameters: Parameters,
    /// The state of the optimizer: one set for each name of
    /// [`Optimizer::moments`](crate::optim::Optimizer::moments).
    pub moments: Vec<Parameters>,
    /// The running mean of the loss, after the first step.
    pub running_loss: Option<f64>,
}

/// The JSON object under [`TRAINING`]. Its keys have the order of the file.
#[derive(Serialize, Deserialize)]
struct Training {
    settings: Settings,
    step: u64,
    epoch: u64,
    batch: u64,
    data: DataState,
    positions: u64,
    #[serde(default, skip_serializing_if = "Progress::is_first")]
    progress: Progress,
    /// A text, because the JSON reader may miss the last bit of an f64.
    running_loss: Option<String>,
}

/// The JSON object under [`TRAINING`] in a trained network. It is also a part of the object in a
/// checkpoint, so both files can be read as this type.
#[derive(Serialize, Deserialize)]
struct Trained {
    settings: Objective,
}

impl Checkpoint {
    /// The state before the first step, as [`Learner::new`](crate::nnue::Learner::new). `data` and
    /// `positions` describe the dataset.
    ///
    /// # Errors
    /// As [`Architecture::check`](crate::nnue::Architecture::check).
    pub fn new(
        settings: Settings,
        data: DataState,
        positions: u64,
        parameters: Parameters,
    ) -> Result<Self> {
        Ok(Self {
            moments: initial_moments(settings.optimizer, &parameters)?,
            settings,
            step: 0,
            epoch: 0,
            batch: 0,
            data,
            positions,
            progress: Progress::default(),
            parameters,
            running_loss: None,
        })
    }

    /// Writes the checkpoint. If that fails, the file at `path` stays as it was.
    ///
    /// # Errors
    /// A state that [`Self::read`] would refuse, such as one with NaN, and every error of the file
    /// system.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.file(path)?.write_finite()
    }

    /// The file that [`Self::write`] writes.
    pub(super) fn file(&self, path: &Path) -> Result<TensorFile> {
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
            settings: self.settings.clone(),
            step: self.step,
            epoch: self.epoch,
            batch: self.batch,
            data: self.data.clone(),
            positions: self.positions,
            progress: self.progress.clone(),
            running_loss: self.running_loss.map(|loss| loss.to_string()),
        })?;
        let mut metadata = self.settings.encoding().metadata()?;
        metadata.extend(training);
        let mut file = network_file(path, &self.parameters, metadata)?;
        for (name, moment) in names.iter().zip(&self.moments) {
            push_parameters(&mut file, moment, &format!(".{name}"))?;
        }
        Ok(file)
    }

    /// Reads a checkpoint and checks all of it: the settings, the tensors against the architecture
    /// in the settings, and the place in the data.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Tensors`] with the path.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TensorFile::read(path)?;
        file.warn_if_unchecked();
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
        settings.check().map_err(|error| error.in_file(path))?;
        let (expected, mut found) = (&settings.architecture, read_architecture(&file)?);
        if !found.activation.has_clip() {
            found.clip = expected.clip;
        }
        if found != *expected {
            let expected = format!("{expected:?}, as its own settings say");
            return Err(file.fault("architecture", expected, format!("{found:?}")));
        }
        let (encoding, found) = (
            settings.encoding(),
            Encoding::from_metadata(path, &file.metadata)?,
        );
        if found != encoding {
            let expected = format!("{encoding:?}, as its own settings say");
            let place = "metadata `inputs` and `output_buckets`";
            return Err(file.fault(place, expected, format!("{found:?}")));
        }
        let moments = settings.optimizer.moments().iter();
        let read = |suffix: &str| read_parameters(&file, expected, suffix);
        let moments = moments.map(|name| read(&format!(".{name}")));
        let moments = moments.collect::<Result<_>>()?;
        let checkpoint = Self {
            parameters: read("")?,
            moments,
            settings,
            step: training.step,
            epoch: training.epoch,
            batch: training.batch,
            data: training.data,
            positions: training.positions,
            progress: training.progress,
            running_loss,
        };
        checkpoint.check().map_err(|error| error.in_file(path))?;
        Ok(checkpoint)
    }

    /// Checks everything except the tensors: the settings, the data, and, in a file of release
    /// 0.1.0, step = epoch·⌈positions ÷ L⌉ + batch.
    fn check(&self) -> Result<()> {
        self.settings.check()?;
        if self.positions == 0 {
            return Err(Error::argument("positions", "at least 1", 0));
        }
        let start = self.progress.stage_start();
        let Some(step) = self.step.checked_sub(start) else {
            let expected = format!("at least {start}, where the stage began");
            return Err(Error::argument("step", expected, self.step));
        };
        let per_epoch = self.settings.steps_per_epoch(self.positions);
        if let DataState::Read { place, .. } = &self.data {
            // The number of positions may be an estimate.
            if place.epoch == self.epoch {
                return self.check_loss();
            }
            let expected = format!("{}, as the place in the data has", place.epoch);
            return Err(Error::argument("epoch", expected, self.epoch));
        }
        if (self.epoch, self.batch) != (step / per_epoch, step % per_epoch) {
            return Err(Error::argument(
                "epoch and batch",
                format!("those of step {} at {per_epoch} steps per epoch", self.step),
                format!("{} and {}", self.epoch, self.batch),
            ));
        }
        let total = start.saturating_add(self.settings.total_steps(self.positions));
        if self.step > total {
            return Err(Error::argument(
                "step",
                format!("at most {total}"),
                self.step,
            ));
        }
        self.check_loss()
    }

    fn check_loss(&self) -> Result<()> {
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
        .map_err(|error| Error::argument(TRAINING, "a state that JSON can hold", error))?;
    Ok(Metadata::from([(TRAINING.to_string(), text)]))
}

/// Writes the result of a training: a network file with the encoding and the objective of the
/// training.
///
/// # Errors
/// As [`write_network`].
pub fn write_result(path: &Path, parameters: &Parameters, settings: &Settings) -> Result<()> {
    let mut metadata = settings.encoding().metadata()?;
    metadata.extend(to_json(&Trained {
        settings: settings.objective(),
    })?);
    write_network(path, parameters, metadata)
}

/// The objective of a network, from the metadata that [`read_network`](crate::nnue::read_network)
/// read at `path`; `None` if the file has none.
///
/// # Errors
/// [`Error::Tensors`] if the metadata are damaged.
pub fn objective_of(path: &Path, metadata: &Metadata) -> Result<Option<Objective>> {
    let Some(text) = metadata.get(TRAINING) else {
        return Ok(None);
    };
    let file = TensorFile::new(path, Metadata::new());
    let trained: Trained = serde_json::from_str(text)
        .map_err(|error| file.fault(PLACE, "an objective: loss, lambda and scale", error))?;
    let checked = trained.settings.check();
    checked.map_err(|error| error.in_file(path))?;
    Ok(Some(trained.settings))
}

/// The checkpoints of one training, in one directory: `step-00000123.safetensors` and so on.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoints {
    /// The checkpoints in `run`/checkpoints. Creates nothing.
    pub fn new(run: &Path) -> Self {
        let directory = run.join("checkpoints");
        Self { directory }
    }

    /// The directory of the checkpoints.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates the directory and its parents if they do not exist, and removes unfinished files of
    /// a process that was killed.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.directory).map_err(Error::io(&self.directory, "create"))?;
        remove_unfinished(&self.directory)
    }

    /// The file of the checkpoint at a step.
    pub fn path(&self, step: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{step:08}{SUFFIX}"))
    }

    /// Writes a checkpoint and returns its file. Other checkpoints stay as they are.
    ///
    /// # Errors
    /// As [`Checkpoint::write`].
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.path(checkpoint.step);
        checkpoint.write(&path)?;
        Ok(path)
    }

    /// The steps and files of all checkpoints in ascending order. Other files are ignored, and so
    /// is a missing directory.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let entries = match list(&self.directory) {
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
            // A file with another name for the same step, such as "step-7.safetensors", is not a
            // checkpoint of this directory.
            if let Some(step) = step
                && self.path(step).file_name() == Some(&name)
            {
                found.push((step, self.path(step)));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes all checkpoints except the `keep` newest and those at the steps `spared`. A `keep`
    /// of 0 keeps all.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn prune(&self, keep: usize, spared: &[u64]) -> Result<()> {
        if keep == 0 {
            return Ok(());
        }
        let old = self.list()?.into_iter().rev().skip(keep);
        for (_, path) in old.filter(|(step, _)| !spared.contains(step)) {
            fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        }
        Ok(())
    }

    /// The checkpoint with the highest step, and its file; `None` if there are no checkpoints.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if that checkpoint cannot be read.
    pub fn latest(&self) -> Result<Option<(PathBuf, Checkpoint)>> {
        let mut paths = self.list()?.into_iter().rev().map(|(_, path)| path);
        let Some(newest) = paths.next() else {
            return Ok(None);
        };
        match Checkpoint::read(&newest) {
            Ok(checkpoint) => Ok(Some((newest, checkpoint))),
            Err(error) => {
                let readable = paths.find(|path| Checkpoint::read(path).is_ok());
                let error = Box::new(error);
                Err(Error::Checkpoint { error, readable })
            }
        }
    }
}
