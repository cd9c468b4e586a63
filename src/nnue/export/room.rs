//! How near the integers of an engine come to the limits of their types.

use super::quantized::{Quantized, Values};
use crate::error::Result;
use serde::Serialize;
use wgrad_inference as engine;

/// The most pieces of a position, each of which adds a row of weights to an accumulator.
const PIECES: usize = 32;

/// A number of the integer evaluation: the largest size that it can have, and that its type holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Room {
    /// The number.
    pub what: String,
    /// An upper bound of its size.
    pub largest: i64,
    /// The limit of its type.
    pub limit: i64,
}

impl Room {
    fn new(what: impl Into<String>, largest: i64, limit: i64) -> Self {
        Self {
            what: what.into(),
            largest,
            limit,
        }
    }

    /// Whether no position can exceed the limit.
    pub fn is_safe(&self) -> bool {
        self.largest <= self.limit
    }
}

impl Quantized {
    /// The room of each tensor in its type, of the accumulators in 16 bits, of the sums in 32 bits,
    /// and of the products that fast engines compute in 16 bits. The bounds hold for every position
    /// and every state of the lanes; few positions come near them.
    ///
    /// # Errors
    /// As [`Quantized::network`].
    pub fn room(&self) -> Result<Vec<Room>> {
        let network = self.network()?;
        let mut rooms = Vec::new();
        for tensor in self.tensors() {
            if let (Values::Integers(values), Some([_, high])) =
                (&tensor.values, tensor.entry.kind.limits())
            {
                let sizes = values.iter().map(|&value| i64::from(value).abs());
                let what = format!("weights of {}", tensor.entry.tensor);
                rooms.push(Room::new(what, sizes.max().unwrap_or(0), high.into()));
            }
        }
        rooms.push(accumulators(&network));
        let (half, whole) = (i64::from(i16::MAX), i64::from(i32::MAX));
        let qa = i64::from(network.head().qa());
        match network.head() {
            engine::Head::Plain(plain) => {
                let size = |&weight: &i16| i64::from(weight).abs();
                if plain.squared {
                    let largest = plain.weights.iter().map(size).max().unwrap_or(0);
                    let what = "lane times output weight, in 16 bits (fast SCReLU)";
                    rooms.push(Room::new(what, largest * qa, half));
                }
                let input = if plain.squared { qa * qa } else { qa };
                let rows = plain.weights.chunks_exact(2 * network.hidden());
                let sums = rows.map(|row| row.iter().map(size).sum::<i64>());
                rooms.push(Room::new(
                    "sum of the output",
                    input * sums.max().unwrap_or(0),
                    whole,
                ));
            }
            engine::Head::Layered(layered) => {
                let top = match layered.inputs {
                    engine::FirstInputs::Clipped => qa,
                    engine::FirstInputs::Squared { shift }
                    | engine::FirstInputs::Pairwise { shift } => (qa * qa) >> shift,
                };
                let size = |&weight: &i8| i64::from(weight).abs();
                let pairs = layered.weights.as_chunks::<2>().0.iter();
                let pairs = pairs.map(|pair| pair.iter().map(size).sum::<i64>());
                let what = "two products of the first hidden layer, in 16 bits (fast sums)";
                rooms.push(Room::new(what, top * pairs.max().unwrap_or(0), half));
                let width = layered.weights.len() / (layered.outputs * self.architecture.buckets);
                let rows = layered.weights.chunks_exact(width.max(1));
                let sums = rows.map(|row| row.iter().map(size).sum::<i64>());
                let largest = top * sums.max().unwrap_or(0);
                rooms.push(Room::new("sum of the first hidden layer", largest, whole));
            }
        }
        Ok(rooms)
    }
}

/// The largest size of a lane: its bias and the largest weights of [`PIECES`] features of a king
/// bucket, of one sign.
fn accumulators(network: &engine::Network) -> Room {
    let hidden = network.hidden();
    let bucket = network.inputs().per_bucket();
    let mut largest = 0;
    let mut sorted = Vec::with_capacity(bucket);
    for rows in network.weights().chunks_exact(bucket * hidden) {
        for (lane, &bias) in network.biases().iter().enumerate() {
            sorted.clear();
            sorted.extend(
                rows.iter()
                    .skip(lane)
                    .step_by(hidden)
                    .map(|&weight| i64::from(weight)),
            );
            sorted.sort_unstable();
            let low = sorted
                .iter()
                .take(PIECES)
                .map(|&weight| weight.min(0))
                .sum::<i64>();
            let high = sorted
                .iter()
                .rev()
                .take(PIECES)
                .map(|&weight| weight.max(0))
                .sum::<i64>();
            let bias = i64::from(bias);
            largest = largest.max((bias + high).abs()).max((bias + low).abs());
        }
    }
    Room::new("lanes of the accumulators", largest, i16::MAX.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::architecture::Architecture;
    use crate::nnue::data::Encoding;
    use crate::nnue::export::SaveFormat;
    use crate::nnue::parameters::Parameters;
    use crate::nnue::{Activation, ParameterName};

    #[test]
    fn bounds_are_those_of_the_largest_weights() {
        let architecture = Architecture::new(768, 2)
            .tied()
            .activation(Activation::SCRelu);
        let mut parameters = Parameters::zeros(architecture.clone()).unwrap();
        for (name, values) in [ParameterName::A1, ParameterName::B1, ParameterName::C]
            .into_iter()
            .zip(parameters.values_mut())
        {
            match name {
                // 40 weights of 4 in lane 0, and 3 of −50 in lane 1: 1,020 and −12,750 each.
                ParameterName::A1 => {
                    (0..40).for_each(|feature| values[2 * feature] = 4.0);
                    (0..3).for_each(|feature| values[2 * feature + 1] = -50.0);
                }
                ParameterName::B1 => values.copy_from_slice(&[1.0, 2.0]),
                _ => values.copy_from_slice(&[1.0, -1.0, 2.0, 0.5]),
            }
        }
        let format = SaveFormat::preset("bullet", &architecture).unwrap();
        let quantized = Quantized::new(&format, &parameters, Some(&Encoding::default())).unwrap();
        let rooms = quantized.room().unwrap();
        let find = |what: &str| {
            let found = rooms.iter().find(|room| room.what.starts_with(what));
            let found = found.unwrap_or_else(|| panic!("{what}: {rooms:?}"));
            (found.largest, found.is_safe())
        };
        assert_eq!(find("weights of A1"), (12_750, true));
        // Lane 1: 2 · 255 − 3 · 12,750. Lane 0: 255 + 32 · 1,020.
        assert_eq!(find("lanes"), (37_740, false));
        assert_eq!(find("lane times output weight"), (128 * 255, true));
        assert_eq!(
            find("sum of the output"),
            (255 * 255 * (64 + 64 + 128 + 32), true)
        );
    }
}
