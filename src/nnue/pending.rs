//! The loss of a step, read back later.

use crate::engine::device::{Readback, Values};
use crate::error::{Error, Result};
use std::pin::Pin;

/// The loss of a step that a device may still be computing: [`wait`](Self::wait) for it, or
/// `.await` it.
#[must_use = "a loss that is never read hides a training that has failed"]
pub struct PendingLoss(Loss);

enum Loss {
    Pending(Readback),
    Known(f32),
}

impl PendingLoss {
    pub(super) fn new(readback: Readback) -> Self {
        Self(Loss::Pending(readback))
    }

    pub(super) fn known(loss: f32) -> Self {
        Self(Loss::Known(loss))
    }

    /// The loss. Blocks the thread until the device has computed it.
    ///
    /// # Errors
    /// [`Error::Device`] if the device failed.
    pub fn wait(self) -> Result<f32> {
        match self.0 {
            Loss::Pending(readback) => first(readback.wait()?),
            Loss::Known(loss) => Ok(loss),
        }
    }
}

/// Waits for the loss without blocking a thread.
impl IntoFuture for PendingLoss {
    type Output = Result<f32>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<f32>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            match self.0 {
                Loss::Pending(readback) => first(readback.get().await?),
                Loss::Known(loss) => Ok(loss),
            }
        })
    }
}

fn first(values: Vec<Values>) -> Result<f32> {
    let values = values.into_iter().next().map(Values::into_f32);
    let loss = values.and_then(|values| values.first().copied());
    loss.ok_or_else(|| Error::argument("loss", "1 value read back", "none"))
}

pub(super) fn no_samples() -> Error {
    Error::argument("batch", "at least 1 sample", 0)
}
