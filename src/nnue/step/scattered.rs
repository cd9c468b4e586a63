//! The scattered path, for index lists on the CPU: SCReLU networks, and networks with a longer
//! head. It runs samples forward and backward while their data are in the caches, and adds the
//! gradients row by row to the gradients of its stretch: see
//! [`pieces`](crate::nnue::kernels::pieces).
//!
//! For CReLU and ReLU without a longer head, [`masked`](super::masked) reads only one bit per lane,
//! while this path writes whole rows.

use super::buffers::grow;
use super::lists::{ListBuffer, ListParts, entries};
use super::plan::WORKSPACE_BYTES;
use super::{Common, Goal, Lists, ParameterBuffers};
use crate::engine::device::{Buffer, Class, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{self, Batch};
use crate::nnue::kernels::pieces::Pieces;
use crate::nnue::kernels::{head, join_pieces, scatter_deep, scatter_pieces};
use crate::nnue::layout::HeadLayout;
use crate::nnue::loss::Numbers;
use crate::nnue::slices::Slice;

/// Samples of a stretch. Stretches run in parallel, and each needs memory for its own gradients. The
/// bits of a run depend on this number.
const PIECE: usize = 2048;

/// Samples of a stretch of a network with many inputs, whose stretches would otherwise have fewer
/// than [`FEW`] indices per row of their gradients.
const LONG_PIECE: usize = 4096;

/// So few indices per row of a stretch's gradients, or per output bucket of a feature, make little
/// use of the row.
const FEW: usize = 16;

/// With more inputs, the rows of A that a stretch uses exceed the second cache of a processor. The
/// order of the samples then matters more for A than for C.
const MANY: usize = 1024;

/// A batch takes this path if it has at least this many indices per row of a stretch's gradients,
/// so that few rows without a gradient are summed.
const USES: usize = 4;

/// The inputs of a pass.
pub(super) struct Inputs<'a> {
    pub(super) slice: &'a Slice<'a>,
    pub(super) lists: Lists<'a>,
    pub(super) list_buffer: &'a ListBuffer,
    pub(super) common: &'a Common,
    pub(super) parameters: ParameterBuffers<'a>,
    pub(super) goal: Goal<'a>,
}

impl Inputs<'_> {
    /// The numbers of the loss.
    fn numbers(&self) -> Numbers {
        let mean_over = self.goal.mean_over;
        let loss = self.goal.upstream.loss();
        loss.map_or(Numbers::given(mean_over), |loss| {
            loss.numbers(mean_over, self.slice.is_weighted())
        })
    }
}

/// Whether `scatter_deep` computes a head.
fn takes_head(architecture: &Architecture) -> bool {
    let lanes = if architecture.pairwise { 64 } else { 32 };
    let widths = architecture.layer_sizes().into_iter();
    let widths: usize = widths.map(|size| size.outputs).sum();
    architecture.hidden.is_multiple_of(lanes)
        && architecture.hidden <= scatter_deep::LARGEST_HIDDEN
        && widths <= scatter_deep::LARGEST_WIDTHS
}

/// The buffer of a pass.
#[derive(Debug)]
pub(super) struct Scattered {
    architecture: Architecture,
    /// Whether this path serves the device and the network.
    applies: bool,
    /// The layers of the head as words.
    layers: Vec<u32>,
    /// The most bytes for the gradients of all stretches.
    limit: u64,
    pieces: Buffer,
}

