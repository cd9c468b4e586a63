//! The shared functions of the shaders, and what their overrides mean.

use crate::engine::kernel::Variant;

/// `activate` and `activation_slope`, by the override `ACTIVATION`; the same for vectors.
pub const ACTIVATION: &str = include_str!("../../../shaders/nnue/lib/activation.wgsl");
/// `first_vector` and `bits_of`: a bit a lane, in words.
pub const BITS: &str = include_str!("../../../shaders/nnue/lib/bits.wgsl");
/// `link`, `power_of` and `loss_of`, by the override `LINK`.
pub const LINK: &str = include_str!("../../../shaders/nnue/lib/link.wgsl");
/// `put_small_gradients`: those of B, C and d, and the loss; its shader declares the buffers and where they go.
pub const SMALL_GRADIENTS: &str = include_str!("../../../shaders/nnue/lib/small_gradients.wgsl");

/// The variants of a kernel that uses [`ACTIVATION`], in the order of [`Activation::ALL`](crate::nnue::activation::Activation::ALL).
pub const ACTIVATIONS: &[Variant] = &[
    Variant {
        name: "crelu",
        constants: &[("ACTIVATION", 0)],
    },
    Variant {
        name: "screlu",
        constants: &[("ACTIVATION", 1)],
    },
    Variant {
        name: "relu",
        constants: &[("ACTIVATION", 2)],
    },
];

/// The variants of a kernel that uses [`LINK`], in the order of [`Link::ALL`](crate::nnue::loss::Link::ALL).
pub const LINKS: &[Variant] = &[
    Variant {
        name: "identity",
        constants: &[("LINK", 0)],
    },
    Variant {
        name: "sigmoid",
        constants: &[("LINK", 1)],
    },
];

/// Operations of the activation, or of its slope, for one number, in the order of [`ACTIVATIONS`]: only SCReLU's needs one.
pub(crate) const ACTIVATION_OPERATIONS: [u64; 3] = [0, 1, 0];

/// Operations of the link for one number, in the order of [`LINKS`].
pub(crate) const LINK_OPERATIONS: [u64; 2] = [0, 4];
