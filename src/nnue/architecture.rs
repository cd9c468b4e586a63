//! Which network it is: sizes, activation, tied or not. Pure data.

use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use serde::{Deserialize, Serialize};

/// The shape of a two-perspective network: N inputs → K accumulator rows, twice → 1 output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// N, inputs of one perspective.
    pub inputs: usize,
    /// K, rows of one accumulator.
    pub hidden: usize,
    /// Whether both perspectives share one accumulator (A1 = A2, B1 = B2).
    pub tied: bool,
    /// The activation of the accumulators.
    pub activation: Activation,
    /// T, the clip threshold of CReLU and SCReLU; ReLU ignores it.
    pub clip: f32,
    /// Output buckets: rows of C and d. 1 for the plain network.
    pub buckets: usize,
}

/// One parameter tensor of an [`Architecture`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// `A1`, `A2`, `B1`, `B2`, `C` or `d`.
    pub name: &'static str,
    /// The shape on the device, row-major: A is `[N, K]`, B `[K]`, C `[buckets·2K]` and d `[buckets]`.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements; never so for a checked architecture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Architecture {
    /// The plain untied CReLU network with T = 1.
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

    /// Refuses sizes of 0 or past 32 bits, and clips that are not finite and positive, also where they have no effect.
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
        // B of two accumulators, C and d, which share a buffer.
        let of_buckets = self.buckets.saturating_mul(2 * self.hidden + 1);
        let small = of_buckets.saturating_add(2 * self.hidden);
        if self.inputs.saturating_mul(self.hidden).max(small) > u32::MAX as usize {
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
            return Err(Error::argument(
                "clip (T)",
                "a finite number above 0",
                self.clip,
            ));
        }
        Ok(())
    }

    /// The parameter tensors in their fixed order: A1, A2, B1, B2, C, d; tied networks have no A2 and B2.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let (n, k) = (self.inputs, self.hidden);
        let accumulators: &[(&'static str, &'static str)] = if self.tied {
            &[("A1", "B1")]
        } else {
            &[("A1", "B1"), ("A2", "B2")]
        };
        let weights = accumulators.iter().map(|&(name, _)| (name, vec![n, k]));
        let biases = accumulators.iter().map(|&(_, name)| (name, vec![k]));
        let output = [("C", vec![self.buckets * 2 * k]), ("d", vec![self.buckets])];
        weights
            .chain(biases)
            .chain(output)
            .map(|(name, shape)| TensorSpec { name, shape })
            .collect()
    }
}
