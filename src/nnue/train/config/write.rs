//! Writes the file of a training.

use super::Config;
use super::field::Field;
use super::keys::{KEYS, Key, RUN_KEYS};
use crate::nnue::train::stage::Stage;
use std::fmt::{self, Display, Formatter};
use toml::Value;

/// The text of the file, with every value. A value that all stages have stands above them.
impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let line = |f: &mut Formatter<'_>, name: &str, value: Option<Value>| match value {
            Some(value) => writeln!(f, "{name} = {value}"),
            None => Ok(()),
        };
        for key in RUN_KEYS {
            line(f, key.name, (key.write)(&self.run))?;
        }
        line(f, "device", self.device.write())?;
        let Some((first, others)) = self.stages.split_first() else {
            return Ok(());
        };
        let common = |key: &Key| {
            let value = (key.write)(first);
            others.iter().all(|stage| (key.write)(stage) == value)
        };
        for key in KEYS.iter().filter(|key| common(key)) {
            line(f, key.name, (key.write)(first))?;
        }
        if others.is_empty() && is_plain(first) {
            return Ok(());
        }
        for stage in &self.stages {
            writeln!(f, "\n[[stage]]")?;
            line(f, "name", stage.name.write())?;
            line(f, "data", stage.data.write())?;
            line(f, "validation", stage.validation.write())?;
            for key in KEYS.iter().filter(|key| !common(key)) {
                line(f, key.name, (key.write)(stage))?;
            }
        }
        Ok(())
    }
}

/// Whether a stage has nothing that only a table of its own can say.
fn is_plain(stage: &Stage) -> bool {
    stage.name.is_empty() && stage.data.is_empty() && stage.validation.is_none()
}
