//! WGSL functions that kernels of several subjects share.

use crate::engine::device::Class;
use crate::engine::kernel::{Axis, Choice};
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// `group_index`, for grids more than 65,535 workgroups.
pub const GRID: &str = include_str!("../../shaders/engine/lib/grid.wgsl");
/// `sum_lanes`, over the `LANES` invocations of each of the `COLUMNS` of a workgroup, and
/// `sum_workgroup`. The shader declares both constants.
pub const LANES: &str = include_str!("../../shaders/engine/lib/lanes.wgsl");
/// `Tile` and `add_products`: 8 × 8 of a product in registers.
pub const TILE: &str = include_str!("../../shaders/engine/lib/tile.wgsl");

/// Where a kernel of tiles keeps the operands of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tiles {
    /// In workgroup memory. GPUs have this variant if nobody chooses.
    Shared,
    /// In the registers of each invocation. Software adapters, which wait long at barriers, have
    /// this variant if nobody chooses.
    Registers,
}

impl Tiles {
    /// Every choice, in the order of [`TILED`].
    pub const ALL: [Self; 2] = [Self::Shared, Self::Registers];

    /// The choice for a kind of hardware.
    pub(crate) fn of(class: Class) -> Self {
        match class {
            Class::Software => Self::Registers,
            Class::Gpu | Class::Host => Self::Shared,
        }
    }

    /// `shared` or `registers`, which `parse` reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Registers => "registers",
        }
    }
}

impl FromStr for Tiles {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = Self::ALL.into_iter().find(|tiles| tiles.name() == text);
        named.ok_or_else(|| Error::argument("tiles", "shared or registers", text))
    }
}

/// The variants of a kernel of tiles, by [`Tiles`].
pub const TILED: Axis = &[
    Choice::new("shared", &[("SHARED", 1)]),
    Choice::new("registers", &[("SHARED", 0)]),
];

/// The variant of [`TILED`] for a kind of hardware.
pub(crate) fn tiled_for(class: Class) -> usize {
    Tiles::of(class) as usize
}
