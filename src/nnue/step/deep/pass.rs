//! The commands of the deep path.

use super::Deep;
use crate::engine::recording::{BufferId, Recording};
use crate::nnue::kernels::deep_layers;
use crate::nnue::kernels::{
    deep, deep_first, deep_forward, deep_head, deep_input, deep_rows, deep_weights,
};
use crate::nnue::layout::HeadLayout;
use crate::nnue::loss::Numbers;
use crate::nnue::slices::Slice;
use crate::nnue::step::half_weights::HalfWeights;
use crate::nnue::step::lists::{ListBuffer, ListParts, Source, entries};
use crate::nnue::step::records::Feed;
use crate::nnue::step::{Common, Goal, ParameterBuffers, Update, update};
use crate::nnue::upstream::Upstream;
use crate::optim::sinks;

/// A pass over a micro-batch.
pub(in crate::nnue::step) struct DeepPass<'a> {
    pub(in crate::nnue::step) buffers: &'a Deep,
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

/// The numbers that most kernels of a pass need.
struct Sizes {
    offsets: ListParts<u32>,
    head: HeadLayout,
    samples: u32,
    hidden: u32,
    buckets: u32,
    splits: u32,
    /// Chunks of each perspective.
    chunks: [u32; 2],
    /// Indices in both perspectives.
    entries: u32,
    /// Floats of a row of z and δ.
    stride: u32,
    /// Floats of a share.
    share: u32,
    /// The width of the first layer.
    width: u32,
}

impl<'a> DeepPass<'a> {
    /// Computes Y and, if asked for, the gradients, and the loss if there is one. With a fused
    /// update it updates all parameters and writes no gradient.
    pub(in crate::nnue::step) fn record(&self, recording: &mut Recording<'a>) {
        let sizes = self.sizes(recording);
        if let Some(goal) = self.goal
            && let Upstream::Given(e) = goal.upstream
        {
            recording.upload(self.common.e.id(), &e[self.slice.range.clone()]);
        }
        self.record_forward(recording, &sizes);
        self.record_layers(recording, &sizes);
        if let Some(goal) = self.goal {
            self.record_input(recording, &sizes, goal);
            self.record_weights(recording, &sizes, goal);
            self.record_head(recording, &sizes, goal);
        }
    }

    /// Whether Z and D are stored in 16 bits. Outputs alone are always computed in 32.
    fn half(&self) -> bool {
        self.buffers.half && self.goal.is_some()
    }

    /// Uploads the words of the micro-batch.
    fn sizes(&self, recording: &mut Recording<'a>) -> Sizes {
        let Deep {
            architecture,
            layers,
            ..
        } = self.buffers;
        let (offsets, chunks, entries) = match self.source {
            Source::Lists(lists) => {
                let parts = self.buffers.parts(lists, self.slice, self.goal);
                let chunks = parts.chunk_starts.map(|starts| starts.len().max(1) - 1);
                let offsets = self.list_buffer.record(recording, parts);
                (offsets, chunks, entries(lists))
            }
            Source::Records(records) => {
                let (samples, layers) = ((self.slice, records), self.buffers.words());
                let offsets = self
                    .feed
                    .record(recording, self.list_buffer, samples, layers);
                let entries = records.entries();
                (offsets, [self.buffers.room(entries); 2], 2 * entries)
            }
        };
        let splits = self.slice.sums.as_ref().map_or(0, |sums| sums.blocks.len());
        Sizes {
            splits: splits as u32,
            chunks: chunks.map(|chunks| chunks as u32),
            offsets,
            head: HeadLayout::new(architecture),
            samples: self.slice.samples() as u32,
            hidden: architecture.hidden as u32,
            buckets: architecture.buckets as u32,
            entries: entries as u32,
            stride: deep::stride(layers) as u32,
            share: self.buffers.share() as u32,
            width: layers[0].width as u32,
        }
    }

