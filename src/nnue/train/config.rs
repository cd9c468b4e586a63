//! A whole training as one TOML file.
//!
//! ```toml
//! data = ["train.bin"]
//! hidden = 128
//! activation = "screlu"
//! batch_size = 16384
//! superbatches = 40
//! learning_rate = 0.001
//! schedule = "step:0.1,18"
//! lambda = 0.75
//!
//! [[stage]]
//! name = "main"
//!
//! [[stage]]
//! name = "fine-tuning"
//! superbatches = 4
//! learning_rate = 0.00001
//! schedule = "constant"
//! ```
//!
//! The keys are the options of `wgrad train` with underscores for hyphens. The keys of a stage
//! replace those above the stages. Paths are relative to the current directory.

mod field;
mod keys;
mod read;
mod write;

pub use keys::differences;

use super::run::Run;
use super::settings::Settings;
use super::stage::{Stage, check_stages};
use crate::error::{Error, Fault, Result};
use crate::files::atomic::write_atomically;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The contents of a TOML file: the stages of a training, its files, and its device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// The files of the run. Its data are those of the stages that have none of their own.
    pub run: Run,
    /// The device by name, as `--device` takes it.
    pub device: Option<String>,
}

impl Default for Config {
    /// One stage with the default settings, and no data.
    fn default() -> Self {
        Self {
            stages: vec![Stage::new(Settings::default())],
            run: Run::default(),
            device: None,
        }
    }
}

impl Config {
    /// A training of one stage.
    pub fn new(settings: Settings, run: Run) -> Self {
        Self {
            stages: vec![Stage::new(settings)],
            run,
            device: None,
        }
    }

    /// Reads a file and checks it.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Data`] with the line: text that is no TOML, an unknown key, a
    /// value of another type or out of its range.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read the training"))?;
        Self::parse(&text).map_err(|fault| Error::data(path, fault))
    }

    /// The file of the run in a directory.
    pub fn path(out: &Path) -> PathBuf {
        out.join("run.toml")
    }

    /// Reads the file of the run in a directory; `None` if there is none, as in a run of release
    /// 0.1.0.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn of_run(out: &Path) -> Result<Option<Self>> {
        let path = Self::path(out);
        match path.exists() {
            true => Self::read(&path).map(Some),
            false => Ok(None),
        }
    }

    /// Reads the text of a file and checks it.
    ///
    /// # Errors
    /// A [`Fault`] with the line and the key.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        read::parse(text)
    }

    /// Replaces values in all stages: `text` is a line of a file, such as `beta1 = 0.95`. The text
    /// of a value needs no quotation marks. [`Config::check`] checks the result.
    ///
    /// # Errors
    /// A [`Fault`] with the key.
    pub fn set(&mut self, text: &str) -> Result<(), Fault> {
        let quoted = || {
            let (key, value) = text.split_once('=')?;
            let value = toml::Value::String(value.trim().to_owned());
            Some(format!("{key} = {value}"))
        };
        let is_toml = toml::from_str::<toml::Table>(text).is_ok();
        match quoted().filter(|_| !is_toml) {
            Some(quoted) => read::set(self, &quoted),
            None => read::set(self, text),
        }
    }

    /// Checks the settings of all stages, and that they train one network.
    ///
    /// # Errors
    /// [`Error::Argument`] with the name of the setting.
    pub fn check(&self) -> Result<()> {
        check_stages(&self.stages)
    }

    /// Writes the file. It holds every value, whether it was given or is a default.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_string();
        write_atomically(path, |file| file.write_all(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests;
