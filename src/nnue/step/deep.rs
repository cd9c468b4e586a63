//! The buffers of the deep path: networks with a pairwise product or hidden layers, on index lists,
//! on adapters. The path stores Z and D = ∂Loss/∂Z of a micro-batch (see [`deep`]).

mod pass;

use super::buffers::{grow, grow_roomy};
use super::lists::{ListBuffer, ListParts, Source};
use super::{Goal, Lists};
use crate::engine::device::{Buffer, Class, Device};
use crate::engine::kernel::Element;
use crate::engine::libraries::Tiles;
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::half::Scale;
use crate::nnue::kernels::head::{self, Layer};
use crate::nnue::kernels::index_chunks::most_chunks;
use crate::nnue::kernels::{deep, deep_layers};
use crate::nnue::slices::Slice;
use crate::nnue::upstream::Upstream;
use crate::tensor::lists::SparseInputs;

pub(super) use pass::DeepPass;

/// The buffers of a deep pass.
#[derive(Debug)]
pub(super) struct Deep {
    architecture: Architecture,
    /// The tiles of `deep_first`.
    pub(super) tiles: Tiles,
    binding_limit: u64,
    /// Whether the kernels can compute the network.
    applies: bool,
    layers: Vec<Layer>,
    /// The same as the kernels read them.
    words: Vec<u32>,
    /// Samples that a workgroup of `deep_layers` computes together.
    tile: usize,
    /// Whether passes with gradients store Z and D in 16 bits.
    half: bool,
    /// Z, `[samples, 2K]`.
    z: Buffer,
    /// Z in 16 bits.
    halves: Buffer,
    /// z of the first layer of the head, and then δ.
    delta: Buffer,
    /// D, by tiles of lanes.
    dz: Buffer,
    /// D in 16 bits.
    dz_halves: Buffer,
    /// The scale of D of each sample.
    scales: Buffer,
    /// The sums over chunks of both perspectives.
    rows: Buffer,
    shares: Buffer,
}

