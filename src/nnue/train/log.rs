//! The log of a training: lines of JSON that programs can follow while they are written.
//!
//! Each of the first 4,096 steps has a line. From there on the lines of steps lie further apart the
//! longer the training is, so that a log stays small.

use super::settings::Settings;
use crate::error::{Error, Fault, Result};
use crate::files::atomic::{open_regular, write_atomically};
use serde::{Deserialize, Deserializer, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use thin::{Steps, has_line};

mod thin;

/// The version of the lines that this release writes. It grows when a line changes its meaning or
/// loses a field, and not when it gains one. `docs/events.md` lists all lines and fields.
pub const VERSION: u32 = 2;

/// One line of a log: a JSON object whose field `kind` is the name of the variant in lower case.
///
/// NaN and infinities are written as `null` and read back as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "an entry is written and dropped")]
pub enum Entry {
    /// A training begins.
    Start {
        /// The version of the lines, [`VERSION`]; 0 in a log of release 0.1.0, which names none.
        #[serde(default)]
        version: u32,
        /// The settings of the training.
        settings: Settings,
        /// The device of the training.
        device: String,
        /// The number of positions in the data, which make one epoch.
        positions: u64,
        /// The number of steps in the whole training.
        steps: u64,
        /// The host and the device of each rank; empty if there is one.
        #[serde(default)]
        ranks: Vec<String>,
    },
    /// A stage after the first begins.
    Stage {
        /// The number of steps so far.
        step: u64,
        /// The index of the stage, counted from 0.
        stage: usize,
        /// The name of the stage.
        name: String,
        /// The settings of the stage.
        settings: Settings,
        /// The number of positions in its data.
        positions: u64,
        /// The planned number of its steps.
        steps: u64,
    },
    /// Positions that were left out while the data of a stage were read, since the start or the last
    /// resume. A position counts in each epoch, and what was read ahead counts too.
    Dropped {
        /// The number of steps so far.
        step: u64,
        /// The positions whose score was too large: see
        /// [`Settings::max_score`](super::Settings::max_score).
        scores: u64,
        /// The positions that the filter left out.
        #[serde(default)]
        filtered: u64,
        /// The damaged records, lines and games.
        #[serde(default)]
        bad: u64,
    },
    /// A training continues from a checkpoint.
    Resume {
        /// The version of the lines from here on, as in [`Entry::Start`].
        #[serde(default)]
        version: u32,
        /// The number of steps so far.
        step: u64,
        /// The epoch of the next batch, counted from 0.
        epoch: u64,
        /// The device of the training.
        device: String,
        /// The file of the checkpoint.
        #[serde(with = "crate::files::path")]
        checkpoint: PathBuf,
        /// As in the first line.
        #[serde(default)]
        ranks: Vec<String>,
    },
    /// The device failed, and the training continues on another one. The line follows that of the
    /// resume.
    Fallback {
        /// The number of steps so far.
        step: u64,
        /// The number of steps that were begun on the device that failed.
        failed: u64,
        /// The device that failed.
        from: String,
        /// The device of the training from here on.
        device: String,
        /// The text of the error.
        reason: String,
    },
    /// A step is done, or several since the line before.
    Step {
        /// The step, counted from 1.
        step: u64,
        /// The number of steps that the line tells of; the last one is `step`.
        #[serde(default = "one")]
        steps: u64,
        /// The epoch of the step, counted from 0.
        epoch: u64,
        /// The mean loss of the batches of these steps, each before its update.
        #[serde(deserialize_with = "or_nan")]
        loss: f64,
        /// The learning rate of the last update.
        learning_rate: f32,
        /// The number of positions trained on since the start of the training.
        positions: u64,
        /// Positions per second since the start or the last resume.
        #[serde(deserialize_with = "or_nan")]
        positions_per_second: f64,
    },
    /// The network was evaluated on the validation data.
    Validation {
        /// The number of steps so far.
        step: u64,
        /// The epoch of the step before, counted from 0.
        epoch: u64,
        /// The mean loss.
        #[serde(deserialize_with = "or_nan")]
        loss: f64,
        /// The correlation of the outputs with the scores.
        #[serde(deserialize_with = "or_nan")]
        correlation: f64,
        /// The number of positions in the validation data.
        positions: u64,
        /// The mean loss of the integer network, if the run wants it: see
        /// [`Run::validate_integers`](super::Run::validate_integers).
        #[serde(default)]
        integer_loss: Option<f64>,
        /// Why there was no integer network: a weight did not fit its type.
        #[serde(default)]
        integer_error: Option<String>,
    },
    /// A training stopped.
    End {
        /// The number of steps so far.
        step: u64,
        /// The reason: "finished", "interrupted", or the text of an error.
        reason: String,
        /// The duration since the start or the last resume, in seconds.
        #[serde(deserialize_with = "or_nan")]
        seconds: f64,
    },
}

impl Entry {
    /// The number of steps that were done when the line was written.
    pub fn step(&self) -> u64 {
        match self {
            Self::Start { .. } => 0,
            Self::Stage { step, .. }
            | Self::Dropped { step, .. }
            | Self::Resume { step, .. }
            | Self::Fallback { step, .. }
            | Self::Step { step, .. }
            | Self::Validation { step, .. }
            | Self::End { step, .. } => *step,
        }
    }
}

/// A log that is being written. Each line is handed to the system in one call.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// `None` for a rank that writes no log.
    file: Option<File>,
    /// The steps since the last line.
    waiting: Option<Steps>,
}

