//! A pass over index lists that keeps of Z a bit a lane (and its slope for SCReLU): see [`masked`].

use super::lists::{ListBuffer, upload_joined};
use super::{Common, Lists, Roles, Update, grow, grow_roomy};
use crate::activation::Activation;
use crate::batch::{Batch, CHUNK, Inputs, SparseInputs};
use crate::device::{Buffer, Class, Device};
use crate::error::Result;
use crate::kernel::Element;
use crate::kernels::{
    forward_sparse, masked, masked_adamw, masked_output, masked_rows, masked_weights,
};
use crate::perspective::architecture::Architecture;
use crate::perspective::layout::Small;
use crate::perspective::slices::Slice;
use crate::recording::Recording;
use std::ops::Range;

/// From this many samples on, each invocation of the forward kernel works on several.
const MANY_SAMPLES: usize = 16_384;

/// Lanes of slopes that stay in the caches of a processor.
const NEAR_LANES: usize = 1 << 19;

/// The buffers of such a pass.
#[derive(Debug)]
pub(super) struct Masked {
    architecture: Architecture,
    on_host: bool,
    binding_limit: u64,
    interleave: u32,
    bits: Buffer,
    slopes: Buffer,
    /// Of the transposed index of both perspectives: the first chunk of each feature, where chunks start, and the samples.
    index: Buffer,
    /// The sums over chunks and blocks of both perspectives.
    rows: Buffer,
    shares: Buffer,
}

/// What depends on the sizes of a slice.
#[derive(Debug)]
struct Sizes {
    samples: usize,
    /// Rows of each perspective.
    totals: [usize; 2],
    bands: usize,
}

impl Sizes {
    /// Without gradients there are no rows, and the transposed index is not read.
    fn new(
        architecture: &Architecture,
        samples: usize,
        lists: [&SparseInputs; 2],
        gradient: bool,
    ) -> Self {
        let total = |lists: &SparseInputs| {
            if !gradient {
                return 0;
            }
            let chunks = lists.chunk_starts().len() - 1;
            masked::rows(architecture.activation, chunks, samples)
        };
        Self {
            samples,
            totals: lists.map(total),
            bands: architecture.inputs.div_ceil(masked::BAND),
        }
    }
}

impl Masked {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let floats = |what| device.allocate(what, Element::Float, 1);
        let words = |what| device.allocate(what, Element::Word, 1);
        Ok(Self {
            architecture,
            on_host: device.class() == Class::Host,
            binding_limit: device.binding_limit(),
            // On the host a word is 32 lanes side by side; elsewhere neighbours read neighbouring vectors.
            interleave: match device.class() {
                Class::Host => 1,
                _ if architecture.hidden.is_multiple_of(128) => 4,
                _ if architecture.hidden.is_multiple_of(64) => 2,
                _ => 1,
            },
            bits: words("mask bits")?,
            slopes: floats("slopes")?,
            index: words("transposed index")?,
            rows: floats("sums over chunks")?,
            shares: floats("shares of the gradient of C")?,
        })
    }

    /// Whether the kernels can take a batch, in slices or whole.
    pub(super) fn takes(&self, batch: &Batch, gradient: bool) -> bool {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return false;
        };
        let architecture = &self.architecture;
        // A slice has no more chunks than the batch.
        let sizes = Sizes::new(architecture, batch.len(), [&lists[0], &lists[1]], gradient);
        let rows = (sizes.totals[0] + sizes.totals[1]) * architecture.hidden;
        let shares = sizes.bands * 2 * architecture.hidden;
        architecture.buckets == 1
            && architecture.hidden <= forward_sparse::LARGEST_HIDDEN
            && 4 * rows.max(shares) as u64 <= self.binding_limit
            && 2 * self.fixed_bytes(batch, gradient) <= self.binding_limit
    }

    /// Bytes beside those of the samples: a start more of each perspective's lists, or all of the transposed index but its samples.
    pub(super) fn fixed_bytes(&self, batch: &Batch, gradient: bool) -> u64 {
        let words = match batch.inputs() {
            Inputs::Sparse(lists) if gradient => {
                let parts = lists.iter();
                parts
                    .map(|lists| lists.first_chunks().len() + lists.chunk_starts().len())
                    .sum()
            }
            _ => 2,
        };
        4 * words as u64
    }

    /// The samples of a strip, if not all are one. On the host slopes go through memory slowly, so only as many are kept
    /// as stay in the caches; bits are few enough.
    fn strip(&self) -> Option<usize> {
        let lanes = 2 * self.architecture.hidden;
        let samples = (NEAR_LANES / lanes).next_multiple_of(CHUNK);
        let fits = 4 * (samples * lanes) as u64 <= self.binding_limit;
        let wanted = self.on_host && self.architecture.activation == Activation::SCRelu;
        (wanted && fits).then_some(samples)
    }

    /// The most bytes that a sample of a batch takes in one buffer.
    pub(super) fn sample_bytes(&self, batch: &Batch) -> u64 {
        let architecture = &self.architecture;
        let lists = ListBuffer::sample_words(batch);
        let bits = 2 * 2 * architecture.hidden / 32;
        let slopes = match architecture.activation {
            Activation::SCRelu if self.strip().is_none() => 2 * architecture.hidden,
            _ => 0,
        };
        4 * lists.max(bits).max(slopes) as u64
    }

    /// For gradients; Y alone needs none of these buffers.
    pub(super) fn reserve(
        &mut self,
        device: &Device,
        samples: usize,
        lists: Lists<'_>,
    ) -> Result<()> {
        let (architecture, strip) = (&self.architecture, self.strip());
        let sizes = Sizes::new(architecture, samples, [&lists[0], &lists[1]], true);
        let lanes = samples * 2 * architecture.hidden;
        let words = 2 * lanes / 32;
        grow(device, &mut self.bits, "mask bits", Element::Word, words)?;
        let words = index_of(lists).iter().map(|part| part.len()).sum();
        let what = "transposed index";
        grow_roomy(device, &mut self.index, what, Element::Word, words)?;
        let floats =
            |buffer: &mut Buffer, what, len| grow(device, buffer, what, Element::Float, len);
        if architecture.activation == Activation::SCRelu {
            let lanes = samples.min(strip.unwrap_or(samples)) * 2 * architecture.hidden;
            floats(&mut self.slopes, "slopes", lanes)?;
        }
        let rows = (sizes.totals[0] + sizes.totals[1]) * architecture.hidden;
        let what = "sums over chunks";
        grow_roomy(device, &mut self.rows, what, Element::Float, rows)?;
        let shares = sizes.bands * 2 * architecture.hidden;
        floats(&mut self.shares, "shares of the gradient of C", shares)
    }
}

