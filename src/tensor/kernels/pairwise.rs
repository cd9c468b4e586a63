//! y\[row, r\] = h\[row, r\]·h\[row, half + r\] with h = min(max(z, 0), T) (section 4).

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sizes and the clip.
    pub struct Params {
        /// Rows.
        pub rows: u32,
        /// Pairs of a row, half its elements.
        pub half: u32,
        /// T.
        pub clip: f32,
    }
    pub struct Buffers {
        /// z, `[rows, 2·half]`.
        pub z: Read<f32>,
        /// The products, `[rows, half]`.
        pub y: Write<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.rows * self.half).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "pairwise",
    operation: Some("pairwise"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/pairwise.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (z, y) = (buffers.z, buffers.y);
    let (half, clip) = (p.half as usize, f64::from(p.clip));
    for row in 0..p.rows as usize {
        for r in 0..half {
            // A NaN stays.
            let [first, second] = [r, half + r].map(|u| z[2 * half * row + u].clamp(0.0, clip));
            y[half * row + r] = first * second;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let (half, clip) = (p.half as usize, p.clip);
    let (z, y) = (buffers.z, &mut buffers.y[..p.rows as usize * half]);
    cpu::rows(y, half, |row, y| {
        let (first, second) = z[2 * half * row..][..2 * half].split_at(half);
        cpu::vectorized(
            #[inline(always)]
            || {
                for ((y, first), second) in y.iter_mut().zip(first).zip(second) {
                    *y = first.clamp(0.0, clip) * second.clamp(0.0, clip);
                }
            },
        );
    });
}

/// The sizes of cases, \[rows, half, T\]: 0, 1, tile − 1, tile, tile + 1, a prime, and past 65,535
/// workgroups.
pub(super) const SHAPES: [(usize, usize, f32); 9] = [
    (0, 3, 1.0),
    (3, 0, 1.0),
    (1, 1, 1.0),
    (9, 7, 0.75),
    (4, 16, 1.0),
    (13, 5, 1.5),
    (997, 1, 1.0),
    (3, 1009, 127.0),
    (32_771, 128, 1.0),
];

fn cases() -> Vec<Case> {
    let case = |(seed, (rows, half, clip)): (u64, (usize, usize, f32))| {
        let params = Params {
            rows: rows as u32,
            half: half as u32,
            clip,
        };
        Case::new(
            format!("rows={rows} half={half} T={clip}"),
            0,
            params,
            Slots {
                z: Slot::Floats(Inputs::new(7300 + seed).around_kinks(2 * rows * half, clip)),
                y: Slot::Output {
                    len: rows * half,
                    bound: Bound::Ulps {
                        ulps: 1.0,
                        absolute: 0.0,
                    },
                },
            },
        )
    };
    (0..).zip(SHAPES).map(case).collect()
}
