//! Bytes and arithmetic of a dispatch, counted from its parameters.

use serde::Serialize;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The bytes and the arithmetic of one or more dispatches, as the mathematics needs them. An array
/// that a dispatch reads in order counts once, however often caches miss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes of arrays that are read in order.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Bytes of loads whose address depends on data, such as rows of weights by index. Each load
    /// counts.
    pub gathered_issued: u64,
    /// The most of those bytes that can be distinct, which memory must deliver if a cache keeps the
    /// rest.
    pub gathered_distinct: u64,
    /// Floating-point operations. A fused multiply-add counts as two; a division, a square root or
    /// an exponential counts as one.
    pub operations: u64,
}

impl Traffic {
    /// The fewest bytes that pass through memory: the bytes that are read in order, the bytes that
    /// are written, and each gathered byte once.
    pub fn bytes(&self) -> u64 {
        self.read + self.written + self.gathered_distinct
    }

    /// Elementwise work on `length` elements: the values of 4 bytes that each element reads and
    /// writes, and its operations.
    pub(crate) fn elementwise(length: u32, read: u64, written: u64, operations: u64) -> Self {
        let length = u64::from(length);
        Self {
            read: 4 * read * length,
            written: 4 * written * length,
            operations: operations * length,
            ..Self::default()
        }
    }
}

impl Add for Traffic {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            gathered_issued: self.gathered_issued + other.gathered_issued,
            gathered_distinct: self.gathered_distinct + other.gathered_distinct,
            operations: self.operations + other.operations,
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Self::add)
    }
}
