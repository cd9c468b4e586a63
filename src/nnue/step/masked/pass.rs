//! The commands of the masked path.

use super::{Masked, Sizes};
use crate::engine::device::{Buffer, Class};
use crate::engine::recording::{BufferId, Recording};
use crate::nnue::architecture::Architecture;
use crate::nnue::kernels::forward::{Beside, Forward, Variant};
use crate::nnue::kernels::masked;
use crate::nnue::kernels::{
    forward_half, forward_sparse, masked_head, masked_rows, masked_weights,
};
use crate::nnue::layout::HeadLayout;
use crate::nnue::loss::Numbers;
use crate::nnue::slices::Slice;
use crate::nnue::step::half_weights::{Copies, HalfWeights};
use crate::nnue::step::lists::{ListBuffer, ListParts, Source};
use crate::nnue::step::records::Feed;
use crate::nnue::step::{Common, Goal, Lists, ParameterBuffers, Update, update};
use crate::nnue::upstream::Upstream;
use crate::optim::sinks;
use crate::tensor::lists::SparseInputs;
use std::ops::Range;

/// The words of a micro-batch that the kernels read: the lists and, for gradients, the transposed
/// index and (unless e is given) the targets.
pub(in crate::nnue::step) fn parts<'a>(
    architecture: &Architecture,
    lists: Lists<'a>,
    slice: &'a Slice<'a>,
    goal: Option<Goal<'_>>,
) -> ListParts<&'a [u32]> {
    let parts = ListParts::of(architecture, slice, lists);
    let (Some(goal), Some(sums)) = (goal, &slice.sums) else {
        return parts;
    };
    ListParts {
        targets: match goal.upstream {
            Upstream::Loss(_) => bytemuck::cast_slice(slice.targets),
            Upstream::Given(_) => &[],
        },
        weights: match goal.upstream {
            Upstream::Loss(_) => bytemuck::cast_slice(slice.weights),
            Upstream::Given(_) => &[],
        },
        first_chunks: sums.first_chunks(lists),
        chunk_starts: sums.chunk_starts(lists),
        samples: lists.each_ref().map(|lists| lists.samples()),
        first_blocks: &sums.blocks.first,
        block_starts: &sums.blocks.starts,
        ..parts
    }
}

/// A pass over a micro-batch.
pub(in crate::nnue::step) struct MaskedPass<'a> {
    pub(in crate::nnue::step) buffers: &'a Masked,
    pub(in crate::nnue::step) list_buffer: &'a ListBuffer,
    pub(in crate::nnue::step) common: &'a Common,
    pub(in crate::nnue::step) half_weights: &'a HalfWeights,
    pub(in crate::nnue::step) slice: &'a Slice<'a>,
    pub(in crate::nnue::step) feed: &'a Feed,
    pub(in crate::nnue::step) source: Source<'a>,
    pub(in crate::nnue::step) parameters: ParameterBuffers<'a>,
    pub(in crate::nnue::step) goal: Option<Goal<'a>>,
    /// The update that the kernels apply. They then write no gradients.
    pub(in crate::nnue::step) fused: Option<Update<'a>>,
}

/// The offsets of a recorded pass.
struct Places {
    offsets: ListParts<u32>,
    sizes: Sizes,
    head: HeadLayout,
}

impl<'a> MaskedPass<'a> {
    /// Computes Y and, if asked for, the gradients, and the loss if there is one. With a fused
    /// update it updates all parameters and writes no gradient.
    pub(in crate::nnue::step) fn record(&self, recording: &mut Recording<'a>) {
        let architecture = &self.buffers.architecture;
        let gradient = self.goal;
        let offsets = match self.source {
            Source::Lists(lists) => {
                let parts = parts(architecture, lists, self.slice, self.goal);
                self.list_buffer.record(recording, parts)
            }
            Source::Records(records) => {
                let samples = (self.slice, records);
                self.feed.record(recording, self.list_buffer, samples, &[])
            }
        };
        let places = Places {
            offsets,
            sizes: Sizes::of(self.buffers, self.slice, self.source),
            head: HeadLayout::new(architecture),
        };
        if let Some(goal) = gradient
            && let Upstream::Given(e) = goal.upstream
        {
            let e = &e[self.slice.range.clone()];
            recording.upload_at(self.common.y.id(), e.len(), e);
        }
        let (weights, parameters) = (self.half_weights, self.parameters);
        let tile = 2 * self.buffers.interleave as usize;
        let copies = gradient.and_then(|_| weights.record(recording, self.slice, parameters, tile));
        for strip in self.strips() {
            self.record_forward(recording, &places, strip.clone(), copies);
            if gradient.is_some() {
                self.record_rows(recording, &places, strip);
            }
        }
        if let Some(goal) = gradient {
            self.record_weights(recording, &places, goal);
            self.record_head(recording, &places, goal);
        }
    }

