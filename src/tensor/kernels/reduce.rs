//! Σ x and max x over any set of axes (section 4); a mean is a sum with a divisor.

use super::strided::{self, STRIDED, checked};
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Axis, Bound, Call, Case, Choice, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;
use crate::tensor::shape::{Layout, Walk, place};

/// If one output has more elements than this, they are reduced in chunks of this size, and then the
/// results of the chunks are reduced.
const CHUNK: usize = 4096;

crate::interface! {
    /// A walk over the kept axes and one over the reduced axes.
    pub struct Params {
        /// Sizes of the kept axes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of the kept axes.
        pub x_strides: [u32; 8],
        /// Sizes of the reduced axes.
        pub inner_shape: [u32; 8],
        /// Strides of the reduced axes, with the offset 0.
        pub inner_strides: [u32; 8],
        /// Elements of the result.
        pub outputs: u32,
        /// Elements reduced into one.
        pub count: u32,
        /// Elements of one part.
        pub chunk: u32,
        /// Parts of one output.
        pub parts: u32,
        /// The divisor of a sum: 1, or `count` for a mean.
        pub divisor: f32,
        /// 1 if a workgroup makes one output, 0 if an invocation does.
        pub across: u32,
    }
    pub struct Buffers {
        /// The elements to reduce, anywhere in their buffer.
        pub x: Read<f32>,
        /// One result per job.
        pub result: Write<f32>,
    }
}

impl Params {
    /// The parameters that reduce these axes, ascending, of a layout. With more than one part the
    /// result has to be reduced again.
    pub fn new(x: &Layout, axes: &[usize], divisor: f32) -> Self {
        let kept: Vec<usize> = (0..x.shape.len())
            .filter(|axis| !axes.contains(axis))
            .collect();
        let outer = Walk::over(&kept, [x]);
        let mut inner = Walk::over(axes, [x]);
        inner.operands[0][6] = 0;
        let count = inner.length as usize;
        let parts = if count > 2 * CHUNK {
            count.div_ceil(CHUNK)
        } else {
            1
        };
        let chunk = if parts > 1 { CHUNK } else { count };
        // Neighboring invocations read neighboring elements: along the reduced axes if these are
        // innermost.
        let across = inner.operands[0][0] == 1 && count >= 32;
        Self {
            shape: outer.shape,
            x_strides: outer.operands[0],
            inner_shape: inner.shape,
            inner_strides: inner.operands[0],
            outputs: outer.length,
            count: inner.length,
            chunk: chunk as u32,
            parts: parts as u32,
            divisor: if parts > 1 { 1.0 } else { divisor },
            across: u32::from(across),
        }
    }

    /// The variant that these parameters are for.
    pub fn variant(&self, reduction: Reduction) -> usize {
        2 * reduction as usize + self.across as usize
    }

    fn jobs(&self) -> u32 {
        self.outputs * self.parts
    }

    fn range(&self, job: usize) -> std::ops::Range<usize> {
        let start = job / self.outputs as usize * self.chunk as usize;
        start..(self.count as usize).min(start + self.chunk as usize)
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        if self.across == 1 {
            self.jobs()
        } else {
            self.jobs().div_ceil(64)
        }
    }
}

/// The reduction of many elements to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum ÷ the divisor; 0 if there are none.
    Sum,
    /// The largest of them. There must be at least one.
    Max,
}

