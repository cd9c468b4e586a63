//! The commands of such a pass, and what it brings.

use super::{MANY_SAMPLES, Masked, Sizes};
use crate::engine::device::Buffer;
use crate::engine::recording::Recording;
use crate::nnue::kernels::forward_sparse::{self, Beside};
use crate::nnue::kernels::{
    masked, masked_adamw, masked_output, masked_output_adamw, masked_rows, masked_weights,
};
use crate::nnue::layout::Small;
use crate::nnue::slices::Slice;
use crate::nnue::step::lists::{self, ListBuffer};
use crate::nnue::step::{Common, Goal, Lists, Roles, Update};
use crate::nnue::upstream::Upstream;
use crate::tensor::lists::SparseInputs;
use std::ops::Range;

/// What a pass brings: the lists, and for gradients the targets, where e is not given, and the transposed index: the first chunk of each
/// feature, where chunks start, and the samples.
pub(in crate::nnue::step) fn parts<'a>(
    lists: Lists<'a>,
    slice: &Slice<'a>,
    goal: Goal<'_>,
) -> [&'a [u32]; 11] {
    let mut parts: [&[u32]; 11] = Default::default();
    parts[..4].copy_from_slice(&lists::parts(lists));
    if let Goal::Gradients { upstream, .. } = goal {
        if upstream.loss().is_some() {
            parts[4] = bytemuck::cast_slice(slice.targets);
        }
        let [first, second] = lists;
        parts[5..].copy_from_slice(&[
            first.first_chunks(),
            second.first_chunks(),
            first.chunk_starts(),
            second.chunk_starts(),
            first.samples(),
            second.samples(),
        ]);
    }
    parts
}

/// A pass over a slice: what was uploaded, and where.
#[derive(Debug)]
pub(in crate::nnue::step) struct Pass<'p> {
    buffers: &'p Masked,
    list_buffer: &'p ListBuffer,
    lists: Lists<'p>,
    parameters: Roles<'p>,
    goal: Goal<'p>,
    sizes: Sizes,
    chunks: [u32; 2],
    small: Small,
    /// Where the parts begin, as in [`parts`].
    places: [u32; 11],
    /// Whether slices of the batch came before.
    accumulate: u32,
}

impl<'p> Pass<'p> {
    /// Uploads what the pass reads.
    pub(in crate::nnue::step) fn new<'a: 'p>(
        (buffers, list_buffer): (&'p Masked, &'p ListBuffer),
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        lists: Lists<'a>,
        parameters: Roles<'p>,
        goal: Goal<'a>,
    ) -> Self {
        let architecture = &buffers.architecture;
        let places = list_buffer.record(recording, parts(lists, slice, goal));
        let gradient = matches!(goal, Goal::Gradients { .. });
        if let Goal::Gradients {
            upstream: Upstream::Given(e),
            ..
        } = goal
        {
            recording.upload(buffers.errors.id(), &e[slice.range.clone()]);
        }
        Self {
            buffers,
            list_buffer,
            lists,
            parameters,
            goal,
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
            places,
            accumulate: u32::from(slice.range.start > 0),
        }
    }

    /// Y; for gradients these, and the loss if there is one. With an AdamW update all parameters are moved at once instead, and no gradient is
    /// written.
    pub(in crate::nnue::step) fn record(
        &self,
        recording: &mut Recording<'_>,
        common: &Common,
        update: Option<Update<'_>>,
    ) {
        for strip in self.strips() {
            self.record_forward(recording, common, strip.clone());
            if matches!(self.goal, Goal::Gradients { .. }) {
                self.record_rows(recording, strip);
            }
        }
        if let Goal::Gradients {
            gradients,
            upstream,
            ..
        } = self.goal
        {
            self.record_weights(recording, gradients, update);
            let totals = upstream.loss().is_some();
            self.record_small(recording, common, gradients, (totals, update));
        }
    }

