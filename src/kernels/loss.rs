//! terms\[s\] = |link(Y\[s\]) − t\[s\]|^q / L: what each sample adds to the loss (section 1).

use super::inputs::Inputs;
use super::libraries::{GRID, LINK, LINK_OPERATIONS, LINKS};
use crate::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};
use crate::loss::Link;
use rayon::prelude::*;

crate::parameters! {
    /// The loss of a batch.
    pub struct Params {
        /// Samples in this slice of the batch.
        pub samples: u32,
        /// q.
        pub power: f32,
        /// 1/L with L the samples of the whole batch.
        pub scale: f32,
    }
}

impl crate::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "loss",
    operation: Some("loss"),
    pass: Pass::Forward,
    wgsl: include_str!("../../shaders/loss.wgsl"),
    libraries: &[GRID, LINK],
    variants: LINKS,
    bindings: &[
        Binding::floats("y"),
        Binding::floats("targets"),
        Binding::output("terms"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let link = Link::ALL[call.variant];
    let (y, targets) = (call.floats(0), call.floats(1));
    let terms = call.floats_mut(2);
    for s in 0..p.samples as usize {
        let (value, _) = link.apply(y[s]);
        terms[s] = (value - targets[s]).abs().powf(f64::from(p.power)) * f64::from(p.scale);
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let link = Link::ALL[call.variant];
    let (y, targets) = (call.floats(0), call.floats(1));
    let terms = &mut call.floats_mut(2)[..p.samples as usize];
    terms
        .par_iter_mut()
        .enumerate()
        .with_min_len(super::cpu::PIECE)
        .for_each(|(s, term)| {
            let (value, _) = link.apply_f32(y[s]);
            *term = power_of((value - targets[s]).abs(), p.power) * p.scale;
        });
}

/// |x|^q for x ≥ 0 with the common powers exact.
pub(super) fn power_of(x: f32, q: f32) -> f32 {
    match q {
        0.0 => 1.0,
        1.0 => x,
        2.0 => x * x,
        _ => x.powf(q),
    }
}

/// Outputs, targets, power and scale shared by the cases of the loss and of its gradient.
pub(super) struct LossCase {
    pub name: String,
    pub variant: usize,
    pub params: Params,
    pub y: Vec<f32>,
    pub targets: Vec<f32>,
}

/// Sizes 0, 1, tile − 1, tile, tile + 1, a prime and past 65,535 workgroups; powers 1, 2, 2.5 and 4; outputs to ±30,
/// some of them exactly on their target, and as far as ±200 where the exponential underflows.
pub(super) fn loss_cases() -> Vec<LossCase> {
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
                // The gradient jumps where P = t, and P is only known to its rounding: keep away from there.
                for (y, target) in y.iter().zip(&mut targets) {
                    let difference = Link::Sigmoid.apply(f64::from(*y)).0 - f64::from(*target);
                    if difference.abs() < 1e-3 {
                        *target = if *target < 0.5 { *target + 0.25 } else { *target - 0.25 };
                    }
                }
            }
            let params = Params {
                samples: samples as u32,
                power,
                scale: 1.0 / samples.max(1) as f32,
            };
            cases.push(LossCase {
                name: format!("L={samples} q={power}"),
                variant,
                params,
                y,
                targets,
            });
        }
    }
    cases
}

/// The error of P as f32 computes it, in absolute terms: WGSL allows exp 3 + 2|x| ulp, the division 2.5 and each other
/// operation half, so P ≤ 1 is within (3 + 2|y|)·P(1 − P) + 4 ulps; a link of identity has none.
pub(super) fn link_error(link: Link, y: f64) -> f64 {
    const EPSILON: f64 = f32::EPSILON as f64;
    match link {
        Link::Identity => 0.0,
        Link::Sigmoid => {
            let (value, slope) = link.apply(y);
            ((3.0 + 2.0 * y.abs()) * slope + 4.0 * value.min(1.0)) * EPSILON
        }
    }
}

/// The relative error allowed for x^q on a GPU, where pow inherits from exp2(q·log2 x): log2 within 2⁻²¹ absolute or 3
/// ulp, scaled by q, then exp2's 3 + 2|q·log2 x| ulp; the exact powers round once.
pub(super) fn power_error(x: f64, q: f64) -> f64 {
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

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    // The difference, its power and the scale.
    Traffic::elementwise(p.samples, 2, 1, LINK_OPERATIONS[variant] + 3)
}

fn cases() -> Vec<Case> {
    let bound = |case: &LossCase, s: usize| {
        let (y, t) = (f64::from(case.y[s]), f64::from(case.targets[s]));
        let (q, scale) = (f64::from(case.params.power), f64::from(case.params.scale));
        let link = Link::ALL[case.variant];
        let x = (link.apply(y).0 - t).abs();
        let delta = link_error(link, y) + f64::from(f32::EPSILON) * x;
        // |x + δ|^q differs from |x|^q by at most q·(x + δ)^(q−1)·δ.
        let moved = q * (x + delta).powf(q - 1.0) * delta;
        let rounded = (x + delta).powf(q) * (power_error(x + delta, q) + 2.0 * f64::from(f32::EPSILON));
        // Results below the smallest normal number may be flushed to 0.
        (moved + rounded) * scale + f64::from(f32::MIN_POSITIVE)
    };
    loss_cases()
        .into_iter()
        .map(|case| {
            let each = (0..case.y.len()).map(|s| bound(&case, s)).collect();
            Case::new(
                case.name.clone(),
                case.variant,
                case.params,
                vec![
                    Slot::Floats(case.y.clone()),
                    Slot::Floats(case.targets.clone()),
                    Slot::Output {
                        len: case.y.len(),
                        bound: Bound::Each(each),
                    },
                ],
            )
        })
        .collect()
}
