//! A network with an optimizer: one call per training step.

mod sharded;

use super::finite::{PendingCheck, Sums};
use super::groups::ParameterGroups;
use super::needs::Needs;
use super::network::{Network, joined};
use super::parameters::Parameters;
use super::pending::{PendingLoss, no_samples};
use super::quantization::FakeQuantization;
use super::slices::Slice;
use super::step::Update;
use super::tuning::Tuning;
use super::upstream::Upstream;
use crate::engine::device::{Buffer, Device, Readback};
use crate::engine::recording::{Recording, TrafficByKernel};
use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::loss::Loss;
use crate::optim::{Optimizer, ParameterGroup, StepAt};
pub use sharded::ShardedLearner;

/// The moments of an optimizer before its first step.
pub(super) fn initial_moments(
    optimizer: Optimizer,
    parameters: &Parameters,
) -> Result<Vec<Parameters>> {
    let moment = |name: &&str| match optimizer.starts_at_values(name) {
        true => parameters.copy(),
        false => Parameters::zeros(parameters.architecture().clone()),
    };
    optimizer.moments().iter().map(moment).collect()
}

/// The update of an optimizer after some steps.
fn next_update<'a>(
    (optimizer, steps): (Optimizer, u64),
    groups: &'a [ParameterGroup],
    moments: &'a [Vec<Buffer>],
    learning_rate: f32,
) -> Result<Update<'a>> {
    if !learning_rate.is_finite() {
        let expected = "a finite number";
        return Err(Error::argument("learning rate", expected, learning_rate));
    }
    let number = steps + 1;
    Ok(Update {
        optimizer,
        at: StepAt {
            number,
            learning_rate,
        },
        groups,
        moments,
    })
}

/// A network in training: parameters, gradients and the moments of the optimizer, all on one
/// device.
#[derive(Debug)]
pub struct Learner {
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    /// Of each tensor.
    groups: Vec<ParameterGroup>,
    /// For each moment of the optimizer, one buffer per buffer of parameters.
    moments: Vec<Vec<Buffer>>,
    steps: u64,
    sums: Sums,
}

impl Learner {
    /// A learner before its first step: the moments are zero, and slow weights are as
    /// [`SlowStart`](crate::optim::SlowStart) says.
    ///
    /// # Errors
    /// As [`Learner::resume`].
    pub fn new(
        device: &Device,
        parameters: &Parameters,
        loss: Loss,
        optimizer: Optimizer,
    ) -> Result<Self> {
        let moments = initial_moments(optimizer, parameters)?;
        Self::resume(device, parameters, loss, optimizer, &moments, 0)
    }

    /// A learner after `steps` steps, with one set of moments for each name of
    /// [`Optimizer::moments`].
    ///
    /// # Errors
    /// A loss or an optimizer that is out of its range, a wrong number of moments, moments of
    /// another architecture, and parameters that the device cannot hold: see [`Network::new`].
    pub fn resume(
        device: &Device,
        parameters: &Parameters,
        loss: Loss,
        optimizer: Optimizer,
        moments: &[Parameters],
        steps: u64,
    ) -> Result<Self> {
        loss.check()?;
        optimizer.check()?;
        let names = optimizer.moments();
        if moments.len() != names.len() {
            let expected = format!("{} ({})", names.len(), names.join(", "));
            return Err(Error::argument("moments", expected, moments.len()));
        }
        let mut network = Network::new(device, parameters)?;
        network.reserve_gradients()?;
        let moments = moments.iter().zip(names).map(|(values, name)| {
            if values.architecture() != parameters.architecture() {
                let expected = "the architecture of the parameters";
                return Err(Error::argument(
                    format!("moment {name}"),
                    expected,
                    "another",
                ));
            }
            let buffers = network.like_parameters(&format!("{name} of"))?;
            network.upload(&buffers, values)?;
            Ok(buffers)
        });
        let moments = moments.collect::<Result<_>>()?;
        Ok(Self {
            network,
            loss,
            optimizer,
            groups: vec![ParameterGroup::default(); parameters.values().len()],
            moments,
            steps,
            sums: Sums::default(),
        })
    }