    /// The strips of samples that are computed one after the other.
    fn strips(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let samples = self.slice.samples();
        let size = self.buffers.strip().unwrap_or(samples.max(1));
        (0..samples)
            .step_by(size)
            .map(move |start| start..samples.min(start + size))
    }

    /// The entries of both perspectives in a strip.
    fn entries(&self, strip: &Range<usize>) -> u32 {
        let starts = |lists: &SparseInputs| lists.starts()[strip.end] - lists.starts()[strip.start];
        match self.source {
            Source::Lists(lists) => lists.iter().map(|lists| starts(lists)).sum(),
            // Only the host cuts a batch into strips, and it decodes no records.
            Source::Records(records) => 2 * records.entries() as u32,
        }
    }

    /// Y and, for gradients, the bits, the slopes and e.
    fn record_forward(
        &self,
        recording: &mut Recording<'_>,
        places: &Places,
        strip: Range<usize>,
        copies: Option<Copies>,
    ) {
        let Masked {
            architecture,
            interleave,
            ..
        } = self.buffers;
        let (beside, loss) = match self.goal {
            None => (Beside::Nothing, Numbers::given(1)),
            Some(goal) => match goal.upstream.loss() {
                Some(loss) => {
                    let numbers = loss.numbers(goal.mean_over, self.slice.is_weighted());
                    (Beside::Loss(loss.link), numbers)
                }
                None => (Beside::Bits, Numbers::given(1)),
            },
        };
        let [indices_1, indices_2] = places.offsets.indices;
        let variant = Variant {
            kind: self.buffers.kind,
            beside,
            lanes: self.buffers.lanes,
        };
        let pass = Forward {
            samples: strip.len() as u32,
            first: strip.start as u32,
            total: places.sizes.samples as u32,
            hidden: architecture.hidden as u32,
            indices_1,
            indices_2,
            targets: places.offsets.targets,
            sample_weights: places.offsets.weights,
            buckets: architecture.buckets as u32,
            bucket: places.offsets.buckets,
            output: places.head.output,
            bias_2: places.head.bias_2,
            interleave: *interleave,
            rounds: self.buffers.rounds(strip.len()),
            inputs: architecture.inputs as u32,
            entries: self.entries(&strip),
            loss,
            clip: architecture.clip,
            units: masked::units(architecture.clip),
            lanes: variant.lanes,
        };
        let (lists, small) = (self.list_buffer.id(), self.parameters.head());
        let (results, bits) = (self.common.y.id(), self.buffers.bits.id());
        let slopes = self.buffers.slopes.id();
        let short_slopes = self.buffers.short_slopes.id();
        match copies {
            None => {
                let buffers = forward_sparse::Buffers {
                    lists,
                    weights_1: self.parameters.weights(0),
                    weights_2: self.parameters.weights(1),
                    small,
                    results,
                    bits,
                    slopes,
                    short_slopes,
                };
                let variant = variant.index(&forward_sparse::KERNEL);
                recording.dispatch(variant, forward_sparse::Params { pass }, buffers);
            }
            Some(Copies { id, second }) => {
                let buffers = forward_half::Buffers {
                    lists,
                    weights: id,
                    small,
                    results,
                    bits,
                    slopes,
                    short_slopes,
                };
                let variant = variant.index(&forward_half::KERNEL);
                recording.dispatch(variant, forward_half::Params { pass, second }, buffers);
            }
        }
    }

    /// The sums over chunks, from e and the bits or slopes.
    fn record_rows(&self, recording: &mut Recording<'_>, places: &Places, strip: Range<usize>) {
        let architecture = &self.buffers.architecture;
        let [list_1, list_2] = places.offsets.samples;
        let params = masked_rows::Params {
            samples: strip.len() as u32,
            first: strip.start as u32,
            total: places.sizes.samples as u32,
            hidden: architecture.hidden as u32,
            chunks_1: places.sizes.chunks[0] as u32,
            chunks_2: places.sizes.chunks[1] as u32,
            starts: places.offsets.chunk_starts[0],
            list_1,
            list_2,
            blocks: places.sizes.blocks as u32,
            block_starts: places.offsets.block_starts,
            interleave: self.buffers.interleave,
            entries: self.entries(&strip),
            unit: 1.0 / masked::units(architecture.clip),
            by_lane_group: u32::from(self.buffers.class != Class::Software),
        };
        let buffers = masked_rows::Buffers {
            index: self.list_buffer.id(),
            results: self.common.y.id(),
            bits: self.buffers.bits.id(),
            slopes: self.buffers.slopes.id(),
            short_slopes: self.buffers.short_slopes.id(),
            rows: self.buffers.rows.id(),
        };
        recording.dispatch(self.buffers.kind.index(), params, buffers);
    }

