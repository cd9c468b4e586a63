//! The numbers that parameters have in an engine, as floats, for the passes of a training (section
//! 8.4): Q(w) = clamp(round(w·s), low, high) ÷ s.

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::interface! {
    /// A run of parameters with the same integers.
    pub struct Params {
        /// The first element.
        pub start: u32,
        /// The end, at least `start`.
        pub end: u32,
        /// s. With at most 12 significant bits the rounding is exact.
        pub scale: f32,
        /// The least integer.
        pub low: f32,
        /// The greatest integer.
        pub high: f32,
        /// A fraction from here on goes to the next integer away from 0: [`NEAREST`] or
        /// [`TRUNCATE`].
        pub up: f32,
    }
    pub struct Buffers {
        /// w, at least `[end]`.
        pub values: Read<f32>,
        /// Q(w), at least `[end]`.
        pub quantized: Update<f32>,
    }
}

/// The nearest integer, halves away from 0.
pub const NEAREST: f32 = 0.5;
/// Towards 0.
pub const TRUNCATE: f32 = 1.0;

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.end - self.start).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "fake_quantize",
    operation: Some("network"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/fake_quantize.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

/// A product of two f32 is exact in f64.
fn twin(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let scale = f64::from(p.scale);
    for i in p.start as usize..p.end as usize {
        let product = b.values[i] * scale;
        let rounded = match p.up == NEAREST {
            true => product.round(),
            false => product.trunc(),
        };
        let clamped = rounded.clamp(f64::from(p.low), f64::from(p.high));
        // No 0 has a sign.
        b.quantized[i] = (clamped + 0.0) / scale;
    }
}

/// The elements that one task quantizes.
const TASK: usize = 8192;

fn body(call: Call<'_, f32>) {
    let (p, b) = call.open::<Params>();
    let range = p.start as usize..p.end as usize;
    let values = b.values[range.clone()].par_chunks(TASK);
    let parts = values.zip(b.quantized[range].par_chunks_mut(TASK));
    parts.for_each(|(values, quantized)| {
        cpu::vectorized(|| {
            for (quantized, &value) in quantized.iter_mut().zip(values) {
                *quantized = p.quantized(value);
            }
        });
    });
}

impl Params {
    /// Q(w), as the shader computes it.
    #[inline(always)]
    fn quantized(&self, value: f32) -> f32 {
        let first = f32::from_bits(value.to_bits() & 0x7fff_f000);
        let products = [first, value.abs() - first].map(|part| part * self.scale);
        let wholes = products.map(f32::floor);
        let rests = [0, 1].map(|part| products[part] - wholes[part]);
        let once = f32::from(u8::from(rests[0] - self.up >= -rests[1]));
        let twice = f32::from(u8::from(rests[1] - self.up >= 1.0 - rests[0]));
        let size = wholes[0] + wholes[1] + once + twice;
        let rounded = if value < 0.0 { 0.0 - size } else { size };
        rounded.clamp(self.low, self.high) / self.scale
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    Traffic::elementwise(p.end - p.start, 1, 1, 14)
}

fn cases() -> Vec<Case> {
    // Sizes 0, 1, tile − 1, tile, tile + 1, a prime, and more than 65,535 workgroups.
    let lengths = [0usize, 1, 63, 64, 65, 997, 4_194_400, 8191];
    // The usual scales of 16 and 8 bits, of a bias of the output, and one of 12 bits.
    let grids = [
        (255.0, i16::MIN as f32, i16::MAX as f32, NEAREST),
        (64.0, i8::MIN as f32, i8::MAX as f32, NEAREST),
        (16_320.0, i32::MIN as f32, i32::MAX as f32, NEAREST),
        (4095.0, i16::MIN as f32, i16::MAX as f32, NEAREST),
        (64.0, i8::MIN as f32, i8::MAX as f32, TRUNCATE),
    ];
    let each = lengths.into_iter().enumerate().map(move |(seed, length)| {
        let (scale, low, high, up) = grids[seed % grids.len()];
        let start = if seed % 2 == 1 { length / 5 } else { 0 };
        let params = Params {
            start: start as u32,
            end: length as u32,
            scale,
            low,
            high,
            up,
        };
        let name = format!("n={length} start={start} s={scale} up={up}");
        Case::new(name, 0, params, slots(seed, length, scale))
    });
    each.collect()
}

/// Weights around ±3, among them both neighbors and the middle of halves and of integers in f32.
fn slots(seed: usize, length: usize, scale: f32) -> Slots {
    let mut inputs = Inputs::new(2400 + seed as u64);
    let mut values = inputs.floats(length, -3.0, 3.0);
    for (i, value) in values.iter_mut().enumerate() {
        let half = (*value * scale * 2.0).round() / 2.0 / scale;
        match i % 8 {
            0 => *value = half,
            1 => *value = half.next_up(),
            2 => *value = half.next_down(),
            3 => *value = (*value * 64.0).round() / 64.0,
            4 if i % 5 == 0 => *value = 0.0,
            _ => {}
        }
    }
    Slots {
        values: Slot::Floats(values),
        // WGSL's division.
        quantized: Slot::Update {
            values: vec![0.25; length],
            bound: Bound::Ulps {
                ulps: 2.5,
                absolute: 0.0,
            },
        },
    }
}
