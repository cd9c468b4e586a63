//! The kernels of tensor operations.
//!
//! A new kernel needs three edits: its shader, its Rust file, and its two lines here.

#![allow(
    clippy::needless_range_loop,
    reason = "twins are written as the sums of the mathematics are"
)]

pub mod accumulator_sparse;
pub mod batch_norm;
pub mod batch_norm_gradient;
pub mod binary;
pub mod binary_gradient;
pub mod bucketed_product;
pub mod bucketed_weights;
pub mod copy;
pub mod libraries;
pub mod matmul;
pub mod matmul_wide;
pub mod one_hot;
pub mod pairwise;
pub mod pairwise_gradient;
pub mod reduce;
pub mod softmax;
pub mod softmax_gradient;
pub mod strided;
pub mod unary;
pub mod unary_gradient;
pub mod weights_gradient_sparse;

use crate::engine::kernel::Kernel;

/// Declares the variants of a kernel that computes one of several functions: an enum whose numbers
/// are the values of the override `OPERATION`, and the list of variants for the table.
macro_rules! variants {
    ($(#[$doc:meta])* pub enum $Name:ident { $($(#[$each:meta])* $Variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($(#[$each])* $Variant),* }

        impl $Name {
            /// Every one, in the order of the kernel's variants.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$Variant),*];
            pub(super) const VARIANTS: crate::engine::kernel::Axis = &[$(crate::engine::kernel::Choice {
                name: $text,
                constants: &[("OPERATION", Self::$Variant as u32)],
            }),*];
        }
    };
}
use variants;

/// Every kernel of this subject.
pub static KERNELS: &[&Kernel] = &[
    &unary::KERNEL,
    &unary_gradient::KERNEL,
    &binary::KERNEL,
    &binary_gradient::KERNEL,
    &copy::KERNEL,
    &reduce::KERNEL,
    &matmul::KERNEL,
    &matmul_wide::KERNEL,
    &softmax::KERNEL,
    &softmax_gradient::KERNEL,
    &batch_norm::KERNEL,
    &batch_norm_gradient::KERNEL,
    &one_hot::KERNEL,
    &accumulator_sparse::KERNEL,
    &weights_gradient_sparse::KERNEL,
    &pairwise::KERNEL,
    &pairwise_gradient::KERNEL,
    &bucketed_product::KERNEL,
    &bucketed_weights::KERNEL,
];
