//! The loss term of each sample, terms\[s\] = |P − t|^q / L with P = link(Y\[s\]), and its
//! derivative with respect to Y\[s\], e\[s\] = (q/L)·|P − t|^(q−1)·sign(P − t)·∂P/∂Y (section 1).

use super::libraries::{LINKS, LOSS};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::nnue::loss::{Link, Loss};
use rayon::prelude::*;

crate::interface! {
    /// The loss of a batch.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// q.
        pub power: f32,
        /// 1/L, where L is the number of samples of the whole batch.
        pub scale: f32,
    }
    pub struct Buffers {
        /// Y, `[L]`.
        pub y: Read<f32>,
        /// The targets t, `[L]`.
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
    let (y, targets) = (buffers.y, buffers.targets);
    let (terms, e) = (buffers.terms, buffers.e);
    let loss = Loss::new(link, p.power);
    for s in 0..p.samples as usize {
        let term = loss.term(y[s], targets[s], f64::from(p.scale));
        (terms[s], e[s]) = (term.value, term.gradient);
    }
}

/// The error allowed for e on a GPU.
pub(super) fn error(link: Link, (q, scale): (f64, f64), y: f64, target: f64) -> f64 {
    const EPSILON: f64 = f32::EPSILON as f64;
    let (value, slope) = link.apply(y);
    let x = (value - target).abs();
    let delta = link_error(link, y) + EPSILON * x;
    // A power of 0 jumps at 0, so the difference must be exact there.
    let moved = if q == 1.0 {
        0.0
    } else {
        (x + delta).powf(q - 1.0) - (x - delta).max(0.0).powf(q - 1.0)
    };
    let relative = power_error(x + delta, q - 1.0)
        + if link == Link::Sigmoid {
            (10.0 + 2.0 * y.abs()) * EPSILON
        } else {
            0.0
        }
        + 4.0 * EPSILON;
    let error = moved + (x + delta).powf(q - 1.0) * relative;
    q * scale * error * slope + f64::from(f32::MIN_POSITIVE)
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let link = Link::ALL[variant];
    let samples = p.samples as usize;
    let (y, targets) = (&buffers.y[..samples], &buffers.targets[..samples]);
    let (terms, e) = (buffers.terms, buffers.e);
    let loss = Loss::new(link, p.power);
    let outputs = terms[..samples].par_iter_mut().zip(&mut e[..samples]);
    outputs
        .zip(y.par_iter().zip(targets))
        .with_min_len(crate::engine::cpu::PIECE)
        .for_each(|((term, e), (&y, &target))| {
            let found = loss.term_f32(y, target, p.scale);
            (*term, *e) = (found.value, found.gradient);
        });
}

/// The absolute error of P in f32. WGSL allows 3 + 2|x| ulp for exp, 2.5 for the division and half
/// an ulp for each other operation, so P ≤ 1 is within (3 + 2|y|)·P(1 − P) + 4 ulps. The identity
/// has no error.
fn link_error(link: Link, y: f64) -> f64 {
    const EPSILON: f64 = f32::EPSILON as f64;
    match link {
        Link::Identity => 0.0,
        Link::Sigmoid => {
            let (value, slope) = link.apply(y);
            ((3.0 + 2.0 * y.abs()) * slope + 4.0 * value.min(1.0)) * EPSILON
        }
    }
}

/// The relative error allowed for x^q on a GPU. WGSL gives pow the error of exp2(q·log2 x): log2 is
/// within 2⁻²¹ absolute or 3 ulp, scaled by q, and exp2 adds 3 + 2|q·log2 x| ulp. The exact powers
/// round once.
fn power_error(x: f64, q: f64) -> f64 {
    const EPSILON: f64 = f32::EPSILON as f64;
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

/// The error allowed for a link's loss with these q and 1/L, at an output and a target.
pub(super) type ErrorOf = fn(Link, (f64, f64), f64, f64) -> f64;

/// The error allowed for a term on a GPU.
pub(super) fn term_error(link: Link, (q, scale): (f64, f64), y: f64, target: f64) -> f64 {
    let x = (link.apply(y).0 - target).abs();
    let delta = link_error(link, y) + f64::from(f32::EPSILON) * x;
    // |x + δ|^q differs from |x|^q by at most q·(x + δ)^(q−1)·δ.
    let moved = q * (x + delta).powf(q - 1.0) * delta;
    let rounded = (x + delta).powf(q) * (power_error(x + delta, q) + 2.0 * f64::from(f32::EPSILON));
    // Results below the smallest normal number may be flushed to 0.
    (moved + rounded) * scale + f64::from(f32::MIN_POSITIVE)
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    // The difference, its two powers, two scalings, and the product with q, the sign and the slope.
    Traffic::elementwise(p.samples, 2, 2, Link::ALL[variant].operations())
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
            if variant == 1 && power == 1.0 {
                // The gradient jumps where P = t, and P is rounded, so targets must stay away from
                // P.
                for (y, target) in y.iter().zip(&mut targets) {
                    let difference = Link::Sigmoid.apply(f64::from(*y)).0 - f64::from(*target);
                    if difference.abs() < 1e-3 {
                        *target = if *target < 0.5 {
                            *target + 0.25
                        } else {
                            *target - 0.25
                        };
                    }
                }
            }
            let scale = 1.0 / samples.max(1) as f32;
            let of_loss = (f64::from(power), f64::from(scale));
            let link = Link::ALL[variant];
            let bound = |of: ErrorOf| {
                let each = y.iter().zip(&targets);
                let each = each.map(|(&y, &t)| of(link, of_loss, f64::from(y), f64::from(t)));
                Bound::Each(each.collect())
            };
            let bounds = [bound(term_error), bound(error)];
            let params = Params {
                samples: samples as u32,
                power,
                scale,
            };
            let mut slots = vec![Slot::Floats(y), Slot::Floats(targets)];
            slots.extend(bounds.map(|bound| Slot::Output {
                len: samples,
                bound,
            }));
            cases.push(Case::new(
                format!("L={samples} q={power}"),
                variant,
                params,
                slots,
            ));
        }
    }
    cases
}
