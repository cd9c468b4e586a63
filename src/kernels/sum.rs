//! sums\[first + b\] = Σ values\[s\] over the samples of bucket b: the loss, and ∂Loss/∂d (section 1).

use super::cpu;
use super::inputs::{Inputs, sum_bound};
use super::libraries::GRID;
use crate::kernel::{Binding, Call, Case, Kernel, PLAIN, Pass, Slot, Traffic};

crate::parameters! {
    /// A sum over samples, by bucket.
    pub struct Params {
        /// Values.
        pub samples: u32,
        /// Sums; with 1 the bucket buffer is not read.
        pub buckets: u32,
        /// 1 adds to what stands in the output, 0 overwrites it.
        pub accumulate: u32,
        /// Where the first sum stands.
        pub first: u32,
    }
}

impl crate::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.buckets
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "sum",
    operation: Some("sum"),
    pass: Pass::Forward,
    wgsl: include_str!("../../shaders/sum.wgsl"),
    libraries: &[GRID],
    variants: PLAIN,
    bindings: &[
        Binding::floats("values"),
        Binding::words("bucket"),
        Binding::update("sums"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let (values, bucket) = (call.floats(0), call.words(1));
    let sums = call.floats_mut(2);
    for (b, at) in (0..p.buckets as usize).zip(p.first as usize..) {
        let mut sum = if p.accumulate == 1 { sums[at] } else { 0.0 };
        for s in 0..p.samples as usize {
            if p.buckets == 1 || bucket[s] as usize == b {
                sum += values[s];
            }
        }
        sums[at] = sum;
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let (values, bucket) = (call.floats(0), call.words(1));
    let sums = &mut call.floats_mut(2)[p.first as usize..][..p.buckets as usize];
    for (b, sum) in sums.iter_mut().enumerate() {
        let total = cpu::sum_lanes(p.samples as usize, |s| {
            if p.buckets == 1 || bucket[s] as usize == b {
                values[s]
            } else {
                0.0
            }
        });
        *sum = if p.accumulate == 1 { *sum + total } else { total };
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, buckets] = [p.samples, p.buckets].map(u64::from);
    let bucket = if buckets > 1 { samples } else { 0 };
    let before = u64::from(p.accumulate) * buckets;
    Traffic {
        read: 4 * (samples + bucket + before),
        written: 4 * buckets,
        operations: samples + before,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [samples, buckets]: 0, 1, tile − 1, tile, tile + 1, a prime, long, and past 65,535 workgroups.
    let shapes = [
        [0, 1],
        [1, 1],
        [255, 1],
        [256, 3],
        [257, 1],
        [9973, 8],
        [1_000_003, 1],
        [17, 65_537],
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
            };
            Case::new(
                format!("L={samples} buckets={buckets} accumulate={}", seed % 2),
                0,
                params,
                vec![
                    Slot::Floats(inputs.for_sum(samples, terms)),
                    Slot::Words(inputs.words(samples, buckets as u32)),
                    Slot::Update {
                        // What stands beside the sums must stay.
                        values: inputs.for_sum(seed % 3 + buckets, terms),
                        bound: sum_bound(terms, 1.0),
                    },
                ],
            )
        })
        .collect()
}
