//! Where a run reads and writes: what does not change its numbers.

use super::checkpoint::Checkpoints;
use crate::error::{Error, Result};
use crate::files::atomic::write_atomically;
use crate::nnue::data::LoaderSettings;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf, absolute};

/// The files and threads of a run. `DIR/run.json` holds what a later call needs to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Training data, in this order.
    pub data: Vec<PathBuf>,
    /// Validation data, if there is any.
    pub validation: Option<PathBuf>,
    /// The run's directory.
    #[serde(skip)]
    pub out: PathBuf,
    /// Steps between checkpoints; 0 for one at the end of each epoch alone.
    pub save_every: u64,
    /// Threads that prepare batches, where the device has none of its own; 0 for one a core, up to 8. Has no influence on the numbers.
    #[serde(skip)]
    pub loader_threads: usize,
}

impl Run {
    /// Reads `DIR/run.json`.
    pub fn load(out: &Path) -> Result<Self> {
        let path = out.join("run.json");
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read the run"))?;
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
