//! y\[s, f\] = γ\[f\]·(x\[s, f\] − mean\[f\])/√(variance\[f\] + ε) + β\[f\], with the mean and the
//! biased variance of each feature over the samples (section 2).

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, LANES};

crate::interface! {
    /// Sizes of x.
    pub struct Params {
        /// Samples. Without samples there is no mean, so nothing runs and nothing is written.
        pub samples: u32,
        /// Features.
        pub features: u32,
        /// ε, above 0, which is added to the variance.
        pub epsilon: f32,
    }
    pub struct Buffers {
        /// The features of each sample, `[L, F]`.
        pub x: Read<f32>,
        /// γ, `[F]`.
        pub gamma: Read<f32>,
        /// β, `[F]`.
        pub beta: Read<f32>,
        /// The normalized features, `[L, F]`.
        pub y: Write<f32>,
        /// The mean of each feature, `[F]`.
        pub mean: Write<f32>,
        /// The variance of each feature over L, `[F]`.
        pub variance: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        match self.samples {
            0 => 0,
            _ => self.features.div_ceil(16),
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "batch_norm",
    operation: Some("batch_norm"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/batch_norm.wgsl"),
    libraries: &[GRID, LANES],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

/// The mean and the biased variance of a feature over f64; zeros where there are no samples.
pub fn statistics(x: &[f64], samples: usize, features: usize, feature: usize) -> [f64; 2] {
    let mut sum = 0.0;
    for s in 0..samples {
        sum += x[s * features + feature];
    }
    let mean = sum / samples.max(1) as f64;
    let mut squares = 0.0;
    for s in 0..samples {
        squares += (x[s * features + feature] - mean).powi(2);
    }
    [mean, squares / samples.max(1) as f64]
}

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (x, gamma, beta) = (buffers.x, buffers.gamma, buffers.beta);
    let (y, means, variances) = (buffers.y, buffers.mean, buffers.variance);
    let (samples, features) = (p.samples as usize, p.features as usize);
    for f in 0..features {
        let [mean, variance] = statistics(x, samples, features, f);
        for s in 0..samples {
            let normalised =
                (x[s * features + f] - mean) / (variance + f64::from(p.epsilon)).sqrt();
            y[s * features + f] = gamma[f] * normalised + beta[f];
        }
        means[f] = mean;
        variances[f] = variance;
    }
}

/// The mean is computed from the differences from the first sample, as in the shader.
fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (samples, features) = (p.samples as usize, p.features as usize);
    let x = &buffers.x[..samples * features];
    let (gamma, beta) = (&buffers.gamma[..features], &buffers.beta[..features]);
    let y = &mut buffers.y[..samples * features];
    let mean = &mut buffers.mean[..features];
    let variance = &mut buffers.variance[..features];
    let first = &x[..features];
    let count = samples as f32;

    let sums = cpu::sum_rows(samples, features, |range, sums| {
        cpu::vectorized(|| {
            for s in range {
                let x = &x[s * features..][..features];
                for f in 0..features {
                    sums[f] += x[f] - first[f];
                }
            }
        });
    });
    for f in 0..features {
        mean[f] = first[f] + sums[f] / count;
    }
    let squares = cpu::sum_rows(samples, features, |range, sums| {
        cpu::vectorized(|| {
            for s in range {
                let x = &x[s * features..][..features];
                for f in 0..features {
                    let centred = x[f] - mean[f];
                    sums[f] += centred * centred;
                }
            }
        });
    });
    for f in 0..features {
        variance[f] = squares[f] / count;
    }
    let scale: Vec<f32> = gamma
        .iter()
        .zip(&*variance)
        .map(|(gamma, variance)| gamma / (variance + p.epsilon).sqrt())
        .collect();
    cpu::rows(y, features, |s, y| {
        let x = &x[s * features..][..features];
        cpu::vectorized(|| {
            for f in 0..features {
                y[f] = scale[f] * (x[f] - mean[f]) + beta[f];
            }
        });
    });
}

/// \[samples, features\] of the cases here and of the gradient: 0, 1, tile − 1, tile and tile + 1
/// of both, a prime, and more than 65,535 workgroups.
pub const SHAPES: [[usize; 2]; 15] = [
    [0, 3],
    [2, 0],
    [1, 5],
    [2, 1],
    [2, 15],
    [3, 16],
    [3, 33],
    [15, 4],
    [16, 5],
    [17, 17],
    [64, 1],
    [64, 33],
    [997, 15],
    [997, 16],
    [2, 16 * 65_536 + 1],
];

/// x \[samples, features\]. Of each four consecutive features, the first is around 0, the second is
/// constant, the third has a mean far larger than its deviation, and the fourth is small compared
/// with ε.
pub fn columns(inputs: &mut Inputs, samples: usize, features: usize, turn: usize) -> Vec<f32> {
    let mut x = inputs.floats(samples * features, -1.0, 1.0);
    for (at, x) in x.iter_mut().enumerate() {
        *x = match (at % features + turn) % 4 {
            0 => 3.0 * *x,
            1 => 0.3,
            2 => 100.0 + *x,
            _ => 0.001 * *x,
        };
    }
    x
}

/// The bounds of y, mean and variance of one feature. ε is 2⁻²³ here, and a correctly rounded
/// operation is held to one ε.
fn allowance(x: &[f64], gamma: f64, beta: f64, added: f64) -> (Vec<f64>, f64, f64) {
    let epsilon = f64::from(f32::EPSILON);
    let count = x.len() as f64;
    let average = |term: &dyn Fn(f64) -> f64| x.iter().map(|&x| term(x)).sum::<f64>() / count;
    let [mean, variance] = statistics(x, x.len(), 1, 0);
    // x − first rounds once. The sum has an error of ε·√n of the magnitudes, the division 2.5 ulps,
    // and adding `first` rounds once more.
    let first = x[0];
    let mean_error = epsilon
        * ((1.0 + count.sqrt()) * average(&|x| (x - first).abs())
            + 2.5 * (mean - first).abs()
            + mean.abs());
    // The deviations add up to 0, so the error of the mean enters the variance only as its square.
    // A deviation rounds once and occurs twice in its square, and the square rounds once. The other
    // errors are as for the mean.
    let variance_error = mean_error * mean_error + epsilon * (3.0 + count.sqrt() + 2.5) * variance;
    // Relative to γ/√(variance + ε): half of the error of the variance and half a rounding, 2 ulps
    // for inverseSqrt (or a root and a division), a product, and a second product with the
    // deviation.
    let deviation = (variance + added).sqrt();
    let scale_error = variance_error / (2.0 * (variance + added)) + 4.5 * epsilon;
    let of_y = x.iter().map(|&x| {
        let centred = (x - mean).abs();
        let moved = mean_error + centred * (epsilon + scale_error);
        let y = gamma * (x - mean) / deviation + beta;
        gamma.abs() / deviation * moved + epsilon * y.abs()
    });
    (of_y.collect(), mean_error, variance_error)
}

fn cases() -> Vec<Case> {
    let case = |(seed, [samples, features]): (usize, [usize; 2])| {
        let mut inputs = Inputs::new(7000 + seed as u64);
        let params = Params {
            samples: samples as u32,
            features: features as u32,
            epsilon: [1e-5, 1e-3][seed % 2],
        };
        let x = columns(&mut inputs, samples, features, seed);
        let gamma = inputs.floats(features, -2.0, 2.0);
        let beta = inputs.floats(features, -1.0, 1.0);
        let mut bounds = [samples * features, features, features].map(|len| vec![0.0; len]);
        // Without samples nothing is written, so nothing may differ.
        let written = if samples == 0 { 0 } else { features };
        for f in 0..written {
            let x: Vec<f64> = (0..samples)
                .map(|s| f64::from(x[s * features + f]))
                .collect();
            let numbers = [gamma[f], beta[f], params.epsilon].map(f64::from);
            let (of_y, of_mean, of_variance) = allowance(&x, numbers[0], numbers[1], numbers[2]);
            for s in 0..samples {
                bounds[0][s * features + f] = of_y[s];
            }
            (bounds[1][f], bounds[2][f]) = (of_mean, of_variance);
        }
        let [y_out, mean_out, variance_out] = bounds.map(|bound| Slot::Output {
            len: bound.len(),
            bound: Bound::Each(bound),
        });
        let name = format!("samples={samples} features={features}");
        let slots = Slots {
            x: Slot::Floats(x),
            gamma: Slot::Floats(gamma),
            beta: Slot::Floats(beta),
            y: y_out,
            mean: mean_out,
            variance: variance_out,
        };
        Case::new(name, 0, params, slots)
    };
    SHAPES.into_iter().enumerate().map(case).collect()
}
