//! The step of an optimizer, and where a pass that can apply it puts its gradients.

use crate::engine::device::Buffer;
use crate::engine::recording::BufferId;
use crate::nnue::ParameterGroups;
use crate::nnue::slices::Slice;
use crate::optim::sinks::{self, Sink, Step};
use crate::optim::{Optimizer, StepAt};

/// A step of an optimizer.
#[derive(Clone, Copy, Debug)]
pub(in crate::nnue) struct Update<'a> {
    pub(in crate::nnue) optimizer: Optimizer,
    pub(in crate::nnue) at: StepAt,
    pub(in crate::nnue) groups: ParameterGroups,
    /// For each moment, buffers with the sizes of the parameter buffers.
    pub(in crate::nnue) moments: &'a [Vec<Buffer>],
}

impl Update<'_> {
    /// The moments of a buffer of parameters.
    pub(super) fn moments(&self, buffer: usize) -> Vec<BufferId> {
        let moments = self.moments.iter();
        moments.map(|buffers| buffers[buffer].id()).collect()
    }

    /// The first two moments of a buffer of parameters, or `spare` for one that the optimizer does not
    /// have.
    pub(super) fn state(&self, buffer: usize, spare: BufferId) -> [BufferId; 2] {
        let moments = self.moments(buffer);
        [0, 1].map(|index| moments.get(index).copied().unwrap_or(spare))
    }

    /// The numbers of A's group.
    pub(super) fn weights(&self) -> sinks::Group {
        self.optimizer.group(self.at, &self.groups.weights)
    }

    /// The numbers of the groups of B, C and d.
    pub(super) fn head(&self) -> [sinks::Group; 3] {
        let groups = &self.groups;
        [&groups.bias, &groups.output_weights, &groups.output_bias]
            .map(|group| self.optimizer.group(self.at, group))
    }
}

/// The sink of the gradients of a micro-batch, and the numbers of the optimizer's step: a fused update,
/// or the gradient buffers, to which every micro-batch after the first one adds.
pub(super) fn sink(fused: Option<Update<'_>>, slice: &Slice<'_>) -> (Sink, Step) {
    match fused {
        Some(update) => (update.optimizer.sink(), update.optimizer.step(update.at)),
        None if slice.range.start > 0 => (Sink::Add, Step::default()),
        None => (Sink::Write, Step::default()),
    }
}

/// The buffers that the sink changes: the optimizer's moments of a buffer of parameters, or its
/// gradient and a spare one.
pub(super) fn state(
    fused: Option<Update<'_>>,
    buffer: usize,
    gradient: BufferId,
    spare: BufferId,
) -> [BufferId; 2] {
    match fused {
        Some(update) => update.state(buffer, spare),
        None => [gradient, spare],
    }
}
