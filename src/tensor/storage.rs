//! The elements of tensors, in a buffer from the device's pool.

use crate::engine::device::{Device, Loan, Readback};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Data};
use crate::error::Result;
use crate::tensor::shape::Shape;
use std::sync::atomic::{AtomicU64, Ordering};

/// A buffer that returns to the pool when the last tensor that shares it is dropped.
pub(super) struct Storage {
    device: Device,
    loan: Loan,
    /// The number of times that its elements were overwritten in place.
    version: AtomicU64,
}

impl Storage {
    /// A buffer for the elements of a shape, with undefined contents. `what` names it in errors.
    pub(super) fn new(device: &Device, what: &str, element: Element, shape: Shape) -> Result<Self> {
        Ok(Self {
            loan: device.borrow(what, element, shape.elements())?,
            device: device.clone(),
            version: AtomicU64::new(0),
        })
    }

    /// A buffer that holds these words.
    pub(super) fn of_words(device: &Device, what: &str, words: &[u32]) -> Result<Self> {
        let shape = Shape::new(&[words.len()])?;
        let storage = Self::new(device, what, Element::Word, shape)?;
        if !words.is_empty() {
            storage.fill(Data::Words(words))?;
        }
        Ok(storage)
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn id(&self) -> BufferId {
        self.loan.id
    }

    pub(super) fn fill(&self, values: Data<'_>) -> Result<()> {
        self.device.fill(self.id(), values)
    }

    pub(super) fn fetch(&self, len: usize) -> Result<Readback> {
        self.device.fetch(self.id(), len)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Records that the elements were overwritten.
    pub(super) fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.device.give_back(self.loan);
    }
}
