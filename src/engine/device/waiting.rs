//! Values on their way from a device, and waiting for them with and without blocking a thread.
//!
//! Functions that wait are written once, as futures that take a [`Wait`]. The blocking form of such
//! a function runs its future with [`Wait::Blocking`], which is ready at once.

use super::Values;
use super::gpu::GpuReadback;
use crate::error::{Error, Result};
use std::future::Future;

/// How a function waits for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The thread sleeps until the device is done.
    Blocking,
    /// The future is pending until the device is done.
    Async,
}

/// The result of a future that waits with [`Wait::Blocking`].
pub(crate) fn blocked<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    block_on(future).unwrap_or_else(cannot_block)
}

/// Runs a future to its end. In a browser nothing can block, so a future that has to wait gives
/// `None`.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    Some(pollster::block_on(future))
}

#[cfg(target_arch = "wasm32")]
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    use std::task::{Context, Poll, Waker};

    let polled = std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn cannot_block<T>() -> Result<T> {
    Err(Error::Device {
        device: "webgpu".to_owned(),
        operation: "wait".to_owned(),
        reason: "a browser cannot block; call the function that returns a future".to_owned(),
    })
}

/// The values of a recording: there already, or on their way.
pub(super) enum Pending {
    Ready(Vec<Values>),
    Gpu(GpuReadback),
}

/// Values that the device has not returned yet: one [`Values`] per read, in the order of the
/// recording.
///
/// If this is dropped, the values are lost, but the device still does the work.
#[must_use = "values are only read back by `wait` or `get`"]
#[doc(hidden)]
pub struct Readback(pub(super) Pending);

impl Readback {
    /// Blocks until the values arrive.
    pub fn wait(self) -> Result<Vec<Values>> {
        match self.0 {
            Pending::Ready(values) => Ok(values),
            Pending::Gpu(readback) => readback.wait(),
        }
    }

    /// Waits for the values without blocking a thread.
    pub async fn get(self) -> Result<Vec<Values>> {
        match self.0 {
            Pending::Ready(values) => Ok(values),
            Pending::Gpu(readback) => readback.get().await,
        }
    }

    pub(crate) async fn by(self, wait: Wait) -> Result<Vec<Values>> {
        match wait {
            Wait::Blocking => self.wait(),
            Wait::Async => self.get().await,
        }
    }
}
