//! Y\[s\] = d\[b\] + Σ_u C\[b, u\]·activation(Z\[s, u\]), where b is the bucket of the sample
//! (section 1).

use super::bucket_of;
use super::libraries::{ACTIVATION, ACTIVATIONS};
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;
use rayon::prelude::*;

crate::interface! {
    /// Sizes of the output layer.
    pub struct Params {
        /// Samples in this micro-batch.
        pub samples: u32,
        /// 2K.
        pub width: u32,
        /// Rows of C; if it is 1, the bucket buffer is not read.
        pub buckets: u32,
        /// T.
        pub clip: f32,
        /// The offset of C in `small`.
        pub output: u32,
        /// The offset of d in `small`.
        pub output_bias: u32,
    }
    pub struct Buffers {
        /// Z, `[L, 2K]`.
        pub z: Read<f32>,
        /// The head buffer: B of each accumulator, C and d.
        pub small: Read<f32>,
        /// The bucket of each sample, `[L]`.
        pub bucket: Read<u32>,
        /// Y, `[L]`.
        pub y: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "output",
    operation: Some("output"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/output.wgsl"),
    libraries: &[GRID, ACTIVATION],
    axes: &[ACTIVATIONS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let activation = Activation::ALL[variant];
    let (z, small, bucket) = (buffers.z, buffers.small, buffers.bucket);
    let [weights, bias] = [p.output, p.output_bias].map(|first| &small[first as usize..]);
    let y = buffers.y;
    let width = p.width as usize;
    for s in 0..p.samples as usize {
        let b = bucket_of(p.buckets, bucket, s);
        y[s] = bias[b];
        for u in 0..width {
            let h = activation.value(z[s * width + u], f64::from(p.clip));
            y[s] += weights[b * width + u] * h;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let activation = Activation::ALL[variant];
    let (z, small, bucket) = (buffers.z, buffers.small, buffers.bucket);
    let [weights, bias] = [p.output, p.output_bias].map(|first| &small[first as usize..]);
    let y = buffers.y;
    let width = p.width as usize;
    let samples = y[..p.samples as usize].par_iter_mut().enumerate();
    samples.with_min_len(64).for_each(|(s, y)| {
        let b = bucket_of(p.buckets, bucket, s);
        let z = &z[s * width..][..width];
        let weights = &weights[b * width..][..width];
        let sum = cpu::sum_lanes(width, |u| weights[u] * activation.value(z[u], p.clip));
        *y = bias[b] + sum;
    });
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, width, buckets] = [p.samples, p.width, p.buckets].map(u64::from);
    let z = samples * width;
    let bucket = if buckets > 1 { samples } else { 0 };
    Traffic {
        read: 4 * (z + buckets * (width + 1) + bucket),
        written: 4 * samples,
        operations: (2 + Activation::ALL[variant].operations()) * z,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, 2K, buckets]: 0, 1, tile − 1, tile, tile + 1, a prime, wide, buckets, and more than
    // 65,535 workgroups.
    let shapes = [
        [0, 2, 1],
        [1, 2, 1],
        [5, 63, 1],
        [4, 64, 8],
        [7, 65, 1],
        [257, 262, 3],
        [2, 8192, 1],
        [65_539, 2, 1],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        for (seed, [samples, width, buckets]) in shapes.into_iter().enumerate() {
            let terms = width + 1;
            let mut inputs = Inputs::new(200 + seed as u64);
            let clip = [1.0, 0.75, 127.0 / 64.0][seed % 3];
            let params = Params {
                samples: samples as u32,
                width: width as u32,
                buckets: buckets as u32,
                clip,
                output: (seed % 3) as u32,
                output_bias: (seed % 3 + buckets * width) as u32,
            };
            cases.push(Case::new(
                format!("L={samples} 2K={width} buckets={buckets} T={clip}"),
                variant,
                params,
                Slots {
                    z: Slot::Floats(inputs.kinks_for_sum(samples * width, clip, terms)),
                    small: Slot::Floats(inputs.for_sum(seed % 3 + buckets * (width + 1), terms)),
                    bucket: Slot::Words(inputs.words(samples, buckets as u32)),
                    y: Slot::Output {
                        len: samples,
                        // Each product has two roundings, for the square and the weight, and the
                        // sum has one: c = 2.
                        bound: sum_bound(terms, 2.0),
                    },
                },
            ));
        }
    }
    cases
}
