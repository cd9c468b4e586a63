//! What wgpu reports as wrong, as our errors.

use super::lock;
use crate::engine::device::block_on;
use crate::error::{Error, Result};
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
            *lock(&seen) = Some(format!("{reason:?}: {message}"));
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

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
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
        let lost = lock(&self.lost).clone();
        let reason = lost.unwrap_or_else(|| reason.to_string());
        self.failure("wait for the device", reason)
    }

    /// Runs `work`, and turns an error that wgpu reports meanwhile, or a lost device, into our
    /// error.
    ///
    /// A browser tells errors later, to the handlers of [`Self::new`]. The next call and the next
    /// wait return them.
    pub(super) fn scoped<T>(&self, operation: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut errors = Vec::new();
        let result = match cfg!(target_arch = "wasm32") {
            true => work(),
            false => self.watched(work, &mut errors),
        };
        if let Some(error) = errors.first() {
            return Err(self.failure(operation, error));
        }
        self.check(operation)?;
        result
    }

    /// An error if the device is lost.
    pub(super) fn check(&self, operation: &str) -> Result<()> {
        match lock(&self.lost).as_ref() {
            Some(reason) => Err(self.failure(operation, reason)),
            None => Ok(()),
        }
    }

    /// Runs `work`, and adds the errors that wgpu reports meanwhile.
    fn watched<T>(&self, work: impl FnOnce() -> T, errors: &mut Vec<wgpu::Error>) -> T {
        let filters = [
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Validation,
        ];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let result = work();
        // Scopes form a stack: the last one pushed is popped first.
        for scope in scopes.into_iter().rev() {
            errors.extend(block_on(scope.pop()).flatten());
        }
        result
    }
}
