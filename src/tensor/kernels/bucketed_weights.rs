//! result\[chunk, i, j\] = Σ g\[s, i\]·x\[s, j\] over the samples of a chunk, all of one bucket: what a
//! chunk adds to the gradient of its bucket's matrix (section 4).

use super::bucketed_product::{SHAPES, grouped};
use crate::engine::cpu::product::{Matrix, product};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, TILED};
use rayon::prelude::*;

crate::interface! {
    /// Sizes of the products.
    pub struct Params {
        /// Chunks of samples of the same bucket.
        pub chunks: u32,
        /// At least the most samples in a chunk.
        pub longest: u32,
        /// Columns of g, rows of a result.
        pub rows: u32,
        /// Columns of x and of a result.
        pub columns: u32,
    }
    pub struct Buffers {
        /// The start of each chunk in `order`, `[chunks + 1]`.
        pub chunk_starts: Read<u32>,
        /// The samples, those of a bucket in a row.
        pub order: Read<u32>,
        /// g, `[samples, rows]`.
        pub upstream: Read<f32>,
        /// x, `[samples, columns]`.
        pub x: Read<f32>,
        /// The sum of each chunk, `[chunks, rows, columns]`.
        pub result: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.chunks * self.rows.div_ceil(16) * self.columns.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "bucketed_weights",
    operation: Some("bucketed_linear"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/bucketed_weights.wgsl"),
    libraries: &[GRID],
    axes: &[TILED],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

impl Params {
    /// The places in `order` of the samples of a chunk.
    fn places(&self, chunk: usize, chunk_starts: &[u32]) -> std::ops::Range<usize> {
        chunk_starts[chunk] as usize..chunk_starts[chunk + 1] as usize
    }

    /// Elements of the result of a chunk.
    fn matrix(&self) -> usize {
        self.rows as usize * self.columns as usize
    }
}

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (g, x, result) = (buffers.upstream, buffers.x, buffers.result);
    let (rows, columns) = (p.rows as usize, p.columns as usize);
    for chunk in 0..p.chunks as usize {
        for i in 0..rows {
            for j in 0..columns {
                let mut sum = 0.0;
                for place in p.places(chunk, buffers.chunk_starts) {
                    let s = buffers.order[place] as usize;
                    sum += g[s * rows + i] * x[s * columns + j];
                }
                result[chunk * p.matrix() + i * columns + j] = sum;
            }
        }
    }
}

/// The samples that are brought together at a time, so that they stay in the second cache.
const TILE: usize = 128;

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (g, x) = (buffers.upstream, buffers.x);
    let (rows, columns) = (p.rows as usize, p.columns as usize);
    let result = &mut buffers.result[..p.chunks as usize * p.matrix()];
    let chunks = result.par_chunks_mut(p.matrix()).with_max_len(1);
    chunks.enumerate().for_each(|(chunk, result)| {
        let order = &buffers.order[p.places(chunk, buffers.chunk_starts)];
        result.fill(0.0);
        let most = order.len().min(TILE);
        let mut left = Vec::with_capacity(most * rows);
        let mut right = Vec::with_capacity(most * columns);
        for samples in order.chunks(TILE) {
            left.clear();
            right.clear();
            for &s in samples {
                left.extend_from_slice(&g[s as usize * rows..][..rows]);
                right.extend_from_slice(&x[s as usize * columns..][..columns]);
            }
            let g = Matrix {
                values: &left,
                row: 1,
                column: rows,
            };
            let x = Matrix {
                values: &right,
                row: columns,
                column: 1,
            };
            let sizes = [rows, columns, samples.len()];
            product(sizes, g, x, result, columns, true);
        }
    });
}

fn cases() -> Vec<Case> {
    // Past 65,535 workgroups.
    let shapes = SHAPES.into_iter().chain([[1, 1, 4_194_305, 1]]);
    let mut cases = Vec::new();
    for variant in 0..TILED.len() {
        for (seed, [samples, buckets, columns, rows]) in (8200..).zip(shapes.clone()) {
            let mut inputs = Inputs::new(seed);
            let lists = grouped(&mut inputs, samples, buckets);
            let starts = lists.chunk_starts().to_vec();
            let chunks = starts.len() - 1;
            let longest = starts.windows(2).map(|ends| ends[1] - ends[0]).max();
            let params = Params {
                chunks: chunks as u32,
                longest: longest.unwrap_or(0),
                rows: rows as u32,
                columns: columns as u32,
            };
            cases.push(Case::new(
                format!("L={samples} buckets={buckets} rows={rows} columns={columns}"),
                variant,
                params,
                Slots {
                    chunk_starts: Slot::Words(starts),
                    order: Slot::Words(lists.samples().to_vec()),
                    upstream: Slot::Floats(inputs.for_sum(samples * rows, samples)),
                    x: Slot::Floats(inputs.for_sum(samples * columns, samples)),
                    result: Slot::Output {
                        len: chunks * rows * columns,
                        bound: sum_bound(samples.max(1), 1.0),
                    },
                },
            ));
        }
    }
    cases
}
