//! sums\[first + b\] = Σ values\[s\] over the samples of bucket b, which is ∂Loss/∂d, and
//! total\[0\] = Σ terms\[s\], the loss (section 1).

use super::bucket_of;
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sums over samples. The values are summed by bucket.
    pub struct Params {
        /// The number of values, and of terms.
        pub samples: u32,
        /// The number of sums of values; if it is 1, the bucket buffer is not read.
        pub buckets: u32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
        /// The offset of the first sum.
        pub first: u32,
        /// 1 if the terms are summed, 0 if they are not read.
        pub totals: u32,
    }
    pub struct Buffers {
        /// The values to sum, `[L]`.
        pub values: Read<f32>,
        /// The bucket of each sample, `[L]`.
        pub bucket: Read<u32>,
        /// The sums, one per bucket.
        pub sums: Update<f32>,
        /// The loss of each sample, `[L]`.
        pub terms: Read<f32>,
        /// The loss, `[1]`.
        pub total: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.buckets + self.totals
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "sum",
    operation: Some("sum"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/sum.wgsl"),
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
    let (values, bucket) = (buffers.values, buffers.bucket);
    let sums = buffers.sums;
    for (b, at) in (0..p.buckets as usize).zip(p.first as usize..) {
        let mut sum = if p.accumulate == 1 { sums[at] } else { 0.0 };
        for s in 0..p.samples as usize {
            if bucket_of(p.buckets, bucket, s) == b {
                sum += values[s];
            }
        }
        sums[at] = sum;
    }
    let (terms, total) = (buffers.terms, buffers.total);
    if p.totals == 1 {
        let before = if p.accumulate == 1 { total[0] } else { 0.0 };
        total[0] = before + terms[..p.samples as usize].iter().sum::<f64>();
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (values, bucket) = (buffers.values, buffers.bucket);
    let sums = &mut buffers.sums[p.first as usize..][..p.buckets as usize];
    for (b, sum) in sums.iter_mut().enumerate() {
        let total = cpu::sum_lanes(p.samples as usize, |s| {
            if bucket_of(p.buckets, bucket, s) == b {
                values[s]
            } else {
                0.0
            }
        });
        *sum = if p.accumulate == 1 {
            *sum + total
        } else {
            total
        };
    }
    let (terms, total) = (buffers.terms, buffers.total);
    if p.totals == 1 {
        let sum = cpu::sum_lanes(p.samples as usize, |s| terms[s]);
        total[0] = if p.accumulate == 1 {
            total[0] + sum
        } else {
            sum
        };
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, buckets, totals] = [p.samples, p.buckets, p.totals].map(u64::from);
    let values = if buckets > 0 { samples } else { 0 } + totals * samples;
    let bucket = if buckets > 1 { samples } else { 0 };
    let before = u64::from(p.accumulate) * (buckets + totals);
    Traffic {
        read: 4 * (values + bucket + before),
        written: 4 * (buckets + totals),
        operations: values + before,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, buckets]: 0, 1, tile − 1, tile, tile + 1, a prime, long, and more than 65,535
    // workgroups.
    let shapes = [
        [0, 1],
        [1, 1],
        [255, 1],
        [256, 3],
        [257, 1],
        [9973, 8],
        [1_000_003, 1],
        [17, 65_537],
        [300, 0],
    ];
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, [samples, buckets])| {
            let terms = samples + 1;
            let mut inputs = Inputs::new(400 + seed as u64);
            let params = Params {
                samples: samples as u32,
                buckets: buckets as u32,
                accumulate: (seed % 2) as u32,
                first: (seed % 3) as u32,
                totals: u32::from(seed % 4 != 1),
            };
            Case::new(
                format!("L={samples} buckets={buckets} accumulate={}", seed % 2),
                0,
                params,
                Slots {
                    values: Slot::Floats(inputs.for_sum(samples, terms)),
                    bucket: Slot::Words(inputs.words(samples, buckets.max(1) as u32)),
                    sums: Slot::Update {
                        // The values next to the sums must not change.
                        values: inputs.for_sum(seed % 3 + buckets, terms),
                        bound: sum_bound(terms, 1.0),
                    },
                    terms: Slot::Floats(inputs.for_sum(samples, terms)),
                    total: Slot::Update {
                        values: inputs.for_sum(1, terms),
                        bound: sum_bound(terms, 1.0),
                    },
                },
            )
        })
        .collect()
}
