//! y\[i\] = Σ_j v_j, where v_j starts as x\[i\] + j/8 and goes through v ← a·v + b `rounds` times,
//! for j from 0 to 7.
//!
//! The kernel does almost nothing but arithmetic, so it measures how fast a device multiplies and
//! adds.

use crate::engine::cpu::simd::{Simd, Sixteen, Work, widest};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::interface! {
    /// Chains of multiplications and additions.
    pub struct Params {
        /// Elements.
        pub length: u32,
        /// Multiplications and additions of each chain.
        pub rounds: u32,
        /// a. Values stay bounded if it lies between −1 and 1.
        pub a: f32,
        /// b.
        pub b: f32,
    }
    pub struct Buffers {
        /// The first values, `[length]`.
        pub x: Read<f32>,
        /// The sums over the chains, `[length]`.
        pub y: Write<f32>,
    }
}

/// The chains of an element, which do not wait for each other.
pub const CHAINS: usize = 8;

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.length.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "multiply_add",
    operation: Some("multiply_add"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/engine/multiply_add.wgsl"),
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
    let (x, y) = (buffers.x, buffers.y);
    let (a, b) = (f64::from(p.a), f64::from(p.b));
    for i in 0..p.length as usize {
        y[i] = 0.0;
        for j in 0..CHAINS {
            let mut v = x[i] + j as f64 / 8.0;
            for _ in 0..p.rounds {
                v = a * v + b;
            }
            y[i] += v;
        }
    }
}

fn body(call: Call<'_, f32>) {
    let (params, buffers) = call.open::<Params>();
    let (x, y) = (buffers.x, buffers.y);
    let length = params.length as usize;
    let pieces = y[..length].par_chunks_mut(crate::engine::cpu::PIECE);
    pieces
        .zip(x[..length].par_chunks(crate::engine::cpu::PIECE))
        .for_each(|(y, x)| widest(Task { params, x, y }));
}

/// The elements of one task.
struct Task<'a> {
    params: Params,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Work for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(self, simd: S) {
        for (y, x) in self.y.chunks_mut(16).zip(self.x.chunks(16)) {
            let mut sixteen = [0.0; 16];
            sixteen[..x.len()].copy_from_slice(x);
            let sums = match S::UNITS {
                8.. => chains::<S, 8>(simd, &self.params, &sixteen),
                4.. => chains::<S, 4>(simd, &self.params, &sixteen),
                _ => chains::<S, 2>(simd, &self.params, &sixteen),
            };
            y.copy_from_slice(&sums[..x.len()]);
        }
    }
}

/// The sums over all chains of sixteen elements, U chains at a time.
#[inline(always)]
fn chains<S: Simd, const U: usize>(simd: S, p: &Params, x: &Sixteen) -> Sixteen {
    let (x, a, b) = (simd.load(x), simd.splat(p.a), simd.splat(p.b));
    let mut sum = simd.splat(0.0);
    for first in (0..CHAINS).step_by(U) {
        let start = |j: usize| simd.splat((first + j) as f32 / 8.0);
        let mut values: [S::Vector; U] = std::array::from_fn(|j| simd.add(x, start(j)));
        for _ in 0..p.rounds {
            for value in &mut values {
                *value = simd.add(simd.multiply(*value, a), b);
            }
        }
        for value in values {
            sum = simd.add(sum, value);
        }
    }
    let mut sums = [0.0; 16];
    simd.store(&mut sums, sum);
    sums
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    // Each chain counts its start, its rounds and its share of the sum.
    let chain = 2 * u64::from(p.rounds) + 2;
    Traffic::elementwise(p.length, 1, 1, CHAINS as u64 * chain)
}

/// The error of y. Let M = |x| + 1 + |b|/(1 − |a|), which no value exceeds. A round shrinks the
/// error that it finds by the factor |a| and adds at most ε·M; the start adds ε·M/2; and each of
/// the seven additions of the sum adds half an ε of at most 8·M.
fn allowance(p: &Params, x: f32) -> f64 {
    let [a, b, x] = [p.a, p.b, x].map(|value| f64::from(value).abs());
    let largest = x + 1.0 + b / (1.0 - a);
    let chain = 0.5 + 1.0 / (1.0 - a);
    f64::from(f32::EPSILON) * largest * (CHAINS as f64 * chain + 28.0)
}

fn cases() -> Vec<Case> {
    // [elements, rounds]: 0, 1, tile − 1, tile, tile + 1 and a prime; no round and many; and more
    // than 65,535 workgroups.
    let shapes = [
        [0, 4],
        [1, 1],
        [63, 2],
        [64, 0],
        [65, 7],
        [997, 1000],
        [4_194_400, 3],
    ];
    let case = |(seed, [length, rounds]): (u64, [u32; 2])| {
        let mut inputs = Inputs::new(9000 + seed);
        let (a, b) = [(0.75, 0.3), (-0.9, 1.25), (0.999, -0.001)][seed as usize % 3];
        let params = Params {
            length,
            rounds,
            a,
            b,
        };
        let x = inputs.floats(length as usize, -2.0, 2.0);
        let bound = x.iter().map(|&x| allowance(&params, x)).collect();
        let output = Slot::Output {
            len: length as usize,
            bound: Bound::Each(bound),
        };
        let name = format!("n={length} rounds={rounds} a={a} b={b}");
        Case::new(
            name,
            0,
            params,
            Slots {
                x: Slot::Floats(x),
                y: output,
            },
        )
    };
    (0..).zip(shapes).map(case).collect()
}
