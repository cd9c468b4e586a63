//! Devices, and the kernels that run on them. The engine knows no mathematics.
//!
//! [`device::Device`] is the type that every program needs. The other items are for custom kernels:
//! a [`kernel::Kernel`] is a WGSL shader with its parameters, buffers, CPU implementation and f64
//! twin. See
//! [`CustomOperation`](crate::tensor::CustomOperation) for an operation with its own kernel.

#[doc(hidden)]
pub mod cpu;
pub mod device;
pub mod kernel;
#[doc(hidden)]
pub mod kernels;
pub mod libraries;
#[doc(hidden)]
pub mod recording;

pub use recording::Data;
