//! The error of a device's gradients, compared with the gradients of the f64 reference.

use super::architecture::{Architecture, ParameterName};
use super::network::Network;
use super::parameters::Parameters;
use super::upstream::Upstream;
use crate::engine::device::{Device, Values};
use crate::error::{Error, Result};
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::loss::Loss;
use crate::nnue::tuning::Tuning;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The largest relative L2 error ‖g − g′‖ ÷ ‖g′‖ over all parameters, and the name of the parameter
/// that has it. g is the parameter's gradient on a device, and g′ the gradient on the reference.
/// NaN is worse than any number.
///
/// The loss is [`Loss::SIGMOID_MSE`]. A and B are random multiples of 1/64, so Z is exact in f32 if
/// all inputs are 0 or 1. The device and the reference then agree on every mask, even exactly at 0
/// and T. All targets are 0, so no gradient is a small difference of large terms.
pub fn gradient_error(
    device: &Device,
    architecture: &Architecture,
    inputs: Inputs,
) -> Result<(ParameterName, f64)> {
    gradient_error_of(device, architecture, inputs, Tuning::default())
}

/// As [`gradient_error`], with the variants that a tuning chooses on the device.
#[doc(hidden)]
pub fn gradient_error_of(
    device: &Device,
    architecture: &Architecture,
    inputs: Inputs,
    tuning: Tuning,
) -> Result<(ParameterName, f64)> {
    let samples = match &inputs {
        Inputs::Sparse([lists, _]) => lists.len(),
        Inputs::Dense { inputs, values } => values[0].len() / inputs.max(&1),
    };
    let buckets = (0..samples).map(|sample| (sample % architecture.buckets.max(1)) as u32);
    let batch = Batch::new(inputs, vec![0.0; samples])?.with_buckets(buckets.collect())?;
    let parameters = dyadic(architecture)?;
    let gradients = |device: &Device, tuning: Tuning| -> Result<Vec<Values>> {
        let mut network = Network::new(device, &parameters)?;
        network.set_tuning(tuning)?;
        let upstream = Upstream::Loss(Loss::SIGMOID_MSE);
        Ok(network.gradient_values(&batch, upstream)?.parameters)
    };
    let expected = gradients(&Device::reference(), Tuning::default())?;
    let found = gradients(device, tuning)?;
    let tensors = architecture.tensors().into_iter();
    let pairs = expected.into_iter().zip(found);
    let errors = tensors.zip(pairs).map(|(tensor, (expected, found))| {
        let error = relative_l2(&expected.into_f64(), &found.into_f64());
        (tensor.name, error)
    });
    errors
        .reduce(worse)
        .ok_or_else(|| Error::argument("architecture", "at least 1 parameter", 0))
}

/// The pair with the larger error, or with NaN.
fn worse<T>(a: (T, f64), b: (T, f64)) -> (T, f64) {
    if a.1 >= b.1 || a.1.is_nan() { a } else { b }
}

/// Random multiples of 1/64 up to ±3/8. C is scaled down so that Y stays near 0, where the sigmoid
/// has a slope.
fn dyadic(architecture: &Architecture) -> Result<Parameters> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let shrink = 2f32.powf(-(2.0 * architecture.hidden as f32).sqrt().log2().ceil());
    let tensors = architecture.tensors();
    let mut parameters = Parameters::zeros(architecture.clone())?;
    for (tensor, values) in tensors.iter().zip(parameters.values_mut()) {
        let unit = match tensor.name {
            ParameterName::C | ParameterName::W(_) => shrink / 64.0,
            _ => 1.0 / 64.0,
        };
        values.fill_with(|| random.random_range(-24..=24) as f32 * unit);
    }
    Ok(parameters)
}

/// ‖found − expected‖ ÷ ‖expected‖, or 0 if both are 0.
fn relative_l2(expected: &[f64], found: &[f64]) -> f64 {
    let norm = |squares: &mut dyn Iterator<Item = f64>| squares.sum::<f64>().sqrt();
    let pairs = expected.iter().zip(found);
    let difference = norm(&mut pairs.map(|(a, b)| (a - b) * (a - b)));
    match norm(&mut expected.iter().map(|value| value * value)) {
        0.0 if difference == 0.0 => 0.0,
        magnitude => difference / magnitude,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_relative_and_nan_is_the_worst() {
        assert_eq!(relative_l2(&[3.0, 4.0], &[3.0, 4.5]), 0.1);
        assert_eq!(relative_l2(&[0.0], &[0.0]), 0.0);
        assert_eq!(relative_l2(&[0.0], &[1.0]), f64::INFINITY);
        assert!(relative_l2(&[1.0], &[f64::NAN]).is_nan());
        for errors in [[1.0, f64::NAN], [f64::NAN, 1.0]] {
            let [a, b] = errors.map(|error| ((), error));
            assert!(worse(a, b).1.is_nan());
        }
        assert_eq!(worse(("a", 1.0), ("b", 2.0)), ("b", 2.0));
    }
}
