//! From g the gradient of [`pairwise`](super::pairwise) by z: g times the other factor where
//! 0 ≤ z ≤ T, else 0 (section 4).

use super::pairwise::SHAPES;
use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sizes and the clip.
    pub struct Params {
        /// Rows.
        pub rows: u32,
        /// Pairs of a row, half its elements.
        pub half: u32,
        /// T.
        pub clip: f32,
    }
    pub struct Buffers {
        /// z, `[rows, 2·half]`.
        pub z: Read<f32>,
        /// g, `[rows, half]`.
        pub upstream: Read<f32>,
        /// The gradient by z, `[rows, 2·half]`.
        pub gradient: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.rows * self.half).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "pairwise_gradient",
    operation: Some("pairwise"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/pairwise_gradient.wgsl"),
    libraries: &[GRID],
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
    let (z, upstream, gradient) = (buffers.z, buffers.upstream, buffers.gradient);
    let (half, clip) = (p.half as usize, f64::from(p.clip));
    for row in 0..p.rows as usize {
        for u in 0..2 * half {
            let at = |u: usize| z[2 * half * row + u];
            let other = at((u + half) % (2 * half)).clamp(0.0, clip);
            let is_inside = (0.0..=clip).contains(&at(u));
            let g = upstream[half * row + u % half];
            gradient[2 * half * row + u] = if is_inside { g * other } else { 0.0 };
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (half, clip) = (p.half as usize, p.clip);
    let (z, upstream) = (buffers.z, buffers.upstream);
    let gradient = &mut buffers.gradient[..2 * p.rows as usize * half];
    cpu::rows(gradient, 2 * half, |row, gradient| {
        let g = &upstream[half * row..][..half];
        let (first, second) = z[2 * half * row..][..2 * half].split_at(half);
        let (to_first, to_second) = gradient.split_at_mut(half);
        for (to, own, other) in [(to_first, first, second), (to_second, second, first)] {
            cpu::vectorized(
                #[inline(always)]
                || {
                    let factors = own.iter().zip(other).zip(g);
                    for (to, ((own, other), g)) in to.iter_mut().zip(factors) {
                        let value = g * other.clamp(0.0, clip);
                        *to = if *own >= 0.0 && *own <= clip {
                            value
                        } else {
                            0.0
                        };
                    }
                },
            );
        }
    });
}

fn cases() -> Vec<Case> {
    let case = |(seed, (rows, half, clip)): (u64, (usize, usize, f32))| {
        let params = Params {
            rows: rows as u32,
            half: half as u32,
            clip,
        };
        let mut inputs = Inputs::new(7400 + seed);
        Case::new(
            format!("rows={rows} half={half} T={clip}"),
            0,
            params,
            Slots {
                z: Slot::Floats(inputs.around_kinks(2 * rows * half, clip)),
                upstream: Slot::Floats(inputs.floats(rows * half, -2.0, 2.0)),
                gradient: Slot::Output {
                    len: 2 * rows * half,
                    bound: Bound::Ulps {
                        ulps: 1.0,
                        absolute: 0.0,
                    },
                },
            },
        )
    };
    (0..).zip(SHAPES).map(case).collect()
}