impl Scattered {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        Ok(Self {
            architecture: architecture.clone(),
            applies: device.class() == Class::Host
                && match architecture.has_plain_head() {
                    true => architecture.hidden <= scatter_pieces::LARGEST_HIDDEN,
                    false => takes_head(&architecture),
                },
            layers: head::words(&head::layers(&architecture)),
            limit: device.binding_limit().min(WORKSPACE_BYTES),
            pieces: device.allocate("gradients of the pieces", Element::Float, 1)?,
        })
    }

    fn geometry(&self) -> Pieces {
        Pieces {
            inputs: self.architecture.inputs,
            hidden: self.architecture.hidden,
            accumulators: if self.architecture.tied { 1 } else { 2 },
            head: HeadLayout::new(&self.architecture).len as usize,
        }
    }

    /// Samples of a stretch of a batch.
    fn piece(&self, samples: usize, entries: usize) -> usize {
        let rows = self.geometry().accumulators * self.architecture.inputs;
        match entries * PIECE < FEW * rows * samples {
            true => LONG_PIECE,
            false => PIECE,
        }
    }

    /// The stretches of a batch.
    fn count(&self, samples: usize, entries: usize) -> usize {
        samples.div_ceil(self.piece(samples, entries))
    }

    /// Floats of the gradients of all stretches.
    fn len(&self, samples: usize, entries: usize) -> usize {
        self.count(samples, entries) * self.geometry().stride()
    }

    /// Whether the kernels gain more from samples that have rows of A in common than from samples
    /// that have their output bucket in common. Longer heads compute samples of one bucket
    /// together.
    pub(super) fn orders_by_group(&self) -> bool {
        self.architecture.has_plain_head() && self.architecture.inputs > MANY
    }

    /// Whether the path is faster than the masked one. For SCReLU it is, and where the masked path
    /// would sum few samples for each output bucket of a feature.
    fn is_faster(&self, entries: usize) -> bool {
        let Architecture {
            inputs, buckets, ..
        } = self.architecture;
        let is_spread = buckets > 1 && entries < FEW * 2 * inputs * buckets;
        !self.architecture.has_plain_head()
            || self.architecture.activation.has_slopes()
            || is_spread
    }

    /// Whether the kernels can compute a batch, whole or in micro-batches, and are the faster path
    /// for it.
    pub(super) fn takes(&self, batch: &Batch) -> bool {
        let batch::Inputs::Sparse(lists) = batch.inputs() else {
            return false;
        };
        self.fits(batch.len(), entries(lists))
    }

    /// The same for index lists with this many samples and, in all, this many indices.
    pub(super) fn fits(&self, samples: usize, entries: usize) -> bool {
        let geometry = self.geometry();
        let rows = self.count(samples, entries) * geometry.accumulators * geometry.inputs;
        self.applies
            && self.is_faster(entries)
            && entries >= USES * rows
            && 4 * self.len(samples, entries) as u64 <= self.limit
    }

    /// The words of a micro-batch that the kernels read.
    pub(super) fn parts<'a>(&'a self, slice: &Slice<'a>, lists: Lists<'a>) -> ListParts<&'a [u32]> {
        let parts = ListParts::of(&self.architecture, slice, lists);
        match self.architecture.has_plain_head() {
            true => parts,
            false => ListParts {
                layers: &self.layers,
                ..parts
            },
        }
    }

    pub(super) fn reserve(
        &mut self,
        device: &Device,
        samples: usize,
        lists: Lists<'_>,
    ) -> Result<()> {
        let len = self.len(samples, entries(lists));
        let what = "gradients of the pieces";
        grow(device, &mut self.pieces, what, Element::Float, len)
    }

    /// Computes Y, the losses of the samples and the gradients of all parameters. Without a loss,
    /// the buffer of the targets holds e. Every micro-batch after the first one adds to the
    /// gradients.
    pub(super) fn record<'a>(&'a self, recording: &mut Recording<'a>, inputs: &Inputs<'a>) {
        let architecture = &self.architecture;
        let Inputs {
            slice,
            list_buffer,
            goal,
            ..
        } = *inputs;
        let offsets = list_buffer.record(recording, self.parts(slice, inputs.lists));
        match architecture.has_plain_head() {
            true => self.record_plain(recording, inputs, offsets),
            false => self.record_deep(recording, inputs, offsets),
        }

        let geometry = self.geometry();
        let mut join = |rows: usize, hidden: usize, first: usize, gradient: BufferId| {
            let params = join_pieces::Params {
                rows: rows as u32,
                hidden: hidden as u32,
                first: first as u32,
                stride: geometry.stride() as u32,
                pieces: self.count(slice.samples(), entries(inputs.lists)) as u32,
                accumulate: u32::from(slice.range.start > 0),
            };
            let buffers = join_pieces::Buffers {
                pieces: self.pieces.id(),
                gradient,
            };
            recording.dispatch(0, params, buffers);
        };
        for accumulator in 0..geometry.accumulators {
            let first = geometry.weights(accumulator);
            let gradient = goal.gradients.weights(accumulator);
            join(geometry.inputs, geometry.hidden, first, gradient);
        }
        join(1, geometry.head, geometry.head(), goal.gradients.head());
    }

    fn record_plain(
        &self,
        recording: &mut Recording<'_>,
        inputs: &Inputs<'_>,
        offsets: ListParts<u32>,
    ) {
        let (architecture, loss) = (&self.architecture, inputs.goal.upstream.loss());
        let [indices_1, indices_2] = offsets.indices;
        let head = HeadLayout::new(architecture);
        let params = scatter_pieces::Params {
            samples: inputs.slice.samples() as u32,
            hidden: architecture.hidden as u32,
            inputs: architecture.inputs as u32,
            tied: u32::from(architecture.tied),
            indices_1,
            indices_2,
            buckets: architecture.buckets as u32,
            bucket: offsets.buckets,
            output: head.output,
            bias_2: head.bias_2,
            piece: self.piece(inputs.slice.samples(), entries(inputs.lists)) as u32,
            entries: entries(inputs.lists) as u32,
            loss: inputs.numbers(),
            clip: architecture.clip,
        };
        let (common, parameters) = (inputs.common, inputs.parameters);
        let buffers = scatter_pieces::Buffers {
            lists: inputs.list_buffer.id(),
            weights_1: parameters.weights(0),
            weights_2: parameters.weights(1),
            small: parameters.head(),
            targets: common.targets.id(),
            y: common.y.id(),
            terms: common.terms.id(),
            gradients: self.pieces.id(),
        };
        let link = loss.map(|loss| loss.link);
        let variant = scatter_pieces::variant_for(architecture.activation, link);
        recording.dispatch(variant, params, buffers);
    }

    fn record_deep(
        &self,
        recording: &mut Recording<'_>,
        inputs: &Inputs<'_>,
        offsets: ListParts<u32>,
    ) {
        let (architecture, loss) = (&self.architecture, inputs.goal.upstream.loss());
        let [indices_1, indices_2] = offsets.indices;
        let head = HeadLayout::new(architecture);
        let params = scatter_deep::Params {
            samples: inputs.slice.samples() as u32,
            hidden: architecture.hidden as u32,
            inputs: architecture.inputs as u32,
            tied: u32::from(architecture.tied),
            pairwise: u32::from(architecture.pairwise),
            indices_1,
            indices_2,
            buckets: architecture.buckets as u32,
            bucket: offsets.buckets,
            layers: offsets.layers,
            depth: architecture.layers.len() as u32 + 1,
            head: head.len,
            bias_2: head.bias_2,
            piece: self.piece(inputs.slice.samples(), entries(inputs.lists)) as u32,
            entries: entries(inputs.lists) as u32,
            loss: inputs.numbers(),
            clip: architecture.clip,
            penalty: inputs.goal.penalty,
        };
        let (common, parameters) = (inputs.common, inputs.parameters);
        let buffers = scatter_deep::Buffers {
            lists: inputs.list_buffer.id(),
            weights_1: parameters.weights(0),
            weights_2: parameters.weights(1),
            small: parameters.head(),
            targets: common.targets.id(),
            y: common.y.id(),
            terms: common.terms.id(),
            gradients: self.pieces.id(),
        };
        let link = loss.map(|loss| loss.link);
        let variant = scatter_deep::variant_for(architecture.activation, link);
        recording.dispatch(variant, params, buffers);
    }
}