const VARIANTS: Axis = &[
    Choice::new("sum", &[("OPERATION", 0), ("ACROSS", 0)]),
    Choice::new("sum_across", &[("OPERATION", 0), ("ACROSS", 1)]),
    Choice::new("max", &[("OPERATION", 1), ("ACROSS", 0)]),
    Choice::new("max_across", &[("OPERATION", 1), ("ACROSS", 1)]),
];

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "reduce",
    operation: Some("reduce"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/reduce.wgsl"),
    libraries: &[GRID, STRIDED],
    axes: &[VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, result) = (buffers.x, buffers.result);
    for job in 0..p.jobs() as usize {
        let base = place(job % p.outputs as usize, &p.shape, &p.x_strides);
        let elements = p
            .range(job)
            .map(|j| x[base + place(j, &p.inner_shape, &p.inner_strides)]);
        result[job] = match variant {
            0 | 1 => elements.sum::<f64>() / f64::from(p.divisor),
            // NaN is larger than everything.
            _ => elements.fold(
                f64::NEG_INFINITY,
                |a, b| if b > a || b.is_nan() { b } else { a },
            ),
        };
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, result) = (buffers.x, &mut buffers.result[..p.jobs() as usize]);
    if variant < 2 {
        reduce(&p, x, result, 0.0, |a, b| a + b);
        if p.divisor != 1.0 {
            result.iter_mut().for_each(|value| *value /= p.divisor);
        }
    } else {
        reduce(&p, x, result, f32::NEG_INFINITY, |a, b| {
            if b > a || b.is_nan() { b } else { a }
        });
    }
}

/// Reduces each job. If the outputs are contiguous, it reduces whole ranges of a row of outputs.
fn reduce(
    p: &Params,
    x: &[f32],
    result: &mut [f32],
    start: f32,
    join: impl Fn(f32, f32) -> f32 + Sync,
) {
    if p.count == 0 {
        // There is nothing to read, and the strides around an axis without elements have no
        // meaning.
        result.fill(start);
        return;
    }
    if result.is_empty() {
        return;
    }
    let outputs = p.outputs as usize;
    let rows = p.across == 0 && (outputs == 1 || (p.shape[7] <= 1 && p.x_strides[0] == 1));
    if rows {
        // [parts, outputs]: sums of whole rows. Threads take ranges of a row.
        for (part, result) in result.chunks_mut(outputs).enumerate() {
            cpu::pieces_of(cpu::PIECE, p.count as usize, result, |first, piece| {
                piece.fill(start);
                cpu::vectorized(|| {
                    for j in p.range(part * outputs) {
                        let row = place(j, &p.inner_shape, &p.inner_strides);
                        let row = &x[p.x_strides[6] as usize + first + row..][..piece.len()];
                        for (total, value) in piece.iter_mut().zip(row) {
                            *total = join(*total, *value);
                        }
                    }
                });
            });
        }
        return;
    }
    cpu::pieces_of(16, p.chunk as usize, result, |first, piece| {
        for (job, result) in (first..).zip(piece) {
            let base = place(job % outputs, &p.shape, &p.x_strides);
            *result = reduce_one(p, &x[base..], p.range(job), start, &join);
        }
    });
}

/// Sixteen interleaved lanes, joined by a tree, over the reduced elements of one output.
fn reduce_one(
    p: &Params,
    x: &[f32],
    range: std::ops::Range<usize>,
    start: f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    const LANES: usize = 16;
    const BLOCK: usize = 256;
    let mut lanes = [start; LANES];
    let mut gathered = [0.0f32; BLOCK];
    let dense = p.inner_shape[7] <= 1 && p.inner_strides[0] == 1;
    for first in range.clone().step_by(BLOCK) {
        let len = BLOCK.min(range.end - first);
        let block = if dense {
            &x[first..][..len]
        } else {
            strided::gather(
                &mut gathered[..len],
                first,
                &p.inner_shape,
                &p.inner_strides,
                x,
            );
            &gathered[..len]
        };
        cpu::vectorized(|| {
            let (whole, rest) = block.as_chunks::<LANES>();
            for chunk in whole {
                for (lane, value) in lanes.iter_mut().zip(chunk) {
                    *lane = join(*lane, *value);
                }
            }
            for (lane, value) in lanes.iter_mut().zip(rest) {
                *lane = join(*lane, *value);
            }
        });
    }
    let mut reach = LANES / 2;
    while reach > 0 {
        for lane in 0..reach {
            lanes[lane] = join(lanes[lane], lanes[lane + reach]);
        }
        reach /= 2;
    }
    lanes[0]
}

