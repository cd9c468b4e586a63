//! Whether the state of a training is finite, found without reading it back: a sum is NaN or
//! infinite if one of its terms is.

use crate::engine::device::{Buffer, Device, Readback, Values};
use crate::engine::kernel::Element;
use crate::engine::recording::Recording;
use crate::error::Result;
use crate::tensor::kernels::reduce::{Buffers, Params, Reduction};
use crate::tensor::shape::{Layout, Shape};

/// The result of [`Trainable::check`](super::Trainable::check), which a device may still be
/// computing.
#[must_use = "a check that is never read finds nothing"]
pub struct PendingCheck(Readback);

impl PendingCheck {
    /// Whether all sums are finite. If so, all their terms are. The sum of huge finite terms may be
    /// infinite. Blocks the thread until the device is done.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device failed.
    pub fn wait(self) -> Result<bool> {
        let sums = self.0.wait()?.into_iter().flat_map(Values::into_f32);
        Ok(sums.into_iter().all(f32::is_finite))
    }
}

/// The buffer that receives the sums, as large as the largest check so far.
#[derive(Debug, Default)]
pub(super) struct Sums(Option<Buffer>);

impl Sums {
    /// Sums the elements of each buffer, in parts.
    pub(super) fn check<'a>(
        &mut self,
        device: &Device,
        buffers: impl Iterator<Item = &'a Buffer>,
    ) -> Result<PendingCheck> {
        let jobs = buffers.map(|buffer| {
            let layout = Layout::contiguous(Shape::new(&[buffer.len()])?);
            Ok((buffer, Params::new(&layout, &[0], 1.0)))
        });
        let jobs = jobs.collect::<Result<Vec<_>>>()?;
        let most = jobs.iter().map(|(_, params)| params.parts as usize).max();
        let most = most.unwrap_or(1);
        let result = match self.0.take().filter(|own| own.len() >= most) {
            Some(own) => own,
            None => device.allocate("sums of parameters and moments", Element::Float, most)?,
        };
        let result = self.0.insert(result);
        let mut recording = Recording::new();
        for (buffer, params) in jobs {
            let buffers = Buffers {
                x: buffer.id(),
                result: result.id(),
            };
            recording.dispatch(params.variant(Reduction::Sum), params, buffers);
            recording.read(result.id(), params.parts as usize);
        }
        Ok(PendingCheck(device.play(&recording)?))
    }
}