    /// Sets the learning-rate factor, weight decay and range of tensors. They apply from the next
    /// step on.
    ///
    /// # Errors
    /// As [`ParameterGroups::check`].
    pub fn set_groups(&mut self, groups: &ParameterGroups) -> Result<()> {
        self.groups = groups.of_tensors(self.network.architecture(), &self.optimizer)?;
        Ok(())
    }

    /// Stores Z and ∂Loss/∂Z of each step, or the slopes of SCReLU, in 16 bits instead of 32, or
    /// not, which is the default. The sums stay in 32 bits, and so do the outputs of
    /// [`Network::forward`]. A step then needs about half of the memory traffic. Sections 1.18 and
    /// 1.19 of the mathematics have the errors.
    ///
    /// # Errors
    /// If `half` is true, a CPU executor, and a network that is computed without Z or slopes in
    /// memory, or from tensor operations: one without SCReLU, a pairwise product and hidden layers,
    /// or with another K.
    pub fn set_half(&mut self, half: bool) -> Result<()> {
        if self.network.step.set_half(half) || !half {
            return Ok(());
        }
        let expected = "an adapter, and a network with SCReLU and one layer, with a pairwise \
                        product and a K that is a multiple of 64, or with hidden layers and a K \
                        that is a multiple of 32";
        Err(self.no_half("half", expected))
    }

    /// Lets the forward pass of each step read A in 16 bits, from a copy that the step makes, or
    /// not, which is the default. The parameters stay in 32 bits, and so do the gradients, the
    /// update and [`Network::forward`]. A forward pass then reads half of the bytes. Steps on dense
    /// inputs stay in 32 bits. Section 1.19 of the mathematics has the errors.
    ///
    /// # Errors
    /// If `half` is true, a CPU executor, an A whose copy is too large for a buffer, and a network
    /// that is computed from tensor operations.
    pub fn set_half_weights(&mut self, half: bool) -> Result<()> {
        if self.network.step.set_half_weights(half) || !half {
            return Ok(());
        }
        let expected = "an adapter, and a network with one layer or with a K that is a multiple \
                        of 64 (of 32 without a pairwise product)";
        Err(self.no_half("half weights", expected))
    }

    /// Adds an L1 penalty on the input of the head to what steps minimize: see
    /// [`Network::set_l1`]. It applies from the next step on. The loss that a step returns is
    /// without it.
    ///
    /// # Errors
    /// As [`Network::set_l1`]. Nothing changes then.
    pub fn set_l1(&mut self, l1: f32) -> Result<()> {
        self.network.set_l1(l1)
    }

    /// Lets the forward and the backward pass of each step read the parameters that an engine has,
    /// or not: see [`Network::set_quantization`]. The update changes the parameters themselves, and
    /// [`Learner::parameters`] returns those. It applies from the next step on. A step with 16 bits
    /// ([`Learner::set_half`], [`Learner::set_half_weights`]) starts from the same numbers.
    ///
    /// # Errors
    /// As [`Network::set_quantization`]. Nothing changes then.
    pub fn set_quantization(&mut self, quantization: Option<FakeQuantization>) -> Result<()> {
        self.network.set_quantization(quantization)
    }

    /// Chooses the variants of the kernels of a step: see [`Network::set_tuning`]. The bits of a
    /// training depend on them.
    ///
    /// # Errors
    /// As [`Tuning::check`]. Nothing changes then.
    pub fn set_tuning(&mut self, tuning: Tuning) -> Result<()> {
        self.network.set_tuning(tuning)
    }

    fn no_half(&self, what: &str, expected: &str) -> Error {
        let (architecture, device) = (self.network.architecture(), self.network.device());
        let found = format!("{architecture} on {}", device.name());
        Error::argument(what, expected, found)
    }

