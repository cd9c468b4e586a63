//! WGSL functions that kernels of several subjects share.

use crate::engine::device::Class;
use crate::engine::kernel::{Axis, Choice};

/// `group_index`, for grids more than 65,535 workgroups.
pub const GRID: &str = include_str!("../../shaders/engine/lib/grid.wgsl");
/// `sum_lanes`, over the `LANES` invocations of each of the `COLUMNS` of a workgroup, and
/// `sum_workgroup`. The shader declares both constants.
pub const LANES: &str = include_str!("../../shaders/engine/lib/lanes.wgsl");
/// `Tile` and `add_products`: 8 × 8 of a product in registers.
pub const TILE: &str = include_str!("../../shaders/engine/lib/tile.wgsl");

/// The variant of [`TILED`] for GPUs.
pub const SHARED: usize = 0;
/// The variant of [`TILED`] for software adapters.
pub const REGISTERS: usize = 1;

/// The variants of a kernel of tiles. The operands of a workgroup either pass through its memory or
/// go straight to registers.
pub const TILED: Axis = &[
    Choice::new("shared", &[("SHARED", 1)]),
    Choice::new("registers", &[("SHARED", 0)]),
];

/// The variant of [`TILED`] for a kind of hardware.
pub(crate) fn tiled_for(class: Class) -> usize {
    match class {
        Class::Software => REGISTERS,
        Class::Gpu | Class::Host => SHARED,
    }
}
