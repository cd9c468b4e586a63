//! The axes of a tensor and their order in a file.

use super::entry::Axis;
use crate::error::{Error, Result};
use crate::nnue::architecture::{Architecture, ParameterName, TensorSpec};

/// The axes of a tensor in memory, from the slowest to the fastest, with their sizes.
pub(super) fn of_tensor(architecture: &Architecture, spec: &TensorSpec) -> Vec<(Axis, usize)> {
    let axes: &[Axis] = match spec.name {
        name if name.is_weights() => &[Axis::Input, Axis::Lane],
        ParameterName::B1 | ParameterName::B2 => &[Axis::Lane],
        ParameterName::C => {
            let inputs = architecture.head_inputs();
            return vec![(Axis::Bucket, architecture.buckets), (Axis::Input, inputs)];
        }
        ParameterName::W(_) => &[Axis::Bucket, Axis::Output, Axis::Input],
        ParameterName::Bias(_) => &[Axis::Bucket, Axis::Output],
        _ => &[Axis::Bucket],
    };
    axes.iter()
        .copied()
        .zip(spec.shape.iter().copied())
        .collect()
}

/// For each element in the order of a file, its place in memory.
pub(super) struct Places {
    /// The size and the stride of each axis, from the slowest to the fastest in the file.
    axes: Vec<(usize, usize)>,
    len: usize,
}

impl Places {
    /// The places of a tensor with these axes in memory; an empty order is that of the memory.
    pub(super) fn new(tensor: &str, memory: &[(Axis, usize)], order: &[Axis]) -> Result<Self> {
        let mut stride = 1;
        let mut known = Vec::with_capacity(memory.len());
        for &(axis, size) in memory.iter().rev() {
            known.push((axis, size, stride));
            stride *= size;
        }
        known.reverse();
        let names: Vec<&str> = memory.iter().map(|(axis, _)| axis.name()).collect();
        let same = order.len() == memory.len() || order.is_empty();
        let place = |axis: &Axis| {
            let found = known.iter().find(|(one, ..)| one == axis);
            found.map(|&(_, size, stride)| (size, stride))
        };
        let axes = match order.is_empty() {
            true => Some(
                known
                    .iter()
                    .map(|&(_, size, stride)| (size, stride))
                    .collect(),
            ),
            false => order.iter().map(place).collect::<Option<Vec<_>>>(),
        };
        match axes {
            Some(axes) if same => Ok(Self { axes, len: stride }),
            _ => {
                let expected = format!("the axes {} in any order", names.join(", "));
                let found: Vec<&str> = order.iter().map(|axis| axis.name()).collect();
                let name = format!("tensor {tensor}, order");
                Err(Error::argument(name, expected, found.join(", ")))
            }
        }
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The places in memory, in the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut counters = vec![0usize; self.axes.len()];
        let mut place = 0;
        (0..self.len).map(move |_| {
            let found = place;
            for (counter, &(size, stride)) in counters.iter_mut().zip(&self.axes).rev() {
                *counter += 1;
                place += stride;
                if *counter < size {
                    break;
                }
                place -= stride * size;
                *counter = 0;
            }
            found
        })
    }
}

/// The element of a place in memory, such as "input 5, lane 3".
pub(super) fn name_of(memory: &[(Axis, usize)], mut place: usize) -> String {
    let mut words = Vec::with_capacity(memory.len());
    for &(axis, size) in memory.iter().rev() {
        words.push(format!("{} {}", axis.name(), place % size));
        place /= size;
    }
    words.reverse();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_order_of_the_file() {
        let memory = [(Axis::Bucket, 2), (Axis::Output, 2), (Axis::Input, 3)];
        let places = |order: &[Axis]| Places::new("W1", &memory, order);
        let same: Vec<usize> = places(&[]).unwrap().iter().collect();
        assert_eq!(same, (0..12).collect::<Vec<_>>());
        let order = [Axis::Input, Axis::Bucket, Axis::Output];
        let found: Vec<usize> = places(&order).unwrap().iter().collect();
        let mut expected = Vec::new();
        for input in 0..3 {
            for bucket in 0..2 {
                for output in 0..2 {
                    expected.push((2 * bucket + output) * 3 + input);
                }
            }
        }
        assert_eq!(found, expected);
        assert_eq!(name_of(&memory, 10), "bucket 1, output 1, input 1");
        let error = places(&[Axis::Input, Axis::Lane])
            .err()
            .unwrap()
            .to_string();
        let words = "tensor W1, order: expected the axes bucket, output, input in any order";
        assert!(error.contains(words), "{error}");
    }
}
