//! ∂Loss/∂B_p\[r\] = Σ_s dz\[s, column + r\] (section 1).

use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sizes of one perspective's accumulator.
    pub struct Params {
        /// Samples in this micro-batch.
        pub samples: u32,
        /// K.
        pub hidden: u32,
        /// Elements from one sample of dz to the next, 2K.
        pub stride: u32,
        /// The offset of the perspective's lanes in a row of dz, 0 or K.
        pub column: u32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
        /// The offset of the gradient.
        pub first: u32,
    }
    pub struct Buffers {
        /// ∂Loss/∂Z, `[L, 2K]`.
        pub dz: Read<f32>,
        /// ∂Loss/∂B, at the offsets of the head buffer.
        pub gradient: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.hidden.div_ceil(16)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "bias_gradient",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/bias_gradient.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let dz = buffers.dz;
    let gradient = &mut buffers.gradient[p.first as usize..];
    for r in 0..p.hidden as usize {
        let mut sum = if p.accumulate == 1 { gradient[r] } else { 0.0 };
        for s in 0..p.samples as usize {
            sum += dz[s * p.stride as usize + p.column as usize + r];
        }
        gradient[r] = sum;
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let dz = buffers.dz;
    let gradient = &mut buffers.gradient[p.first as usize..];
    let hidden = p.hidden as usize;
    let sums = cpu::sum_rows(p.samples as usize, hidden, |range, sums| {
        for s in range {
            let start = s * p.stride as usize + p.column as usize;
            cpu::add(sums, &dz[start..][..hidden]);
        }
    });
    cpu::put(&mut gradient[..hidden], &sums, p.accumulate);
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let hidden = u64::from(p.hidden);
    let dz = u64::from(p.samples) * hidden;
    let before = u64::from(p.accumulate) * hidden;
    Traffic {
        read: 4 * (dz + before),
        written: 4 * hidden,
        operations: dz + before,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, K]: 0, 1, tile − 1, tile, tile + 1, a prime, long, and more than 65,535 workgroups.
    let shapes = [
        [0, 3],
        [1, 1],
        [15, 15],
        [16, 16],
        [17, 17],
        [1031, 131],
        [100_003, 2],
        [2, 1_048_593],
    ];
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, [samples, hidden])| {
            let terms = samples + 1;
            let mut inputs = Inputs::new(700 + seed as u64);
            let params = Params {
                samples: samples as u32,
                hidden: hidden as u32,
                stride: 2 * hidden as u32,
                column: (seed / 2 % 2 * hidden) as u32,
                accumulate: (seed % 2) as u32,
                first: (seed % 3) as u32,
            };
            Case::new(
                format!("L={samples} K={hidden} accumulate={}", seed % 2),
                0,
                params,
                Slots {
                    dz: Slot::Floats(inputs.for_sum(samples * 2 * hidden, terms)),
                    gradient: Slot::Update {
                        // The values next to the gradient must not change.
                        values: inputs.for_sum(seed % 3 + hidden + 1, terms),
                        bound: sum_bound(terms, 1.0),
                    },
                },
            )
        })
        .collect()
}
