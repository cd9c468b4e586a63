//! Waiting for a device, with and without blocking a thread.
//!
//! Functions that wait are written once, as futures that take a [`Wait`]. The blocking form of such
//! a function runs its future with [`Wait::Blocking`], which is ready at once.

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
