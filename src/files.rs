//! Files: atomic replacement, locked directories, paths in JSON, and named tensors.

pub mod atomic;
pub(crate) mod line;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod path;
pub mod safetensors;
pub(crate) mod stamp;
