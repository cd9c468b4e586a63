//! A network on a device: outputs and gradients.

mod buffers;

use super::architecture::Architecture;
use super::layout;
use super::needs::Needs;
use super::order::Ordered;
use super::parameters::Parameters;
use super::pending::{PendingLoss, no_samples};
use super::slices::Slice;
use super::step::{Goal, ParameterBuffers, QuantizedCopies, Step, Update, record_merge};
use super::tuning::Tuning;
use super::upstream::Upstream;
use crate::engine::device::{Buffer, Device, Values, Wait, blocked};
use crate::engine::recording::{Data, Recording, TrafficByKernel};
use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::loss::Loss;

/// The capacity of a list of commands, more than a pass and its update usually have. Growing the
/// list would take half as long as recording the commands.
const COMMANDS: usize = 64;

/// The result of [`Network::gradients`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetworkGradients {
    /// Y, `[L]`.
    pub y: Vec<f32>,
    /// The loss, unless the caller gave e.
    pub loss: Option<f32>,
    /// The gradient of each parameter.
    pub parameters: Parameters,
}

/// The same as [`NetworkGradients`], in the executor's own precision.
#[derive(Debug)]
#[doc(hidden)]
#[non_exhaustive]
pub struct GradientValues {
    /// Y of each micro-batch.
    pub y: Vec<Values>,
    /// The loss, unless the caller gave e.
    pub loss: Option<Values>,
    /// The gradients, in the order of [`Architecture::tensors`].
    pub parameters: Vec<Values>,
}

/// A two-perspective network on a device.
#[derive(Debug)]
pub struct Network {
    device: Device,
    architecture: Architecture,
    /// The architecture with K as it is on the device.
    widened: Architecture,
    pub(super) parameters: Vec<Buffer>,
    /// A of each accumulator, the sum of its two parts, if the inputs are factorised; otherwise
    /// none. Whatever changes the parameters changes it too.
    merged: Vec<Buffer>,
    pub(super) gradients: Vec<Buffer>,
    pub(super) step: Step,
    /// See [`Network::set_l1`].
    pub(super) l1: f32,
    /// See [`Network::set_quantization`].
    pub(super) quantized: Option<QuantizedCopies>,
}

impl Network {
    /// A network with these parameters on a device.
    ///
    /// # Errors
    /// [`Error::Limit`] if a parameter exceeds the device's binding limit. The error names the
    /// largest K that fits.
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self> {
        let architecture = parameters.architecture().clone();
        Self::check_fits(device, &architecture)?;
        let widened = layout::widened(&architecture);
        let step = Step::new(device, widened.clone())?;
        let mut network = Self {
            device: device.clone(),
            architecture,
            widened,
            parameters: Vec::new(),
            merged: Vec::new(),
            gradients: Vec::new(),
            step,
            l1: 0.0,
            quantized: None,
        };
        network.parameters = network.like_parameters("")?;
        if network.architecture.is_factorised() {
            network.merged = network.like_weights("merged")?;
        }
        network.upload(&network.parameters, parameters)?;
        network.merge()?;
        Ok(network)
    }

    /// The same network, computed from tensor operations: the witness of the paths that have
    /// kernels of their own.
    #[doc(hidden)]
    #[must_use]
    pub fn composed(mut self) -> Self {
        self.compose();
        self
    }

    /// As [`Network::composed`], from now on.
    #[doc(hidden)]
    pub fn compose(&mut self) {
        self.step.composed_only = true;
    }

