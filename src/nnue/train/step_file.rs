//! A file with everything that one step reads: a [`Checkpoint`] before the step, and the batch and
//! the learning rate of the step. `wgrad gradients` performs the step again.

use super::checkpoint::Checkpoint;
use super::trainer::learner_at;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::files::safetensors::{StoredTensor, TensorData, TensorFile};
use crate::nnue::file::push_parameters;
use crate::nnue::{Batch, Inputs, NetworkGradients, PADDING, SparseInputs, Upstream};
use std::path::Path;

/// The metadata key of the learning rate.
const LEARNING_RATE: &str = "learning_rate";

/// Writes the file. Its tensors besides those of the checkpoint are `indices1`, `indices2` [L, F]
/// or `X1`, `X2` [L, N], `Y_exp` [L], and `buckets` and `weights` [L] if the batch has them.
pub(super) fn write(
    path: &Path,
    before: &Checkpoint,
    batch: &Batch,
    learning_rate: f32,
) -> Result<()> {
    let mut file = before.file(path)?;
    let loss = serde_json::to_string(&before.settings.loss)
        .map_err(|error| Error::argument("loss", "a loss that JSON can hold", error))?;
    let own = [("loss", loss), (LEARNING_RATE, learning_rate.to_string())];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    file.metadata.extend(own);
    let samples = batch.len();
    let mut push = |name: &str, shape: &[usize], data| {
        file.tensors.push(StoredTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            data,
        });
    };
    match batch.inputs() {
        Inputs::Sparse(lists) => {
            for (name, lists) in ["indices1", "indices2"].into_iter().zip(lists) {
                let width = lists.longest().max(1);
                push(
                    name,
                    &[samples, width],
                    TensorData::I32(padded(lists, width)),
                );
            }
        }
        Inputs::Dense { inputs, values } => {
            for (name, values) in ["X1", "X2"].into_iter().zip(values) {
                push(name, &[samples, *inputs], TensorData::F32(values.clone()));
            }
        }
    }
    push(
        "Y_exp",
        &[samples],
        TensorData::F32(batch.targets().to_vec()),
    );
    if let Some(weights) = batch.weights() {
        push("weights", &[samples], TensorData::F32(weights.to_vec()));
    }
    if let Some(buckets) = batch.buckets() {
        let buckets = buckets.iter().map(|&bucket| bucket as i32).collect();
        push("buckets", &[samples], TensorData::I32(buckets));
    }
    file.write_finite()
}

/// The lists as a matrix `[L, width]`.
fn padded(lists: &SparseInputs, width: usize) -> Vec<i32> {
    let mut indices = vec![PADDING; lists.len() * width];
    for (sample, row) in indices.chunks_exact_mut(width).enumerate() {
        for (to, &index) in row.iter_mut().zip(lists.list(sample)) {
            *to = index as i32;
        }
    }
    indices
}

/// The learning rate of a file that holds a step; `None` if it holds only a batch.
///
/// # Errors
/// A learning rate that is not a finite number.
pub fn learning_rate_of(file: &TensorFile) -> Result<Option<f32>> {
    let Some(text) = file.metadata.get(LEARNING_RATE) else {
        return Ok(None);
    };
    let rate = text.parse().ok().filter(|rate: &f32| rate.is_finite());
    let wrong = || {
        let place = format!("metadata `{LEARNING_RATE}`");
        file.fault(place, "a finite number", format!("{text:?}"))
    };
    rate.map(Some).ok_or_else(wrong)
}

/// Adds Y, the loss and the gradients with the suffix `.grad`.
///
/// # Errors
/// As [`push_parameters`].
pub fn push_gradients(out: &mut TensorFile, found: &NetworkGradients) -> Result<()> {
    let mut vector = |name: &str, values: Vec<f32>| {
        out.tensors.push(StoredTensor {
            name: name.to_owned(),
            shape: vec![values.len()],
            data: TensorData::F32(values),
        });
    };
    vector("Y", found.y.clone());
    vector("loss", found.loss.into_iter().collect());
    push_parameters(out, &found.parameters, ".grad")
}

/// Performs the step after a checkpoint, and adds its numbers: those of [`push_gradients`], and
/// parameters and moments after the step with the suffixes `.next`, `.m.next` and so on.
///
/// # Errors
/// A batch that does not fit the network, and failures of the device.
pub fn perform_step(
    out: &mut TensorFile,
    before: &Checkpoint,
    device: &Device,
    batch: &Batch,
    learning_rate: f32,
) -> Result<()> {
    let mut learner = learner_at(device, before)?;
    let upstream = Upstream::Loss(before.settings.loss);
    let gradients = learner.network_mut().gradients(batch, upstream)?;
    push_gradients(out, &gradients)?;
    learner.step(batch, learning_rate)?.wait()?;
    push_parameters(out, &learner.parameters()?, ".next")?;
    let names = before.settings.optimizer.moments();
    for (name, moment) in names.iter().zip(learner.moments()?) {
        push_parameters(out, &moment, &format!(".{name}.next"))?;
    }
    Ok(())
}
