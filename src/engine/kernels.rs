//! Kernels that measure a device.
//!
//! A new kernel is three touches: its shader, its Rust file, and its two lines here.

#![allow(
    clippy::needless_range_loop,
    reason = "twins are written as the sums of the mathematics are"
)]

pub mod multiply_add;

use crate::engine::kernel::Kernel;

/// Every kernel of this subject.
pub static KERNELS: &[&Kernel] = &[&multiply_add::KERNEL];
