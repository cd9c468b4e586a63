//! dz\[s, u\] = C\[b, u\]·e\[s\]·∂H/∂Z\[s, u\], which is 0 outside the mask M (section 1).

use super::bucket_of;
use super::libraries::{ACTIVATION, ACTIVATIONS};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
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
    }
    pub struct Buffers {
        /// Z, `[L, 2K]`.
        pub z: Read<f32>,
        /// e = ∂Loss/∂Y, `[L]`.
        pub e: Read<f32>,
        /// The head buffer: B of each accumulator, C and d.
        pub small: Read<f32>,
        /// The bucket of each sample, `[L]`.
        pub bucket: Read<u32>,
        /// ∂Loss/∂Z, `[L, 2K]`.
        pub dz: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.samples * self.width.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "activation_gradient",
    operation: Some("activation"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/activation_gradient.wgsl"),
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
    let weights = &buffers.small[p.output as usize..];
    let bucket = buffers.bucket;
    let dz = buffers.dz;
    let width = p.width as usize;
    for s in 0..p.samples as usize {
        let b = bucket_of(p.buckets, bucket, s);
        for u in 0..width {
            let slope = activation.slope(z[s * width + u], f64::from(p.clip));
            dz[s * width + u] = weights[b * width + u] * e[s] * slope;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let activation = Activation::ALL[variant];
    let (z, e) = (buffers.z, buffers.e);
    let weights = &buffers.small[p.output as usize..];
    let bucket = buffers.bucket;
    let dz = buffers.dz;
    let width = p.width as usize;
    dz[..p.samples as usize * width]
        .par_chunks_mut(width)
        .zip(z.par_chunks(width))
        .enumerate()
        .with_min_len(64)
        .for_each(|(s, (dz, z))| {
            let b = bucket_of(p.buckets, bucket, s);
            let weights = &weights[b * width..][..width];
            let (e, clip) = (e[s], p.clip);
            let terms = dz.iter_mut().zip(z).zip(weights);
            // A NaN in c·e must not reach a lane outside the mask.
            terms.for_each(|((dz, &z), &c)| {
                let slope = activation.slope(z, clip);
                *dz = if slope == 0.0 { 0.0 } else { c * e * slope };
            });
        });
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, width, buckets] = [p.samples, p.width, p.buckets].map(u64::from);
    let z = samples * width;
    let bucket = if buckets > 1 { samples } else { 0 };
    Traffic {
        read: 4 * (z + samples + buckets * width + bucket),
        written: 4 * z,
        operations: (2 + Activation::ALL[variant].operations()) * z,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, 2K, buckets]: 0, 1, tile − 1, tile, tile + 1, a prime, and more than 65,535
    // workgroups.
    let shapes = [
        [0, 2, 1],
        [1, 1, 1],
        [5, 63, 1],
        [4, 64, 8],
        [7, 65, 1],
        [257, 262, 3],
        [65_539, 2, 1],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        for (seed, [samples, width, buckets]) in shapes.into_iter().enumerate() {
            let mut inputs = Inputs::new(500 + seed as u64);
            let clip = [1.0, 0.75, 127.0 / 64.0][seed % 3];
            let params = Params {
                samples: samples as u32,
                width: width as u32,
                buckets: buckets as u32,
                clip,
                output: (seed % 3) as u32,
            };
            cases.push(Case::new(
                format!("L={samples} 2K={width} buckets={buckets} T={clip}"),
                variant,
                params,
                Slots {
                    z: Slot::Floats(inputs.around_kinks(samples * width, clip)),
                    e: Slot::Floats(inputs.floats(samples, -1.0, 1.0)),
                    small: Slot::Floats(inputs.floats(seed % 3 + buckets * width, -1.0, 1.0)),
                    bucket: Slot::Words(inputs.words(samples, buckets as u32)),
                    dz: Slot::Output {
                        len: samples * width,
                        // Two products of three exact inputs. Tiny results may be flushed to 0.
                        bound: Bound::Ulps {
                            ulps: 2.0,
                            absolute: f64::from(f32::MIN_POSITIVE),
                        },
                    },
                },
            ));
        }
    }
    cases
}
