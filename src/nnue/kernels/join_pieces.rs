//! ∂Loss/∂θ = Σ over the stretches of a batch, for one matrix θ of the parameters: see
//! [`pieces`](super::pieces).

use super::masked::{self, GROUP};
use super::pieces::Pieces;
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;

crate::interface! {
    /// A matrix among the gradients of each stretch. A vector counts as one row.
    pub struct Params {
        /// Its rows.
        pub rows: u32,
        /// Lanes of a row.
        pub hidden: u32,
        /// The offset of the matrix in a stretch.
        pub first: u32,
        /// The distance from one stretch to the next, in elements.
        pub stride: u32,
        /// Stretches.
        pub pieces: u32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
    }
    pub struct Buffers {
        /// The gradients of each stretch.
        pub pieces: Read<f32>,
        /// The gradient of a parameter buffer.
        pub gradient: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.rows * self.hidden).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "join_pieces",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/join_pieces.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (pieces, gradient) = (buffers.pieces, buffers.gradient);
    let (rows, hidden) = (p.rows as usize, p.hidden as usize);
    for i in 0..rows * hidden {
        let place = p.first as usize + Pieces::place(rows, hidden, i / hidden, i % hidden);
        let terms = pieces[place..].iter().step_by(p.stride as usize);
        let sum: f64 = terms.take(p.pieces as usize).sum();
        gradient[i] = if p.accumulate == 1 {
            gradient[i] + sum
        } else {
            sum
        };
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (pieces, gradient) = (buffers.pieces, buffers.gradient);
    let (rows, hidden) = (p.rows as usize, p.hidden as usize);
    cpu::rows(&mut gradient[..rows * hidden], hidden, |row, out| {
        if p.accumulate == 0 {
            out.fill(0.0);
        }
        for piece in pieces.chunks(p.stride as usize).take(p.pieces as usize) {
            for (group, out) in out.chunks_mut(GROUP).enumerate() {
                let place = masked::place(hidden, rows, row, group);
                cpu::add(out, &piece[p.first as usize..][place]);
            }
        }
    });
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [rows, hidden, pieces, before] = [p.rows, p.hidden, p.pieces, p.accumulate].map(u64::from);
    let elements = rows * hidden;
    Traffic {
        read: 4 * elements * (pieces + before),
        written: 4 * elements,
        operations: elements * (pieces + before),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [rows, K, stretches, first, beyond]: none, one, a lane group − 1, a lane group, a lane group
    // + 1, primes, many stretches, and more than 65,535 workgroups.
    let shapes = [
        [0, 32, 1, 0, 4],
        [1, 1, 1, 3, 0],
        [5, 127, 2, 8, 4],
        [7, 128, 3, 0, 0],
        [3, 129, 1, 12, 8],
        [31, 320, 5, 64, 4],
        [2, 32, 4099, 4, 4],
        [32_771, 160, 2, 4, 0],
    ];
    let cases = shapes.into_iter().enumerate();
    cases.map(|(seed, shape)| case(seed, shape)).collect()
}

fn case(seed: usize, [rows, hidden, pieces, first, beyond]: [usize; 5]) -> Case {
    let mut inputs = Inputs::new(1800 + seed as u64);
    let (stride, terms) = (first + rows * hidden + beyond, pieces + 1);
    let params = Params {
        rows: rows as u32,
        hidden: hidden as u32,
        first: first as u32,
        stride: stride as u32,
        pieces: pieces as u32,
        accumulate: (seed % 2) as u32,
    };
    Case::new(
        format!(
            "N={rows} K={hidden} pieces={pieces} accumulate={}",
            seed % 2
        ),
        0,
        params,
        Slots {
            pieces: Slot::Floats(inputs.for_sum(pieces * stride, terms)),
            gradient: Slot::Update {
                values: inputs.for_sum(rows * hidden, terms),
                bound: sum_bound(terms, 1.0),
            },
        },
    )
}
