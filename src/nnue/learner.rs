//! A network with an optimiser: one call a training step.

use super::network::{Network, joined};
use super::parameters::Parameters;
use super::pending::{PendingLoss, no_samples};
use super::slices::Slice;
use super::step::Update;
use super::upstream::Upstream;
use crate::engine::device::{Buffer, Device, Readback};
use crate::engine::recording::{Recording, TrafficByKernel};
use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::loss::Loss;
use crate::optim::{Optimizer, ParameterGroup, StepAt};
use serde::{Deserialize, Serialize};

/// The groups of a network's parameters, which may learn at other rates, decays and ranges than the
/// optimizer's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ParameterGroups {
    /// A of both accumulators.
    pub weights: ParameterGroup,
    /// B of both accumulators.
    pub bias: ParameterGroup,
    /// C.
    pub output_weights: ParameterGroup,
    /// d.
    pub output_bias: ParameterGroup,
}

impl ParameterGroups {
    fn check(&self) -> Result<()> {
        let groups = [
            &self.weights,
            &self.bias,
            &self.output_weights,
            &self.output_bias,
        ];
        groups.into_iter().try_for_each(ParameterGroup::check)
    }
}

/// A network in training: parameters, gradients and the optimiser's moments, all on the device.
#[derive(Debug)]
pub struct Learner {
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    groups: ParameterGroups,
    /// For each moment of the optimiser, buffers like those of the parameters.
    moments: Vec<Vec<Buffer>>,
    steps: u64,
}

impl Learner {
    /// A fresh start: moments are zero, no step is done.
    pub fn new(
        device: &Device,
        parameters: &Parameters,
        loss: Loss,
        optimizer: Optimizer,
    ) -> Result<Self> {
        let zeros = Parameters::zeros(*parameters.architecture())?;
        let moments = vec![zeros; optimizer.moments().len()];
        Self::resume(device, parameters, loss, optimizer, &moments, 0)
    }

    /// Goes on after `steps` steps with these moments, one parameter set for each of [`Optimizer::moments`].
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
            groups: ParameterGroups::default(),
            moments,
            steps,
        })
    }

    /// Gives groups of parameters numbers of their own, from the next step on.
    ///
    /// # Errors
    /// The errors of [`ParameterGroup::check`].
    pub fn set_groups(&mut self, groups: ParameterGroups) -> Result<()> {
        groups.check()?;
        self.groups = groups;
        Ok(())
    }

    /// One step: forward, loss, gradients, optimiser. Returns the batch's loss before the step, which on a GPU is
    /// still being computed; waiting for it some steps later keeps the device busy.
    pub fn step(&mut self, batch: &Batch, learning_rate: f32) -> Result<PendingLoss> {
        let readback = self.advance(batch, Upstream::Loss(self.loss), learning_rate)?;
        Ok(PendingLoss::new(readback))
    }

    /// One step against an e = ∂Loss/∂Y of the caller's own, `[L]`, for a loss that wgrad does not have: compute it from
    /// [`Network::forward`] of the same batch. Waits until the step is done.
    pub fn step_with(&mut self, batch: &Batch, e: &[f32], learning_rate: f32) -> Result<()> {
        self.advance(batch, Upstream::Given(e), learning_rate)?
            .wait()
            .map(drop)
    }

    /// Forward, gradients, optimiser; the read back holds the loss if there is one.
    fn advance(
        &mut self,
        batch: &Batch,
        upstream: Upstream<'_>,
        learning_rate: f32,
    ) -> Result<Readback> {
        if !learning_rate.is_finite() {
            let expected = "a finite number";
            return Err(Error::argument("learning rate", expected, learning_rate));
        }
        let update = Update {
            optimizer: self.optimizer,
            at: StepAt {
                number: self.steps + 1,
                learning_rate,
            },
            groups: self.groups,
            moments: &self.moments,
        };
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
        // Counted only now: a step that failed before its last slice has not changed the parameters.
        self.steps += 1;
        readback.ok_or_else(no_samples)
    }

    /// Hands what [`Learner::step`] would play for this batch to `see`, slice by slice, and plays nothing: to look into it, or to play a
    /// dispatch alone. The buffers stand until a larger batch comes.
    pub fn recordings(&mut self, batch: &Batch, mut see: impl FnMut(&Recording<'_>)) -> Result<()> {
        let update = Update {
            optimizer: self.optimizer,
            at: StepAt {
                number: self.steps + 1,
                learning_rate: 0.0,
            },
            groups: self.groups,
            moments: &self.moments,
        };
        let upstream = Upstream::Loss(self.loss);
        self.network
            .pass(batch, upstream, Some(update), |_, recording, _| {
                see(recording);
                Ok(())
            })
    }

    /// What [`Learner::step`] asks of the device for this batch, by kernel: see [`Recording::traffic`]. Nothing is computed.
    pub fn traffic(&mut self, batch: &Batch) -> Result<Option<TrafficByKernel>> {
        let mut parts = Vec::new();
        self.recordings(batch, |recording| parts.push(recording.traffic()))?;
        Ok(joined(parts))
    }

    /// As [`Network::reads_transposed`].
    pub fn reads_transposed(&self, samples: usize, entries: usize) -> bool {
        self.network.reads_transposed(samples, entries)
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The network, for outputs and gradients.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Reads the parameters back, blocking.
    pub fn parameters(&self) -> Result<Parameters> {
        self.network.parameters()
    }

    /// Reads the optimiser's moments back, one parameter set for each of [`Optimizer::moments`].
    pub fn moments(&self) -> Result<Vec<Parameters>> {
        self.moments
            .iter()
            .map(|buffers| self.network.read(buffers))
            .collect()
    }
}
