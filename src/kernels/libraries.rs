//! The shared functions of the shaders, and what their overrides mean.

use crate::kernel::Variant;

/// `group_index`: grids past 65,535 workgroups.
pub const GRID: &str = include_str!("../../shaders/lib/grid.wgsl");
/// `activate` and `activation_slope`, by the override `ACTIVATION`; the same for vectors.
pub const ACTIVATION: &str = include_str!("../../shaders/lib/activation.wgsl");
/// `moved`: an element's step of AdamW; its shader's parameters have the numbers.
pub const ADAMW: &str = include_str!("../../shaders/lib/adamw.wgsl");
/// `first_vector` and `bits_of`: a bit a lane, in words.
pub const BITS: &str = include_str!("../../shaders/lib/bits.wgsl");
/// `link`, `power_of` and `loss_of`, by the override `LINK`.
pub const LINK: &str = include_str!("../../shaders/lib/link.wgsl");
/// `sigmoid`, `hyperbolic_tangent` and `log_one_plus`, without overflow or cancellation.
pub const FUNCTIONS: &str = include_str!("../../shaders/lib/functions.wgsl");
/// `power`, with every edge of section 4; its shader's parameters have a field `length`.
pub const POWER: &str = include_str!("../../shaders/lib/power.wgsl");
/// `sum_lanes`, over the `LANES` of each of the `COLUMNS` that its shader declares a workgroup to have, and `sum_workgroup`.
pub const LANES: &str = include_str!("../../shaders/lib/lanes.wgsl");
/// `put_small_gradients`: those of B, C and d, and the loss; its shader declares the buffers and where they go.
pub const SMALL_GRADIENTS: &str = include_str!("../../shaders/lib/small_gradients.wgsl");
/// `Tile` and `add_products`: 8 × 8 of a product in registers.
pub const TILE: &str = include_str!("../../shaders/lib/tile.wgsl");

/// The variant of [`TILED`] for GPUs.
pub const SHARED: usize = 0;
/// The variant of [`TILED`] for software adapters.
pub const REGISTERS: usize = 1;

/// The variants of a kernel of tiles: the operands of a workgroup pass through its memory, or do not.
pub const TILED: &[Variant] = &[
    Variant {
        name: "shared",
        constants: &[("SHARED", 1)],
    },
    Variant {
        name: "registers",
        constants: &[("SHARED", 0)],
    },
];

/// The variants of a kernel that uses [`ACTIVATION`], in the order of [`Activation::ALL`](crate::activation::Activation::ALL).
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

/// The variants of a kernel that uses [`LINK`], in the order of [`Link::ALL`](crate::loss::Link::ALL).
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
pub(super) const ACTIVATION_OPERATIONS: [u64; 3] = [0, 1, 0];

/// Operations of the link for one number, in the order of [`LINKS`].
pub(super) const LINK_OPERATIONS: [u64; 2] = [0, 4];
