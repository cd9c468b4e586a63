//! The rounding of a network with hidden layers.

use super::super::quantized::Quantized;
use super::ROUNDS;
use super::accumulators::{Accumulators, Active};
use super::descent::Moments;
use super::floats::{Floats, scaled};
use super::outputs;
use super::samples::Samples;
use crate::error::{Error, Result};
use crate::nnue::parameters::Parameters;
use rayon::prelude::*;
use wgrad_inference as engine;

/// Rounds the first hidden layer, and with an integer tail each layer after it, for the values that
/// each layer has in the network of floats. Then rounds these layers and the accumulators for the
/// outputs, and again.
pub(super) fn calibrate(
    quantized: &mut Quantized,
    parameters: &Parameters,
    samples: &Samples,
) -> Result<()> {
    let floats = Floats::new(quantized, parameters)?;
    let network = quantized.network()?;
    let head = layered(&network)?;
    let active = match head.inputs {
        engine::FirstInputs::Clipped => Active::Clipped,
        engine::FirstInputs::Squared { shift } => Active::ShiftedSquare(shift),
        engine::FirstInputs::Pairwise { shift } => Active::Pairwise(shift),
    };
    let layers = match head.tail {
        engine::Tail::Float(_) => 1,
        engine::Tail::Integer(_) => quantized.architecture().layers.len() + 1,
    };
    let mut accumulators = Accumulators::new(quantized, parameters, samples, active)?;
    let slopes: Vec<Vec<Vec<f32>>> = (0..layers)
        .map(|layer| {
            let all = (0..samples.len()).into_par_iter();
            all.map(|sample| {
                let bucket = samples.buckets[sample] as usize;
                floats.slopes(samples.lists(sample), bucket, layer)
            })
            .collect()
        })
        .collect();
    for turn in 0..=ROUNDS {
        for layer in 0..layers {
            round(quantized, parameters, samples, &floats, layer)?;
        }
        for (layer, slopes) in slopes.iter().enumerate() {
            outputs::round_layer(quantized, parameters, samples, slopes, layer)?;
        }
        // The layers come last too.
        if turn < ROUNDS {
            round_accumulators(quantized, samples, &slopes[0], &mut accumulators)?;
        }
    }
    outputs::center(quantized, samples)
}

/// The layers after the accumulators.
pub(super) fn layered(network: &engine::Network) -> Result<&engine::Layered> {
    match network.head() {
        engine::Head::Layered(head) => Ok(head),
        engine::Head::Plain(_) => Err(Error::argument("network", "hidden layers", "none")),
    }
}

/// Rounds the accumulators. An output changes with the inputs of the first hidden layer by
/// Σ ∂Y/∂z · W, with the slopes ∂Y/∂z of the floats.
fn round_accumulators(
    quantized: &mut Quantized,
    samples: &Samples,
    slopes: &[Vec<f32>],
    accumulators: &mut Accumulators<'_>,
) -> Result<()> {
    let network = quantized.network()?;
    let head = layered(&network)?;
    let unit = Unit::new(head, 0);
    let mut errors = outputs::errors(quantized, samples)?;
    let hidden = accumulators.hidden;
    let width = head.weights.len() / (quantized.architecture().buckets * head.outputs);
    let is_product = matches!(head.inputs, engine::FirstInputs::Pairwise { .. });
    accumulators.round(&mut errors, |lane, list| {
        let bucket = samples.buckets[list / 2] as usize;
        let input = match is_product {
            true => list % 2 * (hidden / 2) + lane % (hidden / 2),
            false => list % 2 * hidden + lane,
        };
        let weights = head.weights[bucket * head.outputs * width..]
            .iter()
            .skip(input);
        let slopes = slopes[list / 2].iter();
        let terms = slopes.zip(weights.step_by(width));
        let sum: f32 = terms
            .map(|(slope, &weight)| slope * f32::from(weight))
            .sum();
        sum / unit.sum as f32
    });
    accumulators.store(quantized)
}

