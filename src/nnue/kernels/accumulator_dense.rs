//! Z\[s, column + r\] = B\[r\] + Σ_f X\[s, f\]·A\[f, r\]: the accumulator of one perspective on
//! dense inputs (section 1).

use crate::engine::cpu::product::{Matrix, product};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::{GRID, TILE, TILED};

crate::interface! {
    /// Sizes of one perspective's accumulator on dense inputs.
    pub struct Params {
        /// Samples in this micro-batch.
        pub samples: u32,
        /// K, a multiple of 4.
        pub hidden: u32,
        /// N.
        pub inputs: u32,
        /// Elements from one sample of X to the next: N rounded up to a multiple of 4. Zeros pad
        /// the row.
        pub x_stride: u32,
        /// Elements from one sample of Z to the next: 2K, a multiple of 4 like `column`.
        pub stride: u32,
        /// The offset of the perspective's lanes in a row of Z, 0 or K.
        pub column: u32,
        /// The offset of B in `small`, a multiple of 4.
        pub bias: u32,
    }
    pub struct Buffers {
        /// X, `[L, stride]`.
        pub x: Read<f32>,
        /// A, `[N, K]`.
        pub weights: Read<f32>,
        /// The head buffer: B of each accumulator, C and d.
        pub small: Read<f32>,
        /// Z, `[L, 2K]`.
        pub z: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples.div_ceil(64) * self.hidden.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "accumulator_dense",
    operation: Some("accumulator"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/accumulator_dense.wgsl"),
    libraries: &[GRID, TILE],
    axes: &[TILED],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (x, weights) = (buffers.x, buffers.weights);
    let bias = &buffers.small[p.bias as usize..];
    let z = buffers.z;
    let (hidden, inputs) = (p.hidden as usize, p.inputs as usize);
    for s in 0..p.samples as usize {
        for r in 0..hidden {
            let mut sum = bias[r];
            for f in 0..inputs {
                sum += x[s * p.x_stride as usize + f] * weights[f * hidden + r];
            }
            z[s * p.stride as usize + p.column as usize + r] = sum;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (x, weights) = (buffers.x, buffers.weights);
    let bias = &buffers.small[p.bias as usize..];
    let z = buffers.z;
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
        row: p.x_stride as usize,
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
    // [samples, K, N]: 0, 1, tile − 1, tile, tile + 1, a K of half a tile, a K of a prime number of
    // vectors, a long sum, and more than 65,535 workgroups.
    let shapes = [
        [0, 4, 3],
        [1, 4, 1],
        [63, 68, 5],
        [64, 64, 16],
        [65, 60, 17],
        [37, 32, 768],
        [3, 92, 33],
        [2, 4, 45_056],
    ];
    let mut cases = Vec::new();
    for variant in 0..TILED.len() {
        let cases_of = shapes.into_iter().enumerate();
        cases.extend(cases_of.map(|(seed, shape)| case(variant, seed, shape)));
    }
    cases.push(case(0, shapes.len(), [4_194_400, 4, 1]));
    cases
}

fn case(variant: usize, seed: usize, [samples, hidden, features]: [usize; 3]) -> Case {
    let terms = features + 1;
    let mut inputs = Inputs::new(100 + seed as u64);
    let x_stride = features.next_multiple_of(4);
    // The largest shape has one perspective, so that it stays below the binding limit of adapters.
    let perspectives = if samples < 1 << 20 { 2 } else { 1 };
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        inputs: features as u32,
        x_stride: x_stride as u32,
        stride: (perspectives * hidden) as u32,
        column: (seed % perspectives * hidden) as u32,
        bias: (seed % 3 * 4) as u32,
    };
    Case::new(
        format!("L={samples} K={hidden} N={features}"),
        variant,
        params,
        Slots {
            x: Slot::Floats(filled_up(
                &inputs.for_sum(samples * features, terms),
                features,
            )),
            weights: Slot::Floats(inputs.for_sum(features * hidden, terms)),
            small: Slot::Floats(inputs.for_sum(seed % 3 * 4 + hidden, terms)),
            z: Slot::Update {
                values: vec![0.25; samples * perspectives * hidden],
                bound: sum_bound(terms, 1.0),
            },
        },
    )
}

/// Rows of X, `[samples, features]`, padded with zeros to a multiple of 4.
pub fn filled_up(x: &[f32], features: usize) -> Vec<f32> {
    let zeros = features.next_multiple_of(4) - features;
    let rows = x.chunks(features.max(1));
    rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, zeros)))
        .collect()
}
