//! One tensor of a save format.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a tensor is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Entry {
    /// The name in a network file: `A1`, `B1`, `C`, `d`, `W1`, `c1` and so on.
    pub tensor: String,
    /// What is joined with it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merge: Vec<Merge>,
    /// The axes from the slowest to the fastest; empty for the order of the network:
    /// `["input", "lane"]` for A, `["bucket", "input"]` for C, and `["bucket", "output", "input"]`
    /// for the weights of a layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Axis>,
    /// The type of a number in the file.
    #[serde(rename = "type")]
    pub kind: Number,
    /// The factor of a number in the file.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub scale: f64,
    /// What happens to fractions, if not what the format says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<Rounding>,
    /// Whether the entry has no effect for a network that lacks the tensor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Zeros in front of the tensor up to a multiple of this many bytes of the file.
    #[serde(default = "no_alignment", skip_serializing_if = "is_no_alignment")]
    pub align: usize,
}

fn one() -> f64 {
    1.0
}

fn is_one(scale: &f64) -> bool {
    *scale == 1.0
}

fn no_alignment() -> usize {
    1
}

fn is_no_alignment(align: &usize) -> bool {
    *align == 1
}

/// What is joined with the weights of an accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// The part that all king buckets share, if the network has one: the file holds the sum.
    Shared,
    /// The planes of both kings: 704 inputs per bucket instead of 768. On the squares of its bucket
    /// the merged plane has the weights of the own king, and on all others those of the opponent's
    /// king. Each bucket must fit in 2 × 2 squares, so that the opponent's king never stands on a
    /// square of the bucket.
    Kings,
}

/// An axis of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The output bucket.
    Bucket,
    /// The output of a layer.
    Output,
    /// The input of a layer, or the feature of an accumulator.
    Input,
    /// The lane of an accumulator.
    Lane,
}

impl Axis {
    /// The name in a format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Output => "output",
            Self::Input => "input",
            Self::Lane => "lane",
        }
    }
}

/// The type of a number in a file, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Number {
    /// 8 bits with a sign.
    I8,
    /// 16 bits with a sign.
    I16,
    /// 32 bits with a sign.
    I32,
    /// A float of 32 bits.
    F32,
}

impl Number {
    /// The length in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
        }
    }

    /// The least and the greatest integer; `None` for floats.
    pub(in crate::nnue) const fn limits(self) -> Option<[i32; 2]> {
        match self {
            Self::I8 => Some([i8::MIN as i32, i8::MAX as i32]),
            Self::I16 => Some([i16::MIN as i32, i16::MAX as i32]),
            Self::I32 => Some([i32::MIN, i32::MAX]),
            Self::F32 => None,
        }
    }
}

/// What happens to the fraction of a scaled weight, which is computed in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// The nearest integer, halves away from 0.
    #[default]
    Nearest,
    /// Towards 0.
    Truncate,
}

impl Rounding {
    /// The integer of a number, as a float.
    pub(super) fn apply(self, number: f64) -> f64 {
        match self {
            Self::Nearest => number.round(),
            Self::Truncate => number.trunc(),
        }
    }
}

impl Entry {
    /// A tensor of floats in the order of the network.
    pub fn new(tensor: impl Into<String>, kind: Number, scale: f64) -> Self {
        Self {
            tensor: tensor.into(),
            merge: Vec::new(),
            order: Vec::new(),
            kind,
            scale,
            rounding: None,
            optional: false,
            align: 1,
        }
    }

    /// The largest alignment.
    const MOST_ALIGNMENT: usize = 1 << 16;

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: String| {
            Err(Error::argument(
                format!("tensor {}, {key}", self.tensor),
                expected,
                found,
            ))
        };
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return wrong("scale", "a finite number above 0", self.scale.to_string());
        }
        if !(1..=Self::MOST_ALIGNMENT).contains(&self.align) {
            let expected = format!("1 to {}", Self::MOST_ALIGNMENT);
            return wrong("align", &expected, self.align.to_string());
        }
        for (at, axis) in self.order.iter().enumerate() {
            if self.order[..at].contains(axis) {
                return wrong("order", "each axis once", axis.name().to_owned());
            }
        }
        if !self.merge.is_empty() && !matches!(self.tensor.as_str(), "A1" | "A2") {
            let expected = "none but for A1 and A2";
            return wrong("merge", expected, format!("{:?}", self.merge));
        }
        Ok(())
    }
}
