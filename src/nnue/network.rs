//! The network on a device: outputs and gradients.

use super::architecture::Architecture;
use super::layout;
use super::parameters::Parameters;
use super::pending::{PendingLoss, no_samples};
use super::slices::{self, Slice};
use super::step::{Goal, GradientGoal, ParameterBuffers, Step, Update};
use super::upstream::Upstream;
use crate::engine::device::{Buffer, Device, Values};
use crate::engine::kernel::Element;
use crate::engine::recording::{Data, Recording, TrafficByKernel};
use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::loss::Loss;

/// More commands than a pass and its update have as a rule: growing takes half of the time that recording them does.
const COMMANDS: usize = 64;

/// What a gradient call returns.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Y, `[L]`.
    pub output: Vec<f32>,
    /// The loss; none where e was given.
    pub loss: Option<f32>,
    /// The gradient of each parameter, in the form of the parameters.
    pub parameters: Parameters,
}

/// A two-perspective network on a device.
#[derive(Debug)]
pub struct Network {
    device: Device,
    architecture: Architecture,
    /// As it is on the device.
    widened: Architecture,
    pub(super) parameters: Vec<Buffer>,
    pub(super) gradients: Vec<Buffer>,
    pub(super) step: Step,
}

impl Network {
    /// Puts the parameters on a device.
    ///
    /// # Errors
    /// [`Error::Limit`] when a parameter does not fit the device's binding limit: it names the largest K that does.
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self> {
        let architecture = *parameters.architecture();
        Self::check_fits(device, &architecture)?;
        let widened = layout::widened(&architecture);
        let mut network = Self {
            device: device.clone(),
            architecture,
            widened,
            parameters: Vec::new(),
            gradients: Vec::new(),
            step: Step::new(device, widened)?,
        };
        network.parameters = network.like_parameters("")?;
        network.upload(&network.parameters, parameters)?;
        Ok(network)
    }

    /// Refuses an architecture with a parameter that does not fit the device's binding limit, before anything is
    /// allocated: the error names the largest K that fits.
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

    /// The device it is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Reads the parameters back, blocking.
    pub fn parameters(&self) -> Result<Parameters> {
        self.read(&self.parameters)
    }

