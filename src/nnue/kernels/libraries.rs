//! The shared functions of the shaders, and what their overrides mean.

use crate::engine::kernel::{Axis, Choice};

/// `activate` and `activation_slope`, by the override `ACTIVATION`; the same for vectors.
pub const ACTIVATION: &str = include_str!("../../../shaders/nnue/lib/activation.wgsl");
/// `first_vector` and `bits_of`: a bit a lane, in words.
pub const BITS: &str = include_str!("../../../shaders/nnue/lib/bits.wgsl");
/// `link`, `power_of` and `loss_of`, by the override `LINK`.
pub const LINK: &str = include_str!("../../../shaders/nnue/lib/link.wgsl");
/// `put_head_gradients`: the gradients of B, C and d, and the loss. The shader declares the buffers and
/// the functions that put them.
pub const HEAD_GRADIENTS: &str = include_str!("../../../shaders/nnue/lib/head_gradients.wgsl");

/// The variants of a kernel that uses [`ACTIVATION`], in the order of [`Activation::ALL`](crate::nnue::activation::Activation::ALL).
pub const ACTIVATIONS: Axis = &[
    Choice::new("crelu", &[("ACTIVATION", 0)]),
    Choice::new("screlu", &[("ACTIVATION", 1)]),
    Choice::new("relu", &[("ACTIVATION", 2)]),
];

/// The variants of a kernel that uses [`LINK`], in the order of [`Link::ALL`](crate::nnue::loss::Link::ALL).
pub const LINKS: Axis = &[
    Choice::new("identity", &[("LINK", 0)]),
    Choice::new("sigmoid", &[("LINK", 1)]),
];

/// Operations of the activation, or of its slope, for one number, in the order of [`ACTIVATIONS`]: only SCReLU's needs one.
pub(crate) const ACTIVATION_OPERATIONS: [u64; 3] = [0, 1, 0];

/// Operations of the link for one number, in the order of [`LINKS`].
pub(crate) const LINK_OPERATIONS: [u64; 2] = [0, 4];
