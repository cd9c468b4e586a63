//! The activations of the accumulators, and their definition in f64 (section 1). Pure data.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The activation between the accumulators and the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// min(max(Z, 0), T), with the derivative 1 where 0 ≤ Z ≤ T, both ends included.
    CRelu,
    /// min(max(Z, 0), T)², with the derivative 2·Z where 0 ≤ Z ≤ T.
    SCRelu,
    /// max(Z, 0), with the derivative 1 where Z ≥ 0. It has no clip.
    Relu,
}

impl Activation {
    /// Every activation in the order of its discriminants, which are the numbers of the kernels' variants.
    pub const ALL: [Self; 3] = [Self::CRelu, Self::SCRelu, Self::Relu];

    /// The name in files, options and kernel variants.
    pub fn name(self) -> &'static str {
        match self {
            Self::CRelu => "crelu",
            Self::SCRelu => "screlu",
            Self::Relu => "relu",
        }
    }

    /// H = activation(Z), by the mathematics.
    pub fn value(self, z: f64, clip: f64) -> f64 {
        match self {
            Self::CRelu => z.clamp(0.0, clip),
            Self::SCRelu => z.clamp(0.0, clip).powi(2),
            // Where `max` would drop a NaN.
            Self::Relu if z < 0.0 => 0.0,
            Self::Relu => z,
        }
    }

    /// ∂H/∂Z, by the mathematics: 1 (or 2Z) at both ends of the range, inclusive.
    pub fn slope(self, z: f64, clip: f64) -> f64 {
        let inside = z >= 0.0 && (self == Self::Relu || z <= clip);
        match self {
            _ if !inside => 0.0,
            Self::SCRelu => 2.0 * z,
            Self::CRelu | Self::Relu => 1.0,
        }
    }
}

impl std::str::FromStr for Activation {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|activation| activation.name() == text)
            .ok_or_else(|| {
                Error::argument("activation", "crelu, screlu or relu", format!("{text:?}"))
            })
    }
}
