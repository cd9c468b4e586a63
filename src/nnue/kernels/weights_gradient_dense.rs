//! ∂Loss/∂A_p\[f, r\] = Σ_s X\[s, f\]·dz\[s, column + r\] (section 1).

use super::accumulator_dense::filled_up;
use crate::engine::cpu::product::{Matrix, product};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::{GRID, TILE, TILED};

crate::interface! {
    /// Sizes of one perspective's accumulator on dense inputs.
    pub struct Params {
        /// Samples in this micro-batch.
        pub samples: u32,
        /// N.
        pub inputs: u32,
        /// Elements from one sample of X to the next: N rounded up to a multiple of 4. The padding
        /// is not used.
        pub x_stride: u32,
        /// K, a multiple of 4.
        pub hidden: u32,
        /// Elements from one sample of dz to the next: 2K, a multiple of 4 like `column`.
        pub stride: u32,
        /// The offset of the perspective's lanes in a row of dz, 0 or K.
        pub column: u32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
    }
    pub struct Buffers {
        /// X, `[L, stride]`.
        pub x: Read<f32>,
        /// ∂Loss/∂Z, `[L, 2K]`.
        pub dz: Read<f32>,
        /// ∂Loss/∂A, `[N, K]`.
        pub gradient: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.inputs.div_ceil(64) * self.hidden.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "weights_gradient_dense",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/weights_gradient_dense.wgsl"),
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
    let (x, dz) = (buffers.x, buffers.dz);
    let gradient = buffers.gradient;
    let (inputs, hidden) = (p.inputs as usize, p.hidden as usize);
    for f in 0..inputs {
        for r in 0..hidden {
            let at = f * hidden + r;
            let mut sum = if p.accumulate == 1 { gradient[at] } else { 0.0 };
            for s in 0..p.samples as usize {
                sum += x[s * p.x_stride as usize + f]
                    * dz[s * p.stride as usize + p.column as usize + r];
            }
            gradient[at] = sum;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (x, dz) = (buffers.x, buffers.dz);
    let gradient = buffers.gradient;
    let (inputs, hidden, stride) = (p.inputs as usize, p.hidden as usize, p.stride as usize);
    let samples = p.samples as usize;
    let gradient = &mut gradient[..inputs * hidden];
    if samples == 0 && p.accumulate == 0 {
        gradient.fill(0.0);
    }
    if samples * hidden * inputs == 0 {
        return;
    }
    let x = Matrix {
        values: x,
        row: 1,
        column: p.x_stride as usize,
    };
    let dz = Matrix {
        values: &dz[p.column as usize..],
        row: stride,
        column: 1,
    };
    product(
        [inputs, hidden, samples],
        x,
        dz,
        gradient,
        hidden,
        p.accumulate == 1,
    );
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, inputs] = [p.samples, p.hidden, p.inputs].map(u64::from);
    let dz = samples * hidden;
    let before = u64::from(p.accumulate) * inputs * hidden;
    Traffic {
        read: 4 * (samples * inputs + dz + before),
        written: 4 * inputs * hidden,
        operations: 2 * dz * inputs + before,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, N]: 0, 1, tile − 1, tile, tile + 1, a K of half a tile, a K of a prime number of
    // vectors, a long sum, and more than 65,535 workgroups.
    let shapes = [
        [0, 4, 3],
        [1, 4, 1],
        [15, 68, 63],
        [16, 64, 64],
        [17, 60, 65],
        [37, 32, 768],
        [5, 92, 33],
        [30_011, 4, 5],
    ];
    let mut cases = Vec::new();
    for variant in 0..TILED.len() {
        let cases_of = shapes.into_iter().enumerate();
        cases.extend(cases_of.map(|(seed, shape)| case(variant, seed, shape)));
    }
    cases.push(case(0, shapes.len(), [1, 4, 4_194_400]));
    cases
}

fn case(variant: usize, seed: usize, [samples, hidden, features]: [usize; 3]) -> Case {
    let terms = samples + 1;
    let mut inputs = Inputs::new(900 + seed as u64);
    let params = Params {
        samples: samples as u32,
        inputs: features as u32,
        x_stride: features.next_multiple_of(4) as u32,
        hidden: hidden as u32,
        stride: 2 * hidden as u32,
        column: (seed / 2 % 2 * hidden) as u32,
        accumulate: (seed % 2) as u32,
    };
    Case::new(
        format!(
            "L={samples} K={hidden} N={features} accumulate={}",
            seed % 2
        ),
        variant,
        params,
        Slots {
            x: Slot::Floats(filled_up(
                &inputs.for_sum(samples * features, terms),
                features,
            )),
            dz: Slot::Floats(inputs.for_sum(samples * 2 * hidden, terms)),
            gradient: Slot::Update {
                values: inputs.for_sum(features * hidden, terms),
                bound: sum_bound(terms, 1.0),
            },
        },
    )
}
