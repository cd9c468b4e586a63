//! THE table: every kernel of the crate, one file each.
//!
//! Adding one is three touches: its shader under `shaders/`, its Rust file beside this one, and its line here.

#![allow(
    clippy::needless_range_loop,
    reason = "twins are written as the sums of the mathematics are"
)]

pub mod cpu;
pub mod inputs;
pub mod libraries;

use crate::kernel::Kernel;

/// Declares the kernels' modules and lists them in one go, so that neither can be forgotten.
macro_rules! table {
    ($($(#[$when:meta])? $name:ident),* $(,)?) => {
        $($(#[$when])? pub mod $name;)*
        /// Every kernel.
        pub static TABLE: &[&Kernel] = &[$($(#[$when])? &$name::KERNEL),*];
    };
}

table! {
    accumulator_sparse,
    accumulator_dense,
    output,
    loss,
    loss_gradient,
    sum,
    activation_gradient,
    output_gradient,
    bias_gradient,
    weights_gradient_sparse,
    weights_gradient_dense,
    sgd,
    adamw,
    #[cfg(feature = "sabotage")] sabotage,
}

/// The kernel of that name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    TABLE.iter().copied().find(|kernel| kernel.name == name)
}
