//! ∂Loss/∂C\[b, u\] = Σ activation(Z\[s, u\])·e\[s\] over the samples of bucket b (section 1).

use super::bucket_of;
use super::libraries::{ACTIVATION, ACTIVATIONS};
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;

crate::interface! {
    /// Sizes of the output layer.
    pub struct Params {
        /// Samples in this micro-batch.
        pub samples: u32,
        /// 2K.
        pub width: u32,
        /// Rows of the gradient; if it is 1, the bucket buffer is not read.
        pub buckets: u32,
        /// T.
        pub clip: f32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
        /// The offset of the gradient.
        pub first: u32,
    }
    pub struct Buffers {
        /// Z, `[L, 2K]`.
        pub z: Read<f32>,
        /// e = ∂Loss/∂Y, `[L]`.
        pub e: Read<f32>,
        /// The bucket of each sample, `[L]`.
        pub bucket: Read<u32>,
        /// ∂Loss/∂C, at the offsets of the head buffer.
        pub gradient: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.buckets * self.width.div_ceil(16)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "output_gradient",
    operation: Some("output"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/output_gradient.wgsl"),
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
    let (z, e) = (buffers.z, buffers.e);
    let bucket = buffers.bucket;
    let gradient = &mut buffers.gradient[p.first as usize..];
    let width = p.width as usize;
    for b in 0..p.buckets as usize {
        for u in 0..width {
            let at = b * width + u;
            let mut sum = if p.accumulate == 1 { gradient[at] } else { 0.0 };
            for s in 0..p.samples as usize {
                if bucket_of(p.buckets, bucket, s) == b {
                    sum += activation.value(z[s * width + u], f64::from(p.clip)) * e[s];
                }
            }
            gradient[at] = sum;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let activation = Activation::ALL[variant];
    let (z, e) = (buffers.z, buffers.e);
    let bucket = buffers.bucket;
    let gradient = &mut buffers.gradient[p.first as usize..];
    let (width, clip) = (p.width as usize, p.clip);
    let sums = cpu::sum_rows(
        p.samples as usize,
        p.buckets as usize * width,
        |range, sums| {
            for s in range {
                let b = bucket_of(p.buckets, bucket, s);
                let (z, e) = (&z[s * width..][..width], e[s]);
                let terms = sums[b * width..][..width].iter_mut().zip(z);
                terms.for_each(|(sum, &z)| *sum += activation.value(z, clip) * e);
            }
        },
    );
    cpu::put(&mut gradient[..sums.len()], &sums, p.accumulate);
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, width, buckets] = [p.samples, p.width, p.buckets].map(u64::from);
    let z = samples * width;
    let bucket = if buckets > 1 { samples } else { 0 };
    let before = u64::from(p.accumulate) * buckets * width;
    Traffic {
        read: 4 * (z + samples + bucket + before),
        written: 4 * buckets * width,
        operations: (2 + Activation::ALL[variant].operations()) * z + before,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, 2K, buckets]: 0, 1, tile − 1, tile, tile + 1, a prime, long, and more than 65,535
    // workgroups.
    let shapes = [
        [0, 2, 1],
        [1, 1, 1],
        [15, 15, 1],
        [16, 16, 8],
        [17, 17, 1],
        [1031, 262, 3],
        [50_021, 5, 1],
        [3, 1, 65_539],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        for (seed, [samples, width, buckets]) in shapes.into_iter().enumerate() {
            let terms = samples + 1;
            let mut inputs = Inputs::new(600 + seed as u64);
            let clip = [1.0, 0.75, 127.0 / 64.0][seed % 3];
            let accumulate = (seed % 2) as u32;
            let params = Params {
                samples: samples as u32,
                width: width as u32,
                buckets: buckets as u32,
                clip,
                accumulate,
                first: (seed % 3) as u32,
            };
            cases.push(Case::new(
                format!(
                    "L={samples} 2K={width} buckets={buckets} T={clip} accumulate={accumulate}"
                ),
                variant,
                params,
                Slots {
                    z: Slot::Floats(inputs.kinks_for_sum(samples * width, clip, terms)),
                    e: Slot::Floats(inputs.for_sum(samples, terms)),
                    bucket: Slot::Words(inputs.words(samples, buckets as u32)),
                    gradient: Slot::Update {
                        // The values next to the gradient must not change.
                        values: inputs.for_sum(seed % 3 + buckets * width + 1, terms),
                        bound: sum_bound(terms, 2.0),
                    },
                },
            ));
        }
    }
    cases
}
