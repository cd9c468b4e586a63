//! Rounding that keeps the outputs: each number of a quantized network is one of the two integers
//! around its scaled weight, chosen so that the outputs on positions of a data file stay near those
//! of the floats (section 8.3 of the mathematics).

mod accumulators;
mod descent;
mod floats;
mod layers;
mod outputs;
mod plain;
mod samples;
#[cfg(test)]
mod tests;

use super::quantized::{Quantized, Values};
use crate::error::{Error, Result};
use crate::nnue::data::{Dataset, Encoding};
use crate::nnue::parameters::Parameters;
use samples::Samples;
use serde::Serialize;

/// How often all layers are rounded, one after the other.
const ROUNDS: usize = 2;

/// What a calibration did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Calibration {
    /// The number of positions.
    pub positions: usize,
    /// The number of weights that are not the nearest integers any more.
    pub changed: usize,
}

impl Quantized {
    /// Chooses the rounding of each integer anew, from at most this many positions of a dataset in
    /// a random order: first in the layers after the accumulators, then in the accumulators. The
    /// biases take up what is left of the mean error.
    ///
    /// # Errors
    /// Everything that [`Quantized::network`] refuses, parameters or an encoding other than those
    /// that the numbers came from, and damaged data.
    pub fn calibrate(
        &mut self,
        parameters: &Parameters,
        encoding: &Encoding,
        dataset: &Dataset,
        positions: usize,
    ) -> Result<Calibration> {
        // Refuses networks without an integer form.
        self.network()?;
        if positions == 0 {
            return Err(Error::argument("calibration positions", "at least 1", 0));
        }
        let before = self.clone();
        let samples = Samples::read(self, parameters, encoding, dataset, positions)?;
        match self.architecture.layers.is_empty() {
            true => plain::calibrate(self, parameters, &samples)?,
            false => layers::calibrate(self, parameters, &samples)?,
        }
        let pairs = self.tensors.iter().zip(&before.tensors);
        let changed = pairs.map(|(after, before)| match (&after.values, &before.values) {
            (Values::Integers(after), Values::Integers(before)) => after
                .iter()
                .zip(before)
                .filter(|(after, before)| after != before)
                .count(),
            _ => 0,
        });
        Ok(Calibration {
            positions: samples.len(),
            changed: changed.sum(),
        })
    }
}
