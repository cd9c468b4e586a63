//! Z\[s, column + r\] = B\[r\] + Σ_f X\[s, f\]·A\[f, r\]: one perspective's accumulator on dense inputs (section 1).

use super::cpu::product::{Matrix, product};
use super::inputs::{Inputs, sum_bound};
use super::libraries::GRID;
use crate::kernel::{Binding, Call, Case, Kernel, PLAIN, Pass, Slot, Traffic};

crate::parameters! {
    /// Sizes of one perspective's accumulator on dense inputs.
    pub struct Params {
        /// Samples in this slice of the batch.
        pub samples: u32,
        /// K.
        pub hidden: u32,
        /// N.
        pub inputs: u32,
        /// Elements from one sample of Z to the next, 2K.
        pub stride: u32,
        /// Where the perspective's rows begin in Z, 0 or K.
        pub column: u32,
    }
}

impl crate::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples.div_ceil(32) * self.hidden.div_ceil(32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "accumulator_dense",
    operation: Some("accumulator"),
    pass: Pass::Forward,
    wgsl: include_str!("../../shaders/accumulator_dense.wgsl"),
    libraries: &[GRID],
    variants: PLAIN,
    bindings: &[
        Binding::floats("x"),
        Binding::floats("weights"),
        Binding::floats("bias"),
        Binding::update("z"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let (x, weights, bias) = (call.floats(0), call.floats(1), call.floats(2));
    let z = call.floats_mut(3);
    let (hidden, inputs) = (p.hidden as usize, p.inputs as usize);
    for s in 0..p.samples as usize {
        for r in 0..hidden {
            let mut sum = bias[r];
            for f in 0..inputs {
                sum += x[s * inputs + f] * weights[f * hidden + r];
            }
            z[s * p.stride as usize + p.column as usize + r] = sum;
        }
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let (x, weights, bias) = (call.floats(0), call.floats(1), call.floats(2));
    let z = call.floats_mut(3);
    let (hidden, inputs, stride) = (p.hidden as usize, p.inputs as usize, p.stride as usize);
    let (samples, column) = (p.samples as usize, p.column as usize);
    if samples * hidden == 0 {
        return;
    }
    let z = &mut z[column..(samples - 1) * stride + column + hidden];
    for z in z.chunks_mut(stride) {
        z[..hidden].copy_from_slice(&bias[..hidden]);
    }
    let x = Matrix {
        values: x,
        row: inputs,
        column: 1,
    };
    let weights = Matrix {
        values: weights,
        row: hidden,
        column: 1,
    };
    product([samples, hidden, inputs], x, weights, z, stride, true);
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, inputs] = [p.samples, p.hidden, p.inputs].map(u64::from);
    let z = samples * hidden;
    Traffic {
        read: 4 * (samples * inputs + inputs * hidden + hidden),
        written: 4 * z,
        operations: 2 * z * inputs,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, N]: 0, 1, tile − 1, tile, tile + 1, a prime, a long sum, and past 65,535 workgroups.
    let shapes = [
        [0, 2, 3],
        [1, 1, 1],
        [31, 33, 5],
        [32, 32, 32],
        [33, 31, 64],
        [37, 101, 768],
        [2, 3, 45_056],
        [2_097_200, 1, 1],
    ];
    let case = |seed: usize, [samples, hidden, features]: [usize; 3]| {
        let terms = features + 1;
            let mut inputs = Inputs::new(100 + seed as u64);
        let params = Params {
            samples: samples as u32,
            hidden: hidden as u32,
            inputs: features as u32,
            stride: 2 * hidden as u32,
            column: (seed % 2 * hidden) as u32,
        };
        Case::new(
            format!("L={samples} K={hidden} N={features}"),
            0,
            params,
            vec![
                Slot::Floats(inputs.for_sum(samples * features, terms)),
                Slot::Floats(inputs.for_sum(features * hidden, terms)),
                Slot::Floats(inputs.for_sum(hidden, terms)),
                Slot::Update {
                    values: vec![0.25; samples * 2 * hidden],
                    bound: sum_bound(terms, 1.0),
                },
            ],
        )
    };
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, shape)| case(seed, shape))
        .collect()
}
