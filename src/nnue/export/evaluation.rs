//! The integer arithmetic of an engine, as a save format says it.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How an engine computes with the numbers of a file. QA is the scale of A1, QB that of C, and Q1
/// that of W1. [`wgrad_inference::Head`] has the formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Evaluation {
    /// The centipawns of an output of 1.
    pub scale: i32,
    /// Bits by which products of two lanes are shifted to the right before the first hidden layer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub product_shift: u32,
    /// The arithmetic after the sums of the first hidden layer.
    #[serde(default)]
    pub tail: TailKind,
    /// Bits by which the sums of the first hidden layer are shifted to the right, with an integer
    /// tail.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sum_shift: u32,
    /// Whether the bias of the first hidden layer is added before that shift.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bias_first: bool,
}

fn is_zero(shift: &u32) -> bool {
    *shift == 0
}

/// The arithmetic after the sums of the first hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TailKind {
    /// Floats of 32 bits.
    #[default]
    Float,
    /// Integers of 32 bits.
    Integer,
}

impl Evaluation {
    /// The arithmetic of a network without hidden layers.
    pub fn new(scale: i32) -> Self {
        Self {
            scale,
            product_shift: 0,
            tail: TailKind::Float,
            sum_shift: 0,
            bias_first: false,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.scale < 1 {
            return Err(Error::argument(
                "evaluation, scale",
                "at least 1",
                self.scale,
            ));
        }
        for (key, shift) in [
            ("evaluation, product_shift", self.product_shift),
            ("evaluation, sum_shift", self.sum_shift),
        ] {
            if shift > 16 {
                return Err(Error::argument(key, "at most 16 bits", shift));
            }
        }
        Ok(())
    }
}
