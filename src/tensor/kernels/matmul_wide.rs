//! out\[…, i, j\] = Σ_k a\[…, i, k\]·b\[…, k, j\] (section 4) for software adapters, where few wide
//! loads are fastest. The rows of the matrices are contiguous, and their length is a multiple of 4.

use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sizes of the matrices.
    pub struct Params {
        /// Matrices of the result.
        pub batches: u32,
        /// Rows of a.
        pub m: u32,
        /// Columns of b, a multiple of 4.
        pub n: u32,
        /// Columns of a, rows of b, a multiple of 4.
        pub k: u32,
        /// The distance from a matrix of a to the next: m·k, or 0 if all products share one matrix.
        pub a_batch: u32,
        /// The distance from a matrix of b to the next: k·n or 0.
        pub b_batch: u32,
    }
    pub struct Buffers {
        /// The left factors, `[batches, M, K]` or one `[M, K]` for all.
        pub a: Read<f32>,
        /// The right factors, `[batches, K, N]`.
        pub b: Read<f32>,
        /// The products, `[batches, M, N]`.
        pub result: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.batches * self.m.div_ceil(8) * self.n.div_ceil(8)).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul_wide",
    operation: Some("matmul"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/matmul_wide.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: None,
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (a, b, result) = (buffers.a, buffers.b, buffers.result);
    let [m, n, depth] = [p.m, p.n, p.k].map(|size| size as usize);
    for batch in 0..p.batches as usize {
        let a = &a[batch * p.a_batch as usize..];
        let b = &b[batch * p.b_batch as usize..];
        for i in 0..m {
            for j in 0..n {
                let products = (0..depth).map(|k| a[i * depth + k] * b[k * n + j]);
                result[(batch * m + i) * n + j] = products.sum();
            }
        }
    }
}

fn cases() -> Vec<Case> {
    // [batches, m, k, n]: 0, 1, tile − 1, tile, tile + 1, a prime, a long sum, and more than 65,535
    // workgroups.
    let shapes = [
        [1, 0, 4, 4],
        [1, 3, 0, 4],
        [1, 1, 4, 4],
        [1, 7, 12, 4],
        [1, 8, 16, 8],
        [3, 9, 20, 12],
        [2, 97, 100, 204],
        [1, 5, 5000, 8],
        [4_194_400, 1, 0, 4],
    ];
    let shapes = shapes.into_iter().enumerate();
    let case = |(seed, [batches, m, k, n]): (usize, [usize; 4])| {
        let mut inputs = Inputs::new(8500 + seed as u64);
        // All matrices of b share one a.
        let shared = seed % 2 == 1;
        let params = Params {
            batches: batches as u32,
            m: m as u32,
            n: n as u32,
            k: k as u32,
            a_batch: if shared { 0 } else { (m * k) as u32 },
            b_batch: (k * n) as u32,
        };
        let a = m * k * if shared { 1 } else { batches };
        Case::new(
            format!("batches={batches} m={m} k={k} n={n}"),
            0,
            params,
            Slots {
                a: Slot::Floats(inputs.for_sum(a.max(4), k)),
                b: Slot::Floats(inputs.for_sum((batches * k * n).max(4), k)),
                result: Slot::Output {
                    len: batches * m * n,
                    bound: sum_bound(k, 1.0),
                },
            },
        )
    };
    shapes.map(case).collect()
}