    /// Overwrites a parameter, by its place among [`Architecture::tensors`]. The reference executor keeps f64.
    pub fn write<'a>(&mut self, tensor: usize, data: impl Into<Data<'a>>) -> Result<()> {
        let data = data.into();
        let tensors = self.architecture.tensors();
        let (buffer, first) = layout::place(&self.widened, tensor);
        let Some(tensor) = tensors.get(tensor) else {
            let expected = format!("below {}", tensors.len());
            return Err(Error::argument("place of a parameter", expected, tensor));
        };
        if data.len() != tensor.len() || matches!(data, Data::Words(_)) {
            let expected = format!("{} floats", tensor.len());
            return Err(Error::argument(tensor.name, expected, data.len()));
        }
        let mut recording = Recording::new();
        let widened = layout::widen(&self.architecture, tensor.name, data);
        let buffer = self.parameters[buffer].id();
        recording.upload_at(buffer, first, widened.data());
        self.device.play(&recording)?.wait()?;
        Ok(())
    }

    /// Whether gradients read the transposed index of index lists of so many samples, with `entries` indices in both
    /// perspectives. Who makes batches in threads of their own makes it there too; else the pass makes it.
    pub fn reads_transposed(&self, samples: usize, entries: usize) -> bool {
        self.step.reads_transposed(samples, entries)
    }

    /// Y, `[L]`.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        self.check(batch)?;
        let mut output = Vec::with_capacity(batch.len());
        let plan = self.step.plan(batch, false)?;
        for slice in slices::cut(batch, plan.samples)? {
            self.step.reserve(plan, &slice, Goal::Output)?;
            let mut recording = Recording::new();
            let parameters = ParameterBuffers::new(&self.widened, &self.parameters);
            let step = &self.step;
            step.record(&mut recording, plan, &slice, parameters, Goal::Output);
            recording.read(self.step.y().id(), slice.samples());
            for values in self.device.play(&recording)?.wait()? {
                output.extend(values.into_f32());
            }
        }
        Ok(output)
    }

    /// Y, the loss and the gradient of every parameter.
    pub fn gradients(&mut self, batch: &Batch, upstream: Upstream<'_>) -> Result<Gradients> {
        let (output, loss, values) = self.gradient_values(batch, upstream)?;
        let values = values.into_iter().map(Values::into_f32).collect();
        Ok(Gradients {
            output: output.into_iter().flat_map(Values::into_f32).collect(),
            loss: loss.and_then(|loss| loss.into_f32().first().copied()),
            parameters: Parameters::from_values(self.architecture, values)?,
        })
    }

    /// As [`Network::gradients`], in the executor's own precision: the parts of Y, the loss, and the gradients in the
    /// order of [`Architecture::tensors`].
    pub fn gradient_values(
        &mut self,
        batch: &Batch,
        upstream: Upstream<'_>,
    ) -> Result<(Vec<Values>, Option<Values>, Vec<Values>)> {
        let mut output = Vec::new();
        self.pass(batch, upstream, None, |network, recording, slice| {
            recording.read(network.step.y().id(), slice.samples());
            output.extend(network.device.play(recording)?.wait()?);
            Ok(())
        })?;
        // One read at a time: together they may be more than the device can map.
        let gradients = self.values(&self.gradients)?;
        let loss = match upstream {
            Upstream::Loss(_) => Some(self.step.loss().read()?),
            Upstream::Given(_) => None,
        };
        Ok((output, loss, gradients))
    }

    /// The loss and the gradient of every parameter, left on the device: what a training step does before its optimiser.
    /// The loss may still be on its way; `wait` for it waits for the gradients too.
    pub fn backward(&mut self, batch: &Batch, loss: Loss) -> Result<PendingLoss> {
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

    /// What [`Network::backward`] asks of the device for this batch, by kernel: see [`Recording::traffic`]. Nothing is computed.
    pub fn traffic(&mut self, batch: &Batch, loss: Loss) -> Result<Option<TrafficByKernel>> {
        let mut parts = Vec::new();
        self.pass(batch, Upstream::Loss(loss), None, |_, recording, _| {
            parts.push(recording.traffic());
            Ok(())
        })?;
        Ok(joined(parts))
    }

    /// Records forward and backward for each slice of a batch, and after the last the update if there is one, and hands
    /// them to `play`, in order.
    pub(super) fn pass<'a>(
        &mut self,
        batch: &'a Batch,
        upstream: Upstream<'a>,
        update: Option<Update<'a>>,
        mut play: impl FnMut(&Self, &mut Recording<'_>, &Slice<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check(batch)?;
        upstream.check(batch)?;
        self.reserve_gradients()?;
        let plan = self.step.plan(batch, true)?;
        for slice in slices::cut(batch, plan.samples)? {
            let parameters = ParameterBuffers::new(&self.widened, &self.parameters);
            let gradients = ParameterBuffers::new(&self.widened, &self.gradients);
            let goal = Goal::Gradients(GradientGoal {
                upstream,
                total: batch.len(),
                gradients,
                update,
            });
            self.step.reserve(plan, &slice, goal)?;
            let mut recording = Recording::with_capacity(COMMANDS);
            self.step
                .record(&mut recording, plan, &slice, parameters, goal);
            play(self, &mut recording, &slice)?;
        }
        Ok(())
    }

    /// Refuses a batch that is not this network's.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        let architecture = &self.architecture;
        if batch.features() != architecture.inputs {
            let expected = format!("{} features (N)", architecture.inputs);
            return Err(Error::argument("batch", expected, batch.features()));
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

    /// Buffers that hold a value for each parameter, as they lie on the device.
    pub(super) fn like_parameters(&self, what: &str) -> Result<Vec<Buffer>> {
        let buffers = layout::buffers(&self.widened).into_iter();
        buffers
            .map(|buffer| {
                let what = format!("{what} {}", buffer.name);
                let what = what.trim_start();
                self.device.allocate(what, Element::Float, buffer.len)
            })
            .collect()
    }

    /// Puts values into buffers made by [`Network::like_parameters`].
    pub(super) fn upload(&self, buffers: &[Buffer], values: &Parameters) -> Result<()> {
        for (index, (tensor, values)) in values.iter().enumerate() {
            let (buffer, first) = layout::place(&self.widened, index);
            let widened = layout::widen(&self.architecture, tensor.name, Data::Floats(values));
            let mut recording = Recording::new();
            recording.upload_at(buffers[buffer].id(), first, widened.data());
            self.device.play(&recording)?.wait()?;
        }
        Ok(())
    }

    /// Reads buffers made by [`Network::like_parameters`] back, one at a time: together they may be more than the device
    /// can map.
    fn values(&self, buffers: &[Buffer]) -> Result<Vec<Values>> {
        let mut tensors = Vec::new();
        for (shared, buffer) in layout::buffers(&self.widened).iter().zip(buffers) {
            tensors.extend(layout::split(&self.widened, shared, buffer.read()?));
        }
        let names = self.architecture.tensors().into_iter();
        let narrowed = names
            .zip(tensors)
            .map(|(tensor, values)| layout::narrow(&self.architecture, tensor.name, values));
        Ok(narrowed.collect())
    }

    pub(super) fn read(&self, buffers: &[Buffer]) -> Result<Parameters> {
        let values = self.values(buffers)?.into_iter().map(Values::into_f32);
        Parameters::from_values(self.architecture, values.collect())
    }
}

/// The traffic of recordings that are played one after the other; none if one of them has none.
pub(super) fn joined(parts: Vec<Option<TrafficByKernel>>) -> Option<TrafficByKernel> {
    let mut all = TrafficByKernel::new();
    for part in parts {
        for (kernel, traffic) in part? {
            *all.entry(kernel).or_default() += traffic;
        }
    }
    Some(all)
}
