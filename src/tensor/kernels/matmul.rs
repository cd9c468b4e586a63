//! out\[…, i, j\] = Σ_k a\[…, i, k\]·b\[…, k, j\] (section 4): products of matrices, batched over
//! leading axes. Operands may have any strides.

use super::strided::{STRIDED, checked};
use crate::engine::cpu::product::{Matrix, product};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, TILED};
use crate::tensor::shape::{Layout, Walk, place};

crate::interface! {
    /// A walk over the batch axes and the strides of the matrices.
    pub struct Params {
        /// Sizes of the batch axes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of a along the batch axes.
        pub a_strides: [u32; 8],
        /// Strides of b along the batch axes.
        pub b_strides: [u32; 8],
        /// Matrices.
        pub batches: u32,
        /// Rows of a.
        pub m: u32,
        /// Columns of b.
        pub n: u32,
        /// Columns of a, rows of b.
        pub k: u32,
        /// The length of k in one part.
        pub chunk: u32,
        /// The number of parts of k. The result has one matrix for each part.
        pub parts: u32,
        /// Elements from a row of a to the next.
        pub a_row: u32,
        /// Elements from a column of a to the next.
        pub a_column: u32,
        /// Elements from a row of b to the next.
        pub b_row: u32,
        /// Elements from a column of b to the next.
        pub b_column: u32,
    }
    pub struct Buffers {
        /// The left factors, anywhere in their buffer.
        pub a: Read<f32>,
        /// The right factors, anywhere in their buffer.
        pub b: Read<f32>,
        /// The products, row-major, once per part of the sum.
        pub result: Write<f32>,
    }
}

impl Params {
    /// The parameters for layouts \[…, m, k\] and \[…, k, n\] with equal leading axes. k is one
    /// part.
    pub fn new(a: &Layout, b: &Layout) -> Self {
        let rank = a.shape.len();
        let batch: Vec<usize> = (0..rank - 2).collect();
        let walk = Walk::over(&batch, [a, b]);
        let stride = |layout: &Layout, axis: usize| layout.strides()[axis] as u32;
        Self {
            shape: walk.shape,
            a_strides: walk.operands[0],
            b_strides: walk.operands[1],
            batches: walk.length,
            m: a.shape[rank - 2] as u32,
            n: b.shape[rank - 1] as u32,
            k: a.shape[rank - 1] as u32,
            chunk: a.shape[rank - 1] as u32,
            parts: 1,
            a_row: stride(a, rank - 2),
            a_column: stride(a, rank - 1),
            b_row: stride(b, rank - 2),
            b_column: stride(b, rank - 1),
        }
    }

    /// The same product with k cut into parts, so that a small result of a long sum keeps many
    /// workgroups busy.
    #[must_use]
    pub fn in_parts(self) -> Self {
        const CHUNK: u32 = 512;
        const ENOUGH_GROUPS: u32 = 128;
        if self.tiles() >= ENOUGH_GROUPS || self.k < 2 * CHUNK {
            return self;
        }
        Self {
            chunk: CHUNK,
            parts: self.k.div_ceil(CHUNK),
            ..self
        }
    }

    fn tiles(&self) -> u32 {
        self.batches * self.m.div_ceil(64) * self.n.div_ceil(64)
    }

    /// Elements of one matrix of the result.
    fn matrix(&self) -> usize {
        self.m as usize * self.n as usize
    }

    /// The first element of both operands in batch `batch`.
    fn bases(&self, batch: usize) -> [usize; 2] {
        [&self.a_strides, &self.b_strides].map(|strides| place(batch, &self.shape, strides))
    }