    /// Z, and z of the first layer of the head.
    fn record_forward(&self, recording: &mut Recording<'_>, sizes: &Sizes) {
        let architecture = &self.buffers.architecture;
        let [indices_1, indices_2] = sizes.offsets.indices;
        let scale = self.buffers.scale();
        let copies = self.goal.and_then(|_| {
            let (slice, parameters) = (self.slice, self.parameters);
            self.half_weights
                .record(recording, slice, parameters, deep_forward::TILE)
        });
        let params = deep_forward::Params {
            samples: sizes.samples,
            hidden: sizes.hidden,
            indices_1,
            indices_2,
            bias_2: sizes.head.bias_2,
            inputs: architecture.inputs as u32,
            entries: sizes.entries,
            limit: scale.limit,
            top: scale.top,
            above: scale.above,
            second: copies.map_or(0, |copies| copies.second),
        };
        let buffers = deep_forward::Buffers {
            lists: self.list_buffer.id(),
            weights_1: self.parameters.weights(0),
            weights_2: self.parameters.weights(1),
            head: self.parameters.head(),
            z: self.buffers.z.id(),
            halves: self.buffers.halves.id(),
            // Without copies it is not read.
            half_weights: copies.map_or(self.list_buffer.id(), |copies| copies.id),
        };
        let variant = deep_forward::variant_for(self.half(), copies.is_some());
        recording.dispatch(variant, params, buffers);

        let params = deep_first::Params {
            samples: sizes.samples,
            hidden: sizes.hidden,
            buckets: sizes.buckets,
            bucket: sizes.offsets.buckets,
            splits: sizes.splits,
            starts: sizes.offsets.block_starts,
            layers: sizes.offsets.layers,
            stride: sizes.stride,
            width: sizes.width,
            clip: architecture.clip,
            limit: self.buffers.scale().limit,
        };
        let buffers = deep_first::Buffers {
            index: self.list_buffer.id(),
            z: self.buffers.z.id(),
            halves: self.buffers.halves.id(),
            head: self.parameters.head(),
            delta: self.buffers.delta.id(),
        };
        let (activation, pairwise) = (architecture.activation, architecture.pairwise);
        let variant =
            deep_first::variant_for(activation, pairwise, self.half(), self.buffers.tiles);
        recording.dispatch(variant, params, buffers);
    }

    /// Y; for gradients δ of the first layer, and the shares of the other layers.
    fn record_layers(&self, recording: &mut Recording<'_>, sizes: &Sizes) {
        let loss = self.goal.and_then(|goal| goal.upstream.loss());
        let mean_over = self.goal.map_or(1, |goal| goal.mean_over);
        let params = deep_layers::Params {
            samples: sizes.samples,
            hidden: sizes.hidden,
            buckets: sizes.buckets,
            bucket: sizes.offsets.buckets,
            targets: sizes.offsets.targets,
            sample_weights: sizes.offsets.weights,
            splits: sizes.splits,
            starts: sizes.offsets.block_starts,
            layers: sizes.offsets.layers,
            stride: sizes.stride,
            share: sizes.share,
            tile: self.buffers.tile as u32,
            parameters: deep_layers::parameters(&self.buffers.layers) as u32,
            loss: loss.map_or(Numbers::given(mean_over), |loss| {
                loss.numbers(mean_over, self.slice.is_weighted())
            }),
            penalty: self.goal.map_or(0.0, |goal| goal.penalty),
        };
        let buffers = deep_layers::Buffers {
            index: self.list_buffer.id(),
            head: self.parameters.head(),
            delta: self.buffers.delta.id(),
            e: self.common.e.id(),
            y: self.common.y.id(),
            shares: self.buffers.shares.id(),
            scales: self.buffers.scales.id(),
        };
        let goal = match (self.goal, loss) {
            (None, _) => deep_layers::Goal::Output,
            (_, None) => deep_layers::Goal::Given,
            (_, Some(loss)) => deep_layers::Goal::Loss(loss.link),
        };
        recording.dispatch(deep_layers::variant_for(goal), params, buffers);
    }

