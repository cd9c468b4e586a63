//! Training steps whose batch is cut into shards, on one process or shared out to several.

use super::{Learner, next_update};
use crate::engine::device::Values;
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
    /// Memory for the sum, and for what other ranks send.
    sum: Vec<f32>,
    received: Vec<f32>,
}

/// The gradients of a subtree of shards, buffer by buffer as the device has them, and its loss.
type Subtree = Vec<Vec<f32>>;

/// From this number of inputs on, only the rows of A that a batch touches travel.
const ROWS_FROM: usize = 20_000;

/// The places of the matrices of so many rows in the concatenated gradients of a [`Subtree`].
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
            sum: Vec::new(),
            received: Vec::new(),
        })
    }

    /// The sums of the gradients and losses of this rank's shards.
    fn own_sum(&mut self, shards: &[&Batch], mean_over: usize) -> Result<Subtree> {
        // The sums of whole subtrees, from the largest to the smallest.
        let mut subtrees: Vec<Subtree> = Vec::new();
        for (index, shard) in shards.iter().enumerate() {
            let mut sum = self.learner.shard(shard, mean_over)?;
            for _ in 0..index.trailing_ones() {
                let Some(mut left) = subtrees.pop() else {
                    break;
                };
                for (values, others) in left.iter_mut().zip(&sum) {
                    add(values, others);
                }
                sum = left;
            }
            subtrees.push(sum);
        }
        subtrees.pop().ok_or_else(no_samples)
    }
}

impl Learner {
    /// The gradients and the loss of a shard: the shares of a mean over `mean_over` samples. A shard
    /// may have no samples.
    fn shard(&mut self, batch: &Batch, mean_over: usize) -> Result<Subtree> {
        let upstream = Upstream::Loss(self.loss);
        let network = &mut self.network;
        network.reserve_gradients()?;
        if batch.is_empty() {
            let lens = network.gradients.iter().map(|buffer| buffer.len());
            return Ok(lens.chain([1]).map(|len| vec![0.0; len]).collect());
        }
        network.pass_of_mean(batch, mean_over, upstream, None, |network, recording, _| {
            network.device().play(recording).map(drop)
        })?;
        let mut recording = Recording::new();
        for buffer in network.gradients.iter().chain([network.step.loss()]) {
            recording.read(buffer.id(), buffer.len());
        }
        let values = network.device().play(&recording)?.wait()?;
        Ok(values.into_iter().map(Values::into_f32).collect())
    }

    /// Updates the parameters with the concatenated gradients of the whole batch.
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
        let own = self.own_sum(shards, samples)?;
        let sum = &mut self.sum;
        sum.clear();
        own.iter().for_each(|values| sum.extend_from_slice(values));
        sum_of_rows(&*self.ranks, sum, &self.matrices, &mut self.received)?;
        let loss = sum.last().copied().ok_or_else(no_samples)?;
        self.learner.apply(sum, learning_rate)?;
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