    /// The buffers that a sink changes.
    fn state(&self, buffer: usize, gradient: BufferId) -> [BufferId; 2] {
        update::state(self.fused, buffer, gradient, self.common.spare.id())
    }

    /// The gradient of A and the shares of the bands, from the rows.
    fn record_weights(&self, recording: &mut Recording<'_>, places: &Places, goal: Goal<'_>) {
        let architecture = &self.buffers.architecture;
        let hidden = architecture.hidden as u32;
        let [total_1, total_2] = places.sizes.totals.map(|total| total as u32);
        let [chunks_1, chunks_2] = places.sizes.chunks.map(|chunks| chunks as u32);
        let (accumulators, count) = if architecture.tied { (1, 2) } else { (2, 1) };
        let (sink, step) = update::sink(self.fused, self.slice);
        for accumulator in 0..accumulators {
            let group: sinks::Group = self
                .fused
                .map_or([0.0; 4], |update| update.tensor(accumulator));
            let params = masked_weights::Params {
                group,
                inputs: architecture.inputs as u32,
                hidden,
                perspective: accumulator as u32,
                count,
                rows_2: total_1 * hidden,
                total_1,
                total_2,
                output: places.head.output,
                buckets: architecture.buckets as u32,
                first_chunks: places.offsets.first_chunks[0],
                chunks: match architecture.tied {
                    true => chunks_1 + chunks_2,
                    false => [chunks_1, chunks_2][accumulator],
                },
                band: places.sizes.band as u32,
                vectors: masked_weights::vectors(architecture.buckets, self.buffers.tiles),
                step,
            };
            let [first, second] = self.state(accumulator, goal.gradients.weights(accumulator));
            let buffers = masked_weights::Buffers {
                index: self.list_buffer.id(),
                rows: self.buffers.rows.id(),
                head: self.parameters.head(),
                values: self.parameters.weights(accumulator),
                first,
                second,
                shares: self.buffers.shares.id(),
            };
            let variant =
                masked_weights::variant_for(sink, architecture.buckets, self.buffers.tiles);
            recording.dispatch(variant, params, buffers);
        }
    }

    /// The gradients of B, C and d from the rows, the shares and e, and the loss if there is one.
    fn record_head(&self, recording: &mut Recording<'_>, places: &Places, goal: Goal<'_>) {
        let architecture = &self.buffers.architecture;
        let hidden = architecture.hidden as u32;
        let [total_1, total_2] = places.sizes.totals.map(|total| total as u32);
        let (sink, step, groups) = update::head_sink(self.fused, self.slice, architecture);
        let params = masked_head::Params {
            groups: bytemuck::cast(groups),
            hidden,
            tied: u32::from(architecture.tied),
            buckets: architecture.buckets as u32,
            first_blocks: places.offsets.first_blocks,
            block_starts: places.offsets.block_starts,
            blocks: places.sizes.blocks as u32,
            bands: places.sizes.bands as u32,
            rows_2: total_1 * hidden,
            total_1,
            total_2,
            bias_2: places.head.bias_2,
            output: places.head.output,
            samples: places.sizes.samples as u32,
            totals: u32::from(goal.upstream.loss().is_some()),
            clip: architecture.clip,
            step,
        };
        let [rows, shares, results] =
            [&self.buffers.rows, &self.buffers.shares, &self.common.y].map(Buffer::id);
        let fused = self.fused.filter(|_| sink.moves());
        let (head, spare) = (self.parameters.head_index(), self.common.spare.id());
        let [first, second] = update::state(fused, head, goal.gradients.head(), spare);
        let buffers = masked_head::Buffers {
            index: self.list_buffer.id(),
            rows,
            shares,
            results,
            values: self.parameters.head(),
            first,
            second,
            loss: self.common.loss.id(),
        };
        let variant = masked_head::variant_for(architecture.activation, sink, self.buffers.class);
        recording.dispatch(variant, params, buffers);
    }
}
