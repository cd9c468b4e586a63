//! The weights of the floats at the scales of a format.

use super::super::entry::Number;
use super::super::quantized::{Quantized, merged};
use crate::error::{Error, Result};
use crate::nnue::parameters::Parameters;

/// The weights of a tensor with what the format merges, times the scale of the format.
pub(super) fn scaled(
    quantized: &Quantized,
    parameters: &Parameters,
    name: &str,
) -> Result<Vec<f64>> {
    let tensor = quantized.tensor(name);
    let tensor = tensor.ok_or_else(|| Error::argument(name, "a tensor of the format", "none"))?;
    let weights = merged(&tensor.entry, parameters, quantized.encoding())?;
    let scale = match tensor.entry.kind {
        Number::F32 => 1.0,
        _ => tensor.entry.scale,
    };
    Ok(weights
        .into_iter()
        .map(|weight| f64::from(weight) * scale)
        .collect())
}
