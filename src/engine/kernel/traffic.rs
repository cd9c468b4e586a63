//! What a dispatch asks of a device: bytes and arithmetic, counted from its parameters.

use serde::Serialize;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Bytes through device memory and arithmetic of one or more dispatches, as the mathematics needs them: an array that is
/// read in order counts once a dispatch, however often caches miss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes of arrays that are read in order.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Bytes of loads whose place depends on data, such as rows of weights by index: each load counts.
    pub gathered_issued: u64,
    /// The most of them that can be distinct: what memory has to give where a cache keeps the rest.
    pub gathered_distinct: u64,
    /// Floating additions and multiplications; a fused multiply-add is two, a division, a root or an exponential one.
    pub operations: u64,
}

impl Traffic {
    /// The fewest bytes that pass through memory: what is read in order, what is written, what is gathered once.
    pub fn bytes(&self) -> u64 {
        self.read + self.written + self.gathered_distinct
    }

    /// Elementwise work on `length` elements: 4-byte values read and written for each, and operations.
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
