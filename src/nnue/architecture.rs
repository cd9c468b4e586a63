//! The shape of a network: sizes, activation, tied or untied. Pure data.

use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// The shape of a two-perspective network, (N → K)×2 → 1.
///
/// ```
/// use wgrad::nnue::{Activation, Architecture};
///
/// let network = Architecture::new(768, 256).tied().activation(Activation::SCRelu);
/// assert_eq!(network.hidden, 256);
/// ```
///
/// If a file of an earlier release lacks a field, the field takes its default value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Architecture {
    /// N, the number of inputs of one perspective.
    pub inputs: usize,
    /// K, the number of lanes of one accumulator.
    pub hidden: usize,
    /// Whether both perspectives share one accumulator: A1 = A2 and B1 = B2.
    pub tied: bool,
    /// The activation of the accumulators.
    pub activation: Activation,
    /// T, the upper end of CReLU and SCReLU. ReLU ignores it.
    pub clip: f32,
    /// The number of output buckets, which is the number of rows of C and d.
    pub buckets: usize,
}

impl Default for Architecture {
    /// (768 → 128)×2 → 1. Everything else is as in [`Architecture::new`].
    fn default() -> Self {
        Self::new(768, 128)
    }
}

crate::setters! { Architecture {
    activation: Activation,
    clip: f32,
    buckets: usize,
} }

/// The name of a parameter tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterName {
    /// The accumulator weights of the side to move, or of both sides in a tied network.
    A1,
    /// The accumulator weights of the other side.
    A2,
    /// The accumulator biases of the side to move, or of both sides in a tied network.
    B1,
    /// The accumulator biases of the other side.
    B2,
    /// The output weights.
    C,
    /// The output bias, `d` in formulas and files.
    D,
}

impl ParameterName {
    /// The name in formulas and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::B1 => "B1",
            Self::B2 => "B2",
            Self::C => "C",
            Self::D => "d",
        }
    }
}

impl Display for ParameterName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One parameter tensor of an [`Architecture`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorSpec {
    /// The name.
    pub name: ParameterName,
    /// The row-major shape in memory: `[N, K]` for A, `[K]` for B, `[buckets·2K]` for C and
    /// `[buckets]` for d.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements, which no checked architecture has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Architecture {
    /// An untied network of N = `inputs` and K = `hidden`, with CReLU, T = 1 and one output bucket.
    pub fn new(inputs: usize, hidden: usize) -> Self {
        Self {
            inputs,
            hidden,
            tied: false,
            activation: Activation::CRelu,
            clip: 1.0,
            buckets: 1,
        }
    }

    /// The same network with one accumulator for both perspectives.
    #[must_use]
    pub fn tied(self) -> Self {
        Self { tied: true, ..self }
    }

    /// Checks the sizes, and that the clip is finite and positive even if it has no effect.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0, a size past 32 bits, or a wrong clip.
    pub fn check(&self) -> Result<()> {
        for (name, size) in [
            ("inputs (N)", self.inputs),
            ("hidden (K)", self.hidden),
            ("buckets", self.buckets),
        ] {
            if size == 0 {
                return Err(Error::argument(name, "at least 1", size));
            }
            if size > i32::MAX as usize {
                return Err(Error::argument(name, "at most 2147483647", size));
            }
        }
        // B of two accumulators, C and d share a buffer.
        let output = self.buckets.saturating_mul(2 * self.hidden + 1);
        let shared = output.saturating_add(2 * self.hidden);
        if self.inputs.saturating_mul(self.hidden).max(shared) > u32::MAX as usize {
            return Err(Error::argument(
                "architecture",
                "at most 4294967295 weights in A, and in B, C and d together",
                format!(
                    "N = {}, K = {}, {} buckets",
                    self.inputs, self.hidden, self.buckets
                ),
            ));
        }
        if !(self.clip > 0.0 && self.clip.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::argument("clip (T)", expected, self.clip));
        }
        Ok(())
    }

    /// The parameter tensors in their fixed order: A1, A2, B1, B2, C, d. Tied networks have no A2
    /// and no B2.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        use ParameterName::{A1, A2, B1, B2, C, D};
        let (n, k) = (self.inputs, self.hidden);
        let names: &[ParameterName] = match self.tied {
            true => &[A1, B1, C, D],
            false => &[A1, A2, B1, B2, C, D],
        };
        let shape = |name| match name {
            A1 | A2 => vec![n, k],
            B1 | B2 => vec![k],
            C => vec![self.buckets * 2 * k],
            D => vec![self.buckets],
        };
        let specs = names.iter().map(|&name| TensorSpec {
            name,
            shape: shape(name),
        });
        specs.collect()
    }
}
