//! Code that the CPU implementations share.
//!
//! Work is cut into tasks of fixed size and sums are joined in a fixed order, so the bits do not
//! depend on the number of threads. Nothing here contracts or reorders additions, so they do not
//! depend on the SIMD level either.
//!
//! Loops of a few long tasks hand them out one at a time, by `with_max_len(1)`. If rayon cut them
//! into runs, one thread would end up with the last run while the others wait.

pub(crate) mod product;
pub mod simd;

use rayon::prelude::*;

/// The elements of an elementwise kernel, or the samples of a reduction, that one task takes.
pub const PIECE: usize = 512;

/// Runs `work`, compiled for the widest vectors of the processor.
#[inline(always)]
pub fn vectorized<T>(work: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(work)
}

/// The calling thread does work of at most this many elements itself.
const SMALL: usize = 16 * PIECE;

/// Cuts an output into tasks of fixed size and calls `work` with the index of each task's first
/// element.
pub fn pieces(out: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    pieces_of(SMALL, 1, out, work);
}

/// As [`pieces`], in tasks of `size` elements, each of which costs about `cost` elementary steps.
pub fn pieces_of(
    size: usize,
    cost: usize,
    out: &mut [f32],
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let small = out.len().saturating_mul(cost) <= SMALL;
    share(small, size, out, &|index, piece| work(index * size, piece));
}

/// Work on one task, by its index and its part of the output.
type Task<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

/// Calls `task` for each `size` elements of an output, on the calling thread if there are few.
///
/// Every kernel shares this function: a copy of rayon's loop for each of their closures took a
/// tenth of the crate's compile time.
fn share(small: bool, size: usize, out: &mut [f32], task: Task<'_>) {
    if small {
        let pieces = out.chunks_mut(size).enumerate();
        pieces.for_each(|(index, piece)| task(index, piece));
    } else {
        let pieces = out.par_chunks_mut(size).enumerate();
        pieces.for_each(|(index, piece)| task(index, piece));
    }
}

/// As [`pieces`], for an output of whole rows: calls `work` with the number of each row.
pub fn rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if width == 0 {
        return;
    }
    let rows = (SMALL / width).max(1);
    let small = out.len() <= SMALL;
    share(small, rows * width, out, &|index, piece| {
        let rows = (index * rows..).zip(piece.chunks_mut(width));
        rows.for_each(|(row, out)| work(row, out));
    });
}

/// max(x, 0) that keeps a NaN.
#[inline]
pub fn above_zero(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `to[i] += from[i]`.
#[inline]
pub fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// Sums `term(i)` for i in `0..count` as sixteen interleaved sums, which a tree joins.
#[inline]
pub fn sum_lanes(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let whole = count / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    for i in whole..count {
        lanes[i - whole] += term(i);
    }
    tree(lanes)
}

/// The sum of sixteen numbers, by a tree.
#[inline]
pub fn tree(mut lanes: [f32; 16]) -> f32 {
    let mut reach = lanes.len() / 2;
    while reach > 0 {
        for lane in 0..reach {
            lanes[lane] += lanes[lane + reach];
        }
        reach /= 2;
    }
    lanes[0]
}

/// Sums rows of `width` numbers over the samples. `piece(range, sums)` sums each task's samples on
/// its own; then the tasks' sums are added in ascending order.
pub fn sum_rows(
    samples: usize,
    width: usize,
    piece: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    sum_pieces(samples, width, &piece)
}

/// As [`sum_rows`], shared by every kernel for the reason of [`share`].
fn sum_pieces(
    samples: usize,
    width: usize,
    piece: &(dyn Fn(std::ops::Range<usize>, &mut [f32]) + Sync),
) -> Vec<f32> {
    let pieces: Vec<Vec<f32>> = (0..samples.div_ceil(PIECE))
        .into_par_iter()
        .map(|index| {
            let mut sums = vec![0.0; width];
            piece(index * PIECE..samples.min((index + 1) * PIECE), &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0.0; width];
    for sums in &pieces {
        add(&mut total, sums);
    }
    total
}

/// Overwrites `to`, or adds to it if `accumulate` is 1, the parameter of the gradient kernels.
#[inline]
pub fn put(to: &mut [f32], from: &[f32], accumulate: u32) {
    if accumulate == 1 {
        add(to, from);
    } else {
        to.copy_from_slice(from);
    }
}
