//! How parameters lie on a device: rows of K lanes widened by zeros to a multiple of 32, a word of mask bits; A of each accumulator in
//! a buffer of its own; B of each, C and d one after the other in another, which kernels bind once and an optimiser moves in one.
//!
//! With the widened lanes the network computes the same: lanes whose A, B and C are 0 add nothing to Y, and their gradients are 0, so no optimiser
//! moves them.

use super::architecture::{Architecture, ParameterName, TensorSpec};
use crate::engine::device::Values;
use crate::engine::recording::Data;
use std::ops::Range;

/// Lanes of a word of mask bits.
const LANES: usize = 32;

/// The architecture with K as it is on the device.
pub(super) fn widened(architecture: &Architecture) -> Architecture {
    Architecture {
        hidden: architecture.hidden.next_multiple_of(LANES),
        ..architecture.clone()
    }
}

/// The offsets of B, C and d in the head buffer, with K as it is on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLayout {
    /// B of the second perspective, which is that of the first where they are tied; that of the first begins at 0.
    pub(super) bias_2: u32,
    /// C.
    pub(super) output: u32,
    /// d.
    pub(super) output_bias: u32,
}

impl HeadLayout {
    pub(super) fn new(architecture: &Architecture) -> Self {
        let (hidden, buckets) = (architecture.hidden as u32, architecture.buckets as u32);
        let (bias_2, output) = match architecture.tied {
            true => (0, hidden),
            false => (hidden, 2 * hidden),
        };
        Self {
            bias_2,
            output,
            output_bias: output + buckets * 2 * hidden,
        }
    }

    pub(super) fn bias(&self, perspective: usize) -> u32 {
        [0, self.bias_2][perspective]
    }
}

/// A buffer of a parameter set: A of an accumulator, or all that is small.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: &'static str,
    /// The tensors in it, by their places among [`Architecture::tensors`].
    pub(super) tensors: Range<usize>,
    pub(super) len: usize,
}

/// The buffers of a parameter set.
pub(super) fn buffers(architecture: &Architecture) -> Vec<Shared> {
    let tensors = architecture.tensors();
    let accumulators = if architecture.tied { 1 } else { 2 };
    let len = |tensors: &[TensorSpec]| tensors.iter().map(TensorSpec::len).sum();
    let weights = (0..accumulators).map(|accumulator| Shared {
        name: tensors[accumulator].name.as_str(),
        tensors: accumulator..accumulator + 1,
        len: tensors[accumulator].len(),
    });
    let head = Shared {
        name: "B, C and d",
        tensors: accumulators..tensors.len(),
        len: len(&tensors[accumulators..]),
    };
    weights.chain([head]).collect()
}

/// The buffer of a tensor, and where it begins there.
pub(super) fn place(architecture: &Architecture, tensor: usize) -> (usize, usize) {
    let accumulators = if architecture.tied { 1 } else { 2 };
    let tensors = architecture.tensors();
    let before = tensors.iter().take(tensor).skip(accumulators);
    (tensor.min(accumulators), before.map(TensorSpec::len).sum())
}

/// The tensors of what was read of a buffer, as they are on the device.
pub(super) fn split(architecture: &Architecture, buffer: &Shared, values: Values) -> Vec<Values> {
    if buffer.tensors.len() == 1 {
        return vec![values];
    }
    let tensors = &architecture.tensors()[buffer.tensors.clone()];
    let mut end = 0;
    let ranges = tensors.iter().map(|tensor| {
        end += tensor.len();
        end - tensor.len()..end
    });
    let part = |range: Range<usize>| match &values {
        Values::F32(values) => Values::F32(values[range].to_vec()),
        Values::F64(values) => Values::F64(values[range].to_vec()),
        Values::Words(values) => Values::Words(values[range].to_vec()),
    };
    ranges.map(part).collect()
}

/// The largest K, as it is on the device, whose parameters fit buffers of so many elements each.
pub(super) fn largest_hidden(architecture: &Architecture, elements: u64) -> u64 {
    let accumulators = if architecture.tied { 1 } else { 2 };
    let (inputs, buckets) = (architecture.inputs as u64, architecture.buckets as u64);
    let of_small = elements.saturating_sub(buckets) / (accumulators + 2 * buckets);
    let lanes = of_small.min(elements / inputs);
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
pub(super) fn widen<'a>(
    architecture: &Architecture,
    name: ParameterName,
    data: Data<'a>,
) -> Widened<'a> {
    let (from, to) = (architecture.hidden, widened(architecture).hidden);
    match data {
        Data::Floats(values) if from != to && name != ParameterName::D => {
            Widened::Floats(rows(values, from, to))
        }
        Data::Doubles(values) if from != to && name != ParameterName::D => {
            Widened::Doubles(rows(values, from, to))
        }
        data => Widened::AsTheyAre(data),
    }
}

/// Takes the widening out of what was read back.
pub(super) fn narrow(architecture: &Architecture, name: ParameterName, values: Values) -> Values {
    let (to, from) = (architecture.hidden, widened(architecture).hidden);
    match values {
        Values::F32(values) if from != to && name != ParameterName::D => {
            Values::F32(rows(&values, from, to))
        }
        Values::F64(values) if from != to && name != ParameterName::D => {
            Values::F64(rows(&values, from, to))
        }
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
