//! The layers after the accumulators.

use super::alloc::vec::Vec;
use super::network::{Mismatch, expect};
use super::sums::{Sums, Wrapping};
use super::tail;

/// What follows the accumulators. Every layer has a set of weights per output bucket.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// One output layer.
    Plain(Plain),
    /// Hidden layers and an output layer.
    Layered(Layered),
}

/// The function of an activation, in units in which 1 is the end of the clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// min(max(z, 0), 1).
    CRelu,
    /// min(max(z, 0), 1)².
    SCRelu,
    /// max(z, 0).
    Relu,
    /// min(max(z, 0), 1), followed by a square.
    Dual(Square),
}

/// The second half of [`Activation::Dual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Square {
    /// min(max(z, 0), 1)².
    OfClipped,
    /// min(z², 1), which is above 0 for a negative z too.
    Clipped,
}

impl Activation {
    /// The number of outputs for each z.
    pub(crate) const fn outputs(self) -> usize {
        match self {
            Self::Dual(_) => 2,
            Self::CRelu | Self::SCRelu | Self::Relu => 1,
        }
    }
}

/// One output layer, on both accumulators.
///
/// With lanes a, limits \[x\] = min(max(x, 0), QA) and weights w, the output is
///
/// - CReLU: Σ \[a\]·w + b,
/// - SCReLU: Σ \[a\]²·w ÷ QA + b,
///
/// and the evaluation is output · scale ÷ (QA·QB).
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    /// CReLU or SCReLU.
    pub squared: bool,
    /// QA, the scale of the accumulators and the end of their clip, 1 to 32,767.
    pub qa: i32,
    /// QB, the scale of the weights, 1 to 32,767.
    pub qb: i32,
    /// `[buckets, 2K]`, the lanes of the side to move first.
    pub weights: Vec<i16>,
    /// `[buckets]`, at the scale QA·QB.
    pub biases: Vec<i32>,
}

/// How lanes become the inputs of the first hidden layer, each within 8 bits. With
/// \[x\] = min(max(x, 0), QA), there are 2K inputs, or K with the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstInputs {
    /// \[a\].
    Clipped,
    /// \[a\]² >> shift.
    Squared {
        /// The number of bits.
        shift: u32,
    },
    /// \[a\]·\[b\] >> shift for lane i and lane i + K/2 of one perspective, i < K/2.
    Pairwise {
        /// The number of bits.
        shift: u32,
    },
}

/// Hidden layers and an output layer. The first hidden layer has weights of 8 bits, and the layers
/// after it are the tail.
#[derive(Clone, Debug, PartialEq)]
pub struct Layered {
    /// QA, the scale of the accumulators and the end of their clip.
    pub qa: i32,
    /// What the first hidden layer reads.
    pub inputs: FirstInputs,
    /// The weights of the first hidden layer, `[buckets, outputs, inputs]`.
    pub weights: Vec<i8>,
    /// Its number of outputs.
    pub outputs: usize,
    /// The activation after it.
    pub activation: Activation,
    /// Whether the output layer reads the outputs of the first hidden layer, followed by those of
    /// the last one.
    pub skip: bool,
    /// What follows.
    pub tail: Tail,
}

/// The arithmetic after the sums of the first hidden layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Tail {
    /// In 32-bit floats.
    Float(FloatTail),
    /// In 32-bit integers.
    Integer(IntegerTail),
}

/// z = sum · factor + b in the first hidden layer, and all layers after it, in f32. Sums begin with
/// the bias and take their terms in the order of the inputs. The evaluation is output · scale,
/// rounded towards 0.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatTail {
    /// What an integer sum of the first layer is multiplied with.
    pub factor: f32,
    /// The biases of the first hidden layer, `[buckets, outputs]`.
    pub biases: Vec<f32>,
    /// The layers after it. The last one is the output layer.
    pub layers: Vec<Layer<f32>>,
}

