//! The files and threads of a run. They do not change its numbers.

use super::checkpoint::Checkpoints;
use super::config::Config;
use super::log;
use super::settings::Settings;
use super::stage::Stage;
use crate::error::{Error, Fault, Result};
use crate::files::lock::DirectoryLock;
use crate::files::path::StoredPath;
use crate::nnue::data::LoaderSettings;
use crate::nnue::export::FormatChoice;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};

/// The files and threads of a run. `DIR/run.toml` keeps what is needed to resume it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The files of training data, in this order.
    pub data: Vec<PathBuf>,
    /// The file of validation data, if there is one.
    pub validation: Option<PathBuf>,
    /// The directory of the run. If it is empty, a new run creates the first of `runs/train-1`,
    /// `runs/train-2`, … that does not exist.
    pub out: PathBuf,
    /// The number of steps between checkpoints; 0 for one checkpoint at the end of each epoch.
    pub save_every: u64,
    /// The number of steps between validations; 0 for one at the end of each superbatch or epoch.
    pub validate_every: u64,
    /// The save format in whose integers each validation evaluates the network once more; `None`
    /// for validations of the floats alone.
    pub validate_integers: Option<FormatChoice>,
    /// The network that the first stage starts from; `None` for the initial values of the settings.
    pub init: Option<PathBuf>,
    /// The number of newest checkpoints to keep; 0 for all.
    pub keep: usize,
    /// Whether the checkpoint with the lowest validation loss is kept beside the newest.
    pub keep_best: bool,
    /// The number of validations without a lower loss that end a stage; 0 for none.
    pub patience: u64,
    /// The number of threads that make batches; 0 for one per core, up to 8. A device that computes
    /// on threads of the host ignores it.
    pub threads: usize,
}

impl Default for Run {
    /// No data; the last three checkpoints and the best are kept.
    fn default() -> Self {
        Self {
            data: Vec::new(),
            validation: None,
            out: PathBuf::new(),
            save_every: 0,
            validate_every: 0,
            validate_integers: None,
            init: None,
            keep: 3,
            keep_best: true,
            patience: 0,
            threads: 0,
        }
    }
}

crate::setters! { Run {
    data: Vec<PathBuf>,
    out: PathBuf,
    validation: Option<PathBuf>,
    save_every: u64,
    validate_every: u64,
    validate_integers: Option<FormatChoice>,
    init: Option<PathBuf>,
    keep: usize,
    keep_best: bool,
    patience: u64,
    threads: usize,
} }

/// The JSON object in the file `run.json` of release 0.1.0, which has no `run.toml`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    data: Vec<StoredPath>,
    validation: Option<StoredPath>,
    save_every: u64,
}

impl From<Stored> for Run {
    fn from(stored: Stored) -> Self {
        Self {
            data: stored.data.into_iter().map(PathBuf::from).collect(),
            validation: stored.validation.map(PathBuf::from),
            save_every: stored.save_every,
            ..Self::default()
        }
    }
}

impl Run {
    /// A run on these files of training data in the directory `out`, without validation data.
    pub fn new(data: Vec<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            data,
            out: out.into(),
            ..Self::default()
        }
    }

    /// Reads `DIR/run.toml`, or `DIR/run.json` of an earlier release.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Data`] with the line.
    pub fn load(out: &Path) -> Result<Self> {
        let run = match Config::of_run(out)? {
            Some(config) => config.run,
            None => Self::load_json(&out.join("run.json"))?,
        };
        Ok(Self {
            out: out.to_owned(),
            ..run
        })
    }

    fn load_json(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read the run"))?;
        let stored: Stored = serde_json::from_str(&text).map_err(|error| {
            let place = format!("line {}", error.line());
            Error::data(path, Fault::new(place, "the JSON object of a run", error))
        })?;
        Ok(stored.into())
    }

    /// Writes `DIR/run.toml` with absolute paths, so that the run can be resumed from any
    /// directory.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(super) fn save(&self, stages: &[Stage]) -> Result<()> {
        let full = |path: &PathBuf| absolute(path).map_err(Error::io(path, "find the path of"));
        let all = |paths: &[PathBuf]| paths.iter().map(full).collect::<Result<_>>();
        let run = Self {
            data: all(&self.data)?,
            validation: self.validation.as_ref().map(full).transpose()?,
            init: self.init.as_ref().map(full).transpose()?,
            // The file may move with its directory.
            out: PathBuf::new(),
            ..self.clone()
        };
        let stages = stages.iter().map(|stage| {
            Ok(Stage {
                data: all(&stage.data)?,
                validation: stage.validation.as_ref().map(full).transpose()?,
                ..stage.clone()
            })
        });
        let mut config = Config::new(Settings::default(), run);
        config.stages = stages.collect::<Result<_>>()?;
        config.write(&Config::path(&self.out))
    }

    /// Checks that the directory holds no checkpoints and no results, and that no run uses it. What
    /// a run without any checkpoint leaves is no result: its log tells of no step.
    pub(super) fn check_free(&self) -> Result<()> {
        if self.out.as_os_str().is_empty() {
            return Ok(());
        }
        let step = self.checkpoints().list()?.pop().map(|(step, _)| step);
        let (net, log) = (self.net(), self.log());
        let logged = log.exists() && !log::has_only_begun(&log)?;
        let result = match net.exists() {
            true => Some(net),
            false => logged.then_some(log),
        };
        let (expected, found) = match (step, result) {
            (None, None) => return Ok(()),
            (Some(step), _) => (
                "a directory without checkpoints; `--resume` goes on with a run",
                format!("a run at step {step}"),
            ),
            (None, Some(result)) => (
                "a directory without the results of another run",
                result.display().to_string(),
            ),
        };
        DirectoryLock::check(&self.out)?;
        let directory = self.out.display().to_string();
        Err(Error::argument(directory, expected, found))
    }

    /// Creates the directory of a new run and returns its path. A directory that the caller named
    /// may exist already.
    pub(super) fn create_directory(&self) -> Result<PathBuf> {
        if !self.out.as_os_str().is_empty() {
            fs::create_dir_all(&self.out).map_err(Error::io(&self.out, "create"))?;
            return Ok(self.out.clone());
        }
        let parent = Path::new("runs");
        fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        let mut number = 1u64;
        loop {
            let path = parent.join(format!("train-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                // Runs that begin at the same time each get the number of the first attempt that
                // created one.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Error::io(&path, "create")(error)),
            }
        }
    }

    /// The checkpoints, in `DIR/checkpoints/`.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(&self.out)
    }

    /// The log, `DIR/log.jsonl`.
    pub fn log(&self) -> PathBuf {
        self.out.join("log.jsonl")
    }

    /// The trained network, `DIR/net.safetensors`.
    pub fn net(&self) -> PathBuf {
        self.out.join("net.safetensors")
    }

    /// The number of threads that make batches, at least 1.
    pub(super) fn loader_threads(&self) -> usize {
        match self.threads {
            0 => LoaderSettings::default().threads,
            threads => threads,
        }
    }
}
