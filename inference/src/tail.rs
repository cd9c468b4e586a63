//! The layers after the first hidden layer.

use super::alloc::vec::Vec;
use super::head::{Activation, IntegerTail, Layer, Layered, Square, Tail};
use super::network::{Mismatch, expect};
use super::sums::Sums;

/// Checks that the layers of the tail follow each other.
pub(crate) fn check(layered: &Layered, buckets: usize) -> Result<(), Mismatch> {
    match &layered.tail {
        Tail::Float(tail) => check_layers(layered, buckets, tail.biases.len(), &tail.layers),
        Tail::Integer(tail) => {
            check_integers(layered, tail)?;
            check_layers(layered, buckets, tail.biases.len(), &tail.layers)
        }
    }
}

fn check_layers<T>(
    layered: &Layered,
    buckets: usize,
    biases: usize,
    layers: &[Layer<T>],
) -> Result<(), Mismatch> {
    let first = layered.outputs * layered.activation.outputs();
    expect("biases of layer 1", buckets * layered.outputs, biases)?;
    let mut inputs = first;
    for (index, layer) in layers.iter().enumerate() {
        if index + 1 == layers.len() && layered.skip {
            inputs += first;
        }
        if inputs == 0 {
            return Err(Mismatch::new("outputs of a layer", "at least 1", 0));
        }
        let outputs = buckets * layer.outputs;
        expect("weights of a layer", outputs * inputs, layer.weights.len())?;
        expect("biases of a layer", outputs, layer.biases.len())?;
        inputs = layer.outputs * layer.activation.outputs();
    }
    let last = layers.last().map_or(0, |layer| layer.outputs);
    expect("outputs of the output layer", 1, last)
}

/// Checks what an integer tail has no scale for.
fn check_integers(layered: &Layered, tail: &IntegerTail) -> Result<(), Mismatch> {
    if layered.skip {
        let place = "skip connection with an integer tail";
        return Err(Mismatch::new(place, "none", "one"));
    }
    // Q² is in 32 bits.
    if !(1..=i32::from(i16::MAX)).contains(&tail.q) {
        let place = "scale of an integer tail";
        return Err(Mismatch::new(place, "1 to 32767", tail.q));
    }
    if tail.shift > 31 {
        return Err(Mismatch::new("shift of sums", "at most 31", tail.shift));
    }
    // The scale of the output is Qⁿ in 64 bits, beside a sum of 32 bits.
    let power = u32::try_from(tail.layers.len() + 2).unwrap_or(u32::MAX);
    if i64::from(tail.q).checked_pow(power).is_none() {
        let place = "layers of an integer tail";
        return Err(Mismatch::new(
            place,
            "a scale within 64 bits",
            tail.layers.len(),
        ));
    }
    let hidden = tail
        .layers
        .split_last()
        .map_or(&[][..], |(_, hidden)| hidden);
    let known = [Activation::CRelu, Activation::Relu];
    match hidden
        .iter()
        .find(|layer| !known.contains(&layer.activation))
    {
        None => Ok(()),
        Some(layer) => {
            let place = "activation after the second layer of an integer tail";
            Err(Mismatch::new(
                place,
                "CRelu or Relu",
                Debugged(layer.activation),
            ))
        }
    }
}

/// Shows an activation by its name.
struct Debugged(Activation);

impl core::fmt::Display for Debugged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The evaluation from the sums of the first hidden layer.
pub(crate) fn evaluate(
    layered: &Layered,
    first: &[i32],
    bucket: usize,
    scale: i32,
    sums: &mut impl Sums,
) -> i32 {
    match &layered.tail {
        Tail::Float(tail) => {
            let biases = of_bucket(&tail.biases, bucket, layered.outputs);
            let z = first.iter().zip(biases);
            let z = z.map(|(&sum, &bias)| sum as f32 * tail.factor + bias);
            let start = activate_floats(&z.collect::<Vec<_>>(), layered.activation);
            let mut inputs = start.clone();
            for (index, layer) in tail.layers.iter().enumerate() {
                let is_last = index + 1 == tail.layers.len();
                if is_last && layered.skip {
                    inputs = [&start[..], &inputs].concat();
                }
                let z = float_sums(layer, bucket, &inputs);
                inputs = match is_last {
                    true => z,
                    false => activate_floats(&z, layer.activation),
                };
            }
            // A conversion rounds towards 0 and stays within the 32 bits.
            (inputs[0] * scale as f32) as i32
        }
        Tail::Integer(tail) => integer(layered, tail, first, bucket, scale, sums),
    }
}

fn of_bucket<T>(values: &[T], bucket: usize, width: usize) -> &[T] {
    &values[bucket * width..][..width]
}

