//! The rounding of a network with one output layer.

use super::super::quantized::{Quantized, Values};
use super::descent::Moments;
use super::floats::scaled;
use super::samples::Samples;
use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use crate::nnue::parameters::Parameters;
use rayon::prelude::*;

/// How often both layers are rounded, one after the other.
const ROUNDS: usize = 2;

/// The integers of a network and what they are made of.
struct Plain<'a> {
    samples: &'a Samples,
    hidden: usize,
    buckets: usize,
    squared: bool,
    qa: i32,
    /// The scaled weights: those of the accumulators `[N, K]`, their biases `[K]`, and those of the
    /// output `[buckets, 2K]`.
    scaled: [Vec<f64>; 3],
    weights: Vec<i32>,
    biases: Vec<i32>,
    output: Vec<i32>,
    output_biases: Vec<i32>,
    /// The outputs of the floats, at the scale of the output biases.
    targets: Vec<f32>,
}

/// Rounds the output layer, then the accumulators for that output layer, and again.
pub(super) fn calibrate(
    quantized: &mut Quantized,
    parameters: &Parameters,
    samples: &Samples,
) -> Result<()> {
    let integers = |name: &str| match quantized.tensor(name).map(|tensor| &tensor.values) {
        Some(Values::Integers(values)) => Ok(values.clone()),
        _ => Err(Error::argument(
            format!("tensor {name}"),
            "integers",
            "none",
        )),
    };
    let scale = |name: &str| {
        quantized
            .tensor(name)
            .map_or(1.0, |tensor| tensor.entry.scale)
    };
    let unit = scale("d");
    let architecture = quantized.architecture();
    let mut plain = Plain {
        samples,
        hidden: architecture.hidden,
        buckets: architecture.buckets,
        squared: architecture.activation == Activation::SCRelu,
        qa: scale("A1") as i32,
        scaled: [
            scaled(quantized, parameters, "A1")?,
            scaled(quantized, parameters, "B1")?,
            scaled(quantized, parameters, "C")?,
        ],
        weights: integers("A1")?,
        biases: integers("B1")?,
        output: integers("C")?,
        output_biases: integers("d")?,
        targets: samples
            .outputs
            .iter()
            .map(|&y| (f64::from(y) * unit) as f32)
            .collect(),
    };
    let by_feature = samples.by_feature();
    let mut lanes = plain.lanes();
    for _ in 0..ROUNDS {
        plain.round_output(&lanes);
        plain.round_accumulators(&mut lanes, &by_feature);
    }
    plain.round_output(&lanes);
    let Plain {
        weights,
        biases,
        output,
        output_biases,
        ..
    } = plain;
    for (name, values) in [
        ("A1", weights),
        ("B1", biases),
        ("C", output),
        ("d", output_biases),
    ] {
        quantized.replace(name, values)?;
    }
    Ok(())
}