impl Deep {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let floats = |what| device.allocate(what, Element::Float, 1);
        let words = |what| device.allocate(what, Element::Word, 1);
        let layers = head::layers(&architecture);
        let tile = deep_layers::tile(layers.iter().map(|layer| layer.width).sum());
        let class = device.class();
        Ok(Self {
            applies: class != Class::Host
                && device.has_halves()
                && !architecture.has_plain_head()
                && architecture.hidden.is_multiple_of(32)
                && architecture.head_inputs().is_multiple_of(deep::TILE)
                && tile.is_some(),
            tiles: Tiles::of(class),
            half: false,
            words: head::words(&layers),
            layers,
            tile: tile.unwrap_or(1),
            architecture,
            binding_limit: device.binding_limit(),
            z: floats("Z")?,
            halves: words("Z in 16 bits")?,
            delta: floats("z of the first layer")?,
            dz: floats("gradient of Z")?,
            dz_halves: words("gradient of Z in 16 bits")?,
            scales: floats("scales of the gradient of Z")?,
            rows: floats("sums over chunks")?,
            shares: floats("shares of the splits")?,
        })
    }

    /// Stores Z and D of passes with gradients in 16 bits, or not. Returns whether the path serves
    /// the network and the device.
    pub(super) fn set_half(&mut self, half: bool) -> bool {
        self.half = half && self.applies;
        self.applies
    }

    /// Whether the path serves the network and the device.
    pub(super) fn applies(&self) -> bool {
        self.applies
    }

    /// Z in 16 bits.
    fn scale(&self) -> Scale {
        let clip = self.architecture.clip;
        Scale::new(self.architecture.activation.has_clip().then_some(clip))
    }

    /// Whether the kernels can compute a batch, whole or in micro-batches.
    pub(super) fn takes(&self, batch: &Batch, gradient: bool) -> bool {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return false;
        };
        if !self.applies {
            return false;
        }
        let chunks = if gradient { self.most_chunks(lists) } else { 0 };
        let rows = 4 * (chunks * self.architecture.hidden) as u64;
        rows.max(2 * self.fixed_bytes(batch, gradient)) <= self.binding_limit
    }

    /// At least the chunks of both perspectives of a batch, and so of a micro-batch: each input has
    /// at most one that is not full.
    fn most_chunks(&self, lists: &[SparseInputs; 2]) -> usize {
        let each = lists.iter().map(|lists| self.room(lists.indices().len()));
        each.sum()
    }

    /// The same for one perspective with this many indices.
    fn room(&self, entries: usize) -> usize {
        most_chunks(self.architecture.inputs, entries)
    }

    /// Whether the kernels can compute gradients of a batch of records with this many indices in
    /// one perspective as one micro-batch, where a buffer has at most `limit` bytes.
    pub(super) fn takes_records(&self, samples: usize, entries: usize, limit: u64) -> bool {
        let rows = 2 * self.room(entries) * self.architecture.hidden;
        // As many words as lists of 32 indices.
        let bytes = self.bytes_beside(2 * (2 * 33 + 2), true);
        let shares = (samples.div_ceil(deep::SPLIT) + self.architecture.buckets) * self.share();
        self.applies
            && 4 * rows.max(shares) as u64 <= self.binding_limit
            && samples as u64 * bytes <= limit
    }

    /// The layers of the head as the kernels read them.
    pub(super) fn words(&self) -> &[u32] {
        &self.words
    }

    /// The most bytes of a buffer that do not grow with the samples: the transposed index except
    /// its samples, or the share of one split for each bucket.
    pub(super) fn fixed_bytes(&self, batch: &Batch, gradient: bool) -> u64 {
        let of_lists = match batch.inputs() {
            Inputs::Sparse(lists) if gradient => {
                2 * (self.architecture.inputs + 2) + self.most_chunks(lists)
            }
            _ => 0,
        };
        let buckets = self.architecture.buckets;
        let index = 2 + of_lists + self.words.len() + 2 * (buckets + 1);
        4 * index.max(buckets * self.share()) as u64
    }

    /// The most bytes that a sample of a batch takes in one buffer.
    pub(super) fn sample_bytes(&self, batch: &Batch, gradient: bool) -> u64 {
        // Gradients also need the target, and each entry once more in the transposed index.
        let lists = ListBuffer::sample_words(&self.architecture, batch) + 1;
        self.bytes_beside(if gradient { 2 * lists } else { lists }, gradient)
    }

    /// The same, with this many words of its lists.
    fn bytes_beside(&self, lists: usize, gradient: bool) -> u64 {
        let shares = self.share().div_ceil(deep::SPLIT);
        // Words of Z.
        let lanes = match self.half && gradient {
            true => self.architecture.hidden,
            false => 2 * self.architecture.hidden,
        };
        let stride = deep::stride(&self.layers);
        4 * lists.max(shares).max(lanes).max(stride) as u64
    }

    fn share(&self) -> usize {
        deep::share(self.architecture.hidden, &self.layers)
    }

    /// The words of a micro-batch that the kernels read: the lists, the splits and the layers; for
    /// gradients also the transposed index and (unless e is given) the targets.
    pub(super) fn parts<'a>(
        &'a self,
        lists: Lists<'a>,
        slice: &'a Slice<'a>,
        goal: Option<Goal<'_>>,
    ) -> ListParts<&'a [u32]> {
        let mut parts = ListParts::of(&self.architecture, slice, lists);
        parts.layers = &self.words;
        let Some(sums) = &slice.sums else {
            return parts;
        };
        parts.first_blocks = &sums.blocks.first;
        parts.block_starts = &sums.blocks.starts;
        if let Some(goal) = goal {
            parts.first_chunks = sums.first_chunks(lists);
            parts.chunk_starts = sums.chunk_starts(lists);
            parts.samples = lists.each_ref().map(|lists| lists.samples());
            if let Upstream::Loss(_) = goal.upstream {
                parts.targets = bytemuck::cast_slice(slice.targets);
                parts.weights = bytemuck::cast_slice(slice.weights);
            }
        }
        parts
    }

    /// Makes the buffers large enough. A pass that computes only Y needs few of them.
    pub(super) fn reserve(
        &mut self,
        device: &Device,
        slice: &Slice<'_>,
        source: Source<'_>,
        gradient: bool,
    ) -> Result<()> {
        let (samples, hidden) = (slice.samples(), self.architecture.hidden);
        let float = Element::Float;
        let lanes = samples * 2 * hidden;
        if self.half && gradient {
            let (halves, word) = (&mut self.halves, Element::Word);
            grow(device, halves, "Z in 16 bits", word, lanes / 2)?;
            let what = "gradient of Z in 16 bits";
            grow(device, &mut self.dz_halves, what, word, lanes / 2)?;
        } else {
            grow(device, &mut self.z, "Z", float, lanes)?;
        }
        let what = "z of the first layer";
        let stride = deep::stride(&self.layers);
        grow(device, &mut self.delta, what, float, samples * stride)?;
        let Some(sums) = slice.sums.as_ref().filter(|_| gradient) else {
            return Ok(());
        };
        if !self.half {
            grow(device, &mut self.dz, "gradient of Z", float, lanes)?;
        }
        let what = "scales of the gradient of Z";
        grow(device, &mut self.scales, what, float, samples)?;
        let chunks = match source {
            Source::Lists(lists) => sums.chunk_starts(lists).map(|starts| starts.len() - 1),
            Source::Records(records) => [self.room(records.entries()); 2],
        };
        let rows = (chunks[0] + chunks[1]) * hidden;
        grow_roomy(device, &mut self.rows, "sums over chunks", float, rows)?;
        let shares = sums.blocks.len() * self.share();
        let what = "shares of the splits";
        grow_roomy(device, &mut self.shares, what, float, shares)
    }
}
