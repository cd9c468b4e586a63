//! The kernels of the optimizers.
//!
//! A new optimizer needs no kernel: it is a [sink](super::sinks).

pub mod lookahead;
pub mod update;

use crate::engine::kernel::Kernel;

/// Every kernel of this subject.
pub static KERNELS: &[&Kernel] = &[&update::KERNEL, &lookahead::KERNEL];