    /// The strips of samples that are worked on one after the other.
    fn strips(&self) -> impl Iterator<Item = Range<usize>> + use<> {
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

    /// Y and, for gradients, the bits, the slopes and e.
    fn record_forward(&self, recording: &mut Recording<'_>, common: &Common, strip: Range<usize>) {
        let Masked {
            architecture,
            interleave,
            ..
        } = self.buffers;
        let (beside, power, total) = match self.goal {
            Goal::Output => (Beside::Nothing, 1.0, 1),
            Goal::Gradients {
                upstream, total, ..
            } => match upstream.loss() {
                Some(loss) => (Beside::Loss(loss.link), loss.power, total),
                None => (Beside::Bits, 1.0, 1),
            },
        };
        let [_, _, indices_1, indices_2, targets, ..] = self.places;
        let params = forward_sparse::Params {
            samples: strip.len() as u32,
            first: strip.start as u32,
            total: self.sizes.samples as u32,
            hidden: architecture.hidden as u32,
            indices_1,
            indices_2,
            targets,
            output: self.small.output,
            bias_2: self.small.bias_2,
            interleave: *interleave,
            rounds: if strip.len() >= MANY_SAMPLES { 4 } else { 1 },
            inputs: architecture.inputs as u32,
            entries: self.of_strip(&strip),
            power,
            scale: 1.0 / total as f32,
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
            self.buffers.errors.id(),
        ];
        let variant = forward_sparse::variant_for(architecture.activation, beside);
        recording.dispatch(variant, params, &buffers);
    }

    /// The sums over chunks and blocks that the gradients are made of, from e and the bits or slopes.
    fn record_rows(&self, recording: &mut Recording<'_>, strip: Range<usize>) {
        let architecture = &self.buffers.architecture;
        let [.., starts, _, list_1, list_2] = self.places;
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
            self.list_buffer.id(),
            self.buffers.errors.id(),
            self.buffers.bits.id(),
            self.buffers.slopes.id(),
            self.buffers.rows.id(),
        ];
        recording.dispatch(architecture.activation as usize, params, &buffers);
    }

    /// The gradient of A from the rows, and the bands' shares; or a step of AdamW.
    fn record_weights(
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
                first_chunks: self.places[5],
                accumulate,
                chunks: if architecture.tied {
                    self.chunks.iter().sum()
                } else {
                    self.chunks[accumulator]
                },
            };
            let index = self.list_buffer.id();
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
    }

    /// The gradients of B, C and d from the rows, the shares and e, or a step of AdamW; and the loss where there are `totals` to sum.
    fn record_small(
        &self,
        recording: &mut Recording<'_>,
        common: &Common,
        gradients: Roles<'_>,
        (totals, update): (bool, Option<Update<'_>>),
    ) {
        let architecture = &self.buffers.architecture;
        let hidden = architecture.hidden as u32;
        let [total_1, total_2] = self.sizes.totals.map(|total| total as u32);
        let params = masked_output::Params {
            hidden,
            tied: u32::from(architecture.tied),
            blocks: masked::blocks(self.sizes.samples) as u32,
            bands: self.sizes.bands as u32,
            rows_2: total_1 * hidden,
            total_1,
            total_2,
            bias_2: self.small.bias_2,
            output: self.small.output,
            samples: self.sizes.samples as u32,
            totals: u32::from(totals),
            accumulate: self.accumulate,
            clip: architecture.clip,
        };
        let Masked {
            rows,
            shares,
            errors,
            ..
        } = self.buffers;
        let [rows, shares, errors] = [rows, shares, errors].map(Buffer::id);
        let (small, loss) = (self.parameters.small(), common.loss.id());
        let variant = architecture.activation as usize;
        let adamw = update.and_then(|update| {
            let params = update.optimizer.adamw(update.at, 0)?;
            Some((params, update.moments(self.parameters.small_index())))
        });
        if let Some((adamw, moments)) = adamw {
            let params = masked_output_adamw::Params::new(params, adamw);
            let buffers = [rows, shares, errors, loss, moments[0], moments[1], small];
            recording.dispatch(variant, params, &buffers);
        } else {
            let buffers = [rows, shares, errors, small, gradients.small(), loss];
            recording.dispatch(variant, params, &buffers);
        }
    }
}
