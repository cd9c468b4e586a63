//! The layout of the parameters on a device. Rows of K lanes are padded with zeros to a multiple of
//! 32, because a mask word holds the bits of 32 lanes. A of each accumulator has a buffer of its
//! own. B of each accumulator, C and d follow one another in the head buffer, so that a kernel
//! binds them once and an optimizer updates them in one dispatch.
//!
//! The padded lanes do not change the network: if A, B and C of a lane are 0, the lane adds nothing
//! to Y and its gradients are 0, so no optimizer changes it.

use super::architecture::{Architecture, ParameterName, TensorSpec};
use crate::engine::device::Values;
use crate::engine::recording::Data;
use crate::error::Result;
use crate::files::memory::room;
use std::ops::Range;

/// Lanes of a mask word.
const LANES: usize = 32;

/// The architecture with K as it is on the device. Only plain heads have kernels that need whole
/// words.
pub(super) fn widened(architecture: &Architecture) -> Architecture {
    let mut widened = architecture.clone();
    if architecture.has_plain_head() {
        widened.hidden = architecture.hidden.next_multiple_of(LANES);
    }
    widened
}

/// The offsets in the head buffer, with K as it is on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLayout {
    /// B of the second perspective. In a tied network it is B of the first perspective, whose
    /// offset is 0.
    pub(super) bias_2: u32,
    /// C, or the weights of all layers.
    pub(super) output: u32,
    /// d, or the biases of all layers.
    pub(super) output_bias: u32,
    /// All elements.
    pub(super) len: u32,
}

impl HeadLayout {
    pub(super) fn new(architecture: &Architecture) -> Self {
        let hidden = architecture.hidden as u32;
        let (bias_2, output) = match architecture.tied {
            true => (0, hidden),
            false => (hidden, 2 * hidden),
        };
        let output_bias = output + architecture.head_weights() as u32;
        let widths: usize = architecture
            .layer_sizes()
            .iter()
            .map(|size| size.outputs)
            .sum();
        Self {
            bias_2,
            output,
            output_bias,
            len: output_bias + (architecture.buckets * widths) as u32,
        }
    }

    pub(super) fn bias(&self, perspective: usize) -> u32 {
        [0, self.bias_2][perspective]
    }
}

/// A buffer of a parameter set: A of an accumulator, or the head.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: &'static str,
    /// The tensors in the buffer, by their indices in [`Architecture::tensors`].
    pub(super) tensors: Range<usize>,
    pub(super) len: usize,
}

/// The number of tensors that have a buffer of their own: A of each accumulator and its shared
/// part.
fn own_buffers(tensors: &[TensorSpec]) -> usize {
    tensors
        .iter()
        .take_while(|tensor| tensor.name.is_weights())
        .count()
}

/// The buffers of a parameter set.
pub(super) fn buffers(architecture: &Architecture) -> Vec<Shared> {
    let tensors = architecture.tensors();
    let own = own_buffers(&tensors);
    let weights = tensors[..own]
        .iter()
        .enumerate()
        .map(|(index, tensor)| Shared {
            name: tensor.name.as_str(),
            tensors: index..index + 1,
            len: tensor.len(),
        });
    let head = Shared {
        name: match architecture.layers.is_empty() {
            true => "B, C and d",
            false => "B and the layers of the head",
        },
        tensors: own..tensors.len(),
        len: tensors[own..].iter().map(TensorSpec::len).sum(),
    };
    weights.chain([head]).collect()
}

/// The buffer of a tensor, and the tensor's offset in it.
pub(super) fn place(architecture: &Architecture, tensor: usize) -> (usize, usize) {
    let tensors = architecture.tensors();
    let own = own_buffers(&tensors);
    let before = tensors.iter().take(tensor).skip(own);
    (tensor.min(own), before.map(TensorSpec::len).sum())
}

/// Cuts the values of a buffer into its tensors, in the layout of the device.
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

/// The tensors of the head buffer, by their indices in [`Architecture::tensors`], and where each
/// ends in the buffer.
pub(super) fn head_ends(architecture: &Architecture) -> Vec<(usize, usize)> {
    let tensors = architecture.tensors();
    let own = own_buffers(&tensors);
    let mut end = 0;
    let of_head = tensors.iter().enumerate().skip(own);
    let ends = of_head.map(|(index, tensor)| {
        end += tensor.len();
        (index, end)
    });
    ends.collect()
}

/// The largest multiple of a word's lanes that K can be on the device, if buffers hold so many
/// elements each.
pub(super) fn largest_hidden(architecture: &Architecture, elements: u64) -> u64 {
    let fits = |words: usize| {
        let hidden = words * LANES;
        let wide = Architecture {
            hidden,
            ..architecture.clone()
        };
        buffers(&wide)
            .iter()
            .all(|buffer| buffer.len as u64 <= elements)
    };
    // A has a row of K for each input, so K is at most this.
    let most = elements / architecture.inputs as u64 / LANES as u64;
    let (mut fitting, mut beyond) = (0, most as usize + 1);
    while fitting + 1 < beyond {
        let middle = usize::midpoint(fitting, beyond);
        match fits(middle) {
            true => fitting = middle,
            false => beyond = middle,
        }
    }
    (fitting * LANES) as u64
}

/// Values of a parameter in the layout of the device.
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

/// Pads the values of a parameter. `d`, the only parameter without lanes, does not change.
pub(super) fn widen<'a>(
    architecture: &Architecture,
    name: ParameterName,
    data: Data<'a>,
) -> Result<Widened<'a>> {
    let (from, to) = (architecture.hidden, widened(architecture).hidden);
    Ok(match data {
        Data::Floats(values) if from != to && name != ParameterName::D => {
            Widened::Floats(rows(name, values, from, to)?)
        }
        Data::Doubles(values) if from != to && name != ParameterName::D => {
            Widened::Doubles(rows(name, values, from, to)?)
        }
        data => Widened::AsTheyAre(data),
    })
}

/// Removes the padding from values that were read back.
pub(super) fn narrow(
    architecture: &Architecture,
    name: ParameterName,
    values: Values,
) -> Result<Values> {
    let (to, from) = (architecture.hidden, widened(architecture).hidden);
    Ok(match values {
        Values::F32(values) if from != to && name != ParameterName::D => {
            Values::F32(rows(name, &values, from, to)?)
        }
        Values::F64(values) if from != to && name != ParameterName::D => {
            Values::F64(rows(name, &values, from, to)?)
        }
        values => values,
    })
}

/// Turns rows of `from` elements into rows of `to` elements: cuts them off or pads them with zeros.
fn rows<T: Copy + Default>(
    name: ParameterName,
    values: &[T],
    from: usize,
    to: usize,
) -> Result<Vec<T>> {
    let mut out = room(name.as_str(), values.len() / from * to)?;
    for row in values.chunks(from) {
        out.extend_from_slice(&row[..from.min(to)]);
        out.resize(out.len() + to.saturating_sub(from), T::default());
    }
    Ok(out)
}
