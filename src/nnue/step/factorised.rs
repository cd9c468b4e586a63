//! Factorised inputs, A = A′ + A″ with a part A″ that all king buckets share: what a step computes
//! for them besides its path. A path reads the merged A and writes the gradient of A, which is that
//! of A′; see section 1.15.

use super::{ParameterBuffers, Update};
use crate::engine::device::Buffer;
use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};
use crate::nnue::architecture::Architecture;
use crate::nnue::kernels::{shared_gradient, shared_update};
use crate::tensor::kernels::binary::{self, Binary};
use crate::tensor::shape::{Layout, Shape};

/// The numbers of a factorised network.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    accumulators: usize,
    /// The elements of the shared part of an accumulator, M·K.
    length: usize,
    /// N ÷ M.
    buckets: usize,
}

impl Sizes {
    /// `None` for a network without a shared part.
    fn of(architecture: &Architecture) -> Option<Self> {
        architecture.is_factorised().then(|| Self {
            accumulators: if architecture.tied { 1 } else { 2 },
            length: architecture.shared * architecture.hidden,
            buckets: architecture.inputs / architecture.shared,
        })
    }
}

/// Records A = A′ + A″ from all parameters to the merged weights. Without a shared part it records
/// nothing.
pub(in crate::nnue) fn record_merge(
    recording: &mut Recording<'_>,
    architecture: &Architecture,
    parameters: &[Buffer],
    merged: &[Buffer],
) -> Result<()> {
    let Some(sizes) = Sizes::of(architecture) else {
        return Ok(());
    };
    let whole = Shape::new(&[sizes.buckets, sizes.length])?;
    let own = Layout::contiguous(whole);
    let shared = Layout::contiguous(Shape::new(&[sizes.length])?).broadcast_to(whole);
    let shared = shared.ok_or_else(|| {
        let expected = format!("a divisor of N = {}", architecture.inputs);
        Error::argument("shared inputs (M)", expected, architecture.shared)
    })?;
    let params = binary::Params::new(&own, &shared);
    let (own, shared) = parameters.split_at(sizes.accumulators);
    for ((own, shared), merged) in own.iter().zip(shared).zip(merged) {
        let buffers = binary::Buffers {
            x: own.id(),
            y: shared.id(),
            result: merged.id(),
        };
        recording.dispatch(Binary::Add as usize, params, buffers);
    }
    Ok(())
}

/// Records the gradients of the shared parts, from those of A.
pub(super) fn record_gradients(
    recording: &mut Recording<'_>,
    architecture: &Architecture,
    gradients: ParameterBuffers<'_>,
) {
    let Some(sizes) = Sizes::of(architecture) else {
        return;
    };
    let params = shared_gradient::Params {
        length: sizes.length as u32,
        buckets: sizes.buckets as u32,
    };
    let (own, shared) = gradients.buffers.split_at(sizes.accumulators);
    for (own, shared) in own.iter().zip(shared) {
        let buffers = shared_gradient::Buffers {
            gradient: own.id(),
            sums: shared.id(),
        };
        recording.dispatch(0, params, buffers);
    }
}

/// Records the step of an optimizer for both parts and the merged weights, from the gradients of A.
pub(super) fn record_update(
    recording: &mut Recording<'_>,
    architecture: &Architecture,
    gradients: ParameterBuffers<'_>,
    (parameters, update, spares): (ParameterBuffers<'_>, Update<'_>, [BufferId; 2]),
) {
    let Some(sizes) = Sizes::of(architecture) else {
        return;
    };
    let variant = shared_update::variant_of(update.optimizer.sink());
    for (accumulator, merged) in parameters.merged.iter().enumerate() {
        let shared = sizes.accumulators + accumulator;
        let params = shared_update::Params {
            own_group: update.tensor(accumulator),
            shared_group: update.tensor(shared),
            length: sizes.length as u32,
            buckets: sizes.buckets as u32,
            step: update.optimizer.step(update.at),
        };
        let [first, second] = update.state(accumulator, spares[0]);
        let [shared_first, shared_second] = update.state(shared, spares[1]);
        let buffers = shared_update::Buffers {
            gradient: gradients.buffers[accumulator].id(),
            values: parameters.buffers[accumulator].id(),
            first,
            second,
            shared_values: parameters.buffers[shared].id(),
            shared_first,
            shared_second,
            merged: merged.id(),
        };
        recording.dispatch(variant, params, buffers);
    }
}