/// z = (sum >> shift) + b in the first hidden layer, or (sum + b) >> shift, at the scale Q. Its
/// activation has outputs at the scale Q²: \[z\]·Q for CReLU and ReLU, and squares of z, with the
/// limits of [`Activation`]. The layer after it has sums at the scale Q³, the next at Q⁴, and so
/// on; their activations are CReLU or ReLU. The evaluation is output · scale ÷ Qⁿ.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerTail {
    /// Q.
    pub q: i32,
    /// The number of bits.
    pub shift: u32,
    /// Whether the bias is added before the shift.
    pub bias_first: bool,
    /// The biases of the first hidden layer, `[buckets, outputs]`.
    pub biases: Vec<i32>,
    /// The layers after it. The last one is the output layer.
    pub layers: Vec<Layer<i32>>,
}

/// A layer of a tail. In an [`IntegerTail`] its weights are at the scale Q, its biases at the scale
/// of its sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer<T> {
    /// `[buckets, outputs, inputs]`.
    pub weights: Vec<T>,
    /// `[buckets, outputs]`.
    pub biases: Vec<T>,
    /// The number of outputs.
    pub outputs: usize,
    /// The activation after it, which the output layer ignores.
    pub activation: Activation,
}

impl Head {
    /// The number of inputs of the first layer after K lanes for each side.
    fn first_inputs(&self, hidden: usize) -> usize {
        match self {
            Self::Layered(Layered {
                inputs: FirstInputs::Pairwise { .. },
                ..
            }) => hidden / 2 * 2,
            _ => 2 * hidden,
        }
    }

    /// QA, the scale of the accumulators and the end of their clip.
    pub fn qa(&self) -> i32 {
        match self {
            Self::Plain(plain) => plain.qa,
            Self::Layered(layered) => layered.qa,
        }
    }

    pub(crate) fn check(&self, hidden: usize, buckets: usize) -> Result<(), Mismatch> {
        let inputs = self.first_inputs(hidden);
        match self {
            Self::Plain(plain) => {
                check_scale("QA", plain.qa)?;
                check_scale("QB", plain.qb)?;
                expect(
                    "weights of the output",
                    buckets * inputs,
                    plain.weights.len(),
                )?;
                expect("biases of the output", buckets, plain.biases.len())
            }
            Self::Layered(layered) => {
                check_scale("QA", layered.qa)?;
                layered.check_inputs(hidden)?;
                let outputs = buckets.saturating_mul(layered.outputs);
                let weights = outputs.saturating_mul(inputs);
                expect("weights of layer 1", weights, layered.weights.len())?;
                tail::check(layered, buckets)
            }
        }
    }

    /// The evaluation from the lanes of the side to move and those of the other side.
    pub(crate) fn evaluate(
        &self,
        lanes: [&[i16]; 2],
        bucket: usize,
        scale: i32,
        sums: &mut impl Sums,
    ) -> i32 {
        match self {
            Self::Plain(plain) => plain.evaluate(lanes, bucket, scale, sums),
            Self::Layered(layered) => {
                let first = layered.first_sums(lanes, bucket, sums);
                tail::evaluate(layered, &first, bucket, scale, sums)
            }
        }
    }
}

/// Checks that a scale is one of numbers of 16 bits.
fn check_scale(place: &'static str, scale: i32) -> Result<(), Mismatch> {
    match (1..=i32::from(i16::MAX)).contains(&scale) {
        true => Ok(()),
        false => Err(Mismatch::new(place, "1 to 32767", scale)),
    }
}

