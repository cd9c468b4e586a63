//! Tensors, their operations and gradients.

#[path = "../common/mod.rs"]
mod common;
mod custom;
mod edges;
mod errors;
mod gradients;
mod identities;
mod infinities;
mod memory;
mod networks;
mod nn;
mod optimizers;
mod own_kernels;
mod tape;
