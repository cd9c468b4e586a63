//! The buffers of the parameters, and of what has the same shape.

use super::Network;
use crate::engine::device::{Buffer, Values, Wait, blocked};
use crate::engine::kernel::Element;
use crate::engine::recording::{Data, Recording};
use crate::error::Result;
use crate::nnue::layout;
use crate::nnue::parameters::Parameters;
use crate::nnue::step::{ParameterBuffers, Update};

impl Network {
    /// Buffers with one value for each parameter, in the layout of the device.
    pub(in crate::nnue) fn like_parameters(&self, what: &str) -> Result<Vec<Buffer>> {
        let buffers = layout::buffers(&self.widened).into_iter();
        buffers
            .map(|buffer| {
                let what = format!("{what} {}", buffer.name);
                let what = what.trim_start();
                self.device.allocate(what, Element::Float, buffer.len)
            })
            .collect()
    }

    /// A buffer with one value for each weight of each accumulator.
    pub(in crate::nnue) fn like_weights(&self, what: &str) -> Result<Vec<Buffer>> {
        let len = self.widened.inputs * self.widened.hidden;
        let names = ["A1", "A2"].into_iter();
        let names = names.take(if self.widened.tied { 1 } else { 2 });
        names
            .map(|name| {
                let name = format!("{what} {name}");
                self.device.allocate(&name, Element::Float, len)
            })
            .collect()
    }

    /// Writes values into buffers made by [`Network::like_parameters`].
    pub(in crate::nnue) fn upload(&self, buffers: &[Buffer], values: &Parameters) -> Result<()> {
        for (index, (tensor, values)) in values.iter().enumerate() {
            let (buffer, first) = layout::place(&self.widened, index);
            let widened = layout::widen(&self.architecture, tensor.name, Data::Floats(values))?;
            let mut recording = Recording::new();
            recording.upload_at(buffers[buffer].id(), first, widened.data());
            self.device.play(&recording)?.wait()?;
        }
        Ok(())
    }

    /// Records the update of every parameter with the gradients in the gradient buffers.
    pub(in crate::nnue) fn record_update(
        &self,
        recording: &mut Recording<'_>,
        update: Update<'_>,
    ) -> Result<()> {
        let parameters =
            ParameterBuffers::new(&self.widened, &self.parameters).with_merged(&self.merged);
        let gradients = ParameterBuffers::new(&self.widened, &self.gradients);
        self.step
            .record_whole_update(recording, parameters, gradients, update)
    }

    pub(in crate::nnue) fn values(&self, buffers: &[Buffer]) -> Result<Vec<Values>> {
        blocked(self.values_by(buffers, Wait::Blocking))
    }

    /// Reads buffers made by [`Network::like_parameters`] back, one at a time: the device may not
    /// be able to map all of them together.
    async fn values_by(&self, buffers: &[Buffer], wait: Wait) -> Result<Vec<Values>> {
        let mut tensors = Vec::new();
        for (shared, buffer) in layout::buffers(&self.widened).iter().zip(buffers) {
            tensors.extend(layout::split(
                &self.widened,
                shared,
                buffer.read_by(wait).await?,
            ));
        }
        let names = self.architecture.tensors().into_iter();
        let narrowed = names
            .zip(tensors)
            .map(|(tensor, values)| layout::narrow(&self.architecture, tensor.name, values));
        narrowed.collect()
    }

    pub(in crate::nnue) fn read(&self, buffers: &[Buffer]) -> Result<Parameters> {
        blocked(self.read_by(buffers, Wait::Blocking))
    }

    pub(in crate::nnue) async fn read_by(
        &self,
        buffers: &[Buffer],
        wait: Wait,
    ) -> Result<Parameters> {
        let values = self.values_by(buffers, wait).await?;
        let values = values.into_iter().map(Values::into_f32);
        Parameters::from_values(self.architecture.clone(), values.collect())
    }
}
