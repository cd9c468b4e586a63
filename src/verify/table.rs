//! The table: every kernel of the crate, subject by subject.

use crate::engine::kernel::Kernel;
use crate::{engine, nnue, optim, tensor};

/// The kernels of each subject.
pub static SUBJECTS: [&[&Kernel]; 4] = [
    nnue::kernels::KERNELS,
    optim::kernels::KERNELS,
    tensor::kernels::KERNELS,
    engine::kernels::KERNELS,
];

/// Every kernel.
pub fn kernels() -> impl Iterator<Item = &'static Kernel> + Clone {
    SUBJECTS.into_iter().flatten().copied()
}

/// The kernel of that name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    kernels().find(|kernel| kernel.name == name)
}
