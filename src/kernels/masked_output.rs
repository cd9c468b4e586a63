//! ∂Loss/∂B and ∂Loss/∂C from the rows of G_B and G_T and the bands' shares of Σ A·G: see [`masked`].

use super::cpu;
use super::inputs::Inputs;
use super::libraries::{ACTIVATION, ACTIVATIONS, GRID, LANES};
use super::masked::{self, GROUP};
use crate::activation::Activation;
use crate::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};

crate::parameters! {
    /// One accumulator's bias, and its lanes of C.
    pub struct Params {
        /// K, a multiple of 32.
        pub hidden: u32,
        /// The first perspective that has this B, 0 or 1.
        pub perspective: u32,
        /// Perspectives that have it: 1, or 2 of a tied network.
        pub count: u32,
        /// Rows of G_B of a perspective.
        pub blocks: u32,
        /// Bands of features.
        pub bands: u32,
        /// Where the second perspective's rows begin; those of the first stand at 0.
        pub rows_2: u32,
        /// Rows of the first perspective.
        pub total_1: u32,
        /// Rows of the second.
        pub total_2: u32,
        /// 1 adds to the gradients, 0 overwrites them.
        pub accumulate: u32,
        /// T.
        pub clip: f32,
    }
}

impl crate::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.hidden / 32
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_output",
    operation: Some("output"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../shaders/masked_output.wgsl"),
    libraries: &[GRID, ACTIVATION, LANES],
    variants: ACTIVATIONS,
    bindings: &[
        Binding::floats("rows"),
        Binding::floats("shares"),
        Binding::floats("bias"),
        Binding::floats("output"),
        Binding::update("bias_gradient"),
        Binding::update("output_gradient"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

/// H = w·S·Z where Z is inside: w.
fn inside_weight(activation: Activation) -> f32 {
    if activation == Activation::SCRelu { 0.5 } else { 1.0 }
}

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (rows, shares) = (call.floats(0), call.floats(1));
    let (bias, output) = (call.floats(2), call.floats(3));
    let (bias_gradient, output_gradient) = (call.floats_mut(4), call.floats_mut(5));
    let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
    let inside_weight = f64::from(inside_weight(activation));
    // H(T), what a lane above the clip is worth.
    let clip = f64::from(p.clip);
    let full = activation.value(clip, clip);
    for r in 0..hidden {
        let mut of_bias = 0.0;
        for perspective in p.perspective as usize..(p.perspective + p.count) as usize {
            let total = [p.total_1, p.total_2][perspective] as usize;
            let rows = &rows[[0, p.rows_2 as usize][perspective]..];
            let sum = |first: usize| -> f64 {
                let place = |row| masked::place(hidden, total, row, r / GROUP).start + r % GROUP;
                (first..first + blocks).map(|row| rows[place(row)]).sum()
            };
            let (inside, above) = match activation {
                Activation::Relu => (sum(total - blocks), 0.0),
                _ => (sum(total - 2 * blocks), sum(total - blocks)),
            };
            let u = perspective * hidden + r;
            let share: f64 = (0..p.bands as usize).map(|band| shares[band * 2 * hidden + u]).sum();
            let gradient = inside_weight * (bias[r] * inside + share) + full * above;
            let before = if p.accumulate == 1 { output_gradient[u] } else { 0.0 };
            output_gradient[u] = before + gradient;
            of_bias += output[u] * inside;
        }
        let before = if p.accumulate == 1 { bias_gradient[r] } else { 0.0 };
        bias_gradient[r] = before + of_bias;
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (rows, shares) = (call.floats(0), call.floats(1));
    let (bias, output) = (call.floats(2), call.floats(3));
    let (bias_gradient, output_gradient) = (call.floats_mut(4), call.floats_mut(5));
    let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
    let full = match activation {
        Activation::CRelu => p.clip,
        Activation::SCRelu => p.clip * p.clip,
        Activation::Relu => 0.0,
    };
    let inside_weight = inside_weight(activation);
    let mut of_bias = vec![0.0; hidden];
    for perspective in p.perspective as usize..(p.perspective + p.count) as usize {
        let total = [p.total_1, p.total_2][perspective] as usize;
        let rows = &rows[[0, p.rows_2 as usize][perspective]..];
        let sum = |first: usize| {
            let mut sums = vec![0.0; hidden];
            for group in 0..hidden.div_ceil(GROUP) {
                let sums = &mut sums[masked::lanes(hidden, group)];
                for row in first..first + blocks {
                    cpu::add(sums, &rows[masked::place(hidden, total, row, group)]);
                }
            }
            sums
        };
        let (inside, above) = match activation {
            Activation::Relu => (sum(total - blocks), vec![0.0; hidden]),
            _ => (sum(total - 2 * blocks), sum(total - blocks)),
        };
        let mut share = vec![0.0; hidden];
        for shares in shares.chunks(2 * hidden).take(p.bands as usize) {
            cpu::add(&mut share, &shares[perspective * hidden..][..hidden]);
        }
        for r in 0..hidden {
            share[r] = inside_weight * (bias[r] * inside[r] + share[r]) + full * above[r];
            of_bias[r] += output[perspective * hidden + r] * inside[r];
        }
        let gradient = &mut output_gradient[perspective * hidden..][..hidden];
        cpu::put(gradient, &share, p.accumulate);
    }
    cpu::put(&mut bias_gradient[..hidden], &of_bias, p.accumulate);
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [hidden, count, blocks, bands] = [p.hidden, p.count, p.blocks, p.bands].map(u64::from);
    let kinds = if Activation::ALL[variant] == Activation::Relu { 1 } else { 2 };
    let before = u64::from(p.accumulate) * (1 + count);
    let terms = count * (kinds * blocks + bands);
    Traffic {
        read: 4 * hidden * (terms + 1 + count + before),
        written: 4 * hidden * (1 + count),
        operations: hidden * (terms + 6 * count),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [K, blocks, bands, chunks, perspective, count]: groups of lanes that are not full, LANES − 1, LANES, LANES + 1 terms,
    // primes, and past 65,535 workgroups.
    let shapes = [
        [32, 1, 1, 0, 0, 1],
        [64, 7, 9, 3, 1, 1],
        [128, 8, 7, 5, 0, 2],
        [160, 9, 97, 1, 0, 2],
        [320, 64, 8, 11, 1, 1],
        [2_097_184, 1, 1, 0, 0, 1],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        let activation = Activation::ALL[variant];
        // The last shape is large: once is enough.
        let count = shapes.len() - usize::from(variant > 0);
        for (seed, [hidden, blocks, bands, chunks, perspective, count]) in
            shapes.into_iter().take(count).enumerate()
        {
            let mut inputs = Inputs::new(1600 + seed as u64);
            let kinds = if activation == Activation::Relu { 1 } else { 2 };
            let totals = [chunks + kinds * blocks, chunks + 1 + kinds * blocks];
            let rows = totals[0] * hidden;
            let rows_used = if perspective + count == 2 { totals[1] * hidden } else { 0 };
            let params = Params {
                hidden: hidden as u32,
                perspective: perspective as u32,
                count: count as u32,
                blocks: blocks as u32,
                bands: bands as u32,
                rows_2: rows as u32,
                total_1: totals[0] as u32,
                total_2: totals[1] as u32,
                accumulate: (seed % 2) as u32,
                clip: [1.0, 0.75, 127.0 / 64.0][seed % 3],
            };
            let sums = |terms: usize, values: Vec<f32>| Slot::Update {
                values,
                bound: Bound::Sum { terms, c: 2.0 },
            };
            cases.push(Case::new(
                format!("K={hidden} blocks={blocks} bands={bands} chunks={chunks} p={perspective} count={count}"),
                variant,
                params,
                vec![
                    Slot::Floats(inputs.floats(rows + rows_used, -1.0, 1.0)),
                    Slot::Floats(inputs.floats(bands * 2 * hidden, -1.0, 1.0)),
                    Slot::Floats(inputs.floats(hidden, -1.0, 1.0)),
                    Slot::Floats(inputs.floats(2 * hidden, -1.0, 1.0)),
                    sums(count * blocks + 1, inputs.floats(hidden, -1.0, 1.0)),
                    sums(2 * blocks + bands + 1, inputs.floats(2 * hidden, -1.0, 1.0)),
                ],
            ));
        }
    }
    cases
}
