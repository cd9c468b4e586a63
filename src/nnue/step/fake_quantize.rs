//! The quantized copies of the parameters that the passes of a quantization-aware training read
//! (section 8.4).

use super::{ParameterBuffers, record_merge};
use crate::engine::device::Buffer;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::kernels::fake_quantize;
use crate::nnue::layout;
use crate::nnue::quantization::{FakeQuantization, Grid};

/// The copies, and how the parameters become them.
#[derive(Debug)]
pub(in crate::nnue) struct QuantizedCopies {
    pub(in crate::nnue) quantization: FakeQuantization,
    /// Like the parameters. If the sums of factorised inputs are quantized, the own parts hold them
    /// and the shared parts are 0.
    pub(in crate::nnue) parameters: Vec<Buffer>,
    /// A of each accumulator, if both parts of factorised inputs are quantized; otherwise none.
    pub(in crate::nnue) merged: Vec<Buffer>,
}

impl QuantizedCopies {
    /// What a pass reads in place of the parameters.
    pub(in crate::nnue) fn buffers(&self, architecture: &Architecture) -> ParameterBuffers<'_> {
        ParameterBuffers::new(architecture, &self.parameters).with_merged(&self.merged)
    }

    /// Makes the copies, before the first micro-batch of a batch: none changes the parameters
    /// before the last. The architecture is that on the device.
    pub(in crate::nnue) fn record(
        &self,
        recording: &mut Recording<'_>,
        architecture: &Architecture,
        masters: ParameterBuffers<'_>,
    ) -> Result<()> {
        let head = masters.head_index();
        let pairs = masters.buffers.iter().zip(&self.parameters).enumerate();
        let merges = self.quantization.merges_shared && architecture.is_factorised();
        for (buffer, (from, to)) in pairs {
            let (whole, to) = (from.len(), to.id());
            let from = match masters.merged.get(buffer) {
                Some(merged) if merges => merged.id(),
                // The sum has this part.
                None if merges && buffer < head => continue,
                _ => from.id(),
            };
            let ends = match buffer == head {
                true => layout::head_ends(architecture),
                false => vec![(buffer, whole)],
            };
            self.record_buffer(recording, [from, to], &ends);
        }
        match self.merged.is_empty() {
            true => Ok(()),
            false => record_merge(recording, architecture, &self.parameters, &self.merged),
        }
    }

    /// Quantizes the tensors of a buffer, which are given by their indices and their ends in it.
    fn record_buffer(
        &self,
        recording: &mut Recording<'_>,
        [from, to]: [BufferId; 2],
        ends: &[(usize, usize)],
    ) {
        let grids = &self.quantization.grids;
        let mut runs: Vec<(Option<Grid>, usize)> = Vec::new();
        for &(tensor, end) in ends {
            match runs.last_mut() {
                Some(last) if last.0 == grids[tensor] => last.1 = end,
                _ => runs.push((grids[tensor], end)),
            }
        }
        if runs.iter().any(|(grid, _)| grid.is_none()) {
            let whole = ends.last().map_or(0, |&(_, end)| end);
            recording.copy(from, to, 0, whole);
        }
        let mut start = 0;
        for (grid, end) in runs {
            if let Some(grid) = grid {
                let params = fake_quantize::Params {
                    start: start as u32,
                    end: end as u32,
                    scale: grid.scale,
                    low: grid.low,
                    high: grid.high,
                    up: grid.up,
                };
                let buffers = fake_quantize::Buffers {
                    values: from,
                    quantized: to,
                };
                recording.dispatch(0, params, buffers);
            }
            start = end;
        }
    }
}
