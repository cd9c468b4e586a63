//! What wgpu reports as wrong, as our errors.

use super::lock;
use crate::engine::device::block_on;
use crate::error::{Error, Result};
use crate::panics::caught;
use std::sync::{Arc, Mutex};

/// The errors of an opened adapter.
pub(super) struct Faults {
    name: String,
    device: wgpu::Device,
    /// The reason why the device is lost, or an error that nobody asked for.
    lost: Arc<Mutex<Option<String>>>,
}

impl Faults {
    /// From now on the device's errors come here.
    pub(super) fn new(name: String, device: &wgpu::Device) -> Self {
        let lost = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            let text = format!("the device is lost ({reason:?}) {message}");
            *lock(&seen) = Some(text.trim_end().to_owned());
        });
        let uncaptured = Arc::clone(&lost);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            *lock(&uncaptured) = Some(error.to_string());
        }));
        Self {
            name,
            device: device.clone(),
            lost,
        }
    }

    /// The name of the device.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Loses the device, as a driver does that fails.
    pub(super) fn lose(&self) {
        self.device.destroy();
        let reason = || "the device is lost (Destroyed)".to_owned();
        lock(&self.lost).get_or_insert_with(reason);
    }

    pub(super) fn failure(&self, operation: impl Into<String>, reason: impl ToString) -> Error {
        Error::Device {
            device: self.name.clone(),
            operation: operation.into(),
            reason: reason.to_string(),
        }
    }

    /// The failure of a wait. The reason why the device is lost says more than that of the wait.
    pub(super) fn failed_wait(&self, reason: impl ToString) -> Error {
        let reason = self.lost().unwrap_or_else(|| reason.to_string());
        self.failure("wait for the device", reason)
    }

    /// The reason why the device is lost, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        lock(&self.lost).clone()
    }

    /// Lets the device do a part of its work and tell what is done. wgpu panics if the device is
    /// lost meanwhile.
    pub(super) fn poll(&self, poll: wgpu::PollType) -> Result<()> {
        match caught(|| self.device.poll(poll)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failed_wait(error)),
            Err(message) => Err(self.failed_wait(self.panicked(message))),
        }
    }

    /// The reason of a panic inside wgpu. What the panic left half done there is unknown, so the
    /// device is of no more use.
    fn panicked(&self, message: String) -> String {
        lock(&self.lost).get_or_insert(message).clone()
    }

    /// An error if the device is lost.
    pub(super) fn check(&self, operation: &str) -> Result<()> {
        match self.lost() {
            Some(reason) => Err(self.failure(operation, reason)),
            None => Ok(()),
        }
    }

    /// Runs `work`, and turns an error that wgpu reports meanwhile, a panic of wgpu or a lost
    /// device into our error.
    ///
    /// A browser tells errors later, to the handlers of [`Self::new`]. The next call and the next
    /// wait return them.
    pub(super) fn scoped<T>(&self, operation: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check(operation)?;
        let mut errors = Vec::new();
        let result = match cfg!(target_arch = "wasm32") {
            true => work(),
            false => self
                .watched(work, &mut errors)
                .unwrap_or_else(|message| Err(self.failure(operation, self.panicked(message)))),
        };
        // An error from inside names the operation more closely.
        let value = result?;
        if let Some(error) = errors.first() {
            return Err(self.failure(operation, error));
        }
        self.check(operation)?;
        Ok(value)
    }

    /// Runs `work`, and adds the errors that wgpu reports meanwhile. Returns the message of a panic.
    fn watched<T>(
        &self,
        work: impl FnOnce() -> T,
        errors: &mut Vec<wgpu::Error>,
    ) -> Result<T, String> {
        let filters = [
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Validation,
        ];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let result = caught(work);
        // Scopes form a stack: the last one pushed is popped first.
        for scope in scopes.into_iter().rev() {
            errors.extend(block_on(scope.pop()).flatten());
        }
        result
    }
}
