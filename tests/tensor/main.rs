//! Tensors, their operations and gradients.

#[path = "../common/mod.rs"]
mod common;
mod edges;
mod errors;
mod gradients;
mod identities;
mod infinities;
mod memory;
mod nn;
mod tape;
