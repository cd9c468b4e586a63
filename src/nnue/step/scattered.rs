//! The way of a processor for index lists of a SCReLU network: each sample is gone through once, forward and backward, while what it
//! touches is in the caches, and its gradients are added row by row to those of its piece of the batch: see [`pieces`].
//!
//! [`masked`](super::masked) reads of CReLU and ReLU a bit a lane, which is less than the rows that are written here.

use super::lists::{self, ListBuffer};
use super::{Common, Lists, Roles, WORKSPACE_BYTES, grow};
use crate::engine::device::{Buffer, Class, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::activation::Activation;
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::pieces::Pieces;
use crate::nnue::kernels::{join_pieces, scatter_pieces};
use crate::nnue::layout::Small;
use crate::nnue::loss::Loss;
use crate::nnue::slices::Slice;

/// Samples of a piece. Pieces run side by side, and each costs its gradients once more. Part of what the bits of a run depend on.
const PIECE: usize = 2048;

/// A batch goes this way if it has so many indices for each row of a piece's gradients and more, so that few are joined for nothing.
const USES: usize = 4;

/// The buffer of such a pass.
#[derive(Debug)]
pub(super) struct Scattered {
    architecture: Architecture,
    /// Whether the device and the network are made for it.
    applies: bool,
    /// Bytes that the gradients of all pieces may take.
    limit: u64,
    pieces: Buffer,
}

impl Scattered {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        Ok(Self {
            architecture: architecture.clone(),
            applies: device.class() == Class::Host
                && architecture.activation == Activation::SCRelu
                && architecture.buckets == 1
                && architecture.hidden <= scatter_pieces::LARGEST_HIDDEN,
            limit: device.binding_limit().min(WORKSPACE_BYTES),
            pieces: device.allocate("gradients of the pieces", Element::Float, 1)?,
        })
    }

    fn geometry(&self) -> Pieces {
        Pieces {
            inputs: self.architecture.inputs,
            hidden: self.architecture.hidden,
            accumulators: if self.architecture.tied { 1 } else { 2 },
        }
    }

    /// Floats of the gradients of all pieces.
    fn len(&self, samples: usize) -> usize {
        samples.div_ceil(PIECE) * self.geometry().stride()
    }

    /// Whether the kernels can take a batch, in slices or whole, and should.
    pub(super) fn takes(&self, batch: &Batch) -> bool {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return false;
        };
        let entries = lists.iter().map(|lists| lists.indices().len()).sum();
        self.fits(batch.len(), entries)
    }

    /// The same of index lists of so many samples, with so many indices in all.
    pub(super) fn fits(&self, samples: usize, entries: usize) -> bool {
        let geometry = self.geometry();
        let rows = samples.div_ceil(PIECE) * geometry.accumulators * geometry.inputs;
        self.applies && entries >= USES * rows && 4 * self.len(samples) as u64 <= self.limit
    }

    pub(super) fn reserve(&mut self, device: &Device, samples: usize) -> Result<()> {
        let (what, len) = ("gradients of the pieces", self.len(samples));
        grow(device, &mut self.pieces, what, Element::Float, len)
    }

    /// Y, the losses of the samples and the gradients of all parameters, by a loss over `total` samples or, without one, from an e that stands in
    /// the place of the targets; slices after the first of a batch add to those before.
    pub(super) fn record<'a>(
        &self,
        recording: &mut Recording<'a>,
        (slice, inputs): (&Slice<'_>, Lists<'a>),
        (common, list_buffer): (&Common, &ListBuffer),
        (parameters, gradients): (Roles<'_>, Roles<'_>),
        (loss, total): (Option<Loss>, usize),
    ) {
        let architecture = &self.architecture;
        let [_, _, indices_1, indices_2] = list_buffer.record(recording, lists::parts(inputs));
        let small = Small::new(architecture);
        let entries = inputs[0].indices().len() + inputs[1].indices().len();
        let params = scatter_pieces::Params {
            samples: slice.samples() as u32,
            hidden: architecture.hidden as u32,
            inputs: architecture.inputs as u32,
            tied: u32::from(architecture.tied),
            indices_1,
            indices_2,
            output: small.output,
            bias_2: small.bias_2,
            piece: PIECE as u32,
            entries: entries as u32,
            power: loss.map_or(1.0, |loss| loss.power),
            scale: 1.0 / total as f32,
            clip: architecture.clip,
        };
        let buffers = [
            list_buffer.id(),
            parameters.weights(0),
            parameters.weights(1),
            parameters.small(),
            common.targets.id(),
            common.y.id(),
            common.terms.id(),
            self.pieces.id(),
        ];
        let link = loss.map(|loss| loss.link);
        let variant = scatter_pieces::variant_for(architecture.activation, link);
        recording.dispatch(variant, params, &buffers);

        let geometry = self.geometry();
        let (inputs, hidden) = (geometry.inputs, geometry.hidden);
        let mut join = |(rows, hidden): (usize, usize), first: usize, to: BufferId| {
            let params = join_pieces::Params {
                rows: rows as u32,
                hidden: hidden as u32,
                first: first as u32,
                stride: geometry.stride() as u32,
                pieces: slice.samples().div_ceil(PIECE) as u32,
                accumulate: u32::from(slice.range.start > 0),
            };
            recording.dispatch(0, params, &[self.pieces.id(), to]);
        };
        for accumulator in 0..geometry.accumulators {
            let weights = geometry.weights(accumulator);
            join((inputs, hidden), weights, gradients.weights(accumulator));
        }
        let small = small.output_bias as usize + 1;
        join((1, small), geometry.bias(0), gradients.small());
    }
}