impl Plain<'_> {
    /// The accumulators `[K, 2·samples]`: those of list l are at l, l + 2·samples and so on.
    fn lanes(&self) -> Vec<i16> {
        let lists = 2 * self.samples.len();
        let mut lanes = vec![0; self.hidden * lists];
        let rows = lanes.par_chunks_exact_mut(lists).enumerate();
        rows.for_each(|(lane, row)| {
            for (list, z) in row.iter_mut().enumerate() {
                let features = self.samples.list(list).iter();
                let weights = features.map(|&f| self.weights[f as usize * self.hidden + lane]);
                *z = (self.biases[lane] + weights.sum::<i32>()) as i16;
            }
        });
        lanes
    }

    /// What an accumulator value gives to the output, per integer of its weight.
    #[inline]
    fn active(&self, z: i32) -> f32 {
        let clipped = z.clamp(0, self.qa);
        match self.squared {
            true => (clipped * clipped) as f32 / self.qa as f32,
            false => clipped as f32,
        }
    }

    /// The limits of the output weights: 16 bits, within which SCReLU of 16-bit registers needs the
    /// product with QA too.
    fn output_limits(&self) -> [i32; 2] {
        let limit = match self.squared {
            true => 32767 / self.qa,
            false => 32767,
        };
        [-limit, limit]
    }

    fn round_output(&mut self, lanes: &[i16]) {
        let lists = 2 * self.samples.len();
        let width = 2 * self.hidden;
        for bucket in 0..self.buckets {
            // Inputs are divided by QA for the digits of f32.
            let qa = self.qa as f32;
            let mut moments = Moments::new(width, 1);
            for sample in self.of_bucket(bucket) {
                let active = (0..width).map(|at| {
                    let (side, lane) = (at / self.hidden, at % self.hidden);
                    let z = lanes[lane * lists + 2 * sample + side];
                    self.active(z.into()) / qa
                });
                moments.add(active, &[self.targets[sample] / qa]);
            }
            let weights = &self.scaled[2][bucket * width..][..width];
            let Some((chosen, bias)) = moments.round(0, weights, self.output_limits()) else {
                continue;
            };
            self.output[bucket * width..][..width].copy_from_slice(&chosen);
            self.output_biases[bucket] = (bias * f64::from(qa)).round() as i32;
        }
    }

    fn of_bucket(&self, bucket: usize) -> impl Iterator<Item = usize> + '_ {
        let own = self.samples.buckets.iter().enumerate();
        own.filter(move |(_, found)| **found as usize == bucket)
            .map(|(sample, _)| sample)
    }

    /// The errors of the outputs, at the scale of the output biases.
    fn errors(&self, lanes: &[i16]) -> Vec<f32> {
        let lists = 2 * self.samples.len();
        let samples = (0..self.samples.len()).into_par_iter();
        samples
            .map(|sample| {
                let bucket = self.samples.buckets[sample] as usize;
                let weights = &self.output[2 * self.hidden * bucket..][..2 * self.hidden];
                let mut sum = f64::from(self.output_biases[bucket]);
                for (at, &weight) in weights.iter().enumerate() {
                    let (side, lane) = (at / self.hidden, at % self.hidden);
                    let z = lanes[lane * lists + 2 * sample + side];
                    sum += f64::from(self.active(z.into())) * f64::from(weight);
                }
                (sum - f64::from(self.targets[sample])) as f32
            })
            .collect()
    }

    /// Moves each weight of the accumulators to its other integer if that reduces the squared error
    /// of the outputs.
    fn round_accumulators(&mut self, lanes: &mut [i16], by_feature: &[Vec<u32>]) {
        let lists = 2 * self.samples.len();
        let mut errors = self.errors(lanes);
        let all: Vec<u32> = (0..lists as u32).collect();
        for lane in 0..self.hidden {
            let row = &mut lanes[lane * lists..][..lists];
            // The weight of each list's lane in the output.
            let factors: Vec<f32> = (0..lists)
                .map(|list| {
                    let bucket = self.samples.buckets[list / 2] as usize;
                    let at = 2 * self.hidden * bucket + (list % 2) * self.hidden + lane;
                    self.output[at] as f32
                })
                .collect();
            let steps = by_feature.iter().map(Vec::as_slice).chain([&all[..]]);
            for (feature, lists) in steps.enumerate() {
                let at = feature * self.hidden + lane;
                let is_bias = feature == by_feature.len();
                let (exact, chosen) = match is_bias {
                    true => (self.scaled[1][lane], self.biases[lane]),
                    false => (self.scaled[0][at], self.weights[at]),
                };
                let [low, high] = [exact.floor(), exact.ceil()].map(|one| one as i32);
                let other = if chosen == low { high } else { low };
                let step = other - chosen;
                if step == 0 || !self.is_better(row, &factors, &errors, lists, step) {
                    continue;
                }
                for &list in lists {
                    let list = list as usize;
                    let z = i32::from(row[list]);
                    let change = self.active(z + step) - self.active(z);
                    errors[list / 2] += factors[list] * change;
                    row[list] = (z + step) as i16;
                }
                match is_bias {
                    true => self.biases[lane] = other,
                    false => self.weights[at] = other,
                }
            }
        }
    }

    /// Whether a step of a weight reduces the squared error over the lists that have its feature.
    fn is_better(
        &self,
        row: &[i16],
        factors: &[f32],
        errors: &[f32],
        lists: &[u32],
        step: i32,
    ) -> bool {
        let change = |list: u32| {
            let z = i32::from(row[list as usize]);
            factors[list as usize] * (self.active(z + step) - self.active(z))
        };
        let mut difference = 0.0;
        let mut at = 0;
        while at < lists.len() {
            let sample = lists[at] / 2;
            let mut sum = change(lists[at]);
            at += 1;
            // Both perspectives may have the feature.
            if at < lists.len() && lists[at] / 2 == sample {
                sum += change(lists[at]);
                at += 1;
            }
            difference += f64::from(sum * (2.0 * errors[sample as usize] + sum));
        }
        difference < 0.0
    }
}
