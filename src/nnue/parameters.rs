//! Parameters on the host. Pure data.

use super::architecture::{Architecture, ParameterName, TensorSpec};
use super::initial::Initial;
use crate::error::{Error, Result};
use crate::files::memory::{copied, filled};

/// One value for each element of each parameter tensor of an [`Architecture`]: the parameters
/// themselves, their gradients, or the moments of an optimizer.
///
/// Order and layout are those of [`Architecture::tensors`].
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    architecture: Architecture,
    values: Vec<Vec<f32>>,
}

impl Parameters {
    /// All zeros.
    ///
    /// # Errors
    /// As [`Architecture::check`], and [`Error::Memory`] if the system has no memory for them.
    pub fn zeros(architecture: Architecture) -> Result<Self> {
        architecture.check()?;
        let values = architecture.tensors().into_iter();
        let values = values.map(|tensor| filled(tensor.name.as_str(), tensor.len(), 0.0));
        Ok(Self {
            values: values.collect::<Result<_>>()?,
            architecture,
        })
    }

    /// A copy.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has no memory for it.
    pub fn copy(&self) -> Result<Self> {
        let values = self.iter();
        let values = values.map(|(tensor, values)| copied(tensor.name.as_str(), values));
        Ok(Self {
            values: values.collect::<Result<_>>()?,
            architecture: self.architecture.clone(),
        })
    }

    /// The initial parameters of a training, from [`Initial::Standard`].
    ///
    /// # Errors
    /// As [`Architecture::check`].
    pub fn initial(architecture: Architecture, seed: u64) -> Result<Self> {
        Initial::Standard.parameters(architecture, seed)
    }

    /// Parameters with these values, in the order of [`Architecture::tensors`].
    ///
    /// # Errors
    /// The errors of [`Architecture::check`], and a wrong number of tensors or of values in a
    /// tensor.
    pub fn from_values(architecture: Architecture, values: Vec<Vec<f32>>) -> Result<Self> {
        architecture.check()?;
        let tensors = architecture.tensors();
        if values.len() != tensors.len() {
            let expected = format!("{} tensors", tensors.len());
            return Err(Error::argument("parameters", expected, values.len()));
        }
        for (tensor, values) in tensors.iter().zip(&values) {
            if tensor.len() != values.len() {
                let expected = format!("{} values", tensor.len());
                let name = tensor.name.as_str();
                return Err(Error::argument(name, expected, values.len()));
            }
        }
        Ok(Self {
            architecture,
            values,
        })
    }

    /// The architecture that the parameters belong to.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The tensors and their values, in the fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (TensorSpec, &[f32])> {
        let tensors = self.architecture.tensors().into_iter();
        tensors.zip(self.values.iter().map(Vec::as_slice))
    }

    /// The values of all tensors, in the fixed order.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// The mutable values of all tensors, in the fixed order.
    pub fn values_mut(&mut self) -> Vec<&mut [f32]> {
        self.values.iter_mut().map(Vec::as_mut_slice).collect()
    }

    /// The values of one tensor; `None` for A2 and B2 of a tied network.
    pub fn get(&self, name: ParameterName) -> Option<&[f32]> {
        self.iter()
            .find(|(tensor, _)| tensor.name == name)
            .map(|(_, values)| values)
    }
}
