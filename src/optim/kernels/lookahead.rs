//! The synchronization of slow weights and parameters (section 5.5):
//! slow ← slow + α·(θ − slow), then θ ← slow.

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::interface! {
    /// A synchronization.
    pub struct Params {
        /// The number of elements.
        pub length: u32,
        /// α.
        pub alpha: f32,
    }
    pub struct Buffers {
        /// θ, `[length]`.
        pub values: Update<f32>,
        /// The slow weights, `[length]`.
        pub slow: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.length.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "lookahead",
    operation: None,
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/optim/lookahead.wgsl"),
    libraries: &[GRID],
    axes: &[],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let alpha = f64::from(p.alpha);
    for i in 0..p.length as usize {
        let (value, slow) = (&mut buffers.values[i], &mut buffers.slow[i]);
        *slow += alpha * (*value - *slow);
        *value = *slow;
    }
}

/// The elements that one task synchronizes.
const TASK: usize = 8192;

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let length = p.length as usize;
    let values = buffers.values[..length].par_chunks_mut(TASK);
    let slow = buffers.slow[..length].par_chunks_mut(TASK);
    values.zip(slow).for_each(|(values, slow)| {
        cpu::vectorized(|| {
            for (value, slow) in values.iter_mut().zip(slow.iter_mut()) {
                *slow += p.alpha * (*value - *slow);
                *value = *slow;
            }
        });
    });
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    Traffic::elementwise(p.length, 2, 2, 3)
}

fn cases() -> Vec<Case> {
    // Sizes 0, 1, tile − 1, tile, tile + 1, a prime, and more than 65,535 workgroups; α of a half,
    // of 1, which copies, and others.
    let lengths = [0usize, 1, 63, 64, 65, 997, 4_194_400];
    let case = |(seed, length): (usize, usize)| {
        let mut inputs = Inputs::new(1150 + seed as u64);
        let alpha = [0.5, 1.0, 0.1][seed % 3];
        // A difference below 2, a product and a sum.
        let bound = Bound::Ulps {
            ulps: 1.0,
            absolute: 2.0 * f64::from(f32::EPSILON),
        };
        let mut update = || Slot::Update {
            values: inputs.floats(length, -1.0, 1.0),
            bound: bound.clone(),
        };
        let slots = Slots {
            values: update(),
            slow: update(),
        };
        let length = length as u32;
        let params = Params { length, alpha };
        Case::new(format!("n={length} alpha={alpha}"), 0, params, slots)
    };
    lengths.into_iter().enumerate().map(case).collect()
}
