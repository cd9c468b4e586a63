//! The copies of A in 16 bits that the forward passes of a training read, if it wants them.

use super::buffers::grow;
use super::{ParameterBuffers, Slice};
use crate::engine::device::{Buffer, Class, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::kernels::half_weights;

/// The copies, and whether a training wants them.
#[derive(Debug)]
pub(super) struct HalfWeights {
    rows: usize,
    hidden: usize,
    accumulators: usize,
    fits: bool,
    wanted: bool,
    /// A of each accumulator, one after the other.
    copies: Buffer,
}

/// The copies that a forward pass reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copies {
    pub(super) id: BufferId,
    /// The offset of A of the second perspective.
    pub(super) second: u32,
}

impl HalfWeights {
    pub(super) fn new(device: &Device, architecture: &Architecture) -> Result<Self> {
        let (rows, hidden) = (architecture.inputs, architecture.hidden);
        let accumulators = if architecture.tied { 1 } else { 2 };
        Ok(Self {
            rows,
            hidden,
            accumulators,
            fits: device.class() != Class::Host
                && device.has_halves()
                && hidden.is_multiple_of(32)
                && 2 * (accumulators * rows * hidden) as u64 <= device.binding_limit(),
            wanted: false,
            copies: device.allocate("A in 16 bits", Element::Word, 1)?,
        })
    }

    /// Makes the copies from now on, or not. Returns whether the device can.
    pub(super) fn set(&mut self, wanted: bool) -> bool {
        self.wanted = wanted && self.fits;
        self.fits
    }

    /// Makes room if passes want copies.
    pub(super) fn reserve(&mut self, device: &Device) -> Result<()> {
        let words = self.accumulators * self.rows * self.hidden / 2;
        match self.wanted {
            true => grow(
                device,
                &mut self.copies,
                "A in 16 bits",
                Element::Word,
                words,
            ),
            false => Ok(()),
        }
    }

    /// Makes the copies, if passes want them, before the first micro-batch of a batch: none changes
    /// A before the last. `tile` is that of [`half_weights`].
    pub(super) fn record(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        parameters: ParameterBuffers<'_>,
        tile: usize,
    ) -> Option<Copies> {
        if !self.wanted {
            return None;
        }
        let words = self.rows * self.hidden / 2;
        let accumulators = 0..if slice.range.start == 0 {
            self.accumulators
        } else {
            0
        };
        for accumulator in accumulators {
            let params = half_weights::Params {
                rows: self.rows as u32,
                hidden: self.hidden as u32,
                tile: tile as u32,
                to: (accumulator * words) as u32,
            };
            let buffers = half_weights::Buffers {
                weights: parameters.weights(accumulator),
                halves: self.copies.id(),
            };
            recording.dispatch(0, params, buffers);
        }
        Some(Copies {
            id: self.copies.id(),
            second: ((self.accumulators - 1) * words) as u32,
        })
    }
}
