//! A pass over index lists that keeps of Z a bit a lane (and its slope for SCReLU): see [`masked`].

use super::{Common, Roles, grow};
use crate::activation::Activation;
use crate::batch::{Batch, Inputs, SparseInputs};
use crate::device::{Buffer, Class, Device};
use crate::error::Result;
use crate::kernel::Element;
use crate::kernels::{forward_sparse, masked, masked_output, masked_rows, masked_weights};
use crate::perspective::architecture::Architecture;
use crate::perspective::slices::Slice;
use crate::recording::{BufferId, Recording};
use std::borrow::Cow;

/// From this many samples on, each invocation of the forward kernel works on several.
const MANY_SAMPLES: usize = 16_384;

/// The index lists of both perspectives.
type Lists<'a> = &'a [Cow<'a, SparseInputs>; 2];

/// The buffers of such a pass.
#[derive(Debug)]
pub(super) struct Masked {
    architecture: Architecture,
    interleave: u32,
    /// Starts of both perspectives, then their indices.
    lists: Buffer,
    /// B of each accumulator, C and d.
    small: Buffer,
    bits: Buffer,
    slopes: Buffer,
    transposed: [Transposed; 2],
    /// The first chunk of each feature, of both perspectives.
    first_chunks: Buffer,
    /// Of both perspectives.
    rows: Buffer,
    shares: Buffer,
}

#[derive(Debug)]
struct Transposed {
    chunk_starts: Buffer,
    samples: Buffer,
}

/// What depends on the sizes of a slice.
struct Sizes {
    samples: usize,
    /// Rows of each perspective.
    totals: [usize; 2],
    bands: usize,
}

impl Sizes {
    fn new(architecture: &Architecture, samples: usize, lists: [&SparseInputs; 2]) -> Self {
        let total = |lists: &SparseInputs| {
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
        let transposed = || {
            Result::Ok(Transposed {
                chunk_starts: words("chunks of the transposed index")?,
                samples: words("samples of the transposed index")?,
            })
        };
        let accumulators = if architecture.tied { 1 } else { 2 };
        let small = (accumulators + 2) * architecture.hidden + 1;
        Ok(Self {
            architecture,
            // On the host a word is 32 lanes side by side; elsewhere neighbours read neighbouring vectors.
            interleave: match device.class() {
                Class::Host => 1,
                _ if architecture.hidden.is_multiple_of(128) => 4,
                _ if architecture.hidden.is_multiple_of(64) => 2,
                _ => 1,
            },
            lists: words("index lists")?,
            small: device.allocate("B, C and d", Element::Float, small)?,
            bits: words("mask bits")?,
            slopes: floats("slopes")?,
            transposed: [transposed()?, transposed()?],
            first_chunks: words("first chunks of the features")?,
            rows: floats("sums over chunks")?,
            shares: floats("shares of the gradient of C")?,
        })
    }

    /// Whether the kernels can take a batch, in slices or whole.
    pub(super) fn takes(&self, device: &Device, batch: &Batch) -> bool {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return false;
        };
        let architecture = &self.architecture;
        // A slice has no more chunks than the batch.
        let sizes = Sizes::new(architecture, batch.len(), [&lists[0], &lists[1]]);
        let rows = (sizes.totals[0] + sizes.totals[1]) * architecture.hidden;
        let shares = sizes.bands * 2 * architecture.hidden;
        architecture.buckets == 1
            && architecture.hidden <= forward_sparse::LARGEST_HIDDEN
            && 4 * rows.max(shares) as u64 <= device.binding_limit()
    }

    /// The most bytes that a sample takes in one buffer.
    pub(super) fn sample_bytes(architecture: &Architecture, batch: &Batch) -> u64 {
        let lists = match batch.inputs() {
            Inputs::Sparse(lists) => lists.iter().map(|lists| lists.longest() + 1).sum(),
            Inputs::Dense { features, .. } => *features,
        };
        let bits = 2 * 2 * architecture.hidden / 32;
        let slopes = match architecture.activation {
            Activation::SCRelu => 2 * architecture.hidden,
            _ => 0,
        };
        4 * lists.max(bits).max(slopes) as u64
    }

    pub(super) fn reserve(
        &mut self,
        device: &Device,
        samples: usize,
        lists: Lists<'_>,
    ) -> Result<()> {
        let architecture = &self.architecture;
        let sizes = Sizes::new(architecture, samples, [&lists[0], &lists[1]]);
        let lanes = samples * 2 * architecture.hidden;
        let entries = lists[0].indices().len() + lists[1].indices().len();
        let words = |buffer: &mut Buffer, what, len| grow(device, buffer, what, Element::Word, len);
        words(&mut self.lists, "index lists", 2 * (samples + 1) + entries)?;
        words(&mut self.bits, "mask bits", 2 * lanes / 32)?;
        let features = 2 * (architecture.inputs + 1);
        words(
            &mut self.first_chunks,
            "first chunks of the features",
            features,
        )?;
        for (transposed, lists) in self.transposed.iter_mut().zip(lists) {
            let what = "chunks of the transposed index";
            words(
                &mut transposed.chunk_starts,
                what,
                lists.chunk_starts().len(),
            )?;
            let what = "samples of the transposed index";
            words(&mut transposed.samples, what, lists.samples().len())?;
        }
        let floats =
            |buffer: &mut Buffer, what, len| grow(device, buffer, what, Element::Float, len);
        if architecture.activation == Activation::SCRelu {
            floats(&mut self.slopes, "slopes", lanes)?;
        }
        let rows = (sizes.totals[0] + sizes.totals[1]) * architecture.hidden;
        floats(&mut self.rows, "sums over chunks", rows)?;
        let shares = sizes.bands * 2 * architecture.hidden;
        floats(&mut self.shares, "shares of the gradient of C", shares)
    }

    /// Uploads the lists and computes Y and, for gradients, the bits and slopes.
    pub(super) fn record_forward<'a>(
        &self,
        recording: &mut Recording<'a>,
        samples: usize,
        lists: Lists<'a>,
        common: &Common,
        parameters: Roles<'_>,
        gradient: bool,
    ) {
        let hidden = self.architecture.hidden;
        let mut at = 0;
        let mut upload = |recording: &mut Recording<'a>, words: &'a [u32]| {
            recording.upload_at(self.lists.id(), at, words);
            at += words.len();
            at - words.len()
        };
        for lists in lists {
            upload(recording, lists.starts());
        }
        let indices = [0, 1].map(|p: usize| upload(recording, lists[p].indices()) as u32);
        if gradient {
            for (perspective, lists) in lists.iter().enumerate() {
                let transposed = &self.transposed[perspective];
                recording.upload(transposed.chunk_starts.id(), lists.chunk_starts());
                recording.upload(transposed.samples.id(), lists.samples());
                let first = perspective * lists.first_chunks().len();
                recording.upload_at(self.first_chunks.id(), first, lists.first_chunks());
            }
        }
        let mut place = 0;
        let mut join = |from: BufferId, len: usize| {
            recording.copy(from, self.small.id(), place, len);
            place += len;
            (place - len) as u32
        };
        let mut bias_2 = join(parameters.bias(0), hidden);
        if !self.architecture.tied {
            bias_2 = join(parameters.bias(1), hidden);
        }
        let output = join(parameters.output_weights(), 2 * hidden);
        join(parameters.output_bias(), 1);
        let params = forward_sparse::Params {
            samples: samples as u32,
            hidden: hidden as u32,
            indices_1: indices[0],
            indices_2: indices[1],
            output,
            bias_2,
            interleave: self.interleave,
            rounds: if samples >= MANY_SAMPLES { 4 } else { 1 },
            entries: lists
                .iter()
                .map(|lists| lists.indices().len())
                .sum::<usize>() as u32,
            clip: self.architecture.clip,
        };
        let buffers = [
            self.lists.id(),
            parameters.weights(0),
            parameters.weights(1),
            self.small.id(),
            common.y.id(),
            self.bits.id(),
            self.slopes.id(),
        ];
        let variant = forward_sparse::variant_for(self.architecture.activation, gradient);
        recording.dispatch(variant, params, &buffers);
    }

    /// From e and the bits, the gradients of A, B and C; slices after the first of a batch add to those before.
    pub(super) fn record_backward(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        lists: Lists<'_>,
        common: &Common,
        parameters: Roles<'_>,
        gradients: Roles<'_>,
    ) {
        let architecture = &self.architecture;
        let sizes = Sizes::new(architecture, slice.samples(), [&lists[0], &lists[1]]);
        let (hidden, variant) = (architecture.hidden as u32, architecture.activation as usize);
        let rows_2 = sizes.totals[0] as u32 * hidden;
        let [total_1, total_2] = sizes.totals.map(|total| total as u32);
        let accumulate = u32::from(slice.range.start > 0);
        for (perspective, lists) in lists.iter().enumerate() {
            let params = masked_rows::Params {
                samples: sizes.samples as u32,
                hidden,
                perspective: perspective as u32,
                chunks: lists.chunk_starts().len() as u32 - 1,
                first: perspective as u32 * rows_2,
                interleave: self.interleave,
                entries: lists.samples().len() as u32,
            };
            let buffers = [
                self.transposed[perspective].chunk_starts.id(),
                self.transposed[perspective].samples.id(),
                common.e.id(),
                self.bits.id(),
                self.slopes.id(),
                self.rows.id(),
            ];
            recording.dispatch(variant, params, &buffers);
        }
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
                accumulate,
            };
            let buffers = [
                self.first_chunks.id(),
                self.rows.id(),
                parameters.weights(accumulator),
                parameters.output_weights(),
                gradients.weights(accumulator),
                self.shares.id(),
            ];
            recording.dispatch(0, params, &buffers);
            let params = masked_output::Params {
                hidden,
                perspective,
                count,
                blocks: masked::blocks(sizes.samples) as u32,
                bands: sizes.bands as u32,
                rows_2,
                total_1,
                total_2,
                accumulate,
                clip: architecture.clip,
            };
            let buffers = [
                self.rows.id(),
                self.shares.id(),
                parameters.bias(accumulator),
                parameters.output_weights(),
                gradients.bias(accumulator),
                gradients.output_weights(),
            ];
            recording.dispatch(variant, params, &buffers);
        }
    }
}
