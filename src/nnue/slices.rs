//! Cuts a batch into micro-batches, so that the buffers of a step fit the device's binding limit.

use crate::error::Result;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::accumulator_dense::filled_up;
use crate::tensor::lists::SparseInputs;
use std::borrow::Cow;
use std::ops::Range;

/// The inputs of a micro-batch, perspective by perspective.
#[derive(Clone, Debug)]
pub(super) enum SliceInputs<'a> {
    /// X1 and X2, `[samples, N]`. Rows are padded with zeros to a multiple of 4.
    Dense([Cow<'a, [f32]>; 2]),
    /// Index lists with the transposed index of this micro-batch.
    Sparse([Cow<'a, SparseInputs>; 2]),
}

/// Consecutive samples of a batch.
#[derive(Clone, Debug)]
pub(super) struct Slice<'a> {
    pub(super) range: Range<usize>,
    pub(super) inputs: SliceInputs<'a>,
    pub(super) targets: &'a [f32],
    pub(super) buckets: Option<&'a [u32]>,
}

impl Slice<'_> {
    pub(super) fn samples(&self) -> usize {
        self.range.len()
    }
}

/// The micro-batches of at most `most` samples each, in order. A batch that fits is one
/// micro-batch, and its lists are not copied.
pub(super) fn cut(batch: &Batch, most: usize) -> Result<Vec<Slice<'_>>> {
    let starts = (0..batch.len()).step_by(most.max(1));
    starts
        .map(|start| {
            let range = start..batch.len().min(start + most.max(1));
            let inputs = match batch.inputs() {
                Inputs::Dense { inputs, values } => {
                    let part = range.start * inputs..range.end * inputs;
                    SliceInputs::Dense(values.each_ref().map(|x| match inputs % 4 {
                        0 => Cow::Borrowed(&x[part.clone()]),
                        _ => Cow::Owned(filled_up(&x[part.clone()], *inputs)),
                    }))
                }
                Inputs::Sparse([first, second]) if range.len() == batch.len() => {
                    SliceInputs::Sparse([Cow::Borrowed(first), Cow::Borrowed(second)])
                }
                Inputs::Sparse([first, second]) => {
                    let part = |whole: &SparseInputs| whole.slice(range.clone()).map(Cow::Owned);
                    SliceInputs::Sparse([part(first)?, part(second)?])
                }
            };
            Ok(Slice {
                inputs,
                targets: &batch.targets()[range.clone()],
                buckets: batch.buckets().map(|buckets| &buckets[range.clone()]),
                range,
            })
        })
        .collect()
}
