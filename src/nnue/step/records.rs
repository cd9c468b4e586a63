//! Records that the device decodes: the buffers and the commands that turn them into the index
//! lists and the transposed index of [`ListBuffer`].
//!
//! The number of chunks is known on the device alone. The host makes room for as many as there can
//! be, and the kernels after it treat the rest as chunks without samples.

use super::buffers::{grow, grow_roomy};
use super::lists::{ListBuffer, ListParts};
use crate::engine::device::{Buffer, Class, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::Recording;
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::kernels::index_chunks::most_chunks;
use crate::nnue::kernels::{decode_records, index_chunks, index_samples};
use crate::nnue::records::{FIRST, RECORD, Records};
use crate::nnue::slices::Slice;

/// The most bytes of the bits of a batch. Each batch reads and clears all of them.
const MOST_BITS: u64 = 64 << 20;

/// The buffers of the decoding kernels.
#[derive(Debug)]
pub(super) struct Feed {
    architecture: Architecture,
    class: Class,
    binding_limit: u64,
    records: Buffer,
    /// A bit for each pair of a feature and a sample, 0 between two batches.
    bits: Buffer,
    /// The samples of each list, 0 between two batches.
    counts: Buffer,
}

impl Feed {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let words = |what| device.allocate(what, Element::Word, 1);
        Ok(Self {
            architecture,
            class: device.class(),
            binding_limit: device.binding_limit(),
            records: words("records")?,
            bits: words("bits of features and samples")?,
            counts: words("samples of the features")?,
        })
    }

    /// Lists of a feature. The chunks of the masked path end with their output bucket.
    fn ranges(&self) -> usize {
        match self.architecture.has_plain_head() {
            true => self.architecture.buckets,
            false => 1,
        }
    }

    /// Lists of a perspective.
    fn lists(&self) -> usize {
        self.architecture.inputs * self.ranges()
    }

    /// The room for the chunks of a perspective that has this many indices.
    fn chunks(&self, entries: usize) -> usize {
        most_chunks(self.lists(), entries)
    }

    fn bits(&self, samples: usize) -> usize {
        2 * self.architecture.inputs * samples.div_ceil(32)
    }

    /// Whether the device decodes a batch of this size. `entries` counts the indices of one
    /// perspective.
    pub(super) fn takes(&self, samples: usize, entries: usize) -> bool {
        // Blocks have at least as many samples as a word has bits, except the last of a bucket.
        let of_blocks = samples / 32 + 2 * (self.architecture.buckets + 1);
        let words = of_blocks + self.lengths(samples, entries).total();
        let records = FIRST + RECORD * samples;
        let largest = words.max(records).max(2 * self.lists());
        let bits = 4 * self.bits(samples) as u64;
        self.class != Class::Host
            && 4 * largest as u64 <= self.binding_limit
            && bits <= self.binding_limit.min(MOST_BITS)
    }

    /// The words of the parts that the kernels write.
    fn lengths(&self, samples: usize, entries: usize) -> ListParts<usize> {
        ListParts {
            starts: [samples + 1; 2],
            indices: [entries; 2],
            buckets: match self.architecture.buckets {
                1 => 0,
                _ => samples,
            },
            targets: samples,
            first_chunks: [self.lists() + 1; 2],
            chunk_starts: [self.chunks(entries) + 1; 2],
            samples: [entries; 2],
            ..ListParts::default()
        }
    }

    /// The words of all parts, with this many words of layers.
    fn all_lengths(&self, slice: &Slice<'_>, records: &Records, layers: usize) -> ListParts<usize> {
        let lengths = self.lengths(records.len(), records.entries());
        match &slice.sums {
            Some(sums) => ListParts {
                first_blocks: sums.blocks.first.len(),
                block_starts: sums.blocks.starts.len(),
                weights: slice.weights.len(),
                layers,
                ..lengths
            },
            None => ListParts {
                weights: slice.weights.len(),
                layers,
                ..lengths
            },
        }
    }

    /// Makes the buffers large enough for a batch and the layers of its head.
    pub(super) fn reserve(
        &mut self,
        device: &Device,
        list_buffer: &mut ListBuffer,
        (slice, records): (&Slice<'_>, &Records),
        layers: &[u32],
    ) -> Result<()> {
        let lengths = self.all_lengths(slice, records, layers.len());
        list_buffer.reserve_words(device, lengths)?;
        let (bits, counts) = (self.bits(records.len()), 2 * self.lists());
        let words = |buffer: &mut Buffer, what, len| grow(device, buffer, what, Element::Word, len);
        words(&mut self.bits, "bits of features and samples", bits)?;
        words(&mut self.counts, "samples of the features", counts)?;
        let len = records.words().len();
        grow_roomy(device, &mut self.records, "records", Element::Word, len)
    }

    /// Decodes a batch into the parts of the buffer, uploads the layers of its head, and returns
    /// the offsets of all parts.
    pub(super) fn record<'a>(
        &self,
        recording: &mut Recording<'a>,
        list_buffer: &ListBuffer,
        (slice, records): (&'a Slice<'a>, &'a Records),
        layers: &'a [u32],
    ) -> ListParts<u32> {
        let offsets = self.all_lengths(slice, records, layers.len()).offsets();
        recording.upload(self.records.id(), records.words());
        if let Some(sums) = &slice.sums {
            let to = list_buffer.id();
            recording.upload_at(
                to,
                offsets.first_blocks as usize,
                sums.blocks.first.as_slice(),
            );
            recording.upload_at(
                to,
                offsets.block_starts as usize,
                sums.blocks.starts.as_slice(),
            );
        }
        if slice.is_weighted() {
            let words = bytemuck::cast_slice::<f32, u32>(slice.weights);
            recording.upload_at(list_buffer.id(), offsets.weights as usize, words);
        }
        if !layers.is_empty() {
            recording.upload_at(list_buffer.id(), offsets.layers as usize, layers);
        }
        let inputs = self.architecture.inputs;
        let words = records.len().div_ceil(32) as u32;
        let chunks = self.chunks(records.entries()) as u32;
        let params = decode_records::Params {
            samples: records.len() as u32,
            inputs: inputs as u32,
            buckets: self.architecture.buckets as u32,
            ranges: self.ranges() as u32,
            words,
            indices_1: offsets.indices[0],
            indices_2: offsets.indices[1],
            targets: offsets.targets,
            bucket: offsets.buckets,
        };
        let buffers = decode_records::Buffers {
            records: self.records.id(),
            lists: list_buffer.id(),
            bits: self.bits.id(),
            counts: self.counts.id(),
        };
        recording.dispatch(0, params, buffers);
        let params = index_chunks::Params {
            perspectives: 2,
            lists: self.lists() as u32,
            chunks,
            first_chunks: offsets.first_chunks[0],
            starts: offsets.chunk_starts[0],
        };
        let buffers = index_chunks::Buffers {
            counts: self.counts.id(),
            index: list_buffer.id(),
        };
        recording.dispatch(0, params, buffers);
        let params = index_samples::Params {
            inputs: inputs as u32,
            ranges: self.ranges() as u32,
            words,
            chunks,
            first_chunks: offsets.first_chunks[0],
            starts: offsets.chunk_starts[0],
            samples_1: offsets.samples[0],
            samples_2: offsets.samples[1],
            entries: records.entries() as u32,
        };
        let buffers = index_samples::Buffers {
            bits: self.bits.id(),
            counts: self.counts.id(),
            index: list_buffer.id(),
        };
        recording.dispatch(0, params, buffers);
        offsets
    }
}
