//! Plays kernels on devices; knows no mathematics.

pub mod cpu;
pub mod device;
pub mod kernel;
pub mod kernels;
pub mod libraries;
pub mod recording;
