//! The numbers of an optimizer that may differ from tensor to tensor.

use super::{Optimizer, check_from_0, check_range};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The numbers of a group of parameters that differ from the optimizer's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParameterGroup {
    /// The factor of the learning rate.
    #[serde(skip_serializing_if = "is_one")]
    pub rate_factor: f32,
    /// The weight decay w, instead of the optimizer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f32>,
    /// The range of θ, instead of the optimizer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(f32, f32)>,
}

impl Default for ParameterGroup {
    fn default() -> Self {
        Self {
            rate_factor: 1.0,
            weight_decay: None,
            range: None,
        }
    }
}

// Serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(value: &f32) -> bool {
    *value == 1.0
}

impl ParameterGroup {
    /// Checks the numbers.
    ///
    /// # Errors
    /// A factor below 0 or not finite, a negative decay, an empty range.
    pub fn check(&self) -> Result<()> {
        check_from_0("learning-rate factor", self.rate_factor)?;
        check_from_0("weight decay", self.weight_decay.unwrap_or(0.0))?;
        check_range(self.range)
    }

    /// Checks that an optimizer has what the group changes.
    ///
    /// # Errors
    /// A weight decay or a range for SGD, which has neither.
    pub fn check_for(&self, optimizer: &Optimizer) -> Result<()> {
        let Optimizer::Sgd(_) = optimizer else {
            return Ok(());
        };
        match (self.weight_decay, self.range) {
            (None, None) => Ok(()),
            (decay, range) => Err(Error::argument(
                "parameter group of sgd",
                "no weight decay and no range",
                format!("weight decay {decay:?} and range {range:?}"),
            )),
        }
    }
}
