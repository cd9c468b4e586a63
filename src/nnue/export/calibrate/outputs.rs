//! The rounding of layers, and of the last bias, for the outputs.

use super::super::quantized::Quantized;
use super::floats::scaled;
use super::layers::{Unit, integer_inputs, layered};
use super::samples::Samples;
use crate::error::{Error, Result};
use crate::nnue::parameters::Parameters;
use rayon::prelude::*;
use wgrad_inference as engine;

/// The scale of the evaluations from which the errors of outputs are computed.
const FINE: i32 = 1 << 20;

/// The outputs of the integer network minus those of the floats.
pub(super) fn errors(quantized: &Quantized, samples: &Samples) -> Result<Vec<f32>> {
    let network = quantized.network()?;
    let fine = engine::Network::new(
        network.inputs().clone(),
        network.weights().to_vec(),
        network.biases().to_vec(),
        *network.output_buckets(),
        FINE,
        network.head().clone(),
    );
    let fine = fine
        .map_err(|mismatch| Error::argument(mismatch.place, mismatch.expected, mismatch.found))?;
    let error = |sample: usize| {
        let lists = samples.lists(sample);
        let lists = lists.map(|list| list.iter().map(|&one| one as usize));
        let bucket = samples.buckets[sample] as usize;
        let output = fine.evaluate_features(lists, bucket) as f32 / FINE as f32;
        output - samples.outputs[sample]
    };
    Ok((0..samples.len()).into_par_iter().map(error).collect())
}

/// Moves each weight of a layer, counted from 0, to its other integer if that reduces the squared
/// error of the outputs, with the slopes ∂Y/∂z of the floats.
pub(super) fn round_layer(
    quantized: &mut Quantized,
    parameters: &Parameters,
    samples: &Samples,
    slopes: &[Vec<f32>],
    layer: usize,
) -> Result<()> {
    let network = quantized.network()?;
    let head = layered(&network)?;
    let name = format!("W{}", layer + 1);
    let exact = scaled(quantized, parameters, &name)?;
    let mut chosen = quantized.integers_of(&name)?;
    let [least, most] = quantized.limits_of(&name);
    let errors = errors(quantized, samples)?;
    let unit = Unit::new(head, layer).sum as f32;
    let buckets = quantized.architecture().buckets;
    let each = exact.len() / buckets;
    let rows = chosen
        .par_chunks_exact_mut(each)
        .zip(exact.par_chunks_exact(each));
    rows.enumerate().for_each(|(bucket, (chosen, exact))| {
        let own: Vec<usize> = samples.of_bucket(bucket).collect();
        let outputs = own.first().map_or(1, |&sample| slopes[sample].len());
        let width = each / outputs;
        // The inputs, one after the other.
        let mut inputs = vec![0.0; width * own.len()];
        for (at, &sample) in own.iter().enumerate() {
            let lists = samples.lists(sample);
            let found = integer_inputs(&network, head, lists, bucket, layer);
            for (input, value) in found.into_iter().enumerate() {
                inputs[input * own.len() + at] = value / unit;
            }
        }
        let mut errors: Vec<f32> = own.iter().map(|&sample| errors[sample]).collect();
        for output in 0..outputs {
            let slopes: Vec<f32> = own.iter().map(|&sample| slopes[sample][output]).collect();
            for (input, inputs) in inputs.chunks_exact(own.len().max(1)).enumerate() {
                let at = output * width + input;
                let [low, high] = [exact[at].floor(), exact[at].ceil()].map(|one| one as i32);
                let other = if chosen[at] == low { high } else { low };
                let step = (other - chosen[at]) as f32;
                let changes = || {
                    inputs
                        .iter()
                        .zip(&slopes)
                        .map(|(x, slope)| step * x * slope)
                };
                let difference = changes()
                    .zip(&errors)
                    .map(|(d, error)| d * (2.0 * error + d));
                if step == 0.0 || !(least..=most).contains(&other) || difference.sum::<f32>() >= 0.0
                {
                    continue;
                }
                for (error, change) in errors.iter_mut().zip(changes()) {
                    *error += change;
                }
                chosen[at] = other;
            }
        }
    });
    quantized.replace(&name, chosen)
}

/// Takes the mean error of each output bucket out of the bias of the output.
pub(super) fn center(quantized: &mut Quantized, samples: &Samples) -> Result<()> {
    let errors = errors(quantized, samples)?;
    let mut means = Vec::new();
    for bucket in 0..quantized.architecture().buckets {
        let own = samples
            .of_bucket(bucket)
            .map(|sample| f64::from(errors[sample]));
        let (count, sum) = own.fold((0.0, 0.0), |(count, sum), one| (count + 1.0, sum + one));
        if count > 0.0 {
            means.push((bucket, sum / count));
        }
    }
    let name = format!("c{}", quantized.architecture().layers.len() + 1);
    quantized.shift(&name, &means)
}
