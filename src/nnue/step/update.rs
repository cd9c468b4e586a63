//! The step of an optimizer, and where a pass that can apply it puts its gradients.

use crate::engine::device::Buffer;
use crate::engine::recording::BufferId;
use crate::nnue::architecture::Architecture;
use crate::nnue::layout::{self, HeadLayout};
use crate::nnue::slices::Slice;
use crate::optim::sinks::{self, Sink, Step};
use crate::optim::{Optimizer, ParameterGroup, StepAt};

/// A step of an optimizer.
#[derive(Clone, Copy, Debug)]
pub(in crate::nnue) struct Update<'a> {
    pub(in crate::nnue) optimizer: Optimizer,
    pub(in crate::nnue) at: StepAt,
    /// Of each tensor, in the order of [`Architecture::tensors`].
    pub(in crate::nnue) groups: &'a [ParameterGroup],
    /// For each moment, buffers with the sizes of the parameter buffers.
    pub(in crate::nnue) moments: &'a [Vec<Buffer>],
}

impl Update<'_> {
    /// The moments of a buffer of parameters.
    pub(super) fn moments(&self, buffer: usize) -> Vec<BufferId> {
        let moments = self.moments.iter();
        moments.map(|buffers| buffers[buffer].id()).collect()
    }

    /// The first two moments of a buffer of parameters, or `spare` for one that the optimizer does
    /// not have.
    pub(super) fn state(&self, buffer: usize, spare: BufferId) -> [BufferId; 2] {
        let moment = |index: usize| self.moments.get(index);
        [0, 1].map(|index| moment(index).map_or(spare, |buffers| buffers[buffer].id()))
    }

    /// The numbers of a tensor, given by its index in [`Architecture::tensors`]. A of each
    /// accumulator and then each shared part are the first tensors, and have buffers with the same
    /// indices.
    pub(super) fn tensor(&self, tensor: usize) -> sinks::Group {
        let group = self.groups.get(tensor).copied().unwrap_or_default();
        self.optimizer.group(self.at, &group)
    }

    /// The ends of runs of elements of the head buffer that have the same numbers, and the numbers.
    pub(super) fn head_runs(&self, architecture: &Architecture) -> Vec<(usize, sinks::Group)> {
        let mut runs: Vec<(usize, sinks::Group)> = Vec::new();
        for (tensor, end) in layout::head_ends(architecture) {
            let numbers = self.tensor(tensor);
            match runs.last_mut() {
                Some(last) if last.1 == numbers => last.0 = end,
                _ => runs.push((end, numbers)),
            }
        }
        runs
    }

    /// The numbers of B, of the weights of the head and of its biases, if each of the three has one
    /// set of numbers for all of its tensors. The kernels of the head know no more.
    pub(super) fn head(&self, architecture: &Architecture) -> Option<[sinks::Group; 3]> {
        let place = HeadLayout::new(architecture);
        let ends = [place.output, place.output_bias, place.len];
        let mut regions: [Option<sinks::Group>; 3] = [None; 3];
        for (tensor, end) in layout::head_ends(architecture) {
            let region = ends
                .iter()
                .position(|&of_region| end <= of_region as usize)?;
            let numbers = self.tensor(tensor);
            if *regions[region].get_or_insert(numbers) != numbers {
                return None;
            }
        }
        Some(regions.map(Option::unwrap_or_default))
    }
}

/// The sink of the gradients of a micro-batch, and the numbers of the optimizer's step: a fused
/// update, or the gradient buffers, to which every micro-batch after the first one adds.
pub(super) fn sink(fused: Option<Update<'_>>, slice: &Slice<'_>) -> (Sink, Step) {
    match fused {
        Some(update) => (update.optimizer.sink(), update.optimizer.step(update.at)),
        None if slice.range.start > 0 => (Sink::Add, Step::default()),
        None => (Sink::Write, Step::default()),
    }
}

/// As [`sink`] for the head buffer, with the numbers of its three groups. If the groups of its
/// tensors differ within the three, the kernel writes the gradients, and [`Update::head_runs`] are
/// applied after it.
pub(super) fn head_sink(
    fused: Option<Update<'_>>,
    slice: &Slice<'_>,
    architecture: &Architecture,
) -> (Sink, Step, [sinks::Group; 3]) {
    let head = fused.and_then(|update| update.head(architecture));
    let (sink, step) = sink(fused.filter(|_| head.is_some()), slice);
    (sink, step, head.unwrap_or_default())
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
