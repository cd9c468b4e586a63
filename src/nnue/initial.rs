//! The initial values of parameters.

use super::architecture::{Architecture, ParameterName};
use super::parameters::Parameters;
use crate::error::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// A distribution of initial parameters. In each, the shared part of A and the biases of the head
/// are 0.
///
/// Files and options write `standard`, `he` or `he:INPUTS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initial {
    /// A is normal with variance 1 ÷ 128, and the weights of a layer of the head with variance 1 ÷
    /// inputs of the layer. B is 0.1.
    #[default]
    Standard,
    /// Weights are normal with variance 2 ÷ inputs, and B is 0.
    He {
        /// The number that replaces the inputs N of A, such as 32, the most pieces of a position.
        effective_inputs: Option<usize>,
    },
}

impl Initial {
    /// The initial parameters of a training. The same seed gives the same values, except that the
    /// logarithm of another platform may differ in the last bit.
    ///
    /// # Errors
    /// As [`Architecture::check`], and 0 effective inputs.
    pub fn parameters(self, architecture: Architecture, seed: u64) -> Result<Parameters> {
        self.check()?;
        let mut parameters = Parameters::zeros(architecture)?;
        let architecture = parameters.architecture();
        let (tensors, sizes) = (architecture.tensors(), architecture.layer_sizes());
        let inputs = architecture.inputs;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for (tensor, values) in tensors.iter().zip(parameters.values_mut()) {
            let variance = match tensor.name {
                ParameterName::A1 | ParameterName::A2 => self.accumulator(inputs),
                ParameterName::C => self.layer(sizes[0].inputs),
                ParameterName::W(layer) => self.layer(sizes[layer].inputs),
                ParameterName::B1 | ParameterName::B2 => {
                    values.fill(if self == Self::Standard { 0.1 } else { 0.0 });
                    continue;
                }
                ParameterName::Shared1
                | ParameterName::Shared2
                | ParameterName::D
                | ParameterName::Bias(_) => continue,
            };
            let normal = Normal::new(0.0f32, variance.sqrt())
                .map_err(|error| Error::argument("initial variance", "a finite number", error))?;
            values.fill_with(|| normal.sample(&mut random));
        }
        Ok(parameters)
    }

    /// The variance of A.
    fn accumulator(self, inputs: usize) -> f32 {
        match self {
            Self::Standard => 1.0 / 128.0,
            Self::He { effective_inputs } => 2.0 / effective_inputs.unwrap_or(inputs) as f32,
        }
    }

    /// The variance of the weights of a layer of the head.
    fn layer(self, inputs: usize) -> f32 {
        match self {
            Self::Standard => 1.0 / inputs as f32,
            Self::He { .. } => 2.0 / inputs as f32,
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::He {
                effective_inputs: Some(0),
            } => Err(Error::argument("initial", "at least 1 effective input", 0)),
            _ => Ok(()),
        }
    }
}

impl FromStr for Initial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let he = |effective_inputs| Ok(Self::He { effective_inputs });
        match text {
            "standard" => return Ok(Self::Standard),
            "he" => return he(None),
            _ => {}
        }
        match text.strip_prefix("he:").map(str::parse) {
            Some(Ok(inputs)) => he(Some(inputs)),
            _ => {
                let expected = "standard, he or he:INPUTS";
                Err(Error::argument("initial", expected, format!("{text:?}")))
            }
        }
    }
}

impl Display for Initial {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::He {
                effective_inputs: None,
            } => f.write_str("he"),
            Self::He {
                effective_inputs: Some(inputs),
            } => write!(f, "he:{inputs}"),
        }
    }
}

impl Serialize for Initial {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Initial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::Architecture;

    fn spread(values: &[f32]) -> f64 {
        let squares = values
            .iter()
            .map(|&value| f64::from(value) * f64::from(value));
        squares.sum::<f64>() / values.len() as f64
    }

    #[test]
    fn variances_are_those_of_the_distribution() {
        let architecture = Architecture::new(768, 256);
        let he = |effective_inputs| Initial::He { effective_inputs };
        for (initial, a, c) in [
            (Initial::Standard, 1.0 / 128.0, 1.0 / 512.0),
            (he(None), 2.0 / 768.0, 2.0 / 512.0),
            (he(Some(32)), 2.0 / 32.0, 2.0 / 512.0),
        ] {
            let parameters = initial.parameters(architecture.clone(), 3).unwrap();
            let own = |name| parameters.get(name).unwrap();
            // 196,608 and 512 values: the relative deviation is √(2 ÷ n), 0.0032 and 0.0625.
            let (found_a, found_c) = (
                spread(own(ParameterName::A1)),
                spread(own(ParameterName::C)),
            );
            assert!((found_a / a - 1.0).abs() < 0.02, "{initial}: {found_a}");
            assert!((found_c / c - 1.0).abs() < 0.3, "{initial}: {found_c}");
            let bias = if initial == Initial::Standard {
                0.1
            } else {
                0.0
            };
            assert!(own(ParameterName::B1).iter().all(|&value| value == bias));
            assert_eq!(initial.to_string().parse::<Initial>().unwrap(), initial);
        }
        for text in ["he:", "he:x", "normal"] {
            assert!(text.parse::<Initial>().is_err());
        }
        assert!(he(Some(0)).parameters(architecture, 0).is_err());
    }
}