    /// The range of k of part `part`.
    fn range(&self, part: usize) -> std::ops::Range<usize> {
        let start = part * self.chunk as usize;
        start..(self.k as usize).min(start + self.chunk as usize)
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.parts * self.tiles()
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul",
    operation: Some("matmul"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/matmul.wgsl"),
    libraries: &[GRID, STRIDED],
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
    let (a, b, result) = (buffers.a, buffers.b, buffers.result);
    let (batches, columns) = (p.batches as usize, p.n as usize);
    for matrix in 0..p.parts as usize * batches {
        let [a_base, b_base] = p.bases(matrix % batches);
        for i in 0..p.m as usize {
            for j in 0..columns {
                let mut sum = 0.0;
                for k in p.range(matrix / batches) {
                    let left = a[a_base + i * p.a_row as usize + k * p.a_column as usize];
                    let right = b[b_base + k * p.b_row as usize + j * p.b_column as usize];
                    sum += left * right;
                }
                result[matrix * p.matrix() + i * columns + j] = sum;
            }
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (a, b, result) = (buffers.a, buffers.b, buffers.result);
    if p.matrix() == 0 {
        return;
    }
    let batches = p.batches as usize;
    let matrices = p.parts as usize * batches;
    for (matrix, result) in result.chunks_mut(p.matrix()).take(matrices).enumerate() {
        let [a_base, b_base] = p.bases(matrix % batches);
        let range = p.range(matrix / batches);
        if range.is_empty() {
            result.fill(0.0);
            continue;
        }
        let a = &a[a_base + range.start * p.a_column as usize..];
        let b = &b[b_base + range.start * p.b_row as usize..];
        let a = Matrix {
            values: a,
            row: p.a_row as usize,
            column: p.a_column as usize,
        };
        let b = Matrix {
            values: b,
            row: p.b_row as usize,
            column: p.b_column as usize,
        };
        let (m, n) = (p.m as usize, p.n as usize);
        product([m, n, range.len()], a, b, result, n, false);
    }
}

fn cases() -> Vec<Case> {
    let dense = |sizes: &[usize]| Layout::contiguous(checked(sizes));
    let stretch = |layout: Layout, sizes: &[usize]| {
        let stretched = layout.broadcast_to(checked(sizes));
        stretched.unwrap_or_else(|| unreachable!("{layout:?} stretches to {sizes:?}"))
    };
    let last_two = |layout: Layout| match layout.shape.len() {
        2 => layout.permute(&[1, 0]),
        rank => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(rank - 2, rank - 1);
            layout.permute(&order)
        }
    };
    // [m, k, n]: sizes 0, 1, tile − 1, tile, tile + 1, a prime, a long sum, and more than 65,535
    // workgroups.
    let sizes = [
        [0, 3, 2],
        [3, 0, 2],
        [1, 1, 1],
        [63, 15, 65],
        [64, 16, 64],
        [65, 17, 63],
        [97, 101, 103],
        [5, 5000, 3],
        [4_194_241, 1, 1],
    ];
    let mut shapes: Vec<(String, Layout, Layout)> = sizes
        .into_iter()
        .map(|[m, k, n]| (format!("m={m} k={k} n={n}"), dense(&[m, k]), dense(&[k, n])))
        .collect();
    let square = dense(&[70, 70]);
    shapes.extend([
        (
            "a transposed".to_owned(),
            last_two(dense(&[33, 70])),
            dense(&[33, 5]),
        ),
        (
            "b transposed".to_owned(),
            dense(&[6, 33]),
            last_two(dense(&[70, 33])),
        ),
        (
            "both transposed".to_owned(),
            last_two(dense(&[33, 67])),
            last_two(dense(&[66, 33])),
        ),
        (
            "sliced".to_owned(),
            square.slice(0, 3..40).slice(1, 2..69),
            square.slice(0, 3..70),
        ),
        (
            "batch of 5".to_owned(),
            dense(&[5, 7, 9]),
            dense(&[5, 9, 11]),
        ),
        (
            "a for every b".to_owned(),
            stretch(dense(&[7, 9]), &[2, 3, 7, 9]),
            dense(&[2, 3, 9, 4]),
        ),
        (
            "batches transposed".to_owned(),
            dense(&[4, 3, 8, 6]).permute(&[1, 0, 2, 3]),
            last_two(dense(&[3, 4, 5, 6])),
        ),
    ]);
    let mut cases = Vec::new();
    for variant in 0..TILED.len() {
        for (seed, (name, a, b)) in (8000..).zip(&shapes) {
            let params = Params::new(a, b);
            let mut all = vec![(name.clone(), params)];
            if params.in_parts() != params {
                all.push((format!("{name} in parts"), params.in_parts()));
            }
            for (name, params) in all {
                let mut inputs = Inputs::new(seed);
                let terms = params.chunk as usize;
                let len = params.parts as usize * params.batches as usize * params.matrix();
                let buffer = |layout: &Layout| layout.shape.elements().max(4900);
                cases.push(Case::new(
                    name,
                    variant,
                    params,
                    Slots {
                        a: Slot::Floats(inputs.for_sum(buffer(a), terms)),
                        b: Slot::Floats(inputs.for_sum(buffer(b), terms)),
                        result: Slot::Output {
                            len,
                            bound: sum_bound(terms, 1.0),
                        },
                    },
                ));
            }
        }
    }
    cases
}
