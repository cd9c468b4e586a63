//! What a pass leaves on its way.

use crate::engine::device::Readback;
use crate::error::{Error, Result};

/// The loss of a step, which may still be on its way.
#[must_use = "a loss that nobody reads hides a training that went wrong"]
pub struct PendingLoss(Readback);

impl PendingLoss {
    pub(super) fn new(readback: Readback) -> Self {
        Self(readback)
    }

    /// Blocks until the loss is there.
    pub fn wait(self) -> Result<f32> {
        first(self.0.wait()?)
    }

    /// The loss, without blocking a thread.
    pub async fn get(self) -> Result<f32> {
        first(self.0.get().await?)
    }
}

fn first(values: Vec<crate::engine::device::Values>) -> Result<f32> {
    let values = values.into_iter().next().map(|values| values.into_f32());
    let loss = values.and_then(|values| values.first().copied());
    loss.ok_or_else(|| Error::argument("loss", "1 value read back", "none"))
}

pub(super) fn no_samples() -> Error {
    Error::argument("batch", "at least 1 sample", 0)
}