fn cases() -> Vec<Case> {
    let dense = |sizes: &[usize]| Layout::contiguous(checked(sizes));
    let base = dense(&[5, 6, 7]);
    let stretched = dense(&[6, 1]).broadcast_to(checked(&[4, 6, 9]));
    let stretched = stretched.unwrap_or_else(|| unreachable!("[6, 1] stretches to [4, 6, 9]"));
    // Layout, reduced axes. Sizes 0, 1, tile − 1, tile, tile + 1, a prime, chunks, views, and more
    // than 65,535 workgroups.
    let shapes: Vec<(&str, Layout, &[usize])> = vec![
        ("[0] to 1", dense(&[0]), &[0]),
        ("[0, 3] to 3", dense(&[0, 3]), &[0]),
        ("[3, 0] to 0", dense(&[3, 0]), &[0]),
        ("[0, 40, 3] by 0 and 2", dense(&[0, 40, 3]), &[0, 2]),
        ("scalar", dense(&[]), &[]),
        ("[4, 5] by no axis", dense(&[4, 5]), &[]),
        ("[63] to 1", dense(&[63]), &[0]),
        ("[64] to 1", dense(&[64]), &[0]),
        ("[65] to 1", dense(&[65]), &[0]),
        ("[97, 31] by 0", dense(&[97, 31]), &[0]),
        ("[97, 67] by 1", dense(&[97, 67]), &[1]),
        ("[997, 3] by 0 and 1", dense(&[997, 3]), &[0, 1]),
        ("[5, 6, 7] by 1", base, &[1]),
        ("[5, 6, 7] by 0 and 2", base, &[0, 2]),
        ("[7, 5, 6] transposed by 0", base.permute(&[2, 0, 1]), &[0]),
        (
            "[7, 5, 6] transposed by 1 and 2",
            base.permute(&[2, 0, 1]),
            &[1, 2],
        ),
        (
            "[3, 6, 5] sliced by 0 and 1",
            base.slice(0, 1..4).slice(2, 2..7),
            &[0, 1],
        ),
        ("[4, 6, 9] stretched by 0 and 2", stretched, &[0, 2]),
        ("[2, 2, 2, 2, 2, 2] by 1, 3, 4", dense(&[2; 6]), &[1, 3, 4]),
        ("[20011] to 1, in parts", dense(&[20_011]), &[0]),
        ("[10007, 5] by 0, in parts", dense(&[10_007, 5]), &[0]),
        ("[65539, 33] by 1", dense(&[65_539, 33]), &[1]),
    ];
    let mut cases = Vec::new();
    for (reduction, divides) in [
        (Reduction::Sum, false),
        (Reduction::Sum, true),
        (Reduction::Max, false),
    ] {
        for (seed, (name, layout, axes)) in (7000..).zip(&shapes) {
            let divisor = if divides { 3.0 } else { 1.0 };
            let params = Params::new(layout, axes, divisor);
            if reduction == Reduction::Max && params.count == 0 && params.outputs > 0 {
                continue;
            }
            let mut inputs = Inputs::new(seed);
            let terms = params.chunk as usize;
            let buffer = layout.shape.elements().max(210);
            let bound = match reduction {
                Reduction::Max => Bound::Exact,
                Reduction::Sum if divides && terms > 2048 => Bound::Ulps {
                    ulps: 2.5,
                    absolute: 0.0,
                },
                Reduction::Sum => sum_bound(terms, if divides { 4.0 } else { 1.0 }),
            };
            let output = Slot::Output {
                len: params.jobs() as usize,
                bound,
            };
            let divided = if divides { ", divided" } else { "" };
            cases.push(Case::new(
                format!("{name}{divided}"),
                params.variant(reduction),
                params,
                Slots {
                    x: Slot::Floats(inputs.for_sum(buffer, terms)),
                    result: output,
                },
            ));
        }
    }
    cases
}