    /// D, the shares of the first layer and of B, and the sums of D over chunks.
    fn record_input(&self, recording: &mut Recording<'_>, sizes: &Sizes, goal: Goal<'_>) {
        let architecture = &self.buffers.architecture;
        let params = deep_input::Params {
            samples: sizes.samples,
            hidden: sizes.hidden,
            buckets: sizes.buckets,
            bucket: sizes.offsets.buckets,
            splits: sizes.splits,
            starts: sizes.offsets.block_starts,
            layers: sizes.offsets.layers,
            stride: sizes.stride,
            share: sizes.share,
            inputs: architecture.head_inputs() as u32,
            width: sizes.width,
            clip: architecture.clip,
            limit: self.buffers.scale().limit,
            penalty: goal.penalty,
        };
        let buffers = deep_input::Buffers {
            index: self.list_buffer.id(),
            z: self.buffers.z.id(),
            halves: self.buffers.halves.id(),
            head: self.parameters.head(),
            delta: self.buffers.delta.id(),
            dz: self.buffers.dz.id(),
            dz_halves: self.buffers.dz_halves.id(),
            shares: self.buffers.shares.id(),
        };
        let (activation, pairwise) = (architecture.activation, architecture.pairwise);
        let variant = deep_input::variant_for(activation, pairwise, self.half());
        recording.dispatch(variant, params, buffers);

        let [list_1, list_2] = sizes.offsets.samples;
        let params = deep_rows::Params {
            samples: sizes.samples,
            hidden: sizes.hidden,
            chunks_1: sizes.chunks[0],
            chunks_2: sizes.chunks[1],
            starts: sizes.offsets.chunk_starts[0],
            list_1,
            list_2,
            entries: sizes.entries,
        };
        let buffers = deep_rows::Buffers {
            index: self.list_buffer.id(),
            dz: self.buffers.dz.id(),
            dz_halves: self.buffers.dz_halves.id(),
            scales: self.buffers.scales.id(),
            rows: self.buffers.rows.id(),
        };
        recording.dispatch(usize::from(self.half()), params, buffers);
    }

    /// The buffers that a sink changes.
    fn state(&self, buffer: usize, gradient: BufferId) -> [BufferId; 2] {
        update::state(self.fused, buffer, gradient, self.common.spare.id())
    }

    /// The gradient of A, from the rows.
    fn record_weights(&self, recording: &mut Recording<'_>, sizes: &Sizes, goal: Goal<'_>) {
        let architecture = &self.buffers.architecture;
        let (accumulators, count) = if architecture.tied { (1, 2) } else { (2, 1) };
        let (sink, step) = update::sink(self.fused, self.slice);
        for accumulator in 0..accumulators {
            let group: sinks::Group = self
                .fused
                .map_or([0.0; 4], |update| update.tensor(accumulator));
            let params = deep_weights::Params {
                group,
                inputs: architecture.inputs as u32,
                hidden: sizes.hidden,
                perspective: accumulator as u32,
                count,
                rows_2: sizes.chunks[0],
                first_chunks: sizes.offsets.first_chunks[0],
                chunks: match architecture.tied {
                    true => sizes.chunks[0] + sizes.chunks[1],
                    false => sizes.chunks[accumulator],
                },
                step,
            };
            let [first, second] = self.state(accumulator, goal.gradients.weights(accumulator));
            let buffers = deep_weights::Buffers {
                index: self.list_buffer.id(),
                rows: self.buffers.rows.id(),
                values: self.parameters.weights(accumulator),
                first,
                second,
            };
            recording.dispatch(sink as usize, params, buffers);
        }
    }

    /// The gradients of B and of the layers, and the loss if there is one, from the shares.
    fn record_head(&self, recording: &mut Recording<'_>, sizes: &Sizes, goal: Goal<'_>) {
        let architecture = &self.buffers.architecture;
        let (sink, step, groups) = update::head_sink(self.fused, self.slice, architecture);
        let params = deep_head::Params {
            groups: bytemuck::cast(groups),
            hidden: sizes.hidden,
            tied: u32::from(architecture.tied),
            buckets: sizes.buckets,
            first_splits: sizes.offsets.first_blocks,
            splits: sizes.splits,
            layers: sizes.offsets.layers,
            share: sizes.share,
            output: sizes.head.output,
            output_bias: sizes.head.output_bias,
            length: sizes.head.len,
            totals: u32::from(goal.upstream.loss().is_some()),
            step,
        };
        let fused = self.fused.filter(|_| sink.moves());
        let (head, spare) = (self.parameters.head_index(), self.common.spare.id());
        let [first, second] = update::state(fused, head, goal.gradients.head(), spare);
        let buffers = deep_head::Buffers {
            index: self.list_buffer.id(),
            shares: self.buffers.shares.id(),
            values: self.parameters.head(),
            first,
            second,
            loss: self.common.loss.id(),
        };
        recording.dispatch(sink as usize, params, buffers);
    }
}
