//! Cuts a batch into micro-batches, so that the buffers of a step fit the device's binding limit.

use crate::error::Result;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::accumulator_dense::filled_up;
use crate::nnue::records::Records;
use crate::tensor::lists::{CHUNK, Chunks, SparseInputs, blocks};
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
    /// The samples as records, for the masked and the deep path. Then there are no inputs.
    pub(super) records: Option<&'a Records>,
    pub(super) targets: &'a [f32],
    /// The weights of the samples; empty if they have none.
    pub(super) weights: &'a [f32],
    pub(super) buckets: Option<&'a [u32]>,
    /// The samples that are summed together, for gradients from index lists by bucket.
    pub(super) sums: Option<Sums>,
}

/// The sums over samples from which a path makes gradients.
#[derive(Clone, Copy, Debug)]
pub(super) struct SumsOf {
    buckets: usize,
    /// Whether the chunks of the transposed index end where the bucket changes.
    by_bucket: bool,
    /// The most samples of a block.
    block: usize,
}

impl SumsOf {
    /// Chunks and blocks of [`CHUNK`] samples of one bucket.
    pub(super) fn buckets(buckets: usize) -> Self {
        Self {
            buckets,
            by_bucket: true,
            block: CHUNK,
        }
    }

    /// The chunks that the lists have, and blocks of at most `block` samples of one bucket.
    pub(super) fn blocks(buckets: usize, block: usize) -> Self {
        Self {
            buckets,
            by_bucket: false,
            block,
        }
    }
}

/// The chunks of a slice whose samples stand in the order of their buckets. No block is in two
/// buckets.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    /// The chunks of each perspective's transposed index, if they end with their bucket. Otherwise,
    /// and with 1 bucket, they are those that the lists have.
    chunks: Option<[Chunks; 2]>,
    /// The chunks of all samples.
    pub(super) blocks: Chunks,
}

impl Sums {
    /// `lists` are `None` for records, whose chunks the device makes.
    fn new(
        lists: Option<&[Cow<'_, SparseInputs>; 2]>,
        samples: usize,
        own: Option<&[u32]>,
        of: SumsOf,
    ) -> Self {
        let own = own.filter(|_| of.buckets > 1);
        let ends = match own {
            None => vec![samples as u32],
            Some(own) => {
                let buckets = 0..of.buckets as u32;
                let ends = buckets.map(|bucket| own.partition_point(|&other| other <= bucket));
                ends.map(|end| end as u32).collect()
            }
        };
        let lists = lists.filter(|_| own.is_some() && of.by_bucket);
        Self {
            chunks: lists.map(|lists| lists.each_ref().map(|lists| lists.chunks(&ends))),
            blocks: blocks(&ends, of.block),
        }
    }

    /// The first chunk of each bucket of each feature.
    pub(super) fn first_chunks<'a>(
        &'a self,
        lists: &'a [Cow<'a, SparseInputs>; 2],
    ) -> [&'a [u32]; 2] {
        match &self.chunks {
            Some(chunks) => chunks.each_ref().map(|chunks| chunks.first.as_slice()),
            None => lists.each_ref().map(|lists| lists.first_chunks()),
        }
    }

    /// The start of each chunk among the samples of the transposed index.
    pub(super) fn chunk_starts<'a>(
        &'a self,
        lists: &'a [Cow<'a, SparseInputs>; 2],
    ) -> [&'a [u32]; 2] {
        match &self.chunks {
            Some(chunks) => chunks.each_ref().map(|chunks| chunks.starts.as_slice()),
            None => lists.each_ref().map(|lists| lists.chunk_starts()),
        }
    }
}

impl Slice<'_> {
    pub(super) fn is_weighted(&self) -> bool {
        !self.weights.is_empty()
    }

    pub(super) fn samples(&self) -> usize {
        self.range.len()
    }
}

/// A batch of records as one slice, for sums by bucket.
pub(super) fn whole<'a>(batch: &'a Batch, records: &'a Records, sums: SumsOf) -> Slice<'a> {
    Slice {
        range: 0..batch.len(),
        inputs: SliceInputs::Sparse(Default::default()),
        records: Some(records),
        targets: batch.targets(),
        weights: batch.weights().unwrap_or_default(),
        buckets: batch.buckets(),
        sums: Some(Sums::new(None, batch.len(), batch.buckets(), sums)),
    }
}

/// The micro-batches of at most `most` samples each, in order. A batch that fits is one
/// micro-batch, and its lists are not copied. If there are `sums`, the batch is in the order of its
/// buckets.
pub(super) fn cut(batch: &Batch, most: usize, sums: Option<SumsOf>) -> Result<Vec<Slice<'_>>> {
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
            let own = batch.buckets().map(|own| &own[range.clone()]);
            let sums = match (&inputs, sums) {
                (SliceInputs::Sparse(lists), Some(of)) => {
                    Some(Sums::new(Some(lists), range.len(), own, of))
                }
                _ => None,
            };
            Ok(Slice {
                inputs,
                records: None,
                targets: &batch.targets()[range.clone()],
                weights: batch
                    .weights()
                    .map_or(&[], |weights| &weights[range.clone()]),
                buckets: own,
                sums,
                range,
            })
        })
        .collect()
}
