//! Random networks and batches, and the formulas of section 1 in f64.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgrad::nnue::{Activation, Architecture, ParameterName, Parameters, TensorSpec};
use wgrad::nnue::{Batch, Inputs};
use wgrad::tensor::lists::SparseInputs;

/// The grid's steps per unit. Parameters and inputs on this grid make Z exact in f32.
const GRID: f32 = 64.0;

pub struct Net {
    pub parameters: Parameters,
    pub dense: Batch,
    /// The same batch as index lists.
    pub sparse: Batch,
}

/// A network and a batch of ones and zeros on a dyadic grid, so that no mask can flip by rounding.
/// A few biases put a sample exactly on 0 or T.
pub fn random(architecture: &Architecture, samples: usize, width: usize, seed: u64) -> Net {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = Parameters::zeros(architecture.clone()).unwrap();
    for values in parameters.values_mut() {
        for value in values {
            *value = random.random_range(-24..=24) as f32 / GRID;
        }
    }
    let inputs = architecture.inputs;
    let lists: [Vec<i32>; 2] = std::array::from_fn(|_| {
        let mut lists = Vec::new();
        for _ in 0..samples {
            let start = lists.len();
            for _ in 0..width {
                let index = random.random_range(0..inputs) as i32;
                let padding = random.random_range(0..5) == 0 || lists[start..].contains(&index);
                lists.push(if padding { -1 } else { index });
            }
        }
        lists
    });
    let dense = lists.each_ref().map(|lists| {
        let mut x = vec![0.0; samples * inputs];
        for (place, &index) in lists.iter().enumerate() {
            if index >= 0 {
                x[place / width * inputs + index as usize] = 1.0;
            }
        }
        x
    });
    let [own, other] = lists.map(|lists| SparseInputs::new(inputs, width, lists).unwrap());
    let tensors = architecture.tensors();
    let is_bias = |tensor: &TensorSpec| tensor.name == ParameterName::B1;
    let bias = tensors.iter().position(is_bias).unwrap();
    for row in (0..architecture.hidden).step_by(3) {
        let z = preactivation(&parameters, own.list(0), 0, row);
        let target = if row % 2 == 0 { 0.0 } else { architecture.clip };
        parameters.values_mut()[bias][row] += target - z as f32;
    }
    let targets: Vec<f32> = (0..samples)
        .map(|_| random.random_range(0.0..1.0))
        .collect();
    let buckets: Vec<u32> = (0..samples)
        .map(|_| random.random_range(0..architecture.buckets as u32))
        .collect();
    let batch = |inputs| {
        let batch = Batch::new(inputs, targets.clone()).unwrap();
        batch.with_buckets(buckets.clone()).unwrap()
    };
    Net {
        parameters,
        dense: batch(Inputs::Dense {
            inputs,
            values: dense,
        }),
        sparse: batch(Inputs::Sparse([own, other])),
    }
}

/// Z of one lane for one index list.
fn preactivation(parameters: &Parameters, list: &[u32], perspective: usize, row: usize) -> f64 {
    let architecture = parameters.architecture();
    let (weights, bias) = match (architecture.tied, perspective) {
        (true, _) | (_, 0) => (ParameterName::A1, ParameterName::B1),
        _ => (ParameterName::A2, ParameterName::B2),
    };
    let weights = parameters.get(weights).unwrap();
    let sum: f64 = list
        .iter()
        .map(|&index| f64::from(weights[index as usize * architecture.hidden + row]))
        .sum();
    sum + f64::from(parameters.get(bias).unwrap()[row])
}

/// Every Z of a sparse batch, `[L, 2K]`, in f64.
pub fn preactivations(parameters: &Parameters, batch: &Batch) -> Vec<f64> {
    let Inputs::Sparse(lists) = batch.inputs() else {
        panic!("a sparse batch")
    };
    let hidden = parameters.architecture().hidden;
    let mut z = Vec::new();
    for sample in 0..batch.len() {
        for (perspective, lists) in lists.iter().enumerate() {
            z.extend(
                (0..hidden)
                    .map(|row| preactivation(parameters, lists.list(sample), perspective, row)),
            );
        }
    }
    z
}

/// Every combination of activation, tied or not, and 1 or 3 buckets, for these sizes.
pub fn architectures(inputs: usize, hidden: usize) -> Vec<Architecture> {
    let mut all = Vec::new();
    for activation in Activation::ALL {
        for tied in [false, true] {
            for buckets in [1, 3] {
                let mut architecture = Architecture::new(inputs, hidden);
                architecture.tied = tied;
                all.push(
                    architecture
                        .activation(activation)
                        .clip(0.75)
                        .buckets(buckets),
                );
            }
        }
    }
    all
}

/// ‖found − expected‖ ÷ ‖expected‖; NaN if any element is NaN, which no bound accepts.
pub fn relative_l2(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| {
        values.map(|value| value * value).sum::<f64>().sqrt()
    };
    let difference = squares(&mut expected.iter().zip(found).map(|(a, b)| a - b));
    let magnitude = squares(&mut expected.iter().copied());
    if difference == 0.0 {
        0.0
    } else {
        difference / magnitude
    }
}
