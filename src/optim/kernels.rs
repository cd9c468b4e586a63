//! The kernels of the optimizers.
//!
//! A new kernel is three touches: its shader, its Rust file, and its two lines here.

#![allow(
    clippy::needless_range_loop,
    reason = "twins are written as the sums of the mathematics are"
)]

pub mod adamw;
pub mod libraries;
pub mod sgd;

use crate::engine::kernel::Kernel;

/// Every kernel of this subject.
pub static KERNELS: &[&Kernel] = &[&sgd::KERNEL, &adamw::KERNEL];
