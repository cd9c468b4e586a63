//! One buffer with all words of a batch that the paths for index lists read. A kernel may bind only
//! eight buffers, and each copy to a device costs time on the host.

use super::Lists;
use super::buffers::grow_roomy;
use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::records::Records;
use crate::nnue::slices::Slice;
use crate::tensor::lists::SparseInputs;
use std::borrow::Borrow;

/// The parts of the buffer, in their order. The second perspective's part follows the first's. If T
/// is a slice, a part holds its contents; if T is a number, its offset. A part that a pass does not
/// need is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ListParts<T> {
    /// The start of each sample's list.
    pub(super) starts: [T; 2],
    /// The entries of the lists.
    pub(super) indices: [T; 2],
    /// The bucket of each sample, if there are several.
    pub(super) buckets: T,
    /// The targets of the samples, as bits.
    pub(super) targets: T,
    /// The weights of the samples, as bits, if they have weights.
    pub(super) weights: T,
    /// The first chunk of each bucket of each feature in the transposed index.
    pub(super) first_chunks: [T; 2],
    /// The start of each chunk in `samples`.
    pub(super) chunk_starts: [T; 2],
    /// The samples of each feature.
    pub(super) samples: [T; 2],
    /// The first block of each bucket.
    pub(super) first_blocks: T,
    /// The first sample of each block.
    pub(super) block_starts: T,
    /// The layers of the head.
    pub(super) layers: T,
}

impl<'a> ListParts<&'a [u32]> {
    /// The lists alone, and the buckets for a network that has several.
    pub(super) fn of(architecture: &Architecture, slice: &Slice<'a>, lists: Lists<'a>) -> Self {
        Self {
            buckets: match architecture.buckets {
                1 => &[],
                _ => slice.buckets.unwrap_or_default(),
            },
            starts: lists.each_ref().map(|lists| lists.starts()),
            indices: lists.each_ref().map(|lists| lists.indices()),
            ..Self::default()
        }
    }
}

impl<T: Copy> ListParts<T> {
    /// The result of `f` for each part, in the order of the buffer.
    pub(super) fn map<U>(self, mut f: impl FnMut(T) -> U) -> ListParts<U> {
        ListParts {
            starts: self.starts.map(&mut f),
            indices: self.indices.map(&mut f),
            buckets: f(self.buckets),
            targets: f(self.targets),
            weights: f(self.weights),
            first_chunks: self.first_chunks.map(&mut f),
            chunk_starts: self.chunk_starts.map(&mut f),
            samples: self.samples.map(&mut f),
            first_blocks: f(self.first_blocks),
            block_starts: f(self.block_starts),
            layers: f(self.layers),
        }
    }
}

impl ListParts<usize> {
    /// The length of all parts together.
    pub(super) fn total(self) -> usize {
        let mut total = 0;
        self.map(|len| total += len);
        total
    }

    /// The offsets of parts of these lengths.
    pub(super) fn offsets(self) -> ListParts<u32> {
        let mut end = 0;
        self.map(|len| {
            let begin = end;
            end += len;
            begin as u32
        })
    }
}

/// Where the lists of a micro-batch come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Lists that the host uploads with their transposed index.
    Lists(Lists<'a>),
    /// Records that the device decodes.
    Records(&'a Records),
}

/// Indices of both perspectives.
pub(super) fn entries<L: Borrow<SparseInputs>>(lists: &[L; 2]) -> usize {
    let each = lists.iter().map(|lists| lists.borrow().indices().len());
    each.sum()
}

/// The buffer.
#[derive(Debug)]
pub(super) struct ListBuffer(Buffer);

impl ListBuffer {
    pub(super) fn new(device: &Device) -> Result<Self> {
        Ok(Self(device.allocate("index lists", Element::Word, 1)?))
    }

    pub(super) fn reserve(&mut self, device: &Device, parts: &ListParts<&[u32]>) -> Result<()> {
        self.reserve_words(device, parts.map(<[u32]>::len))
    }

    /// Makes room for parts of these lengths.
    pub(super) fn reserve_words(
        &mut self,
        device: &Device,
        lengths: ListParts<usize>,
    ) -> Result<()> {
        let len = lengths.total();
        grow_roomy(device, &mut self.0, "index lists", Element::Word, len)
    }

    /// The most words that the lists of a sample of a batch and its bucket take.
    pub(super) fn sample_words(architecture: &Architecture, batch: &Batch) -> usize {
        let lists: usize = match batch.inputs() {
            Inputs::Sparse(lists) => lists.iter().map(|lists| lists.longest() + 1).sum(),
            Inputs::Dense { .. } => 0,
        };
        lists + usize::from(architecture.buckets > 1)
    }

    pub(super) fn id(&self) -> BufferId {
        self.0.id()
    }

    /// Uploads the parts one after the other, and returns their offsets.
    pub(super) fn record<'a>(
        &self,
        recording: &mut Recording<'a>,
        parts: ListParts<&'a [u32]>,
    ) -> ListParts<u32> {
        let mut end = 0;
        parts.map(|words| {
            let begin = end;
            if !words.is_empty() {
                recording.upload_at(self.id(), begin, words);
            }
            end += words.len();
            begin as u32
        })
    }
}
