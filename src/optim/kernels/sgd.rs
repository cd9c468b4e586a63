//! v ← μ·v + g; θ ← θ − η·v (section 5).

use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Binding, Bound, Call, Case, Kernel, PLAIN, Pass, Slot, Traffic};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::parameters! {
    /// One step of gradient descent with momentum.
    pub struct Params {
        /// Elements.
        pub length: u32,
        /// η.
        pub learning_rate: f32,
        /// μ.
        pub momentum: f32,
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
    name: "sgd",
    operation: Some("sgd"),
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/optim/sgd.wgsl"),
    libraries: &[GRID],
    variants: PLAIN,
    bindings: &[
        Binding::floats("gradient"),
        Binding::update("velocity"),
        Binding::update("values"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let gradient = call.floats(0);
    let (velocity, values) = (call.floats_mut(1), call.floats_mut(2));
    for i in 0..p.length as usize {
        velocity[i] = f64::from(p.momentum) * velocity[i] + gradient[i];
        values[i] -= f64::from(p.learning_rate) * velocity[i];
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let gradient = call.floats(0);
    let (velocity, values) = (call.floats_mut(1), call.floats_mut(2));
    gradient[..p.length as usize]
        .par_iter()
        .zip(velocity)
        .zip(values)
        .with_min_len(crate::engine::cpu::PIECE)
        .for_each(|((gradient, velocity), value)| {
            *velocity = p.momentum * *velocity + gradient;
            *value -= p.learning_rate * *velocity;
        });
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    Traffic::elementwise(p.length, 3, 2, 4)
}

fn cases() -> Vec<Case> {
    // Sizes 0, 1, tile − 1, tile, tile + 1, a prime, and past 65,535 workgroups.
    [0usize, 1, 63, 64, 65, 997, 4_194_400]
        .into_iter()
        .enumerate()
        .map(|(seed, length)| {
            let mut inputs = Inputs::new(1000 + seed as u64);
            let params = Params {
                length: length as u32,
                learning_rate: 0.1,
                momentum: if seed % 2 == 0 { 0.9 } else { 0.0 },
            };
            // Two products and a sum of numbers below 2 each: two roundings of at most 2 for v and, by η, for θ.
            let bound = Bound::Ulps {
                ulps: 1.0,
                absolute: 2.0 * f64::from(f32::EPSILON),
            };
            Case::new(
                format!("n={length} momentum={}", params.momentum),
                0,
                params,
                vec![
                    Slot::Floats(inputs.floats(length, -1.0, 1.0)),
                    Slot::Update {
                        values: inputs.floats(length, -1.0, 1.0),
                        bound: bound.clone(),
                    },
                    Slot::Update {
                        values: inputs.floats(length, -1.0, 1.0),
                        bound,
                    },
                ],
            )
        })
        .collect()
}
