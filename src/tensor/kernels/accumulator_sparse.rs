//! Z\[s, column + r\] = B\[r\] + Σ_i A\[indices\[i\], r\] for i in starts\[s\]..starts\[s + 1\]:
//! an accumulator on index lists, alone or as one perspective of two (sections 1 and 4).

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::interface! {
    /// Sizes of an accumulator on index lists.
    pub struct Params {
        /// Samples in this micro-batch.
        pub samples: u32,
        /// K.
        pub hidden: u32,
        /// Elements from one sample of Z to the next: K, or 2K for two perspectives.
        pub stride: u32,
        /// The offset of the accumulator's lanes in a row of Z, 0 or K.
        pub column: u32,
        /// The offset of B in `small`.
        pub bias: u32,
        /// N.
        pub inputs: u32,
        /// Indices in all lists.
        pub entries: u32,
    }
    pub struct Buffers {
        /// The start of each sample's list in `indices`, `[L + 1]`.
        pub starts: Read<u32>,
        /// The entries of the lists, one list after the other.
        pub indices: Read<u32>,
        /// A, `[N, K]`.
        pub weights: Read<f32>,
        /// The buffer that B is in.
        pub small: Read<f32>,
        /// Z, `[L, stride]`.
        pub z: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples * self.hidden.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "accumulator_sparse",
    operation: Some("accumulator"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/accumulator_sparse.wgsl"),
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
    let (starts, indices) = (buffers.starts, buffers.indices);
    let (weights, bias) = (buffers.weights, &buffers.small[p.bias as usize..]);
    let z = buffers.z;
    let hidden = p.hidden as usize;
    for s in 0..p.samples as usize {
        for r in 0..hidden {
            let mut sum = bias[r];
            for i in starts[s] as usize..starts[s + 1] as usize {
                sum += weights[indices[i] as usize * hidden + r];
            }
            z[s * p.stride as usize + p.column as usize + r] = sum;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (starts, indices) = (buffers.starts, buffers.indices);
    let (weights, bias) = (buffers.weights, &buffers.small[p.bias as usize..]);
    let z = buffers.z;
    let (hidden, stride) = (p.hidden as usize, p.stride as usize);
    z[..p.samples as usize * stride]
        .par_chunks_mut(stride)
        .zip(starts.par_windows(2))
        .with_min_len(16)
        .for_each(|(z, list)| {
            let rows = &mut z[p.column as usize..][..hidden];
            rows.copy_from_slice(&bias[..hidden]);
            for &feature in &indices[list[0] as usize..list[1] as usize] {
                cpu::add(rows, &weights[feature as usize * hidden..][..hidden]);
            }
        });
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden] = [p.samples, p.hidden].map(u64::from);
    let entries = u64::from(p.entries);
    Traffic {
        read: 4 * (samples + 1 + entries + hidden),
        written: 4 * samples * hidden,
        gathered_issued: 4 * entries * hidden,
        gathered_distinct: 4 * entries.min(p.inputs.into()) * hidden,
        operations: entries * hidden,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, width, N]: 0, 1, tile − 1, tile, tile + 1, primes, long lists, and more than
    // 65,535 workgroups.
    let shapes = [
        [0, 3, 2, 5],
        [1, 1, 1, 1],
        [3, 63, 7, 40],
        [2, 64, 32, 768],
        [5, 65, 32, 768],
        [31, 128, 32, 768],
        [4, 701, 19, 45_056],
        [70_001, 1, 3, 11],
    ];
    let case = |seed: usize, [samples, hidden, width, features]: [usize; 4]| {
        let mut inputs = Inputs::new(seed as u64);
        // The lanes of the other perspective must not change.
        let z = vec![0.25; samples * 2 * hidden];
        let lists = inputs.sparse(samples, width, features);
        let params = Params {
            samples: samples as u32,
            hidden: hidden as u32,
            stride: 2 * hidden as u32,
            column: (seed % 2 * hidden) as u32,
            bias: (seed % 3) as u32,
            inputs: features as u32,
            entries: lists.indices().len() as u32,
        };
        Case::new(
            format!("L={samples} K={hidden} F={width} N={features}"),
            0,
            params,
            Slots {
                starts: Slot::Words(lists.starts().to_vec()),
                indices: Slot::Words(lists.indices().to_vec()),
                weights: Slot::Floats(inputs.floats(features * hidden, -1.0, 1.0)),
                small: Slot::Floats(inputs.floats(seed % 3 + hidden, -1.0, 1.0)),
                z: Slot::Update {
                    values: z,
                    bound: Bound::Sum {
                        terms: width + 1,
                        c: 1.0,
                    },
                },
            },
        )
    };
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, shape)| case(seed, shape))
        .collect()
}