impl Plain {
    fn evaluate(&self, lanes: [&[i16]; 2], bucket: usize, scale: i32, sums: &mut impl Sums) -> i32 {
        let hidden = lanes[0].len();
        let weights = self.weights[2 * hidden * bucket..][..2 * hidden].chunks_exact(hidden);
        let pairs = lanes
            .into_iter()
            .zip(weights)
            .flat_map(|(lanes, weights)| lanes.iter().zip(weights));
        let limit = self.qa;
        let pairs = pairs.map(|(&lane, &weight)| {
            let clipped = i32::from(lane).clamp(0, limit);
            (clipped, i32::from(weight))
        });
        let sum = match self.squared {
            false => sums.sum(0, 0, 0, pairs),
            true => sums.sum(0, 0, 0, pairs.map(|(a, weight)| (a * a, weight))) / self.qa,
        };
        let output = sums.narrow(0, 0, i64::from(sum) + i64::from(self.biases[bucket]));
        let scaled = sums.narrow(0, 0, i64::from(output) * i64::from(scale));
        scaled / (self.qa * self.qb)
    }
}

impl Layered {
    /// Checks that the inputs of the first hidden layer are within 8 bits, and that a product has
    /// both its lanes.
    fn check_inputs(&self, hidden: usize) -> Result<(), Mismatch> {
        let product = i64::from(self.qa) * i64::from(self.qa);
        let most = match self.inputs {
            FirstInputs::Clipped => i64::from(self.qa),
            FirstInputs::Squared { shift } | FirstInputs::Pairwise { shift } => {
                product.checked_shr(shift).unwrap_or(0)
            }
        };
        if !(1..=255).contains(&most) {
            let place = "largest input of the first hidden layer";
            return Err(Mismatch::new(place, "1 to 255", most));
        }
        match self.inputs {
            FirstInputs::Pairwise { .. } if !hidden.is_multiple_of(2) => {
                let place = "lanes of a pairwise product";
                Err(Mismatch::new(place, "an even number", hidden))
            }
            _ => Ok(()),
        }
    }

    /// The inputs of the first hidden layer, from the lanes of the side to move and those of the
    /// other side.
    pub fn first_inputs(&self, lanes: [&[i16]; 2]) -> Vec<u8> {
        let limit = self.qa;
        let clip = |lane: i16| i32::from(lane).clamp(0, limit);
        let mut inputs = Vec::with_capacity(2 * lanes[0].len());
        for lanes in lanes {
            match self.inputs {
                FirstInputs::Clipped => inputs.extend(lanes.iter().map(|&lane| clip(lane) as u8)),
                FirstInputs::Squared { shift } => {
                    let square = |&lane: &i16| ((clip(lane) * clip(lane)) >> shift) as u8;
                    inputs.extend(lanes.iter().map(square));
                }
                FirstInputs::Pairwise { shift } => {
                    let (low, high) = lanes.split_at(lanes.len() / 2);
                    let product = |(&a, &b)| ((clip(a) * clip(b)) >> shift) as u8;
                    inputs.extend(low.iter().zip(high).map(product));
                }
            }
        }
        inputs
    }

    /// With an integer tail, the outputs of each layer: of the first hidden layer at the scale Q²,
    /// of the next one at Q³, and so on up to the output. `None` with a float tail.
    pub fn integer_outputs(&self, lanes: [&[i16]; 2], bucket: usize) -> Option<Vec<Vec<i32>>> {
        let Tail::Integer(tail) = &self.tail else {
            return None;
        };
        let first = self.first_sums(lanes, bucket, &mut Wrapping);
        let outputs = tail::integer_layers(self, tail, &first, bucket, &mut Wrapping);
        Some(outputs)
    }

    /// The integer sums of the first hidden layer, without biases.
    fn first_sums(&self, lanes: [&[i16]; 2], bucket: usize, sums: &mut impl Sums) -> Vec<i32> {
        let inputs = self.first_inputs(lanes);
        let width = inputs.len();
        let weights = &self.weights[bucket * self.outputs * width..][..self.outputs * width];
        let rows = weights.chunks_exact(width).enumerate();
        rows.map(|(output, row)| {
            let terms = inputs.iter().zip(row);
            let pairs = terms.map(|(&input, &weight)| (i32::from(input), i32::from(weight)));
            sums.sum(0, output, 0, pairs)
        })
        .collect()
    }
}
