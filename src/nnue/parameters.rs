//! The parameters on the host, and how a training starts. Pure data.

use super::architecture::{Architecture, TensorSpec};
use crate::error::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// Host values for each parameter tensor of an [`Architecture`]: parameters, gradients and optimiser
/// moments all have this form. The order and the layout are those of [`Architecture::tensors`].
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    architecture: Architecture,
    values: Vec<Vec<f32>>,
}

impl Parameters {
    /// All zeros.
    pub fn zeros(architecture: Architecture) -> Result<Self> {
        architecture.check()?;
        let values = architecture.tensors().into_iter();
        let values = values.map(|tensor| vec![0.0; tensor.len()]).collect();
        Ok(Self {
            architecture,
            values,
        })
    }

    /// The usual start: A ~ N(0, 1/128), B = 0.1, C ~ N(0, 1/(2K)), d = 0, variances in the second place.
    ///
    /// The same seed gives the same values; another platform's logarithm may differ in their last bit.
    pub fn initial(architecture: Architecture, seed: u64) -> Result<Self> {
        let mut parameters = Self::zeros(architecture)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for (tensor, values) in architecture.tensors().iter().zip(&mut parameters.values) {
            let variance = match tensor.name {
                "A1" | "A2" => 1.0 / 128.0,
                "C" => 1.0 / (2.0 * architecture.hidden as f32),
                "B1" | "B2" => {
                    values.fill(0.1);
                    continue;
                }
                _ => continue,
            };
            let normal = Normal::new(0.0f32, variance.sqrt())
                .map_err(|error| Error::argument("initial variance", "a finite number", error))?;
            values.fill_with(|| normal.sample(&mut random));
        }
        Ok(parameters)
    }

    /// From values in the order of [`Architecture::tensors`]; lengths must match.
    pub fn from_values(architecture: Architecture, values: Vec<Vec<f32>>) -> Result<Self> {
        architecture.check()?;
        let tensors = architecture.tensors();
        if values.len() != tensors.len() {
            return Err(Error::argument(
                "parameters",
                format!("{} tensors", tensors.len()),
                values.len(),
            ));
        }
        for (tensor, values) in tensors.iter().zip(&values) {
            if tensor.len() != values.len() {
                return Err(Error::argument(
                    tensor.name,
                    format!("{} values", tensor.len()),
                    values.len(),
                ));
            }
        }
        Ok(Self {
            architecture,
            values,
        })
    }

    /// The architecture they belong to.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Each tensor's description and values, in the fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (TensorSpec, &[f32])> {
        let tensors = self.architecture.tensors().into_iter();
        tensors.zip(self.values.iter().map(Vec::as_slice))
    }

    /// The values in the fixed order.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// The values in the fixed order, to change in place.
    pub fn values_mut(&mut self) -> Vec<&mut [f32]> {
        self.values.iter_mut().map(Vec::as_mut_slice).collect()
    }

    /// The values of a tensor by its name (`A1` … `d`).
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.iter()
            .find(|(tensor, _)| tensor.name == name)
            .map(|(_, values)| values)
    }
}