/// A pass over a slice: what was uploaded, and where.
#[derive(Debug)]
pub(super) struct Pass<'p> {
    buffers: &'p Masked,
    list_buffer: &'p ListBuffer,
    lists: Lists<'p>,
    parameters: Roles<'p>,
    sizes: Sizes,
    chunks: [u32; 2],
    small: Small,
    /// Where each perspective's indices begin among the lists.
    indices: [u32; 2],
    /// Where the parts of the index begin, as in [`index_of`].
    index: [u32; 6],
    /// Whether slices of the batch came before.
    accumulate: u32,
}

impl<'p> Pass<'p> {
    /// Uploads the lists, with the transposed index if gradients follow.
    pub(super) fn new<'a: 'p>(
        (buffers, list_buffer): (&'p Masked, &'p ListBuffer),
        recording: &mut Recording<'a>,
        slice: &Slice<'_>,
        lists: Lists<'a>,
        parameters: Roles<'p>,
        gradient: bool,
    ) -> Self {
        let architecture = &buffers.architecture;
        let indices = list_buffer.record(recording, lists);
        let index = match gradient {
            true => upload_joined(recording, buffers.index.id(), index_of(lists)),
            false => Default::default(),
        };
        Self {
            buffers,
            list_buffer,
            lists,
            parameters,
            sizes: Sizes::new(
                architecture,
                slice.samples(),
                [&lists[0], &lists[1]],
                gradient,
            ),
            chunks: lists.each_ref().map(|lists| match gradient {
                true => lists.chunk_starts().len() as u32 - 1,
                false => 0,
            }),
            small: Small::new(architecture),
            indices,
            index,
            accumulate: u32::from(slice.range.start > 0),
        }
    }

    /// The strips of samples that are worked on one after the other.
    pub(super) fn strips(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let samples = self.sizes.samples;
        let size = self.buffers.strip().unwrap_or(samples.max(1));
        (0..samples)
            .step_by(size)
            .map(move |start| start..samples.min(start + size))
    }

    /// Entries of both perspectives in a strip.
    fn of_strip(&self, strip: &Range<usize>) -> u32 {
        let starts = |lists: &SparseInputs| lists.starts()[strip.end] - lists.starts()[strip.start];
        self.lists.iter().map(|lists| starts(lists)).sum()
    }

