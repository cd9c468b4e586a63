//! What a trainer and an evaluation need of a network, whatever computes it.

use super::architecture::Architecture;
use super::batch::Batch;
use super::finite::PendingCheck;
use super::learner::Learner;
use super::needs::Needs;
use super::network::Network;
use super::parameters::Parameters;
use super::pending::PendingLoss;
use crate::error::{Error, Result};
use std::fmt::Debug;

/// A network that computes outputs.
pub trait Model: Debug + Send {
    /// The architecture.
    fn architecture(&self) -> &Architecture;

    /// Y, `[L]`. Blocks the thread.
    ///
    /// # Errors
    /// A batch that does not fit the network, and failures of the device.
    fn outputs(&mut self, batch: &Batch) -> Result<Vec<f32>>;

    /// The requirements that batches should meet for [`Model::outputs`].
    fn output_needs(&self) -> Needs<'_>;
}

/// A model in training.
pub trait Trainable: Model {
    /// One training step. Returns the loss of the batch before the update, which a device may still
    /// be computing.
    ///
    /// # Errors
    /// A batch that does not fit the network, a learning rate that is not finite, and failures of
    /// the device.
    fn step(&mut self, batch: &Batch, learning_rate: f32) -> Result<PendingLoss>;

    /// One training step on shards of a batch of `samples` samples: those of this process, in
    /// order. Returns the loss of the whole batch. A model without shards takes one shard, the
    /// batch.
    ///
    /// # Errors
    /// As [`Trainable::step`], and another number of shards.
    fn step_shards(
        &mut self,
        shards: &[&Batch],
        samples: usize,
        learning_rate: f32,
    ) -> Result<PendingLoss> {
        match shards {
            [batch] if batch.len() == samples => self.step(batch, learning_rate),
            _ => {
                let expected = "one shard, the whole batch";
                Err(Error::argument("batch", expected, shards.len()))
            }
        }
    }

    /// Starts to check whether all parameters and moments are finite after the steps so far.
    ///
    /// # Errors
    /// Failures of the device.
    fn check(&mut self) -> Result<PendingCheck>;

    /// The requirements that batches should meet for [`Trainable::step`].
    fn step_needs(&self) -> Needs<'_>;

    /// The number of steps so far.
    fn steps(&self) -> u64;

    /// Reads the parameters back. Blocks the thread.
    ///
    /// # Errors
    /// Failures of the device.
    fn parameters(&self) -> Result<Parameters>;

    /// Reads the state of the optimizer back: one set for each of its moments. Blocks the thread.
    ///
    /// # Errors
    /// Failures of the device.
    fn moments(&self) -> Result<Vec<Parameters>>;
}

impl Model for Network {
    fn architecture(&self) -> &Architecture {
        self.architecture()
    }

    fn outputs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        self.forward(batch)
    }

    fn output_needs(&self) -> Needs<'_> {
        Needs::outputs(self)
    }
}

impl Model for Learner {
    fn architecture(&self) -> &Architecture {
        self.network().architecture()
    }

    fn outputs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        self.network_mut().forward(batch)
    }

    fn output_needs(&self) -> Needs<'_> {
        Needs::outputs(self.network())
    }
}

impl Trainable for Learner {
    fn step(&mut self, batch: &Batch, learning_rate: f32) -> Result<PendingLoss> {
        self.step(batch, learning_rate)
    }

    fn check(&mut self) -> Result<PendingCheck> {
        self.check()
    }

    fn step_needs(&self) -> Needs<'_> {
        self.needs()
    }

    fn steps(&self) -> u64 {
        self.steps()
    }

    fn parameters(&self) -> Result<Parameters> {
        self.parameters()
    }

    fn moments(&self) -> Result<Vec<Parameters>> {
        self.moments()
    }
}
