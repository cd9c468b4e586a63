//! Files: atomic replacement, and named tensors.

pub mod atomic;
pub mod safetensors;