    /// Y and, for gradients, the bits and slopes.
    pub(super) fn record_forward(
        &self,
        recording: &mut Recording<'_>,
        common: &Common,
        strip: Range<usize>,
        gradient: bool,
    ) {
        let Masked {
            architecture,
            interleave,
            ..
        } = self.buffers;
        let params = forward_sparse::Params {
            samples: strip.len() as u32,
            first: strip.start as u32,
            total: self.sizes.samples as u32,
            hidden: architecture.hidden as u32,
            indices_1: self.indices[0],
            indices_2: self.indices[1],
            output: self.small.output,
            bias_2: self.small.bias_2,
            interleave: *interleave,
            rounds: if strip.len() >= MANY_SAMPLES { 4 } else { 1 },
            inputs: architecture.inputs as u32,
            entries: self.of_strip(&strip),
            clip: architecture.clip,
        };
        let buffers = [
            self.list_buffer.id(),
            self.parameters.weights(0),
            self.parameters.weights(1),
            self.parameters.small(),
            common.y.id(),
            self.buffers.bits.id(),
            self.buffers.slopes.id(),
        ];
        let variant = forward_sparse::variant_for(architecture.activation, gradient);
        recording.dispatch(variant, params, &buffers);
    }

    /// The sums over chunks and blocks that the gradients are made of, from e and the bits or slopes.
    pub(super) fn record_rows(
        &self,
        recording: &mut Recording<'_>,
        common: &Common,
        strip: Range<usize>,
    ) {
        let architecture = &self.buffers.architecture;
        let [_, _, starts, _, list_1, list_2] = self.index;
        let params = masked_rows::Params {
            samples: strip.len() as u32,
            first: strip.start as u32,
            total: self.sizes.samples as u32,
            hidden: architecture.hidden as u32,
            chunks_1: self.chunks[0],
            chunks_2: self.chunks[1],
            starts,
            list_1,
            list_2,
            interleave: self.buffers.interleave,
            entries: self.of_strip(&strip),
        };
        let buffers = [
            self.buffers.index.id(),
            common.e.id(),
            self.buffers.bits.id(),
            self.buffers.slopes.id(),
            self.buffers.rows.id(),
        ];
        recording.dispatch(architecture.activation as usize, params, &buffers);
    }

    /// The gradients of A, B and C from the rows; slices after the first of a batch add to those before. With an AdamW
    /// update, A is moved at once instead and its gradient not written.
    pub(super) fn record_gradients(
        &self,
        recording: &mut Recording<'_>,
        gradients: Roles<'_>,
        update: Option<Update<'_>>,
    ) {
        let architecture = &self.buffers.architecture;
        let hidden = architecture.hidden as u32;
        let [total_1, total_2] = self.sizes.totals.map(|total| total as u32);
        let rows_2 = total_1 * hidden;
        let accumulate = self.accumulate;
        let (accumulators, count) = if architecture.tied { (1, 2) } else { (2, 1) };
        for accumulator in 0..accumulators {
            let perspective = accumulator as u32;
            let params = masked_weights::Params {
                inputs: architecture.inputs as u32,
                hidden,
                perspective,
                count,
                rows_2,
                total_1,
                total_2,
                output: self.small.output,
                accumulate,
                chunks: if architecture.tied {
                    self.chunks.iter().sum()
                } else {
                    self.chunks[accumulator]
                },
            };
            // The first chunks stand at its beginning.
            let index = self.buffers.index.id();
            let (rows, shares) = (self.buffers.rows.id(), self.buffers.shares.id());
            let weights = self.parameters.weights(accumulator);
            let small = self.parameters.small();
            let adamw = update.and_then(|update| {
                let params = update.optimizer.adamw(update.at, params.inputs * hidden)?;
                Some((params, update.moments(accumulator)))
            });
            if let Some((adamw, moments)) = adamw {
                let params = masked_adamw::Params::new(params, adamw);
                let [first, second] = [moments[0], moments[1]];
                let buffers = [index, rows, small, first, second, weights, shares];
                recording.dispatch(0, params, &buffers);
            } else {
                let gradient = gradients.weights(accumulator);
                let buffers = [index, rows, weights, small, gradient, shares];
                recording.dispatch(0, params, &buffers);
            }
        }
        let params = masked_output::Params {
            hidden,
            tied: u32::from(architecture.tied),
            blocks: masked::blocks(self.sizes.samples) as u32,
            bands: self.sizes.bands as u32,
            rows_2,
            total_1,
            total_2,
            bias_2: self.small.bias_2,
            output: self.small.output,
            accumulate,
            clip: architecture.clip,
        };
        let buffers = [
            self.buffers.rows.id(),
            self.buffers.shares.id(),
            self.parameters.small(),
            gradients.small(),
        ];
        recording.dispatch(architecture.activation as usize, params, &buffers);
    }
}

/// The transposed index of both perspectives, part by part.
fn index_of<'a>([first, second]: Lists<'a>) -> [&'a [u32]; 6] {
    [
        first.first_chunks(),
        second.first_chunks(),
        first.chunk_starts(),
        second.chunk_starts(),
        first.samples(),
        second.samples(),
    ]
}
