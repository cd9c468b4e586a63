//! The gradients of batch normalization (section 2), with x̂ = (x − mean)/√(variance + ε) and sums
//! over the samples s: gβ\[f\] = Σ g\[s, f\], gγ\[f\] = Σ g\[s, f\]·x̂\[s, f\] and gx\[s, f\] =
//! γ\[f\]/√(variance\[f\] + ε)·(g\[s, f\] − gβ\[f\]/samples − x̂\[s, f\]·gγ\[f\]/samples).

use super::batch_norm::{self, SHAPES};
use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, LANES};

crate::interface! {
    /// Sizes of x.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// Features.
        pub features: u32,
        /// ε, above 0, which is added to the variance.
        pub epsilon: f32,
    }
    pub struct Buffers {
        /// The features of each sample, `[L, F]`.
        pub x: Read<f32>,
        /// The mean of each feature, `[F]`.
        pub mean: Read<f32>,
        /// The variance of each feature, `[F]`.
        pub variance: Read<f32>,
        /// γ, `[F]`.
        pub gamma: Read<f32>,
        /// ∂Loss/∂Y, `[L, F]`.
        pub upstream: Read<f32>,
        /// ∂Loss/∂X, `[L, F]`.
        pub gradient: Write<f32>,
        /// ∂Loss/∂γ, `[F]`.
        pub gamma_gradient: Write<f32>,
        /// ∂Loss/∂β, `[F]`.
        pub beta_gradient: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.features.div_ceil(16)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "batch_norm_gradient",
    operation: Some("batch_norm"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/batch_norm_gradient.wgsl"),
    libraries: &[GRID, LANES],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (x, mean, variance) = (buffers.x, buffers.mean, buffers.variance);
    let (gamma, g) = (buffers.gamma, buffers.upstream);
    let gx = buffers.gradient;
    let (of_gamma, of_beta) = (buffers.gamma_gradient, buffers.beta_gradient);
    let (samples, features) = (p.samples as usize, p.features as usize);
    for f in 0..features {
        let deviation = (variance[f] + f64::from(p.epsilon)).sqrt();
        let normalised = |s: usize| (x[s * features + f] - mean[f]) / deviation;
        (of_gamma[f], of_beta[f]) = (0.0, 0.0);
        for s in 0..samples {
            of_gamma[f] += g[s * features + f] * normalised(s);
            of_beta[f] += g[s * features + f];
        }
        let means = [of_gamma[f], of_beta[f]].map(|sum| sum / samples as f64);
        for s in 0..samples {
            let centred = g[s * features + f] - means[1] - normalised(s) * means[0];
            gx[s * features + f] = gamma[f] / deviation * centred;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (samples, features) = (p.samples as usize, p.features as usize);
    let x = &buffers.x[..samples * features];
    let (mean, variance) = (&buffers.mean[..features], buffers.variance);
    let (gamma, g) = (buffers.gamma, buffers.upstream);
    let gx = &mut buffers.gradient[..samples * features];
    let (of_gamma, of_beta) = (buffers.gamma_gradient, buffers.beta_gradient);

    // Σ g, then Σ g·(x − mean).
    let sums = cpu::sum_rows(samples, 2 * features, |range, sums| {
        let (sums, products) = sums.split_at_mut(features);
        cpu::vectorized(|| {
            for s in range {
                let (x, g) = (
                    &x[s * features..][..features],
                    &g[s * features..][..features],
                );
                for f in 0..features {
                    sums[f] += g[f];
                    products[f] += g[f] * (x[f] - mean[f]);
                }
            }
        });
    });
    // gx = scale·(g − average − (x − mean)·slope)
    let count = samples as f32;
    let [mut scale, mut average, mut slope] = [(); 3].map(|()| vec![0.0; features]);
    for f in 0..features {
        let deviation = (variance[f] + p.epsilon).sqrt();
        of_beta[f] = sums[f];
        of_gamma[f] = sums[features + f] / deviation;
        scale[f] = gamma[f] / deviation;
        average[f] = of_beta[f] / count;
        slope[f] = of_gamma[f] / deviation / count;
    }
    cpu::rows(gx, features, |s, gx| {
        let (x, g) = (
            &x[s * features..][..features],
            &g[s * features..][..features],
        );
        cpu::vectorized(|| {
            for f in 0..features {
                gx[f] = scale[f] * (g[f] - average[f] - (x[f] - mean[f]) * slope[f]);
            }
        });
    });
}

/// The bounds of gx, gγ and gβ of one feature, from its x − mean, its γ and its variance + ε. ε is
/// 2⁻²³ here, and a correctly rounded operation is held to one ε.
fn allowance(centred: &[f64], g: &[f64], gamma: f64, added: f64) -> (Vec<f64>, f64, f64) {
    let epsilon = f64::from(f32::EPSILON);
    let count = g.len() as f64;
    let products = || centred.iter().zip(g).map(|(centred, g)| centred * g);
    let sizes: f64 = products().map(f64::abs).sum();
    // 1/√(variance + ε): half a rounding, and inverseSqrt's 2 ulps or a root and a division.
    let inverse = 1.0 / added.sqrt();
    let inverse_error = 2.5 * epsilon;
    // Σ g: the sum of n terms has an error of ε·√n of their magnitudes.
    let sum: f64 = g.iter().sum();
    let beta_error = epsilon * count.sqrt() * g.iter().copied().map(f64::abs).sum::<f64>();
    // Σ g·(x − mean): a difference and a product before the sum, and a product after it.
    let gamma_gradient = inverse * products().sum::<f64>();
    let gamma_error = inverse * epsilon * (2.0 + count.sqrt()) * sizes
        + gamma_gradient.abs() * (inverse_error + epsilon);
    // Σ g/n: a division of 2.5 ulps.
    let average = sum / count;
    let average_error = beta_error / count + 2.5 * epsilon * average.abs();
    // (x − mean)·slope: the inverse, a product and a division for the slope, a difference, and a
    // product.
    let slope = inverse * gamma_gradient / count;
    let slope_error = inverse * gamma_error / count + slope.abs() * (inverse_error + 5.5 * epsilon);
    // Two subtractions inside, then the product of γ and the inverse, and one more product.
    let of_gx = centred.iter().zip(g).map(|(centred, g)| {
        let inside = g - average - centred * slope;
        let moved = average_error
            + centred.abs() * slope_error
            + epsilon * ((g - average).abs() + inside.abs());
        (gamma * inverse).abs() * (moved + inside.abs() * (inverse_error + 2.0 * epsilon))
    });
    (of_gx.collect(), gamma_error, beta_error)
}

fn cases() -> Vec<Case> {
    let case = |(seed, [samples, features]): (usize, [usize; 2])| {
        let mut inputs = Inputs::new(7100 + seed as u64);
        let params = Params {
            samples: samples as u32,
            features: features as u32,
            epsilon: [1e-5, 1e-3][seed % 2],
        };
        let x = batch_norm::columns(&mut inputs, samples, features, seed);
        let gamma = inputs.floats(features, -2.0, 2.0);
        let g = inputs.floats(samples * features, -1.0, 1.0);
        let widened: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let (mut mean, mut variance) = (Vec::new(), Vec::new());
        let mut bounds = [samples * features, features, features].map(|len| vec![0.0; len]);
        for f in 0..features {
            let [of_x, squares] = batch_norm::statistics(&widened, samples, features, f);
            mean.push(of_x as f32);
            variance.push(squares as f32);
            let place = |s: usize| s * features + f;
            let centre = f64::from(mean[f]);
            let centred: Vec<f64> = (0..samples).map(|s| widened[place(s)] - centre).collect();
            let of_feature: Vec<f64> = (0..samples).map(|s| f64::from(g[place(s)])).collect();
            let added = f64::from(variance[f]) + f64::from(params.epsilon);
            let (of_gx, of_gamma, of_beta) =
                allowance(&centred, &of_feature, f64::from(gamma[f]), added);
            for s in 0..samples {
                bounds[0][place(s)] = of_gx[s];
            }
            (bounds[1][f], bounds[2][f]) = (of_gamma, of_beta);
        }
        let [gradient_out, gamma_gradient_out, beta_gradient_out] =
            bounds.map(|bound| Slot::Output {
                len: bound.len(),
                bound: Bound::Each(bound),
            });
        let name = format!("samples={samples} features={features}");
        let slots = Slots {
            x: Slot::Floats(x),
            mean: Slot::Floats(mean),
            variance: Slot::Floats(variance),
            gamma: Slot::Floats(gamma),
            upstream: Slot::Floats(g),
            gradient: gradient_out,
            gamma_gradient: gamma_gradient_out,
            beta_gradient: beta_gradient_out,
        };
        Case::new(name, 0, params, slots)
    };
    SHAPES.into_iter().enumerate().map(case).collect()
}
