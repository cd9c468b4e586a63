//! Training steps whose batch is cut into shards, on one process or shared out to several.

use super::{Learner, next_update};
use crate::engine::recording::Recording;
use crate::error::{Error, Result};
use crate::nnue::architecture::{Architecture, TensorSpec};
use crate::nnue::batch::Batch;
use crate::nnue::finite::PendingCheck;
use crate::nnue::layout::widened;
use crate::nnue::model::{Model, Trainable};
use crate::nnue::needs::Needs;
use crate::nnue::parameters::Parameters;
use crate::nnue::pending::{PendingLoss, no_samples};
use crate::nnue::ranks::{self, Ranks, Rows, add, sum_of_rows};
use crate::nnue::upstream::Upstream;
use std::sync::Arc;

/// A learner whose gradients are those of S shards, summed in the tree of [`ranks`]: of the shards
/// of this rank, then of all ranks.
///
/// The host makes all sums, also those of shards of one rank, because adapters may flush denormal
/// sums to 0 and the host does not.
#[derive(Debug)]
pub struct ShardedLearner {
    learner: Learner,
    ranks: Arc<dyn Ranks>,
    /// The shards of this rank.
    own: usize,
    /// Each A with many inputs, of which a batch touches only some rows.
    matrices: Vec<Rows>,
    /// Memory for gradients.
    spares: Vec<Vec<f32>>,
    received: Vec<f32>,
}

/// From this number of inputs on, only the rows of A that a batch touches travel.
const ROWS_FROM: usize = 20_000;

/// The places of the matrices of so many rows in the gradients that [`Learner::shard`] gives.
fn matrices(architecture: &Architecture) -> Vec<Rows> {
    let mut end = 0;
    let tensors = widened(architecture).tensors().into_iter();
    let places = tensors.map(|tensor| {
        end += tensor.len();
        (end - tensor.len(), tensor)
    });
    let has_rows = |tensor: &TensorSpec| tensor.name.is_weights() && tensor.shape[0] >= ROWS_FROM;
    let of_rows = places.filter(|(_, tensor)| has_rows(tensor));
    of_rows
        .map(|(start, tensor)| Rows {
            start,
            count: tensor.shape[0],
            width: tensor.len() / tensor.shape[0],
        })
        .collect()
}

impl ShardedLearner {
    /// A learner that takes the shards of this rank of batches of S = `shards` shards.
    ///
    /// # Errors
    /// A number of ranks that is no power of two or above S.
    pub fn new(learner: Learner, ranks: Arc<dyn Ranks>, shards: usize) -> Result<Self> {
        let own = ranks::shards_of(&*ranks, shards)?.len();
        let matrices = matrices(learner.network.architecture());
        Ok(Self {
            learner,
            ranks,
            own,
            matrices,
            spares: Vec::new(),
            received: Vec::new(),
        })
    }

    /// The sums of the gradients and losses of this rank's shards.
    fn own_sum(&mut self, shards: &[&Batch], mean_over: usize) -> Result<Vec<f32>> {
        // The sums of whole subtrees, from the largest to the smallest.
        let mut subtrees: Vec<Vec<f32>> = Vec::new();
        for (index, shard) in shards.iter().enumerate() {
            let memory = self.spares.pop().unwrap_or_default();
            let mut sum = self.learner.shard(shard, mean_over, memory)?;
            for _ in 0..index.trailing_ones() {
                let Some(mut left) = subtrees.pop() else {
                    break;
                };
                add(&mut left, &sum);
                self.spares.push(std::mem::replace(&mut sum, left));
            }
            subtrees.push(sum);
        }
        subtrees.pop().ok_or_else(no_samples)
    }
}

impl Learner {
    /// The gradients of a shard, buffer by buffer as the device has them, and its loss: the shares
    /// of a mean over `mean_over` samples. A shard may have no samples.
    fn shard(&mut self, batch: &Batch, mean_over: usize, memory: Vec<f32>) -> Result<Vec<f32>> {
        let mut values = memory;
        values.clear();
        let upstream = Upstream::Loss(self.loss);
        let network = &mut self.network;
        network.reserve_gradients()?;
        if batch.is_empty() {
            let len: usize = network.gradients.iter().map(|buffer| buffer.len()).sum();
            values.resize(len + 1, 0.0);
            return Ok(values);
        }
        network.pass_of_mean(batch, mean_over, upstream, None, |network, recording, _| {
            network.device().play(recording).map(drop)
        })?;
        for buffer in network.gradients.iter().chain([network.step.loss()]) {
            values.extend(buffer.read()?.into_f32());
        }
        Ok(values)
    }

    /// Updates the parameters with the gradients of the whole batch, as [`Learner::shard`] has
    /// them.
    fn apply(&mut self, gradients: &[f32], learning_rate: f32) -> Result<()> {
        let state = (self.optimizer, self.steps);
        let update = next_update(state, &self.groups, &self.moments, learning_rate)?;
        let network = &self.network;
        let mut recording = Recording::new();
        let mut rest = gradients;
        for buffer in &network.gradients {
            let (values, others) = rest.split_at(buffer.len());
            recording.upload(buffer.id(), values);
            rest = others;
        }
        network.record_update(&mut recording, update)?;
        network.device().play(&recording)?.wait()?;
        self.steps += 1;
        Ok(())
    }
}

impl Model for ShardedLearner {
    fn architecture(&self) -> &Architecture {
        Model::architecture(&self.learner)
    }

    fn outputs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        self.learner.outputs(batch)
    }

    fn output_needs(&self) -> Needs<'_> {
        self.learner.output_needs()
    }
}

impl Trainable for ShardedLearner {
    fn step(&mut self, batch: &Batch, learning_rate: f32) -> Result<PendingLoss> {
        self.step_shards(&[batch], batch.len(), learning_rate)
    }

    fn step_shards(
        &mut self,
        shards: &[&Batch],
        samples: usize,
        learning_rate: f32,
    ) -> Result<PendingLoss> {
        if shards.len() != self.own {
            let expected = format!("{} shards of a batch", self.own);
            return Err(Error::argument("batch", expected, shards.len()));
        }
        let mut sum = self.own_sum(shards, samples)?;
        sum_of_rows(&*self.ranks, &mut sum, &self.matrices, &mut self.received)?;
        let loss = sum.last().copied().ok_or_else(no_samples)?;
        self.learner.apply(&sum, learning_rate)?;
        self.spares.push(sum);
        Ok(PendingLoss::known(loss))
    }

    fn check(&mut self) -> Result<PendingCheck> {
        self.learner.check()
    }

    fn step_needs(&self) -> Needs<'_> {
        self.learner.needs()
    }

    fn steps(&self) -> u64 {
        self.learner.steps()
    }

    fn parameters(&self) -> Result<Parameters> {
        self.learner.parameters()
    }

    fn moments(&self) -> Result<Vec<Parameters>> {
        self.learner.moments()
    }
}
