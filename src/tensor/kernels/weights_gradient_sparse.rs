//! ∂Loss/∂A\[f, r\] = Σ dz\[s, column + r\] over the samples that have feature f: the sums of rows by index
//! (sections 1 and 4).

use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::interface! {
    /// Sizes of an accumulator on index lists.
    pub struct Params {
        /// N.
        pub inputs: u32,
        /// K.
        pub hidden: u32,
        /// Elements from one sample of dz to the next: K, or 2K for two perspectives.
        pub stride: u32,
        /// The offset of the accumulator's lanes in a row of dz, 0 or K.
        pub column: u32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
        /// Samples in this micro-batch.
        pub samples: u32,
        /// Samples in the lists of all features.
        pub entries: u32,
    }
    pub struct Buffers {
        /// The start of each feature's list in `samples`, `[N + 1]`.
        pub offsets: Read<u32>,
        /// The samples of each feature, ascending.
        pub samples: Read<u32>,
        /// ∂Loss/∂Z, `[L, stride]`.
        pub dz: Read<f32>,
        /// ∂Loss/∂A, `[N, K]`.
        pub gradient: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.inputs * self.hidden.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "weights_gradient_sparse",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/weights_gradient_sparse.wgsl"),
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
    let (offsets, samples) = (buffers.offsets, buffers.samples);
    let dz = buffers.dz;
    let gradient = buffers.gradient;
    let hidden = p.hidden as usize;
    for f in 0..p.inputs as usize {
        for r in 0..hidden {
            let at = f * hidden + r;
            let mut sum = if p.accumulate == 1 { gradient[at] } else { 0.0 };
            for i in offsets[f]..offsets[f + 1] {
                let s = samples[i as usize] as usize;
                sum += dz[s * p.stride as usize + p.column as usize + r];
            }
            gradient[at] = sum;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (offsets, samples) = (buffers.offsets, buffers.samples);
    let dz = buffers.dz;
    let gradient = buffers.gradient;
    let (hidden, stride) = (p.hidden as usize, p.stride as usize);
    gradient[..p.inputs as usize * hidden]
        .par_chunks_mut(hidden)
        .enumerate()
        .for_each(|(f, row)| {
            if p.accumulate == 0 {
                row.fill(0.0);
            }
            for &s in &samples[offsets[f] as usize..offsets[f + 1] as usize] {
                let start = s as usize * stride + p.column as usize;
                cpu::add(row, &dz[start..][..hidden]);
            }
        });
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [inputs, hidden] = [p.inputs, p.hidden].map(u64::from);
    let entries = u64::from(p.entries);
    let before = u64::from(p.accumulate) * inputs * hidden;
    Traffic {
        read: 4 * (inputs + 1 + entries + before),
        written: 4 * inputs * hidden,
        gathered_issued: 4 * entries * hidden,
        gathered_distinct: 4 * entries.min(p.samples.into()) * hidden,
        operations: entries * hidden + before,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N]: 1, tile − 1, tile, tile + 1, primes, features of no sample and of every
    // sample, and more than 65,535 workgroups.
    let shapes = [
        [1, 1, 1, 1],
        [3, 63, 7, 40],
        [40, 64, 32, 768],
        [33, 65, 32, 768],
        [1031, 37, 5, 13],
        [20_011, 3, 4, 7],
        [4, 2, 19, 66_001],
    ];
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, [samples, hidden, width, features])| {
            let terms = samples + 1;
            let mut inputs = Inputs::new(800 + seed as u64);
            let sparse = inputs.sparse(samples, width, features);
            let params = Params {
                inputs: features as u32,
                hidden: hidden as u32,
                stride: 2 * hidden as u32,
                column: (seed / 2 % 2 * hidden) as u32,
                accumulate: (seed % 2) as u32,
                samples: samples as u32,
                entries: sparse.samples().len() as u32,
            };
            Case::new(
                format!(
                    "L={samples} K={hidden} F={width} N={features} accumulate={}",
                    seed % 2
                ),
                0,
                params,
                Slots {
                    offsets: Slot::Words(sparse.offsets().to_vec()),
                    samples: Slot::Words(sparse.samples().to_vec()),
                    dz: Slot::Floats(inputs.for_sum(samples * 2 * hidden, terms)),
                    gradient: Slot::Update {
                        values: inputs.for_sum(features * hidden, terms),
                        bound: sum_bound(terms, 1.0),
                    },
                },
            )
        })
        .collect()
}
