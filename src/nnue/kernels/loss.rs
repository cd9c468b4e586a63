//! The loss term of each sample, and its derivative with respect to Y\[s\] (section 1.6): see
//! [`Loss`](crate::nnue::loss::Loss).

use super::libraries::{LINKS, LOSS};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::nnue::loss::{Link, Loss, Numbers, WinRate};
use rayon::prelude::*;

crate::interface! {
    /// The loss of a batch.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// The numbers of the loss.
        pub loss: Numbers,
    }
    pub struct Buffers {
        /// Y, `[L]`.
        pub y: Read<f32>,
        /// The targets t, `[L]`, then the weights, `[L]`, if there are any.
        pub targets: Read<f32>,
        /// The loss of each sample, `[L]`.
        pub terms: Write<f32>,
        /// e = ∂Loss/∂Y, `[L]`.
        pub e: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "loss",
    operation: Some("loss"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/loss.wgsl"),
    libraries: &[GRID, LOSS],
    axes: &[LINKS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let link = Link::ALL[variant];
    let (y, (targets, weights)) = (buffers.y, buffers.targets.split_at(p.samples as usize));
    let (terms, e) = (buffers.terms, buffers.e);
    for s in 0..p.samples as usize {
        let scale = f64::from(p.loss.scale) * p.loss.weight(weights, s);
        let term = p.loss.term(link, y[s], targets[s], scale);
        (terms[s], e[s]) = (term.value, term.gradient);
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let link = Link::ALL[variant];
    let samples = p.samples as usize;
    let (y, (targets, weights)) = (&buffers.y[..samples], buffers.targets.split_at(samples));
    let (terms, e) = (buffers.terms, buffers.e);
    let outputs = terms[..samples].par_iter_mut().zip(&mut e[..samples]);
    outputs
        .zip(y.par_iter().zip(targets))
        .enumerate()
        .with_min_len(crate::engine::cpu::PIECE)
        .for_each(|(s, ((term, e), (&y, &target)))| {
            let weight = p.loss.weight(weights, s);
            let found = p.loss.term_f32(link, y, target, weight);
            (*term, *e) = (found.value, found.gradient);
        });
}

const EPSILON: f64 = f32::EPSILON as f64;

/// What a loss reads of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) y: f64,
    pub(super) target: f64,
    pub(super) weight: f64,
}

/// The largest magnitude of the arguments of σ.
fn reach(numbers: &Numbers, y: f64) -> f64 {
    f64::from(numbers.steepness) * y.abs() + f64::from(numbers.shift)
}

/// The error allowed for e on a GPU.
pub(super) fn error(link: Link, numbers: &Numbers, sample: Sample) -> f64 {
    let (q, y) = (f64::from(numbers.power), sample.y);
    let (value, slope) = numbers.predict(link, y);
    let x = (value - sample.target).abs();
    let delta = link_error(link, numbers, y) + EPSILON * x;
    if numbers.entropy == 1 {
        return (delta + 4.0 * EPSILON * x) * factor(numbers, sample)
            + f64::from(f32::MIN_POSITIVE);
    }
    // A power of 0 jumps at 0, so the difference must be exact there.
    let moved = if q == 1.0 {
        0.0
    } else {
        (x + delta).powf(q - 1.0) - (x - delta).max(0.0).powf(q - 1.0)
    };
    let of_slope = match link {
        Link::Identity => 0.0,
        Link::Sigmoid if numbers.shift == 0.0 => 10.0 + 2.0 * reach(numbers, y),
        // The arguments have roundings of their own.
        Link::Sigmoid => 14.0 + 6.0 * reach(numbers, y),
    };
    let relative = power_error(x + delta, q - 1.0) + (of_slope + 6.0) * EPSILON;
    let error = moved + (x + delta).powf(q - 1.0) * relative;
    q * error * slope * factor(numbers, sample) + f64::from(f32::MIN_POSITIVE)
}

/// The largest factor of a term: 1/L, the weight, and the factor of the side of the target.
fn factor(numbers: &Numbers, sample: Sample) -> f64 {
    let asymmetry = f64::from(numbers.asymmetry).abs();
    f64::from(numbers.scale) * sample.weight * (1.0 + asymmetry)
}

/// The absolute error of P in f32. WGSL allows 3 + 2|x| ulp for exp, 2.5 for the division and half
/// an ulp for each other operation, so σ(x) ≤ 1 is within (3 + 2|x|)·σ(1 − σ) + 4 ulps. The
/// argument of a win rate has two roundings. The identity has no error.
fn link_error(link: Link, numbers: &Numbers, y: f64) -> f64 {
    if link == Link::Identity {
        return 0.0;
    }
    let [steepness, shift] = [numbers.steepness, numbers.shift].map(f64::from);
    let of_argument = |x: f64| {
        let (value, slope) = link.apply(x);
        let of_roundings = if shift == 0.0 {
            0.0
        } else {
            2.0 * reach(numbers, y)
        };
        ((3.0 + 2.0 * x.abs() + of_roundings) * slope + 4.0 * value.min(1.0)) * EPSILON
    };
    let won = of_argument(steepness * y - shift);
    match shift {
        0.0 => won,
        _ => 0.5 * (won + of_argument(-steepness * y - shift)) + 2.0 * EPSILON,
    }
}

/// The relative error allowed for x^q on a GPU. WGSL gives pow the error of exp2(q·log2 x): log2 is
/// within 2⁻²¹ absolute or 3 ulp, scaled by q, and exp2 adds 3 + 2|q·log2 x| ulp. The exact powers
/// round once.
fn power_error(x: f64, q: f64) -> f64 {
    if q == 0.0 || q == 1.0 {
        return 0.0;
    }
    if q == 2.0 || x == 0.0 {
        return EPSILON;
    }
    let log = x.log2();
    let of_log = (2f64.powi(-21)).max(3.0 * EPSILON * log.abs()) * q + q * log.abs() * EPSILON;
    of_log * std::f64::consts::LN_2 + (3.0 + 2.0 * (q * log).abs()) * EPSILON
}

/// The error allowed for the loss of a sample.
pub(super) type ErrorOf = fn(Link, &Numbers, Sample) -> f64;

/// The error allowed for a term on a GPU.
pub(super) fn term_error(link: Link, numbers: &Numbers, sample: Sample) -> f64 {
    let (q, y) = (f64::from(numbers.power), sample.y);
    let x = (numbers.predict(link, y).0 - sample.target).abs();
    let delta = link_error(link, numbers, y) + EPSILON * x;
    let error = if numbers.entropy == 1 {
        // Two roundings of y and t·y. WGSL allows 2⁻²¹ for the logarithm of a number up to 2, and
        // that number has the error of the exponential.
        let of_exponential = (4.0 + 2.0 * y.abs()) * (-y.abs()).exp() * EPSILON;
        4.0 * EPSILON * (1.0 + y.abs()) + 2f64.powi(-21) + of_exponential
    } else {
        // |x + δ|^q differs from |x|^q by at most q·(x + δ)^(q−1)·δ.
        let moved = q * (x + delta).powf(q - 1.0) * delta;
        moved + (x + delta).powf(q) * (power_error(x + delta, q) + 4.0 * EPSILON)
    };
    // Results below the smallest normal number may be flushed to 0.
    error * factor(numbers, sample) + f64::from(f32::MIN_POSITIVE)
}

/// The loss of a case, by its seed: a power, an asymmetric one, a win rate and the cross-entropy;
/// every other loss has weights.
pub(super) fn case_numbers(link: Link, seed: usize, samples: usize, power: f32) -> Numbers {
    let plain = Loss::new(link, power);
    let loss = match (link, seed % 5) {
        (_, 1) => plain.asymmetry(0.3),
        (Link::Sigmoid, 2) => plain.win_rate(WinRate::STOCKFISH),
        (Link::Sigmoid, 3) => Loss::CROSS_ENTROPY,
        _ => plain,
    };
    loss.numbers(samples.max(1), seed % 2 == 1)
}

/// The weights of the samples of a case, if they have weights.
pub(super) fn case_weights(inputs: &mut Inputs, numbers: &Numbers, samples: usize) -> Vec<f32> {
    match numbers.weighted {
        0 => Vec::new(),
        _ => inputs.floats(samples, 0.0, 2.0),
    }
}

/// The errors that a loss allows for samples.
pub(super) fn errors(
    of: ErrorOf,
    link: Link,
    numbers: &Numbers,
    y: &[f64],
    [targets, weights]: [&[f32]; 2],
) -> Vec<f64> {
    let each = y.iter().zip(targets).enumerate();
    let each = each.map(|(s, (&y, &target))| {
        let sample = Sample {
            y,
            target: target.into(),
            weight: numbers.weight(weights, s).into(),
        };
        of(link, numbers, sample)
    });
    each.collect()
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let reads = 2 + u64::from(p.loss.weighted);
    Traffic::elementwise(p.samples, reads, 2, Link::ALL[variant].operations())
}

/// Sizes 0, 1, tile − 1, tile, tile + 1, a prime and more than 65,535 workgroups; powers 1, 2, 2.5
/// and 4; outputs up to ±30, some of them equal to their target, and outputs up to ±200, where the
/// exponential underflows.
fn cases() -> Vec<Case> {
    let shapes = [0usize, 1, 63, 64, 65, 997, 4_194_400];
    let mut cases = Vec::new();
    for variant in 0..LINKS.len() {
        for (seed, samples) in shapes.into_iter().enumerate() {
            let power = [2.0, 2.5, 1.0, 4.0][seed % 4];
            let mut inputs = Inputs::new(300 + seed as u64);
            let reach = if variant == 0 { 4.0 } else { 30.0 };
            let mut y = inputs.floats(samples, -reach, reach);
            let mut targets = inputs.floats(samples, 0.0, 1.0);
            for s in (0..samples).step_by(5) {
                y[s] = [0.0, -0.0, reach, -reach, 0.5][s / 5 % 5];
                targets[s] = if variant == 0 { y[s] } else { 0.5 };
            }
            if variant == 1 && samples > 4 {
                y[1] = 200.0;
                y[2] = -200.0;
            }
            let link = Link::ALL[variant];
            let loss = case_numbers(link, seed, samples, power);
            let weights = case_weights(&mut inputs, &loss, samples);
            if variant == 1 && power == 1.0 {
                // The gradient jumps where P = t, and P is rounded, so targets must stay away from
                // P.
                for (y, target) in y.iter().zip(&mut targets) {
                    let difference = loss.predict(link, f64::from(*y)).0 - f64::from(*target);
                    if difference.abs() < 1e-3 {
                        *target = if *target < 0.5 {
                            *target + 0.25
                        } else {
                            *target - 0.25
                        };
                    }
                }
            }
            let doubles: Vec<f64> = y.iter().map(|&y| f64::from(y)).collect();
            let bound =
                |of: ErrorOf| Bound::Each(errors(of, link, &loss, &doubles, [&targets, &weights]));
            let bounds = [bound(term_error), bound(error)];
            let params = Params {
                samples: samples as u32,
                loss,
            };
            targets.extend(weights);
            let mut slots = vec![Slot::Floats(y), Slot::Floats(targets)];
            slots.extend(bounds.map(|bound| Slot::Output {
                len: samples,
                bound,
            }));
            cases.push(Case::new(
                format!("L={samples} {}", described(&loss)),
                variant,
                params,
                slots,
            ));
        }
    }
    cases
}

/// As in the names of cases: the power, and what a loss has besides.
pub(super) fn described(loss: &Numbers) -> String {
    let mut text = match loss.entropy {
        0 => format!("q={}", loss.power),
        _ => "entropy".to_owned(),
    };
    for (name, is) in [
        ("asymmetric", loss.asymmetry != 0.0),
        ("win rate", loss.shift != 0.0),
        ("weighted", loss.weighted == 1),
    ] {
        if is {
            text = format!("{text} {name}");
        }
    }
    text
}
