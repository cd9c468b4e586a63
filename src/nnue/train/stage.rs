//! The stages of a training.

use super::run::Run;
use super::settings::Settings;
use crate::error::{Error, Result};
use std::path::PathBuf;

/// A part of a training with settings and data of its own. Each stage starts from the network of
/// the stage before, with new moments of the optimizer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// The name in progress lines and logs; empty for a training of one stage.
    pub name: String,
    /// Everything that determines the numbers.
    pub settings: Settings,
    /// The training data; empty for the data of the run.
    pub data: Vec<PathBuf>,
    /// The validation data; `None` for the validation data of the run.
    pub validation: Option<PathBuf>,
}

impl Stage {
    /// A stage on the data of the run.
    pub fn new(settings: Settings) -> Self {
        Self {
            name: String::new(),
            settings,
            data: Vec::new(),
            validation: None,
        }
    }

    /// Its training data.
    pub(super) fn data<'a>(&'a self, run: &'a Run) -> &'a [PathBuf] {
        match self.data.is_empty() {
            true => &run.data,
            false => &self.data,
        }
    }

    /// Its validation data.
    pub(super) fn validation<'a>(&'a self, run: &'a Run) -> Option<&'a PathBuf> {
        self.validation.as_ref().or(run.validation.as_ref())
    }

    /// The stage in an error: `stage 2 (fine-tuning)`.
    pub(super) fn describe(&self, index: usize) -> String {
        match self.name.is_empty() {
            true => format!("stage {}", index + 1),
            false => format!("stage {} ({})", index + 1, self.name),
        }
    }
}

/// Checks that there is a stage, the settings of all, and that they train one network.
pub(super) fn check_stages(stages: &[Stage]) -> Result<()> {
    let Some(first) = stages.first() else {
        return Err(Error::argument("stages", "at least 1", 0));
    };
    let several = stages.len() > 1;
    for (index, stage) in stages.iter().enumerate() {
        let settings = &stage.settings;
        settings.check().map_err(|error| match error {
            Error::Argument(fault) if several => {
                Error::Argument(fault.within(stage.describe(index)))
            }
            error => error,
        })?;
        let same = settings.architecture == first.settings.architecture
            && settings.encoding() == first.settings.encoding();
        if !same {
            let place = format!("{}, network", stage.describe(index));
            let network = |settings: &Settings| {
                let encoding = settings.encoding();
                let (inputs, buckets) = (encoding.inputs, encoding.output_buckets);
                format!(
                    "{:?} of {inputs}, output buckets {buckets}",
                    settings.architecture
                )
            };
            let expected = format!("the network of stage 1, {}", network(&first.settings));
            return Err(Error::argument(place, expected, network(settings)));
        }
    }
    Ok(())
}
