//! A in 16 bits, for forward passes: each weight goes to a 16-bit float next to it, off by at most
//! 2⁻¹¹ of itself, or by 2⁻²⁵ below 2⁻¹⁴.

use super::half;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;

crate::interface! {
    /// The shape of A.
    pub struct Params {
        /// N.
        pub rows: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// Vectors of a tile, an even number. One load of a forward pass reads a vector of the
        /// first half of a tile and one of the other half.
        pub tile: u32,
        /// The offset of the copy in `halves`, a multiple of 4.
        pub to: u32,
    }
    pub struct Buffers {
        /// A, `[N, K]`.
        pub weights: Read<f32>,
        /// The copies of the accumulators in 16 bits, two lanes in a word.
        pub halves: Update<u32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.rows * self.hidden / 8).div_ceil(32)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "half_weights",
    operation: Some("network"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/half_weights.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (hidden, tile) = (p.hidden as usize, p.tile as usize);
    let halves = &mut b.halves[p.to as usize..];
    for row in 0..p.rows as usize {
        for lane in 0..hidden {
            let place = row * hidden + half::place(hidden, lane, tile);
            half::put(halves, place, b.weights[row * hidden + lane]);
        }
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let weights = u64::from(p.rows) * u64::from(p.hidden);
    Traffic {
        read: 4 * weights,
        written: 2 * weights,
        operations: weights,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [N, K, tile, offset]: none, one, every interleave, a last tile that is shorter, whole rows,
    // past 65,535 workgroups.
    let shapes = [
        [0, 32, 2, 0],
        [1, 32, 2, 0],
        [7, 64, 4, 4],
        [768, 128, 8, 0],
        [5, 96, 128, 8],
        [3, 544, 128, 0],
        [41, 4096, 128, 4],
        [1031, 160, 2, 4],
        [65_537, 256, 8, 0],
    ];
    let each = shapes.into_iter().enumerate();
    let case = |(seed, [rows, hidden, tile, to]): (usize, [usize; 4])| {
        let mut inputs = Inputs::new(2300 + seed as u64);
        // Sixteenths are exact in 16 bits, so that the direction of a rounding does not matter.
        let weights = inputs.sixteenths(rows * hidden);
        let params = Params {
            rows: rows as u32,
            hidden: hidden as u32,
            tile: tile as u32,
            to: to as u32,
        };
        let slots = Slots {
            weights: Slot::Floats(weights),
            halves: Slot::UpdateWords(vec![7; to + rows * hidden / 2]),
        };
        Case::new(format!("N={rows} K={hidden} tile={tile}"), 0, params, slots)
    };
    each.map(case).collect()
}