fn float_sums(layer: &Layer<f32>, bucket: usize, inputs: &[f32]) -> Vec<f32> {
    let width = inputs.len();
    let rows = of_bucket(&layer.weights, bucket, layer.outputs * width).chunks_exact(width);
    let biases = of_bucket(&layer.biases, bucket, layer.outputs);
    rows.zip(biases)
        .map(|(row, &bias)| {
            let terms = inputs.iter().zip(row);
            terms.fold(bias, |sum, (&input, &weight)| sum + input * weight)
        })
        .collect()
}

fn activate_floats(z: &[f32], activation: Activation) -> Vec<f32> {
    let clip = |z: &f32| z.clamp(0.0, 1.0);
    let square = |z: &f32| clip(z) * clip(z);
    match activation {
        Activation::CRelu => z.iter().map(clip).collect(),
        Activation::SCRelu => z.iter().map(square).collect(),
        Activation::Relu => z.iter().map(|z| z.max(0.0)).collect(),
        Activation::Dual(Square::OfClipped) => {
            z.iter().map(clip).chain(z.iter().map(square)).collect()
        }
        Activation::Dual(Square::Clipped) => {
            let squares = z.iter().map(|z| (z * z).min(1.0));
            z.iter().map(clip).chain(squares).collect()
        }
    }
}

fn integer(
    layered: &Layered,
    tail: &IntegerTail,
    first: &[i32],
    bucket: usize,
    scale: i32,
    sums: &mut impl Sums,
) -> i32 {
    let layers = integer_layers(layered, tail, first, bucket, sums);
    let output = layers.last().map_or(0, |output| output[0]);
    let one = i64::from(tail.q).pow(tail.layers.len() as u32 + 2);
    (i64::from(output) * i64::from(scale) / one) as i32
}

/// The outputs of each layer of an integer tail, from the sums of the first hidden layer.
pub(crate) fn integer_layers(
    layered: &Layered,
    tail: &IntegerTail,
    first: &[i32],
    bucket: usize,
    sums: &mut impl Sums,
) -> Vec<Vec<i32>> {
    let mut inputs = first_outputs(layered, tail, first, bucket, sums);
    let mut outputs = Vec::with_capacity(tail.layers.len() + 1);
    let mut one = i64::from(tail.q).pow(2);
    for (index, layer) in tail.layers.iter().enumerate() {
        one *= i64::from(tail.q);
        let top = one.min(i64::from(i32::MAX)) as i32;
        let is_last = index + 1 == tail.layers.len();
        let activate = |z: i32| match layer.activation {
            _ if is_last => z,
            Activation::Relu => z.max(0),
            _ => z.clamp(0, top),
        };
        let width = inputs.len();
        let rows = of_bucket(&layer.weights, bucket, layer.outputs * width).chunks_exact(width);
        let biases = of_bucket(&layer.biases, bucket, layer.outputs);
        let next = rows.zip(biases).enumerate().map(|(output, (row, &bias))| {
            let pairs = inputs.iter().copied().zip(row.iter().copied());
            activate(sums.sum(index + 1, output, bias, pairs))
        });
        let next = next.collect();
        outputs.push(core::mem::replace(&mut inputs, next));
    }
    outputs.push(inputs);
    outputs
}

/// The outputs of the first hidden layer, at the scale Q².
fn first_outputs(
    layered: &Layered,
    tail: &IntegerTail,
    first: &[i32],
    bucket: usize,
    sums: &mut impl Sums,
) -> Vec<i32> {
    let q = tail.q;
    let biases = of_bucket(&tail.biases, bucket, layered.outputs);
    let mut z = Vec::with_capacity(first.len());
    for (output, (&sum, &bias)) in first.iter().zip(biases).enumerate() {
        z.push(match tail.bias_first {
            true => sums.narrow(0, output, i64::from(sum) + i64::from(bias)) >> tail.shift,
            false => sums.narrow(0, output, i64::from(sum >> tail.shift) + i64::from(bias)),
        });
    }
    let clip = |&z: &i32| z.clamp(0, q);
    let plain = z.iter().map(|z| clip(z) * q);
    let squares = z.iter().map(|z| clip(z) * clip(z));
    match layered.activation {
        Activation::CRelu => plain.collect(),
        Activation::SCRelu => squares.collect(),
        Activation::Dual(Square::OfClipped) => plain.chain(squares).collect(),
        Activation::Relu => {
            let wide = z
                .iter()
                .map(|&z| i64::from(z.max(0)) * i64::from(q))
                .enumerate();
            wide.map(|(output, value)| sums.narrow(0, output, value))
                .collect()
        }
        Activation::Dual(Square::Clipped) => {
            let wide = z.iter().map(|&z| i64::from(z) * i64::from(z)).enumerate();
            let squares = wide.map(|(output, value)| sums.narrow(0, output, value).clamp(0, q * q));
            plain.chain(squares).collect()
        }
    }
}
