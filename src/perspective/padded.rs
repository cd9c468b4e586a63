//! How parameters lie on a device: rows of K lanes widened by zeros to a multiple of 32, a word of mask bits.
//!
//! The network computes the same: lanes whose A, B and C are 0 add nothing to Y, and their gradients are 0, so no optimiser
//! moves them.

use super::architecture::Architecture;
use crate::device::Values;
use crate::recording::Data;

/// Lanes of a word of mask bits.
const LANES: usize = 32;

/// The architecture with K as it is on the device.
pub(super) fn widened(architecture: &Architecture) -> Architecture {
    Architecture {
        hidden: architecture.hidden.next_multiple_of(LANES),
        ..*architecture
    }
}

/// The largest K within `lanes` that needs no more of them on the device.
pub(super) fn whole_words(lanes: u64) -> u64 {
    lanes - lanes % LANES as u64
}

/// Values of a parameter as they lie on the device.
#[derive(Debug)]
pub(super) enum Widened<'a> {
    AsTheyAre(Data<'a>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
}

impl Widened<'_> {
    pub(super) fn data(&self) -> Data<'_> {
        match self {
            Self::AsTheyAre(data) => *data,
            Self::Floats(values) => Data::Floats(values),
            Self::Doubles(values) => Data::Doubles(values),
        }
    }
}

/// Widens a parameter's values. `d`, the only one without lanes, stays as it is.
pub(super) fn widen<'a>(architecture: &Architecture, name: &str, data: Data<'a>) -> Widened<'a> {
    let (from, to) = (architecture.hidden, widened(architecture).hidden);
    match data {
        Data::Floats(values) if from != to && name != "d" => {
            Widened::Floats(rows(values, from, to))
        }
        Data::Doubles(values) if from != to && name != "d" => {
            Widened::Doubles(rows(values, from, to))
        }
        data => Widened::AsTheyAre(data),
    }
}

/// Takes the widening out of what was read back.
pub(super) fn narrow(architecture: &Architecture, name: &str, values: Values) -> Values {
    let (to, from) = (architecture.hidden, widened(architecture).hidden);
    match values {
        Values::F32(values) if from != to && name != "d" => Values::F32(rows(&values, from, to)),
        Values::F64(values) if from != to && name != "d" => Values::F64(rows(&values, from, to)),
        values => values,
    }
}

/// Rows of `from` elements as rows of `to`: cut off, or filled up with zeros.
fn rows<T: Copy + Default>(values: &[T], from: usize, to: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len() / from * to);
    for row in values.chunks(from) {
        out.extend_from_slice(&row[..from.min(to)]);
        out.resize(out.len() + to.saturating_sub(from), T::default());
    }
    out
}