impl Log {
    /// A log that nobody reads: that of a rank that writes no files.
    pub(super) fn silent() -> Self {
        Self {
            path: PathBuf::new(),
            file: None,
            waiting: None,
        }
    }

    /// Starts an empty log. An existing file at `path` is replaced.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(super) fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        write_atomically(&path, |_| Ok(()))?;
        Self::open(path)
    }

    /// Continues the log at `path` from a checkpoint at `step`. Lines of later steps are dropped,
    /// because they will be written again, and so is an incomplete last line. If there is no log,
    /// an empty one is started.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Data`] with the number of a damaged line.
    pub(super) fn resume(path: impl Into<PathBuf>, step: u64) -> Result<Self> {
        let path = path.into();
        if !path.exists() {
            return Self::create(path);
        }
        let bytes = fs::read(&path).map_err(Error::io(&path, "read"))?;
        let lines = parse(&path, &bytes)?;
        write_atomically(&path, |out| {
            let kept = lines.iter().filter(|(_, entry)| entry.step() <= step);
            kept.map(|(line, _)| line)
                .try_for_each(|line| out.write_all(line))
        })?;
        Self::open(path)
    }

    /// Adds an entry. That of a step may wait for others, to share a line with them.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<()> {
        if let Entry::Step { step, .. } = *entry {
            Steps::add(&mut self.waiting, entry);
            return match has_line(step) {
                true => self.write_steps(),
                false => Ok(()),
            };
        }
        self.write_steps()?;
        self.write(entry)
    }

    /// Writes the line of the steps that wait for others.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(super) fn write_steps(&mut self) -> Result<()> {
        match self.waiting.take() {
            Some(steps) => self.write(&steps.line()),
            None => Ok(()),
        }
    }

    fn write(&mut self, entry: &Entry) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(entry)
            .map_err(|error| Error::argument("log", "an entry that JSON can hold", error))?;
        line.push(b'\n');
        let written = file.write_all(&line);
        written.map_err(Error::io(&self.path, "append a line"))
    }

    fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(Error::io(&path, "open"))?;
        Ok(Self {
            path,
            file: Some(file),
            waiting: None,
        })
    }
}

/// Reads the entries of a log, which may still be growing: an incomplete last line is skipped.
///
/// # Errors
/// [`Error::Io`], and [`Error::Data`] with the number of a damaged line.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let lines = parse(path, &bytes)?;
    Ok(lines.into_iter().map(|(_, entry)| entry).collect())
}

/// The points of the loss curves of a training. Each point is a step and a loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// One point for each line of steps: the last of these steps, and their mean loss.
    pub training: Vec<(u64, f64)>,
    /// One point for each validation.
    pub validation: Vec<(u64, f64)>,
}

impl Curve {
    /// Reads the points from a log.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(path: &Path) -> Result<Self> {
        let mut curve = Self::default();
        for_each(path, |entry| match entry {
            Entry::Step { step, loss, .. } => curve.training.push((step, loss)),
            Entry::Validation { step, loss, .. } => curve.validation.push((step, loss)),
            _ => {}
        })?;
        Ok(curve)
    }
}

/// Each line with its newline, and its entry.
fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<(&'a [u8], Entry)>> {
    let mut entries = Vec::new();
    visit(path, bytes, |line, entry| entries.push((line, entry)))?;
    Ok(entries)
}

/// Hands the entries of a log to `take`, one at a time: an entry takes several times the memory of
/// its line.
pub(super) fn for_each(path: &Path, mut take: impl FnMut(Entry)) -> Result<()> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    visit(path, &bytes, |_, entry| take(entry))
}

/// Hands each line with its newline and its entry to `take`. The last line is incomplete if it lacks
/// the newline or does not parse. It is then left out. Any other line that does not parse is an
/// error.
fn visit<'a>(path: &Path, bytes: &'a [u8], mut take: impl FnMut(&'a [u8], Entry)) -> Result<()> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let mut lines = lines.zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        let last = lines.peek().is_none();
        let wrong = |expected: String, found: String| {
            let fault = Fault::new(format!("line {number}"), expected, found);
            Error::data(path, fault)
        };
        match serde_json::from_slice(line) {
            _ if !line.ends_with(b"\n") => {}
            Ok(Entry::Start { version, .. } | Entry::Resume { version, .. })
                if version > VERSION =>
            {
                let expected = format!("a version up to {VERSION}");
                return Err(wrong(expected, version.to_string()));
            }
            Ok(entry) => take(line, entry),
            Err(_) if last => {}
            Err(error) => {
                let expected = "an entry of a training's log".to_owned();
                return Err(wrong(expected, error.to_string()));
            }
        }
    }
    Ok(())
}

/// Whether a log tells of no step: it is empty, or holds the first line of a run or a part of it.
///
/// # Errors
/// [`Error::Io`] with the path.
pub(super) fn has_only_begun(path: &Path) -> Result<bool> {
    const START: &[u8] = br#"{"kind":"start","#;
    let mut bytes = Vec::new();
    let read = open_regular(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(Error::io(path, "read"))?;
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    Ok(lines.next().is_none() && (first.starts_with(START) || START.starts_with(first)))
}

fn one() -> u64 {
    1
}

fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests;
