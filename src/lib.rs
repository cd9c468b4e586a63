//! Trains neural networks on any GPU with hand-written WGSL compute kernels through wgpu: Vulkan, Metal, DX12, and
//! the CPU where there is no GPU.
//!
//! A [`Tensor`](tensor::Tensor) is where to begin for networks of one's own, a [`Learner`](perspective::Learner) for the two-perspective
//! network of chess engines.
//!
//! The floors, each knowing only those below it:
//!
//! - [`train`] — trainer, checkpoints, logs
//! - [`perspective`] — the two-perspective network and its training step
//! - [`data`] — formats, features, the loader; knows no device
//! - [`verify`] — the cases of kernels and operations run on a device
//! - [`operations`] — every operation, layer and loss as data, with its cases
//! - [`nn`] — layers, losses, descent
//! - [`tensor`] — tensors with gradients
//! - [`optim`], [`schedule`] — optimisers, learning rates
//! - [`device`] — devices, buffers and the three executors
//! - [`recording`] — a flat list of commands over buffer ids
//! - [`kernels`] — the table, one file a kernel
//! - [`kernel`] — what a kernel is
//! - [`shape`], [`batch`], [`activation`], [`loss`], [`interchange`], [`atomic`], [`error`] — pure: inputs, definitions, files, errors

// `parameters!` names the crate in an attribute, where `$crate` cannot stand.
extern crate self as wgrad;

pub mod activation;
pub mod atomic;
pub mod batch;
pub mod data;
pub mod device;
pub mod error;
pub mod interchange;
pub mod kernel;
pub mod kernels;
pub mod loss;
pub mod nn;
pub mod operations;
pub mod optim;
pub mod perspective;
pub mod recording;
pub mod schedule;
pub mod shape;
pub mod tensor;
pub mod train;
pub mod verify;

pub use error::{Error, Result};

/// The README's example, compiled by `cargo test`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
