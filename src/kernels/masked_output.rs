//! ∂Loss/∂B and ∂Loss/∂C from the rows of G_B and G_T and the bands' shares of Σ A·G: see [`masked`].

use super::cpu;
use super::inputs::Inputs;
use super::libraries::{ACTIVATION, ACTIVATIONS, GRID, LANES};
use super::masked::{self, GROUP};
use crate::activation::Activation;
use crate::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};
use std::ops::Range;

crate::parameters! {
    /// B of each accumulator, and C.
    pub struct Params {
        /// K, a multiple of 32.
        pub hidden: u32,
        /// 1 if both perspectives have the same B.
        pub tied: u32,
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
        /// Where B of the second accumulator begins in `small`, and its gradient in `gradient`; that of the first stands at 0.
        pub bias_2: u32,
        /// Where C begins there, and its gradient.
        pub output: u32,
        /// 1 adds to the gradients, 0 overwrites them.
        pub accumulate: u32,
        /// T.
        pub clip: f32,
    }
}

impl crate::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.accumulators() as u32 * self.hidden / 32
    }
}

impl Params {
    fn accumulators(&self) -> usize {
        if self.tied == 1 { 1 } else { 2 }
    }

    /// For each accumulator where its B begins, and the perspectives that have it.
    fn biases(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let each = 2 / self.accumulators();
        let firsts = [0, self.bias_2 as usize]
            .into_iter()
            .take(self.accumulators());
        firsts
            .enumerate()
            .map(move |(accumulator, first)| (first, accumulator..accumulator + each))
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
        Binding::floats("small"),
        Binding::update("gradient"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

/// H = w·S·Z where Z is inside: w.
fn inside_weight(activation: Activation) -> f32 {
    if activation == Activation::SCRelu {
        0.5
    } else {
        1.0
    }
}

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (rows, shares) = (call.floats(0), call.floats(1));
    let (small, gradient) = (call.floats(2), call.floats_mut(3));
    let output = p.output as usize;
    let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
    let inside_weight = f64::from(inside_weight(activation));
    // H(T), what a lane above the clip is worth.
    let clip = f64::from(p.clip);
    let full = activation.value(clip, clip);
    let mut put = |at: usize, sum| {
        let before = if p.accumulate == 1 { gradient[at] } else { 0.0 };
        gradient[at] = before + sum;
    };
    let lanes = p
        .biases()
        .flat_map(|(bias, perspectives)| (0..hidden).map(move |r| (bias, perspectives.clone(), r)));
    for (bias, perspectives, r) in lanes {
        let mut of_bias = 0.0;
        for perspective in perspectives {
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
            let share: f64 = (0..p.bands as usize)
                .map(|band| shares[band * 2 * hidden + u])
                .sum();
            put(
                output + u,
                inside_weight * (small[bias + r] * inside + share) + full * above,
            );
            of_bias += small[output + u] * inside;
        }
        put(bias + r, of_bias);
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (rows, shares) = (call.floats(0), call.floats(1));
    let (small, gradient) = (call.floats(2), call.floats_mut(3));
    let output = p.output as usize;
    let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
    let full = match activation {
        Activation::CRelu => p.clip,
        Activation::SCRelu => p.clip * p.clip,
        Activation::Relu => 0.0,
    };
    let inside_weight = inside_weight(activation);
    for (bias, perspectives) in p.biases() {
        let mut of_bias = vec![0.0; hidden];
        for perspective in perspectives {
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
                share[r] =
                    inside_weight * (small[bias + r] * inside[r] + share[r]) + full * above[r];
                of_bias[r] += small[output + perspective * hidden + r] * inside[r];
            }
            let column = output + perspective * hidden;
            cpu::put(&mut gradient[column..][..hidden], &share, p.accumulate);
        }
        cpu::put(&mut gradient[bias..][..hidden], &of_bias, p.accumulate);
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [hidden, blocks, bands] = [p.hidden, p.blocks, p.bands].map(u64::from);
    let biases = p.accumulators() as u64;
    let kinds = if Activation::ALL[variant] == Activation::Relu {
        1
    } else {
        2
    };
    let before = u64::from(p.accumulate) * (biases + 2);
    let terms = 2 * (kinds * blocks + bands);
    Traffic {
        read: 4 * hidden * (terms + biases + 2 + before),
        written: 4 * hidden * (biases + 2),
        operations: hidden * (terms + 12),
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [K, blocks, bands, chunks, tied]: groups of lanes that are not full, LANES − 1, LANES, LANES + 1 terms,
    // primes, and past 65,535 workgroups.
    let shapes = [
        [32, 1, 1, 0, 0],
        [64, 7, 9, 3, 0],
        [128, 8, 7, 5, 1],
        [160, 9, 97, 1, 1],
        [320, 64, 8, 11, 0],
        [1_048_608, 1, 1, 0, 0],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        let activation = Activation::ALL[variant];
        // The last shape is large: once is enough.
        let count = shapes.len() - usize::from(variant > 0);
        for (seed, [hidden, blocks, bands, chunks, tied]) in
            shapes.into_iter().take(count).enumerate()
        {
            let mut inputs = Inputs::new(1600 + seed as u64);
            let kinds = if activation == Activation::Relu { 1 } else { 2 };
            let totals = [chunks + kinds * blocks, chunks + 1 + kinds * blocks];
            let rows = totals[0] * hidden;
            // A float more, as d stands there, and must stay.
            let small = (4 - tied) * hidden + 1;
            let params = Params {
                hidden: hidden as u32,
                tied: tied as u32,
                blocks: blocks as u32,
                bands: bands as u32,
                rows_2: rows as u32,
                total_1: totals[0] as u32,
                total_2: totals[1] as u32,
                bias_2: ((1 - tied) * hidden) as u32,
                output: ((2 - tied) * hidden) as u32,
                accumulate: (seed % 2) as u32,
                clip: [1.0, 0.75, 127.0 / 64.0][seed % 3],
            };
            // Those of B of each accumulator, of C, and of what stays.
            let of_bias = (1 + tied) * blocks + 1;
            let mut terms = vec![of_bias; (2 - tied) * hidden];
            terms.resize(small - 1, 2 * blocks + bands + 1);
            terms.push(1);
            cases.push(Case::new(
                format!("K={hidden} blocks={blocks} bands={bands} chunks={chunks} tied={tied}"),
                variant,
                params,
                vec![
                    Slot::Floats(inputs.floats(rows + totals[1] * hidden, -1.0, 1.0)),
                    Slot::Floats(inputs.floats(bands * 2 * hidden, -1.0, 1.0)),
                    Slot::Floats(inputs.floats(small, -1.0, 1.0)),
                    Slot::Update {
                        values: inputs.floats(small, -1.0, 1.0),
                        bound: Bound::Sums { terms, c: 2.0 },
                    },
                ],
            ));
        }
    }
    cases
}
