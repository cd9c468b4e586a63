//! Where a run reads and writes: what does not change its numbers.

use super::checkpoint::Checkpoints;
use crate::error::{Error, Result};
use crate::files::atomic::write_atomically;
use crate::files::lock::DirectoryLock;
use crate::files::path::StoredPath;
use crate::nnue::data::LoaderSettings;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf, absolute};

/// The files and threads of a run. `DIR/run.json` holds what a later call needs to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Run {
    /// Training data, in this order.
    pub data: Vec<PathBuf>,
    /// Validation data, if there is any.
    pub validation: Option<PathBuf>,
    /// The run's directory. Where it is empty, a new run creates the first of `runs/train-1`,
    /// `runs/train-2`, … that is not there.
    pub out: PathBuf,
    /// Steps between checkpoints; 0 for one at the end of each epoch alone.
    pub save_every: u64,
    /// Threads that prepare batches, where the device has none of its own; 0 for one a core, up to
    /// 8. Has no influence on the numbers.
    pub loader_threads: usize,
}

/// The JSON object in `run.json`.
#[derive(Serialize, Deserialize)]
struct Stored {
    data: Vec<StoredPath>,
    validation: Option<StoredPath>,
    save_every: u64,
}

impl From<Run> for Stored {
    fn from(run: Run) -> Self {
        Self {
            data: run.data.iter().map(|path| (&**path).into()).collect(),
            validation: run.validation.map(|path| (&*path).into()),
            save_every: run.save_every,
        }
    }
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
    /// Reads `DIR/run.json`.
    pub fn load(out: &Path) -> Result<Self> {
        let path = out.join("run.json");
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read the run"))?;
        let run: Self = serde_json::from_str(&text).map_err(|error| Error::Data {
            path,
            place: format!("line {}", error.line()),
            expected: "the JSON object of a run".to_owned(),
            found: error.to_string(),
        })?;
        Ok(Self {
            out: out.to_owned(),
            ..run
        })
    }

    /// Writes `DIR/run.json`, with absolute paths so that a run can be resumed from any directory.
    pub fn save(&self) -> Result<()> {
        let full = |path: &PathBuf| absolute(path).map_err(Error::io(path, "find the path of"));
        let run = Self {
            data: self.data.iter().map(full).collect::<Result<_>>()?,
            validation: self.validation.as_ref().map(full).transpose()?,
            ..self.clone()
        };
        let path = self.out.join("run.json");
        write_atomically(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, &run)?;
            file.write_all(b"\n")
        })
    }

    /// Refuses a directory that holds the checkpoints or results of a run, or in which one is going
    /// on.
    pub(super) fn check_free(&self) -> Result<()> {
        if self.out.as_os_str().is_empty() {
            return Ok(());
        }
        let step = self.checkpoints().list()?.pop().map(|(step, _)| step);
        let result = [self.net(), self.log()].into_iter().find(|p| p.exists());
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

    /// Creates the directory of a new run, and returns its path. A directory whose path is given
    /// may be there already.
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

    /// `DIR/checkpoints/`.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(&self.out)
    }

    /// `DIR/log.jsonl`.
    pub fn log(&self) -> PathBuf {
        self.out.join("log.jsonl")
    }

    /// `DIR/net.safetensors`, the result.
    pub fn net(&self) -> PathBuf {
        self.out.join("net.safetensors")
    }

    /// Threads that prepare batches, at least 1.
    pub(super) fn loader_threads(&self) -> usize {
        match self.loader_threads {
            0 => LoaderSettings::default().workers,
            threads => threads,
        }
    }
}