/// Rounds one layer, counted from 0, for the integers of the layers before it.
fn round(
    quantized: &mut Quantized,
    parameters: &Parameters,
    samples: &Samples,
    floats: &Floats,
    layer: usize,
) -> Result<()> {
    let network = quantized.network()?;
    let head = layered(&network)?;
    let (weights, biases) = (format!("W{}", layer + 1), format!("c{}", layer + 1));
    let exact = scaled(quantized, parameters, &weights)?;
    let limits = quantized.limits_of(&weights);
    let mut chosen = quantized.integers_of(&weights)?;
    let unit = Unit::new(head, layer);
    let architecture = quantized.architecture();
    let buckets = architecture.buckets;
    let outputs = architecture
        .layers
        .get(layer)
        .map_or(1, |layer| layer.width);
    let width = exact.len() / (buckets * outputs);
    let mut new_biases: Vec<(usize, f64)> = Vec::new();
    for bucket in 0..buckets {
        let own: Vec<usize> = samples.of_bucket(bucket).collect();
        let mut moments = Moments::new(width, outputs);
        for chunk in own.chunks(1024) {
            let rows = chunk.par_iter().map(|&sample| {
                let lists = samples.lists(sample);
                let inputs = integer_inputs(&network, head, lists, bucket, layer);
                (inputs, floats.sums(lists, bucket, layer))
            });
            for (inputs, sums) in rows.collect::<Vec<_>>() {
                // Both are divided by the unit of an input, for the digits of f32.
                let target = |&sum: &f32| (f64::from(sum) * unit.sum) as f32 / unit.input;
                let targets: Vec<f32> = sums.iter().map(target).collect();
                moments.add(inputs.iter().map(|&input| input / unit.input), &targets);
            }
        }
        for output in 0..outputs {
            let at = (bucket * outputs + output) * width;
            let Some((integers, bias)) = moments.round(output, &exact[at..][..width], limits)
            else {
                continue;
            };
            chosen[at..][..width].copy_from_slice(&integers);
            new_biases.push((bucket * outputs + output, bias * f64::from(unit.input)));
        }
    }
    quantized.replace(&weights, chosen)?;
    quantized.rebias(&biases, &new_biases, |bias| unit.bias(bias))
}

/// What a layer reads in the integer network.
pub(super) fn integer_inputs(
    network: &engine::Network,
    head: &engine::Layered,
    lists: [&[u32]; 2],
    bucket: usize,
    layer: usize,
) -> Vec<f32> {
    let lanes = lists.map(|list| {
        let mut lanes = network.biases().to_vec();
        let hidden = lanes.len();
        for &feature in list {
            let row = &network.weights()[feature as usize * hidden..][..hidden];
            for (lane, &weight) in lanes.iter_mut().zip(row) {
                *lane = lane.wrapping_add(weight);
            }
        }
        lanes
    });
    let lanes = [&lanes[0][..], &lanes[1][..]];
    if layer == 0 {
        return head
            .first_inputs(lanes)
            .into_iter()
            .map(f32::from)
            .collect();
    }
    let outputs = head.integer_outputs(lanes, bucket).unwrap_or_default();
    outputs[layer - 1]
        .iter()
        .map(|&input| input as f32)
        .collect()
}

/// The scales of a layer.
pub(super) struct Unit {
    /// An input of about 1 in the floats.
    input: f32,
    /// The integer sum of 1 in the floats.
    pub(super) sum: f64,
    /// How the bias of a sum becomes that of the file.
    kind: BiasKind,
}

enum BiasKind {
    /// In the floats' own unit.
    Float,
    /// At the scale of the sums, before a shift that rounds down by this many bits.
    Before(u32),
    /// After a shift that rounds down by this many bits.
    After(u32),
}

impl Unit {
    pub(super) fn new(head: &engine::Layered, layer: usize) -> Self {
        let qa = head.qa as f32;
        let input = match head.inputs {
            engine::FirstInputs::Clipped => qa,
            engine::FirstInputs::Squared { shift } | engine::FirstInputs::Pairwise { shift } => {
                qa * qa / (1u32 << shift) as f32
            }
        };
        match (&head.tail, layer) {
            (engine::Tail::Float(tail), _) => Self {
                input,
                sum: 1.0 / f64::from(tail.factor),
                kind: BiasKind::Float,
            },
            (engine::Tail::Integer(tail), 0) => Self {
                input,
                sum: f64::from(tail.q) * f64::from(1u32 << tail.shift),
                kind: match tail.bias_first {
                    true => BiasKind::Before(tail.shift),
                    false => BiasKind::After(tail.shift),
                },
            },
            (engine::Tail::Integer(tail), layer) => {
                let q = f64::from(tail.q);
                Self {
                    input: q.powi(layer as i32 + 1) as f32,
                    sum: q.powi(layer as i32 + 2),
                    kind: BiasKind::Before(0),
                }
            }
        }
    }

    /// The bias of the file from the one of an integer sum, as a float.
    fn bias(&self, bias: f64) -> f64 {
        match self.kind {
            BiasKind::Float => bias / self.sum,
            // Half of what the shift drops on average comes back.
            BiasKind::Before(0) => bias.round(),
            BiasKind::Before(shift) => (bias + f64::from(1u32 << shift) / 2.0).round(),
            BiasKind::After(shift) => (bias / f64::from(1u32 << shift) + 0.5).round(),
        }
    }
}
