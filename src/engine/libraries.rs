//! WGSL functions that kernels of several subjects share.

use crate::engine::kernel::Variant;

/// `group_index`: grids past 65,535 workgroups.
pub const GRID: &str = include_str!("../../shaders/engine/lib/grid.wgsl");
/// `sum_lanes`, over the `LANES` of each of the `COLUMNS` that its shader declares a workgroup to have, and `sum_workgroup`.
pub const LANES: &str = include_str!("../../shaders/engine/lib/lanes.wgsl");
/// `Tile` and `add_products`: 8 × 8 of a product in registers.
pub const TILE: &str = include_str!("../../shaders/engine/lib/tile.wgsl");

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
