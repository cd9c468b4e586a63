//! The integer network beside the network of a training, for validations.

use super::settings::Settings;
use crate::error::{Error, Result};
use crate::nnue::Parameters;
use crate::nnue::data::Encoding;
use crate::nnue::export::{FormatChoice, IntegerModel, Quantized, SaveFormat};

/// How the validations of a run make an integer network.
#[derive(Debug)]
pub(super) struct Integers {
    format: SaveFormat,
    encoding: Encoding,
}

impl Integers {
    /// The integer networks of a format.
    ///
    /// # Errors
    /// A network that the format is not for, or that has no integer form.
    pub(super) fn new(choice: &FormatChoice, settings: &Settings) -> Result<Self> {
        let architecture = &settings.architecture;
        let named = |error| match error {
            Error::Argument(fault) => Error::Argument(fault.within("validate_integers")),
            error => error,
        };
        let integers = Self {
            format: choice.for_network(architecture).map_err(named)?,
            encoding: settings.encoding(),
        };
        // Zeros fit every type, so what fails is the form.
        let zeros = Parameters::zeros(architecture.clone())?;
        integers.model(&zeros).map(|_| integers).map_err(named)
    }

    /// The integer network of these parameters.
    ///
    /// # Errors
    /// A weight that does not fit its type.
    pub(super) fn model(&self, parameters: &Parameters) -> Result<IntegerModel> {
        let quantized = Quantized::new(&self.format, parameters, Some(&self.encoding))?;
        IntegerModel::new(&quantized)
    }
}