    /// Checks that every parameter of an architecture fits the device's binding limit, without
    /// allocating anything.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn check_fits(device: &Device, architecture: &Architecture) -> Result<()> {
        architecture.check()?;
        let limit = device.binding_limit();
        for buffer in layout::buffers(&layout::widened(architecture)) {
            let needed = 4 * buffer.len as u64;
            if needed > limit {
                let widest = layout::largest_hidden(architecture, limit / 4);
                return Err(Error::Limit {
                    what: format!(
                        "{} with N = {} and K = {}",
                        buffer.name, architecture.inputs, architecture.hidden
                    ),
                    device: device.name().to_owned(),
                    needed,
                    limit,
                    advice: format!("; the largest K that fits is {widest}"),
                });
            }
        }
        Ok(())
    }

    /// The architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The device that the network is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Reads the parameters back. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn parameters(&self) -> Result<Parameters> {
        self.read(&self.parameters)
    }

    /// As [`Network::parameters`], without blocking a thread.
    ///
    /// # Errors
    /// As [`Network::parameters`].
    pub async fn parameters_async(&self) -> Result<Parameters> {
        self.read_by(&self.parameters, Wait::Async).await
    }

    /// Overwrites one parameter, given by its index in [`Architecture::tensors`]. The reference
    /// keeps f64 values as they are.
    #[doc(hidden)]
    pub fn write<'a>(&mut self, tensor: usize, data: impl Into<Data<'a>>) -> Result<()> {
        let data = data.into();
        let tensors = self.architecture.tensors();
        let (buffer, first) = layout::place(&self.widened, tensor);
        let Some(tensor) = tensors.get(tensor) else {
            let expected = format!("below {}", tensors.len());
            return Err(Error::argument("index of a parameter", expected, tensor));
        };
        if data.len() != tensor.len() || matches!(data, Data::Words(_)) {
            let expected = format!("{} floats", tensor.len());
            return Err(Error::argument(tensor.name.as_str(), expected, data.len()));
        }
        let mut recording = Recording::new();
        let widened = layout::widen(&self.architecture, tensor.name, data)?;
        let buffer = self.parameters[buffer].id();
        recording.upload_at(buffer, first, widened.data());
        self.device.play(&recording)?.wait()?;
        self.merge()
    }

    /// Brings the merged weights up to date with the parameters.
    fn merge(&self) -> Result<()> {
        if self.merged.is_empty() {
            return Ok(());
        }
        let (mut recording, architecture) = (Recording::new(), &self.widened);
        record_merge(&mut recording, architecture, &self.parameters, &self.merged)?;
        self.device.play(&recording)?.wait()?;
        Ok(())
    }

    /// The requirements that a [`Loader`](super::data::Loader) should meet for gradients.
    pub fn needs(&self) -> Needs<'_> {
        Needs::gradients(self)
    }

    /// Whether gradients read the transposed index of `samples` lists per perspective that have
    /// `entries` indices in all.
    pub(super) fn reads_transposed(&self, samples: usize, entries: usize) -> bool {
        self.step.reads_transposed(samples, entries)
    }

    /// Whether gradients of such lists are faster if the samples are in the order of their groups
    /// before that of their output buckets.
    pub(super) fn orders_by_group(&self, samples: usize, entries: usize) -> bool {
        self.step.orders_by_group(samples, entries)
    }

    /// Whether the device decodes records for gradients of `samples` samples with `entries` indices
    /// in all.
    pub(super) fn takes_records(&self, samples: usize, entries: usize) -> bool {
        self.step.takes_records(samples, entries)
    }

    /// Chooses the variants of the kernels of a step; what the tuning leaves open is the choice for
    /// the vendor of the adapter. It applies from the next pass on. The recordings per submission
    /// are the device's and stay as they are if the tuning leaves them open.
    ///
    /// # Errors
    /// As [`Tuning::check`]. Nothing changes then.
    pub fn set_tuning(&mut self, tuning: Tuning) -> Result<()> {
        self.step.set_tuning(tuning)
    }

    /// The choices that steps use now: all those that the network has on its device. The CPU and
    /// the reference have none.
    pub fn tuning(&self) -> Tuning {
        self.step.tuning()
    }

    /// Every tuning of the kernels that compute gradients of such a batch. The first one is empty,
    /// and the others hold what differs from the choice without a tuning.
    #[doc(hidden)]
    pub fn tunings(&self, batch: &Batch) -> Result<Vec<Tuning>> {
        self.step.tunings(batch)
    }

    /// Y, `[L]`. Blocks the thread.
    ///
    /// # Errors
    /// A batch that does not fit the network, and failures of the device.
    pub fn forward(&mut self, batch: &impl AsRef<Batch>) -> Result<Vec<f32>> {
        blocked(self.forward_by(batch.as_ref(), Wait::Blocking))
    }

    /// As [`Network::forward`], without blocking a thread.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub async fn forward_async(&mut self, batch: &impl AsRef<Batch>) -> Result<Vec<f32>> {
        self.forward_by(batch.as_ref(), Wait::Async).await
    }

    async fn forward_by(&mut self, batch: &Batch, wait: Wait) -> Result<Vec<f32>> {
        self.check(batch)?;
        let mut output = Vec::with_capacity(batch.len());
        let plan = self.step.plan(batch, false)?;
        let ordered = match plan.by_bucket {
            true => Ordered::new(batch, self.architecture.buckets, None)?,
            false => None,
        };
        let batch = ordered.as_ref().map_or(batch, |ordered| &ordered.batch);
        for slice in self.step.cut(plan, batch)? {
            self.step.reserve(plan, &slice, None)?;
            let mut recording = Recording::new();
            let parameters =
                ParameterBuffers::new(&self.widened, &self.parameters).with_merged(&self.merged);
            let step = &self.step;
            step.record(&mut recording, plan, &slice, parameters, None)?;
            recording.read(self.step.y().id(), slice.samples());
            for values in self.device.play(&recording)?.by(wait).await? {
                output.extend(values.into_f32());
            }
        }
        match ordered {
            Some(ordered) => Ok(ordered.undo(vec![Values::F32(output)]).into_f32()),
            None => Ok(output),
        }
    }

    /// Y, the loss, and the gradient of every parameter. Blocks the thread.
    ///
    /// # Errors
    /// A batch that does not fit the network, an `upstream` out of its range, and failures of the
    /// device.
    pub fn gradients(
        &mut self,
        batch: &impl AsRef<Batch>,
        upstream: Upstream<'_>,
    ) -> Result<NetworkGradients> {
        let found = self.gradient_values(batch.as_ref(), upstream)?;
        let parameters = found.parameters.into_iter().map(Values::into_f32).collect();
        Ok(NetworkGradients {
            y: found.y.into_iter().flat_map(Values::into_f32).collect(),
            loss: found.loss.and_then(|loss| loss.into_f32().first().copied()),
            parameters: Parameters::from_values(self.architecture.clone(), parameters)?,
        })
    }

    /// As [`Network::gradients`], in the executor's own precision.
    #[doc(hidden)]
    pub fn gradient_values(
        &mut self,
        batch: &Batch,
        upstream: Upstream<'_>,
    ) -> Result<GradientValues> {
        let mut y = Vec::new();
        let ordered = self.pass(batch, upstream, None, |network, recording, slice| {
            recording.read(network.step.y().id(), slice.samples());
            y.extend(network.device.play(recording)?.wait()?);
            Ok(())
        })?;
        if let Some(ordered) = ordered {
            y = vec![ordered.undo(y)];
        }
        let parameters = self.values(&self.gradients)?;
        let loss = match upstream {
            Upstream::Loss(_) => Some(self.step.loss().read()?),
            Upstream::Given(_) => None,
        };
        Ok(GradientValues {
            y,
            loss,
            parameters,
        })
    }

    /// Computes the loss and the gradient of every parameter, as a training step does before its
    /// update, and leaves the gradients on the device. [`PendingLoss::wait`] waits for all of it.
    ///
    /// # Errors
    /// As [`Network::gradients`].
    pub fn backward(&mut self, batch: &impl AsRef<Batch>, loss: Loss) -> Result<PendingLoss> {
        let batch = batch.as_ref();
        let mut pending = None;
        self.pass(
            batch,
            Upstream::Loss(loss),
            None,
            |network, recording, slice| {
                if slice.range.end == batch.len() {
                    recording.read(network.step.loss().id(), 1);
                }
                pending = Some(network.device.play(recording)?);
                Ok(())
            },
        )?;
        pending.map(PendingLoss::new).ok_or_else(no_samples)
    }

    /// The work of [`Network::backward`] for this batch, by kernel: see [`Recording::traffic`].
    /// Nothing is computed.
    #[doc(hidden)]
    pub fn traffic(&mut self, batch: &Batch, loss: Loss) -> Result<Option<TrafficByKernel>> {
        let mut parts = Vec::new();
        self.pass(batch, Upstream::Loss(loss), None, |_, recording, _| {
            parts.push(recording.traffic());
            Ok(())
        })?;
        Ok(joined(parts))
    }

    /// Records forward and backward for each micro-batch, and the update after the last one if
    /// there is an update. Passes the recordings to `play` in order. Returns the batch in the order
    /// of the micro-batches, if the batch has another order.
    pub(super) fn pass<'a>(
        &mut self,
        batch: &'a Batch,
        upstream: Upstream<'a>,
        update: Option<Update<'a>>,
        play: impl FnMut(&Self, &mut Recording<'_>, &Slice<'_>) -> Result<()>,
    ) -> Result<Option<Ordered>> {
        self.pass_of_mean(batch, batch.len(), upstream, update, play)
    }

    /// As [`Network::pass`], for a loss that is the mean over `mean_over` samples, of which the
    /// batch has some.
    pub(super) fn pass_of_mean<'a>(
        &mut self,
        batch: &'a Batch,
        mean_over: usize,
        upstream: Upstream<'a>,
        update: Option<Update<'a>>,
        mut play: impl FnMut(&Self, &mut Recording<'_>, &Slice<'_>) -> Result<()>,
    ) -> Result<Option<Ordered>> {
        self.check(batch)?;
        upstream.check(batch)?;
        self.reserve_gradients()?;
        let plan = self.step.plan(batch, true)?;
        let ordered = match plan.by_bucket {
            true => Ordered::new(batch, self.architecture.buckets, upstream.given())?,
            false => None,
        };
        let (batch, upstream) = match &ordered {
            None => (batch, upstream),
            Some(ordered) => {
                let e = ordered.e.as_deref();
                (&ordered.batch, e.map_or(upstream, Upstream::Given))
            }
        };
        for slice in self.step.cut(plan, batch)? {
            let own =
                ParameterBuffers::new(&self.widened, &self.parameters).with_merged(&self.merged);
            let (parameters, masters) = match &self.quantized {
                None => (own, None),
                Some(copies) => (copies.buffers(&self.widened), Some(own)),
            };
            let gradients = ParameterBuffers::new(&self.widened, &self.gradients);
            let goal = Some(Goal {
                upstream,
                total: batch.len(),
                mean_over,
                penalty: self.penalty(mean_over),
                gradients,
                update,
                masters,
            });
            self.step.reserve(plan, &slice, goal)?;
            let mut recording = Recording::with_capacity(COMMANDS);
            if let Some(copies) = self.quantized.as_ref().filter(|_| slice.range.start == 0) {
                copies.record(&mut recording, &self.widened, own)?;
                // This path computes while it is recorded.
                if plan.composes() {
                    self.device.play(&recording).map(drop)?;
                    recording.clear();
                }
            }
            self.step
                .record(&mut recording, plan, &slice, parameters, goal)?;
            play(self, &mut recording, &slice)?;
        }
        Ok(ordered)
    }

    /// Checks that a batch fits the network.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        let architecture = &self.architecture;
        if batch.width() != architecture.inputs {
            let expected = format!("{} inputs (N)", architecture.inputs);
            return Err(Error::argument("batch", expected, batch.width()));
        }
        match batch.buckets() {
            None if architecture.buckets > 1 => Err(Error::argument(
                "batch",
                format!("a bucket below {} for each sample", architecture.buckets),
                "none",
            )),
            Some(buckets) => {
                let count = architecture.buckets as u32;
                match buckets.iter().position(|&bucket| bucket >= count) {
                    Some(sample) => Err(Error::argument(
                        format!("bucket of sample {sample}"),
                        format!("at most {}", count - 1),
                        buckets[sample],
                    )),
                    None => Ok(()),
                }
            }
            None => Ok(()),
        }
    }

    pub(super) fn reserve_gradients(&mut self) -> Result<()> {
        if self.gradients.is_empty() {
            self.gradients = self.like_parameters("gradient of")?;
        }
        Ok(())
    }
}

/// The total traffic of several recordings; `None` if one of their kernels does not count its
/// traffic.
pub(super) fn joined(parts: Vec<Option<TrafficByKernel>>) -> Option<TrafficByKernel> {
    let mut all = TrafficByKernel::new();
    for part in parts {
        for (kernel, traffic) in part? {
            *all.entry(kernel).or_default() += traffic;
        }
    }
    Some(all)
}
