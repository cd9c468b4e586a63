//! ∂Loss/∂A″ = Σ ∂Loss/∂A over the king buckets, for the part A″ of A that all of them share.

use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::nnue::kernels::libraries::SHARED_SUM;

crate::interface! {
    /// The sizes of the shared part.
    pub struct Params {
        /// The elements of the shared part, M·K.
        pub length: u32,
        /// N ÷ M.
        pub buckets: u32,
    }
    pub struct Buffers {
        /// The gradient of A, `[buckets, M, K]`.
        pub gradient: Read<f32>,
        /// The gradient of the shared part, `[M, K]`.
        pub sums: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.length.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "shared_gradient",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/shared_gradient.wgsl"),
    libraries: &[GRID, SHARED_SUM],
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
    let (gradient, sums) = (buffers.gradient, buffers.sums);
    let length = p.length as usize;
    for i in 0..length {
        let of_buckets = gradient[i..].iter().step_by(length);
        sums[i] = of_buckets.take(p.buckets as usize).sum();
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (gradient, sums) = (buffers.gradient, buffers.sums);
    let (length, buckets) = (p.length as usize, p.buckets as usize);
    cpu::pieces_of(1024, buckets, &mut sums[..length], |first, out| {
        let len = out.len();
        let gradients = (0..buckets).map(|bucket| &gradient[bucket * length + first..][..len]);
        sum(out, gradients);
    });
}

/// The terms of a partial sum. One long sum would be less accurate.
const TERMS: usize = 64;

/// Overwrites `to` by the sum of vectors that are as long.
pub(super) fn sum<'a>(to: &mut [f32], terms: impl Iterator<Item = &'a [f32]>) {
    to.fill(0.0);
    let mut part = vec![0.0; to.len()];
    for (index, term) in terms.enumerate() {
        if index % TERMS == 0 {
            cpu::vectorized(|| cpu::add(to, &part));
            part.fill(0.0);
        }
        cpu::vectorized(|| cpu::add(&mut part, term));
    }
    cpu::vectorized(|| cpu::add(to, &part));
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    Traffic::elementwise(p.length, u64::from(p.buckets), 1, u64::from(p.buckets))
}

fn cases() -> Vec<Case> {
    // [M·K, buckets]: none, 1, a task − 1, a task, a task + 1, primes, many buckets, and more than
    // 65,535 workgroups.
    let shapes = [
        [0, 3],
        [1, 1],
        [1023, 4],
        [1024, 2],
        [1025, 10],
        [31, 4099],
        [997, 13],
        [4_194_400, 2],
    ];
    let case = |(seed, [length, buckets]): (usize, [usize; 2])| {
        let mut inputs = Inputs::new(1900 + seed as u64);
        let params = Params {
            length: length as u32,
            buckets: buckets as u32,
        };
        Case::new(
            format!("M·K={length} buckets={buckets}"),
            0,
            params,
            Slots {
                gradient: Slot::Floats(inputs.for_sum(length * buckets, buckets)),
                sums: Slot::Output {
                    len: length,
                    bound: sum_bound(buckets, 1.0),
                },
            },
        )
    };
    shapes.into_iter().enumerate().map(case).collect()
}
