//! e\[s\] = (q/L)·|P − t|^(q−1)·sign(P − t)·∂P/∂Y with P = link(Y\[s\]) (section 1).

use super::libraries::{GRID, LINK, LINK_OPERATIONS, LINKS};
use super::loss::{link_error, loss_cases, power_error, power_of};
use crate::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};
use crate::loss::Link;
use rayon::prelude::*;

crate::parameters! {
    /// The loss of a batch.
    pub struct Params {
        /// Samples of this strip.
        pub samples: u32,
        /// The strip's first sample among all.
        pub first: u32,
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
    name: "loss_gradient",
    operation: Some("loss"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../shaders/loss_gradient.wgsl"),
    libraries: &[GRID, LINK],
    variants: LINKS,
    bindings: &[
        Binding::floats("y"),
        Binding::floats("targets"),
        Binding::update("e"),
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
    let e = call.floats_mut(2);
    let (q, scale) = (f64::from(p.power), f64::from(p.scale));
    for s in p.first as usize..(p.first + p.samples) as usize {
        e[s] = reference(link, (q, scale), y[s], targets[s]);
    }
}

/// e by the mathematics.
pub(super) fn reference(link: Link, (q, scale): (f64, f64), y: f64, target: f64) -> f64 {
    let (value, slope) = link.apply(y);
    let difference = value - target;
    let sign = if difference == 0.0 { 0.0 } else { difference.signum() };
    q * scale * difference.abs().powf(q - 1.0) * sign * slope
}

/// e as the CPU executor computes it.
#[inline]
pub(super) fn value(link: Link, (q, scale): (f32, f32), y: f32, target: f32) -> f32 {
    let (value, slope) = link.apply_f32(y);
    let difference = value - target;
    let sign = if difference == 0.0 { 0.0 } else { difference.signum() };
    power_of(difference.abs(), q - 1.0) * q * scale * sign * slope
}

/// The error allowed for e on a GPU.
pub(super) fn error(link: Link, (q, scale): (f64, f64), y: f64, target: f64) -> f64 {
    const EPSILON: f64 = f32::EPSILON as f64;
    let (value, slope) = link.apply(y);
    let x = (value - target).abs();
    let delta = link_error(link, y) + EPSILON * x;
    // A power of 0 jumps at 0, where only an exact difference may stand.
    let moved = if q == 1.0 {
        0.0
    } else {
        (x + delta).powf(q - 1.0) - (x - delta).max(0.0).powf(q - 1.0)
    };
    let relative = power_error(x + delta, q - 1.0)
        + if link == Link::Sigmoid { (10.0 + 2.0 * y.abs()) * EPSILON } else { 0.0 }
        + 4.0 * EPSILON;
    let error = moved + (x + delta).powf(q - 1.0) * relative;
    q * scale * error * slope + f64::from(f32::MIN_POSITIVE)
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let link = Link::ALL[call.variant];
    let (y, targets) = (call.floats(0), call.floats(1));
    let strip = p.first as usize..(p.first + p.samples) as usize;
    let e = &mut call.floats_mut(2)[strip.clone()];
    e.par_iter_mut()
        .zip(strip)
        .with_min_len(super::cpu::PIECE)
        .for_each(|(e, s)| *e = value(link, (p.power, p.scale), y[s], targets[s]));
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    // The difference, its power, and the product with q, the scale, the sign and the slope.
    Traffic::elementwise(p.samples, 2, 1, LINK_OPERATIONS[variant] + 6)
}

fn cases() -> Vec<Case> {
    loss_cases()
        .into_iter()
        .enumerate()
        .map(|(index, case)| {
            let of_loss = (f64::from(case.params.power), f64::from(case.params.scale));
            let link = Link::ALL[case.variant];
            let each = case.y.iter().zip(&case.targets).map(|(&y, &target)| {
                error(link, of_loss, f64::from(y), f64::from(target))
            });
            let each = each.collect();
            // Every other case is the second of two strips.
            let first = index as u32 % 2 * (case.params.samples / 3);
            let params = Params {
                samples: case.params.samples - first,
                first,
                power: case.params.power,
                scale: case.params.scale,
            };
            Case::new(
                case.name,
                case.variant,
                params,
                vec![
                    Slot::Floats(case.y.clone()),
                    Slot::Floats(case.targets),
                    // What stands before the strip must stay.
                    Slot::Update {
                        values: vec![0.25; case.y.len()],
                        bound: Bound::Each(each),
                    },
                ],
            )
        })
        .collect()
}
