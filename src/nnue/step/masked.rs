//! The buffers of the masked path for index lists. The path stores one bit per lane of Z and, for
//! SCReLU, the slope (see [`masked`]).

mod pass;

use super::buffers::{grow, grow_roomy};
use super::lists::{ListBuffer, Source};
use crate::engine::device::{Buffer, Class, Device};
use crate::engine::kernel::Element;
use crate::engine::libraries::Tiles;
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::index_chunks::most_chunks;
use crate::nnue::kernels::masked::Kind;
use crate::nnue::kernels::{forward, masked};
use crate::nnue::slices::Slice;
use crate::nnue::tuning::standard_lanes;
use crate::tensor::lists::{CHUNK, SparseInputs};

pub(super) use pass::{MaskedPass, parts};

/// From this many samples on, each invocation of the forward kernel computes several samples on a
/// software adapter. On a GPU it always computes one, because a GPU is faster with more workgroups.
const MANY_SAMPLES: usize = 16_384;

/// Lanes of slopes that stay in the caches of a processor.
const NEAR_LANES: usize = 1 << 19;

/// The buffers of a masked pass.
#[derive(Debug)]
pub(in crate::nnue) struct Masked {
    architecture: Architecture,
    class: Class,
    binding_limit: u64,
    interleave: u32,
    /// Lanes of an invocation of the forward kernel. The order of the sum that is Y depends on it.
    pub(super) lanes: u32,
    /// The tiles of `masked_weights`.
    pub(super) tiles: Tiles,
    /// What passes with gradients store of Z.
    kind: Kind,
    bits: Buffer,
    slopes: Buffer,
    short_slopes: Buffer,
    /// The sums over chunks and blocks of both perspectives.
    rows: Buffer,
    shares: Buffer,
}

/// The numbers that depend on the sizes of a micro-batch.
#[derive(Debug)]
struct Sizes {
    samples: usize,
    /// Chunks of each perspective.
    chunks: [usize; 2],
    blocks: usize,
    /// Rows of each perspective.
    totals: [usize; 2],
    /// Features of a band.
    band: usize,
    bands: usize,
}

impl Sizes {
    fn new(buffers: &Masked, samples: usize, chunks: [usize; 2], blocks: usize) -> Self {
        let architecture = &buffers.architecture;
        let band = match buffers.class {
            Class::Host => masked::BAND,
            _ => masked::band(buffers.tiles, architecture.inputs),
        };
        Self {
            samples,
            chunks,
            blocks,
            totals: chunks.map(|chunks| masked::rows(architecture.activation, chunks, blocks)),
            band,
            bands: architecture.inputs.div_ceil(band),
        }
    }

    /// Without gradients there are no rows, and the transposed index is not read.
    fn of(buffers: &Masked, slice: &Slice<'_>, source: Source<'_>) -> Self {
        let architecture = &buffers.architecture;
        let chunks = match (&slice.sums, source) {
            (None, _) => [0; 2],
            (Some(sums), Source::Lists(lists)) => {
                sums.chunk_starts(lists).map(|starts| starts.len() - 1)
            }
            (Some(_), Source::Records(records)) => {
                let lists = architecture.inputs * architecture.buckets;
                [most_chunks(lists, records.entries()); 2]
            }
        };
        let blocks = slice.sums.as_ref().map_or(0, |sums| sums.blocks.len());
        Self::new(buffers, slice.samples(), chunks, blocks)
    }

    /// At least those of each slice of a batch, in the order of its buckets or not.
    fn most(buffers: &Masked, samples: usize, lists: &[SparseInputs; 2], gradient: bool) -> Self {
        let architecture = &buffers.architecture;
        let (inputs, buckets) = (architecture.inputs, architecture.buckets);
        let chunks = lists.each_ref().map(|lists| match (gradient, buckets) {
            (false, _) => 0,
            (true, 1) => lists.chunk_starts().len() - 1,
            // Each pair of a feature and a bucket has one that is not full.
            (true, _) => most_chunks(inputs * buckets, lists.indices().len()),
        });
        let blocks = if gradient {
            samples.div_ceil(CHUNK) + buckets - 1
        } else {
            0
        };
        Self::new(buffers, samples, chunks, blocks)
    }

    /// The number of words that the index takes: the first chunks and the chunk starts of both
    /// perspectives and, with several buckets, the blocks. With one bucket there is a block per
    /// 1,024 samples; `sample_bytes` counts a word per sample more than the lists have, which
    /// covers them.
    fn index_words(&self, architecture: &Architecture) -> usize {
        let buckets = architecture.buckets;
        let first_chunks = architecture.inputs * buckets + 1;
        let of_chunks = self.chunks.iter().map(|chunks| first_chunks + chunks + 1);
        let of_blocks = match buckets {
            1 => 0,
            _ => buckets + 1 + self.blocks + 1,
        };
        of_chunks.sum::<usize>() + of_blocks
    }
}

