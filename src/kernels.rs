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
pub mod masked;
pub mod pieces;
pub mod strided;

use crate::kernel::Kernel;

/// Declares the kernels' modules and lists them in one go, so that neither can be forgotten.
macro_rules! table {
    ($($(#[$when:meta])? $name:ident),* $(,)?) => {
        $($(#[$when])? pub mod $name;)*
        /// Every kernel.
        pub static TABLE: &[&Kernel] = &[$($(#[$when])? &$name::KERNEL),*];
    };
}

/// Declares the variants of a kernel that computes one of several functions: an enum whose numbers are the values of the
/// override `OPERATION`, and the table's list of them.
macro_rules! variants {
    ($(#[$doc:meta])* pub enum $Name:ident { $($(#[$each:meta])* $Variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($(#[$each])* $Variant),* }

        impl $Name {
            /// Every one, in the order of the kernel's variants.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$Variant),*];
            pub(super) const VARIANTS: &[crate::kernel::Variant] = &[$(crate::kernel::Variant {
                name: $text,
                constants: &[("OPERATION", Self::$Variant as u32)],
            }),*];
        }
    };
}
use variants;

table! {
    accumulator_sparse,
    accumulator_dense,
    output,
    loss,
    sum,
    activation_gradient,
    output_gradient,
    bias_gradient,
    weights_gradient_sparse,
    weights_gradient_dense,
    forward_sparse,
    masked_rows,
    masked_weights,
    masked_output,
    masked_adamw,
    masked_output_adamw,
    scatter_pieces,
    join_pieces,
    sgd,
    adamw,
    unary,
    unary_gradient,
    binary,
    binary_gradient,
    copy,
    reduce,
    matmul,
    matmul_wide,
    softmax,
    softmax_gradient,
    batch_norm,
    batch_norm_gradient,
    one_hot,
    multiply_add,
    #[cfg(feature = "sabotage")] sabotage,
}

/// The kernel of that name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    TABLE.iter().copied().find(|kernel| kernel.name == name)
}
