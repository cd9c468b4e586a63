//! The rounding of a network with one output layer.

use super::super::quantized::Quantized;
use super::ROUNDS;
use super::accumulators::{Accumulators, Active};
use super::descent::Moments;
use super::floats::scaled;
use super::samples::Samples;
use crate::error::Result;
use crate::nnue::activation::Activation;
use crate::nnue::parameters::Parameters;
use rayon::prelude::*;

/// The output layer in integers.
struct Output {
    /// The limits of the weights.
    limits: [i32; 2],
    /// The scaled weights, `[buckets, 2K]`.
    exact: Vec<f64>,
    weights: Vec<i32>,
    /// `[buckets]`.
    biases: Vec<i32>,
    /// The outputs of the floats, at the scale of the biases.
    targets: Vec<f32>,
    qa: f32,
}

/// Rounds the output layer, then the accumulators for that output layer, and again.
pub(super) fn calibrate(
    quantized: &mut Quantized,
    parameters: &Parameters,
    samples: &Samples,
) -> Result<()> {
    let is_squared = quantized.architecture().activation == Activation::SCRelu;
    let active = match is_squared {
        true => Active::Squared,
        false => Active::Clipped,
    };
    let mut accumulators = Accumulators::new(quantized, parameters, samples, active)?;
    let qa = quantized.network()?.head().qa();
    let limit = match is_squared {
        // Engines multiply the weight and a lane in 16 bits.
        true => i32::from(i16::MAX) / qa,
        false => i16::MAX.into(),
    };
    let unit = quantized
        .tensor("d")
        .map_or(1.0, |tensor| tensor.entry.scale);
    let targets = samples
        .outputs
        .iter()
        .map(|&y| (f64::from(y) * unit) as f32);
    let mut output = Output {
        limits: [-limit, limit],
        exact: scaled(quantized, parameters, "C")?,
        weights: quantized.integers_of("C")?,
        biases: quantized.integers_of("d")?,
        targets: targets.collect(),
        qa: qa as f32,
    };
    for _ in 0..ROUNDS {
        output.round(&accumulators, samples);
        let mut errors = output.errors(&accumulators, samples);
        let width = 2 * accumulators.hidden;
        let hidden = accumulators.hidden;
        accumulators.round(&mut errors, |lane, list| {
            let bucket = samples.buckets[list / 2] as usize;
            output.weights[width * bucket + list % 2 * hidden + lane] as f32
        });
    }
    output.round(&accumulators, samples);
    accumulators.store(quantized)?;
    quantized.replace("C", output.weights)?;
    quantized.replace("d", output.biases)
}

impl Output {
    fn round(&mut self, accumulators: &Accumulators<'_>, samples: &Samples) {
        let hidden = accumulators.hidden;
        let width = 2 * hidden;
        for bucket in 0..self.biases.len() {
            let mut moments = Moments::new(width, 1);
            for sample in samples.of_bucket(bucket) {
                // Both are divided by QA for the digits of f32.
                let inputs = (0..width)
                    .map(|at| accumulators.input(at % hidden, 2 * sample + at / hidden) / self.qa);
                moments.add(inputs, &[self.targets[sample] / self.qa]);
            }
            let exact = &self.exact[bucket * width..][..width];
            let Some((chosen, bias)) = moments.round(0, exact, self.limits) else {
                continue;
            };
            self.weights[bucket * width..][..width].copy_from_slice(&chosen);
            self.biases[bucket] = (bias * f64::from(self.qa)).round() as i32;
        }
    }

    /// The errors of the outputs, at the scale of the biases.
    fn errors(&self, accumulators: &Accumulators<'_>, samples: &Samples) -> Vec<f32> {
        let hidden = accumulators.hidden;
        let width = 2 * hidden;
        let error = |sample: usize| {
            let bucket = samples.buckets[sample] as usize;
            let weights = self.weights[width * bucket..][..width].iter().enumerate();
            let terms = weights.map(|(at, &weight)| {
                let input = accumulators.input(at % hidden, 2 * sample + at / hidden);
                f64::from(input) * f64::from(weight)
            });
            let output = terms.sum::<f64>() + f64::from(self.biases[bucket]);
            (output - f64::from(self.targets[sample])) as f32
        };
        (0..samples.len()).into_par_iter().map(error).collect()
    }
}
