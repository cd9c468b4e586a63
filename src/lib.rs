//! Trains neural networks on any GPU with hand-written WGSL compute kernels through wgpu: Vulkan, Metal, DX12, and
//! the CPU where there is no GPU.
//!
//! A [`Tensor`](tensor::Tensor) is the place to start for networks of any form, a
//! [`Learner`](nnue::Learner) for the two-perspective network ("NNUE") of chess engines.
//!
//! The floors, each knowing only those below it:
//!
//! - [`verify`]: the table of all kernels, and the operations with their cases
//! - [`nnue`]: the two-perspective network, its data and its trainer
//! - [`nn`]: layers, losses and descent on tensors
//! - [`optim`]: optimizers and learning-rate schedules
//! - [`tensor`]: tensors with gradients
//! - [`engine`]: kernels, recordings and devices
//! - [`files`], [`error`]: files and errors

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

// `uniform!` names the crate in an attribute, where `$crate` is not allowed.
extern crate self as wgrad;

pub mod engine;
pub mod error;
pub mod files;
pub mod nn;
pub mod nnue;
pub mod optim;
mod setters;
pub mod tensor;
pub mod verify;

pub use engine::device::Device;
pub use error::{Error, Fault, Result};
pub use optim::Optimizer;
pub(crate) use setters::setters;
pub use tensor::Tensor;

/// The README's example, compiled by `cargo test`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
