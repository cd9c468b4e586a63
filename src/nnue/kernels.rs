//! The kernels of the two-perspective network.
//!
//! A new kernel needs three edits: its shader, its Rust file, and its two lines here.

#![allow(
    clippy::needless_range_loop,
    reason = "twins are written as the sums of the mathematics are"
)]

pub mod accumulator_dense;
pub mod activation_gradient;
pub mod bias_gradient;
pub mod decode_records;
pub mod deep;
pub mod deep_first;
pub mod deep_forward;
pub mod deep_head;
pub mod deep_input;
pub mod deep_layers;
pub mod deep_rows;
pub mod deep_weights;
pub mod fake_quantize;
pub mod forward;
pub mod forward_half;
pub mod forward_sparse;
pub mod grouped;
pub mod half;
pub mod half_weights;
pub mod head;
pub mod index_chunks;
pub mod index_samples;
pub mod join_pieces;
pub mod libraries;
pub mod loss;
pub mod masked;
pub mod masked_head;
pub mod masked_rows;
pub mod masked_weights;
pub mod output;
pub mod output_gradient;
pub mod pieces;
pub mod scatter_deep;
pub mod scatter_pieces;
pub mod shared_gradient;
pub mod shared_update;
pub mod sum;
pub mod weights_gradient_dense;

use crate::engine::kernel::Kernel;
use std::ops::Range;

/// The bucket of a sample. A batch for one bucket has no list of buckets.
#[inline(always)]
fn bucket_of(buckets: u32, bucket: &[u32], s: usize) -> usize {
    match buckets {
        1 => 0,
        _ => bucket[s] as usize,
    }
}

/// The runs of consecutive samples of one bucket in a range: the bucket and the samples. With 1
/// bucket the range is one run.
#[inline(always)]
fn runs(
    buckets: u32,
    bucket: &[u32],
    range: Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut first = range.start;
    std::iter::from_fn(move || {
        if first >= range.end {
            return None;
        }
        let own = bucket_of(buckets, bucket, first);
        let is_other = |&s: &usize| bucket_of(buckets, bucket, s) != own;
        let end = match buckets {
            1 => range.end,
            _ => (first..range.end).find(is_other).unwrap_or(range.end),
        };
        let run = first..end;
        first = end;
        Some((own, run))
    })
}

/// Every kernel of this subject.
pub static KERNELS: &[&Kernel] = &[
    &accumulator_dense::KERNEL,
    &output::KERNEL,
    &loss::KERNEL,
    &sum::KERNEL,
    &activation_gradient::KERNEL,
    &output_gradient::KERNEL,
    &bias_gradient::KERNEL,
    &weights_gradient_dense::KERNEL,
    &decode_records::KERNEL,
    &index_chunks::KERNEL,
    &index_samples::KERNEL,
    &half_weights::KERNEL,
    &fake_quantize::KERNEL,
    &forward_sparse::KERNEL,
    &forward_half::KERNEL,
    &masked_rows::KERNEL,
    &masked_weights::KERNEL,
    &masked_head::KERNEL,
    &scatter_pieces::KERNEL,
    &scatter_deep::KERNEL,
    &join_pieces::KERNEL,
    &shared_gradient::KERNEL,
    &shared_update::KERNEL,
    &deep_forward::KERNEL,
    &deep_first::KERNEL,
    &deep_layers::KERNEL,
    &deep_input::KERNEL,
    &deep_rows::KERNEL,
    &deep_weights::KERNEL,
    &deep_head::KERNEL,
];
