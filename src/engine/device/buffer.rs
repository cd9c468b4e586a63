//! The buffers of devices.

use super::{Device, Values, Wait, blocked};
use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};

/// A buffer of a device. Dropping it frees the memory.
#[derive(Debug)]
#[doc(hidden)]
pub struct Buffer {
    pub(super) device: Device,
    pub(super) id: BufferId,
    pub(super) len: usize,
}

impl Buffer {
    /// Its id in recordings.
    pub fn id(&self) -> BufferId {
        self.id
    }

    /// The number of elements that were requested.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no element was requested.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads all values, and blocks until they arrive.
    pub fn read(&self) -> Result<Values> {
        blocked(self.read_by(Wait::Blocking))
    }

    pub(crate) async fn read_by(&self, wait: Wait) -> Result<Values> {
        let mut recording = Recording::new();
        recording.read(self.id, self.len);
        let mut values = self.device.play(&recording)?.by(wait).await?;
        values.pop().ok_or_else(|| Error::Device {
            device: self.device.name().to_owned(),
            operation: "read back".to_owned(),
            reason: "the executor returned no values for a read".to_owned(),
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device.executor.free(self.id);
    }
}