    /// One training step: forward, loss, gradients and update. Returns the loss of the batch before
    /// the update. A GPU may still be computing the loss when this call returns. Wait for the loss
    /// a few steps later to keep the GPU busy.
    ///
    /// # Errors
    /// A batch that does not fit the network, a learning rate that is not finite, and failures of
    /// the device.
    pub fn step(&mut self, batch: &impl AsRef<Batch>, learning_rate: f32) -> Result<PendingLoss> {
        let upstream = Upstream::Loss(self.loss);
        let readback = self.advance(batch.as_ref(), upstream, learning_rate)?;
        Ok(PendingLoss::new(readback))
    }

    /// One training step from an e = ∂E/∂Y, `[L]`, that the caller computes. It serves losses that
    /// wgrad does not have. Compute e from [`Network::forward`] of the same batch. The call waits
    /// until the step is done.
    ///
    /// # Errors
    /// As [`Learner::step`], and an e whose length is not L.
    pub fn step_with(
        &mut self,
        batch: &impl AsRef<Batch>,
        e: &[f32],
        learning_rate: f32,
    ) -> Result<()> {
        self.advance(batch.as_ref(), Upstream::Given(e), learning_rate)?
            .wait()
            .map(drop)
    }

    /// Forward, gradients and update. The readback holds the loss, if there is one.
    fn advance(
        &mut self,
        batch: &Batch,
        upstream: Upstream<'_>,
        learning_rate: f32,
    ) -> Result<Readback> {
        let state = (self.optimizer, self.steps);
        let update = next_update(state, &self.groups, &self.moments, learning_rate)?;
        let mut readback = None;
        let last = |slice: &Slice<'_>| slice.range.end == batch.len();
        self.network.pass(
            batch,
            upstream,
            Some(update),
            |network, recording, slice| {
                if last(slice) {
                    recording.read(network.step.loss().id(), 1);
                }
                readback = Some(network.device().play(recording)?);
                Ok(())
            },
        )?;
        // The step counts only at the end: if it fails before its last micro-batch, the parameters
        // do not change.
        self.steps += 1;
        readback.ok_or_else(no_samples)
    }

    /// Passes each recording that [`Learner::step`] would play for this batch to `see`, without
    /// playing it. The buffers of a recording exist until a larger batch needs larger buffers.
    #[doc(hidden)]
    pub fn recordings(&mut self, batch: &Batch, mut see: impl FnMut(&Recording<'_>)) -> Result<()> {
        let state = (self.optimizer, self.steps);
        let update = next_update(state, &self.groups, &self.moments, 0.0)?;
        let upstream = Upstream::Loss(self.loss);
        self.network
            .pass(batch, upstream, Some(update), |_, recording, _| {
                see(recording);
                Ok(())
            })
            .map(drop)
    }

    /// The work of [`Learner::step`] for this batch, by kernel: see [`Recording::traffic`]. Nothing
    /// is computed.
    #[doc(hidden)]
    pub fn traffic(&mut self, batch: &Batch) -> Result<Option<TrafficByKernel>> {
        let mut parts = Vec::new();
        self.recordings(batch, |recording| parts.push(recording.traffic()))?;
        Ok(joined(parts))
    }

    /// Starts to check whether all parameters and moments are finite after the steps so far. The
    /// device sums each of their buffers, so this takes less time than a step.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn check(&mut self) -> Result<PendingCheck> {
        let buffers = self
            .moments
            .iter()
            .flatten()
            .chain(&self.network.parameters);
        self.sums.check(self.network.device(), buffers)
    }

    /// The requirements that a [`Loader`](super::data::Loader) should meet for [`Learner::step`].
    pub fn needs(&self) -> Needs<'_> {
        self.network.needs()
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, for outputs and gradients.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Reads the parameters back. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn parameters(&self) -> Result<Parameters> {
        self.network.parameters()
    }

    /// Reads the moments back, one set for each name of [`Optimizer::moments`]. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn moments(&self) -> Result<Vec<Parameters>> {
        self.moments
            .iter()
            .map(|buffers| self.network.read(buffers))
            .collect()
    }
}