impl Masked {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let floats = |what| device.allocate(what, Element::Float, 1);
        let words = |what| device.allocate(what, Element::Word, 1);
        Ok(Self {
            architecture: architecture.clone(),
            class: device.class(),
            binding_limit: device.binding_limit(),
            lanes: standard_lanes(device, architecture.hidden),
            tiles: Tiles::of(device.class()),
            // On the host a word holds 32 consecutive lanes. On an adapter neighboring invocations
            // read neighboring vectors.
            interleave: match device.class() {
                Class::Host => 1,
                _ if architecture.hidden.is_multiple_of(128) => 4,
                _ if architecture.hidden.is_multiple_of(64) => 2,
                _ => 1,
            },
            kind: Kind::new(architecture.activation, false),
            bits: words("mask bits")?,
            slopes: floats("slopes")?,
            short_slopes: words("slopes in 16 bits")?,
            rows: floats("sums over chunks")?,
            shares: floats("shares of the gradient of C")?,
        })
    }

    /// Stores slopes in 16 bits, or not. Returns whether the network has slopes on this device.
    pub(super) fn set_half(&mut self, half: bool) -> bool {
        let can = self.class != Class::Host && self.architecture.has_plain_head();
        let activation = self.architecture.activation;
        self.kind = Kind::new(activation, half && can);
        can && Kind::new(activation, true).short
    }

    /// Whether the kernels can compute a batch, whole or in micro-batches.
    pub(super) fn takes(&self, batch: &Batch, gradient: bool) -> bool {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return false;
        };
        // A micro-batch has no more chunks than the batch.
        let sizes = Sizes::most(self, batch.len(), lists, gradient);
        self.fits(&sizes) && 2 * self.fixed_bytes(batch, gradient) <= self.binding_limit
    }

    /// Whether the kernels can compute gradients of a batch of records with this many indices in
    /// one perspective as one micro-batch, where a buffer has at most `limit` bytes.
    pub(super) fn takes_records(&self, samples: usize, entries: usize, limit: u64) -> bool {
        let architecture = &self.architecture;
        let chunks = most_chunks(architecture.inputs * architecture.buckets, entries);
        let blocks = samples.div_ceil(CHUNK) + architecture.buckets - 1;
        // As many words as lists of 32 indices.
        let bytes = self.bytes_beside(2 * (2 * 33 + 1));
        self.fits(&Sizes::new(self, samples, [chunks; 2], blocks))
            && samples as u64 * bytes <= limit
    }

    fn fits(&self, sizes: &Sizes) -> bool {
        let architecture = &self.architecture;
        let rows = (sizes.totals[0] + sizes.totals[1]) * architecture.hidden;
        let shares = sizes.bands * architecture.buckets * 2 * architecture.hidden;
        architecture.hidden <= forward::largest_hidden(forward::LANES[0])
            && 4 * rows.max(shares) as u64 <= self.binding_limit
    }

    /// Bytes that do not grow with the samples: one more start for the lists of each perspective,
    /// and the whole transposed index except its samples.
    pub(super) fn fixed_bytes(&self, batch: &Batch, gradient: bool) -> u64 {
        let words = match batch.inputs() {
            Inputs::Sparse(lists) if gradient => {
                let sizes = Sizes::most(self, batch.len(), lists, gradient);
                2 + sizes.index_words(&self.architecture)
            }
            _ => 2,
        };
        4 * words as u64
    }

    /// The samples of a strip, or `None` if one strip has all samples. On the host the slopes of a
    /// whole batch would leave the caches, and memory is slow, so a strip has only as many as stay
    /// in the caches. Bits always fit.
    fn strip(&self) -> Option<usize> {
        let lanes = 2 * self.architecture.hidden;
        let samples = (NEAR_LANES / lanes).next_multiple_of(CHUNK);
        let fits = 4 * (samples * lanes) as u64 <= self.binding_limit;
        let wanted = self.class == Class::Host && self.architecture.activation.has_slopes();
        (wanted && fits).then_some(samples)
    }

    /// The samples that each invocation of the forward kernel computes.
    fn rounds(&self, samples: usize) -> u32 {
        match self.class {
            Class::Software if samples >= MANY_SAMPLES => 4,
            _ => 1,
        }
    }

    /// The most bytes that a sample of a batch takes in one buffer.
    pub(super) fn sample_bytes(&self, batch: &Batch, gradient: bool) -> u64 {
        // Gradients also need the target, and each entry once more in the transposed index.
        let lists = ListBuffer::sample_words(&self.architecture, batch);
        self.bytes_beside(if gradient { 2 * lists } else { lists })
    }

    /// The most bytes of a sample in one buffer, with this many words of its lists.
    fn bytes_beside(&self, lists: usize) -> u64 {
        let architecture = &self.architecture;
        let bits = 2 * 2 * architecture.hidden / 32;
        let slopes = match architecture.activation {
            _ if self.kind.short => architecture.hidden,
            activation if activation.has_slopes() && self.strip().is_none() => {
                2 * architecture.hidden
            }
            _ => 0,
        };
        4 * lists.max(bits).max(slopes) as u64
    }

    /// Makes the buffers for gradients large enough. A pass that computes only Y needs none of
    /// them.
    pub(super) fn reserve(
        &mut self,
        device: &Device,
        slice: &Slice<'_>,
        source: Source<'_>,
    ) -> Result<()> {
        let (architecture, strip) = (&self.architecture, self.strip());
        let sizes = Sizes::of(self, slice, source);
        let samples = slice.samples();
        let lanes = samples * 2 * architecture.hidden;
        let words = 2 * lanes / 32;
        grow(device, &mut self.bits, "mask bits", Element::Word, words)?;
        let floats =
            |buffer: &mut Buffer, what, len| grow(device, buffer, what, Element::Float, len);
        if self.kind.short {
            let (short, what) = (&mut self.short_slopes, "slopes in 16 bits");
            grow(device, short, what, Element::Word, lanes / 2)?;
        } else if architecture.activation.has_slopes() {
            let lanes = samples.min(strip.unwrap_or(samples)) * 2 * architecture.hidden;
            floats(&mut self.slopes, "slopes", lanes)?;
        }
        let rows = (sizes.totals[0] + sizes.totals[1]) * architecture.hidden;
        let what = "sums over chunks";
        grow_roomy(device, &mut self.rows, what, Element::Float, rows)?;
        let shares = sizes.bands * architecture.buckets * 2 * architecture.hidden;
        floats(&mut self.shares, "shares of the gradient of C", shares)
    }
}
