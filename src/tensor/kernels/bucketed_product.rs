//! y\[s, j\] = Σ_k x\[s, k\]·w\[b, k, j\] + c\[b, j\] with b the bucket of sample s (section 4): a
//! product with one of several matrices, which have any strides.

use crate::engine::cpu::product::{Matrix, product};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, TILED};
use crate::tensor::lists::SparseInputs;
use rayon::prelude::*;

crate::interface! {
    /// Sizes of the product and strides of the matrices.
    pub struct Params {
        /// Tiles of samples of the same bucket.
        pub tiles: u32,
        /// Columns of x, rows of a matrix.
        pub depth: u32,
        /// Columns of a matrix.
        pub columns: u32,
        /// Elements from a row of a matrix to the next.
        pub w_row: u32,
        /// Elements from a column of a matrix to the next.
        pub w_column: u32,
        /// 1 adds c, 0 does not read it.
        pub biased: u32,
        /// Samples.
        pub samples: u32,
    }
    pub struct Buffers {
        /// The bucket of each sample, `[samples]`.
        pub bucket: Read<u32>,
        /// The samples, those of a bucket in a row, `[samples]`.
        pub order: Read<u32>,
        /// The start of each tile in `order`, `[tiles + 1]`.
        pub tile_starts: Read<u32>,
        /// x, `[samples, depth]`.
        pub x: Read<f32>,
        /// The matrices, `[buckets, depth·columns]`.
        pub w: Read<f32>,
        /// c, `[buckets, columns]`.
        pub c: Read<f32>,
        /// The products, `[samples, columns]`.
        pub y: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.tiles * self.columns.div_ceil(16)
    }
}

/// The most samples of a tile.
const TILE: usize = 64;

/// The start of each tile among samples that are sorted by bucket, `[tiles + 1]`, from the start of
/// each bucket, `[buckets + 1]`.
pub fn tile_starts(offsets: &[u32]) -> Vec<u32> {
    let buckets = offsets.windows(2);
    let tiles = buckets.flat_map(|ends| (ends[0]..ends[1]).step_by(TILE));
    tiles.chain(offsets.last().copied()).collect()
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "bucketed_product",
    operation: Some("bucketed_linear"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/bucketed_product.wgsl"),
    libraries: &[GRID],
    axes: &[TILED],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (x, w, c, y) = (buffers.x, buffers.w, buffers.c, buffers.y);
    let (depth, columns) = (p.depth as usize, p.columns as usize);
    for s in 0..p.samples as usize {
        let b = buffers.bucket[s] as usize;
        for j in 0..columns {
            let mut sum = 0.0;
            for k in 0..depth {
                let at = k * p.w_row as usize + j * p.w_column as usize;
                sum += x[s * depth + k] * w[b * depth * columns + at];
            }
            y[s * columns + j] = match p.biased {
                1 => sum + c[b * columns + j],
                _ => sum,
            };
        }
    }
}

/// The samples of a task. Within it, those of a bucket are multiplied together.
const TASK: usize = 512;

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (x, w, c) = (buffers.x, buffers.w, buffers.c);
    let (depth, columns) = (p.depth as usize, p.columns as usize);
    let y = &mut buffers.y[..p.samples as usize * columns];
    let tasks = y.par_chunks_mut(TASK * columns).with_max_len(1);
    let tasks = tasks.zip(buffers.bucket.par_chunks(TASK)).enumerate();
    tasks.for_each(|(task, (y, bucket))| {
        let x = &x[task * TASK * depth..];
        let mut order: Vec<usize> = (0..y.len() / columns).collect();
        order.sort_by_key(|&s| bucket[s]);
        let (mut rows, mut products) = (Vec::new(), Vec::new());
        for samples in order.chunk_by(|&one, &next| bucket[one] == bucket[next]) {
            let b = bucket[samples[0]] as usize;
            products.clear();
            products.resize(samples.len() * columns, 0.0);
            if depth > 0 {
                rows.clear();
                rows.reserve(samples.len() * depth);
                for s in samples {
                    rows.extend_from_slice(&x[s * depth..][..depth]);
                }
                let x = Matrix {
                    values: &rows,
                    row: depth,
                    column: 1,
                };
                let w = Matrix {
                    values: &w[b * depth * columns..],
                    row: p.w_row as usize,
                    column: p.w_column as usize,
                };
                let sizes = [samples.len(), columns, depth];
                product(sizes, x, w, &mut products, columns, false);
            }
            for (s, product) in samples.iter().zip(products.chunks_exact(columns)) {
                let y = &mut y[s * columns..][..columns];
                y.copy_from_slice(product);
                if p.biased == 1 {
                    crate::engine::cpu::add(y, &c[b * columns..][..columns]);
                }
            }
        }
    });
}

/// Samples, each in one of the buckets, and rows by rows of a matrix: 0, 1, tile − 1, tile, tile + 1,
/// primes, more buckets than samples, and a long sum. The last bucket of more than 2 is empty.
pub(super) const SHAPES: [[usize; 4]; 11] = [
    // [samples, buckets, depth, columns]
    [0, 3, 5, 2],
    [3, 2, 0, 4],
    [3, 2, 4, 0],
    [1, 1, 1, 1],
    [63, 1, 15, 15],
    [64, 2, 16, 16],
    [65, 3, 17, 17],
    [1031, 8, 33, 65],
    [7, 40, 3, 5],
    [2600, 2, 2, 3],
    [5, 3, 5003, 3],
];

/// Buckets of samples, as index lists of one index.
pub(super) fn grouped(inputs: &mut Inputs, samples: usize, buckets: usize) -> SparseInputs {
    let filled = if buckets > 2 { buckets - 1 } else { buckets };
    let bucket = inputs.words(samples, filled as u32);
    let lists = SparseInputs::from_lists(buckets, (0..=samples as u32).collect(), bucket);
    lists.unwrap_or_else(|error| unreachable!("buckets of a case are well formed: {error}"))
}

fn cases() -> Vec<Case> {
    // Past 65,535 workgroups.
    let shapes = SHAPES.into_iter().chain([[1, 2, 1, 1_048_577]]);
    let mut cases = Vec::new();
    for variant in 0..TILED.len() {
        for (seed, [samples, buckets, depth, columns]) in (8100..).zip(shapes.clone()) {
            let mut inputs = Inputs::new(seed);
            let lists = grouped(&mut inputs, samples, buckets);
            let tile_starts = tile_starts(lists.offsets());
            let (terms, transposed) = (depth + 1, seed % 2 == 1);
            let params = Params {
                tiles: tile_starts.len() as u32 - 1,
                depth: depth as u32,
                columns: columns as u32,
                w_row: if transposed { 1 } else { columns as u32 },
                w_column: if transposed { depth as u32 } else { 1 },
                biased: u32::from(seed % 3 > 0),
                samples: samples as u32,
            };
            cases.push(Case::new(
                format!("L={samples} buckets={buckets} k={depth} n={columns}"),
                variant,
                params,
                Slots {
                    bucket: Slot::Words(lists.indices().to_vec()),
                    order: Slot::Words(lists.samples().to_vec()),
                    tile_starts: Slot::Words(tile_starts),
                    x: Slot::Floats(inputs.for_sum(samples * depth, terms)),
                    w: Slot::Floats(inputs.for_sum(buckets * depth * columns, terms)),
                    c: Slot::Floats(inputs.for_sum(buckets * columns, terms)),
                    y: Slot::Output {
                        len: samples * columns,
                        bound: sum_bound(terms, 1.0),
                    },
                },
            ));
        }
    }
    cases
}
