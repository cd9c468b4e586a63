//! ∂Loss/∂B and ∂Loss/∂C from the rows of G_B and G_T and the bands' shares of Σ A·G: see [`masked`]; ∂Loss/∂d = Σ e and the loss.

use super::libraries::{ACTIVATION, ACTIVATIONS, SMALL_GRADIENTS};
use super::masked::{self, GROUP};
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};
use crate::engine::libraries::{GRID, LANES};
use crate::nnue::activation::Activation;
use std::ops::Range;

crate::parameters! {
    /// B of each accumulator, C and d, one after the other, and the loss.
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
        /// Where C begins there, and its gradient; d stands behind it.
        pub output: u32,
        /// Samples, of which each has an e and a term of the loss in `errors`.
        pub samples: u32,
        /// 1 if the terms are summed, 0 if they are not read.
        pub totals: u32,
        /// 1 adds to the gradients, 0 overwrites them.
        pub accumulate: u32,
        /// T.
        pub clip: f32,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.accumulators() as u32 * self.hidden / 32 + 1 + self.totals
    }
}

impl Params {
    pub(super) fn accumulators(&self) -> usize {
        if self.tied == 1 { 1 } else { 2 }
    }

    /// B of each accumulator, C and d.
    pub(super) fn len(&self) -> usize {
        (self.output + 2 * self.hidden) as usize + 1
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
    wgsl: include_str!("../../../shaders/nnue/masked_output.wgsl"),
    libraries: &[GRID, ACTIVATION, LANES, SMALL_GRADIENTS],
    variants: ACTIVATIONS,
    bindings: &[
        Binding::floats("rows"),
        Binding::floats("shares"),
        Binding::floats("errors"),
        Binding::floats("small"),
        Binding::update("gradient"),
        Binding::update("loss"),
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

/// What the gradients are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a, R> {
    rows: &'a [R],
    shares: &'a [R],
    errors: &'a [R],
}

impl<'a, R> Sources<'a, R> {
    /// The first bindings.
    pub(super) fn of(call: &mut Call<'a, R>) -> Self {
        Self {
            rows: call.floats(0),
            shares: call.floats(1),
            errors: call.floats(2),
        }
    }

    /// The terms of the loss.
    fn terms(&self, p: &Params) -> &[R] {
        &self.errors[p.samples as usize..][..p.samples as usize]
    }
}

impl Sources<'_, f64> {
    /// The gradients of B, C and d in the places of `small`, by the mathematics.
    pub(super) fn gradients(&self, p: &Params, activation: Activation, small: &[f64]) -> Vec<f64> {
        let Self {
            rows,
            shares,
            errors,
        } = *self;
        let output = p.output as usize;
        let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
        let inside_weight = f64::from(inside_weight(activation));
        // H(T), what a lane above the clip is worth.
        let clip = f64::from(p.clip);
        let full = activation.value(clip, clip);
        let mut gradient = vec![0.0; p.len()];
        let lanes = p.biases().flat_map(|(bias, perspectives)| {
            (0..hidden).map(move |r| (bias, perspectives.clone(), r))
        });
        for (bias, perspectives, r) in lanes {
            for perspective in perspectives {
                let total = [p.total_1, p.total_2][perspective] as usize;
                let rows = &rows[[0, p.rows_2 as usize][perspective]..];
                let sum = |first: usize| -> f64 {
                    let place =
                        |row| masked::place(hidden, total, row, r / GROUP).start + r % GROUP;
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
                gradient[output + u] =
                    inside_weight * (small[bias + r] * inside + share) + full * above;
                gradient[bias + r] += small[output + u] * inside;
            }
        }
        gradient[output + 2 * hidden] = errors[..p.samples as usize].iter().sum();
        gradient
    }

    pub(super) fn loss(&self, p: &Params) -> f64 {
        self.terms(p).iter().sum()
    }
}

impl Sources<'_, f32> {
    /// As the CPU executor computes them.
    pub(super) fn gradients_f32(
        &self,
        p: &Params,
        activation: Activation,
        small: &[f32],
    ) -> Vec<f32> {
        let Self {
            rows,
            shares,
            errors,
        } = *self;
        let output = p.output as usize;
        let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
        let full = match activation {
            Activation::CRelu => p.clip,
            Activation::SCRelu => p.clip * p.clip,
            Activation::Relu => 0.0,
        };
        let inside_weight = inside_weight(activation);
        let mut gradient = vec![0.0; p.len()];
        for (bias, perspectives) in p.biases() {
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
                let column = output + perspective * hidden;
                let (biases, outputs) = gradient.split_at_mut(output);
                let share = &mut outputs[perspective * hidden..][..hidden];
                for shares in shares.chunks(2 * hidden).take(p.bands as usize) {
                    cpu::add(share, &shares[perspective * hidden..][..hidden]);
                }
                for r in 0..hidden {
                    share[r] =
                        inside_weight * (small[bias + r] * inside[r] + share[r]) + full * above[r];
                    biases[bias + r] += small[column + r] * inside[r];
                }
            }
        }
        gradient[output + 2 * hidden] = cpu::sum_lanes(p.samples as usize, |s| errors[s]);
        gradient
    }

    pub(super) fn loss_f32(&self, p: &Params) -> f32 {
        let terms = self.terms(p);
        cpu::sum_lanes(terms.len(), |s| terms[s])
    }
}

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let (sources, small) = (Sources::of(&mut call), call.floats(3));
    let (gradient, loss) = (call.floats_mut(4), call.floats_mut(5));
    let put = |to: &mut f64, sum: f64| *to = if p.accumulate == 1 { *to + sum } else { sum };
    let gradients = sources.gradients(&p, Activation::ALL[call.variant], small);
    for (to, sum) in gradient.iter_mut().zip(gradients) {
        put(to, sum);
    }
    if p.totals == 1 {
        put(&mut loss[0], sources.loss(&p));
    }
}

fn body(mut call: Call<'_, f32>) {
    let p: Params = call.params();
    let (sources, small) = (Sources::of(&mut call), call.floats(3));
    let (gradient, loss) = (call.floats_mut(4), call.floats_mut(5));
    let gradients = sources.gradients_f32(&p, Activation::ALL[call.variant], small);
    cpu::put(&mut gradient[..p.len()], &gradients, p.accumulate);
    if p.totals == 1 {
        cpu::put(&mut loss[..1], &[sources.loss_f32(&p)], p.accumulate);
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let mut traffic = p.traffic_of_sums(Activation::ALL[variant]);
    let len = p.len() as u64 + u64::from(p.totals);
    traffic.read += 4 * len * u64::from(p.accumulate);
    traffic.written = 4 * len;
    traffic
}

impl Params {
    /// To read what the gradients and the loss are made of, and sum it.
    pub(super) fn traffic_of_sums(&self, activation: Activation) -> Traffic {
        let [hidden, blocks, bands, samples] =
            [self.hidden, self.blocks, self.bands, self.samples].map(u64::from);
        let kinds = if activation == Activation::Relu { 1 } else { 2 };
        let terms = 2 * (kinds * blocks + bands);
        let of_samples = (1 + u64::from(self.totals)) * samples;
        Traffic {
            read: 4 * (hidden * (terms + self.accumulators() as u64 + 2) + of_samples),
            operations: hidden * (terms + 12) + of_samples,
            ..Traffic::default()
        }
    }
}

/// [K, blocks, bands, chunks, tied, samples]: groups of lanes that are not full, LANES − 1, LANES, LANES + 1 terms, samples of less, exactly
/// and more than a workgroup and than four, primes, and past 65,535 workgroups.
const SHAPES: [[usize; 6]; 6] = [
    [32, 1, 1, 0, 0, 1],
    [64, 7, 9, 3, 0, 255],
    [128, 8, 7, 5, 1, 256],
    [160, 9, 97, 1, 1, 257],
    [320, 64, 8, 11, 0, 9973],
    [1_048_608, 1, 1, 0, 0, 0],
];

/// The parameters of a shape, its number and its variant; the loss is summed but in every fourth.
fn params_of(seed: usize, variant: usize, shape: [usize; 6]) -> Params {
    let [hidden, blocks, bands, chunks, tied, samples] = shape;
    let kinds = if Activation::ALL[variant] == Activation::Relu {
        1
    } else {
        2
    };
    let totals = [chunks + kinds * blocks, chunks + 1 + kinds * blocks];
    Params {
        hidden: hidden as u32,
        tied: tied as u32,
        blocks: blocks as u32,
        bands: bands as u32,
        rows_2: (totals[0] * hidden) as u32,
        total_1: totals[0] as u32,
        total_2: totals[1] as u32,
        bias_2: ((1 - tied) * hidden) as u32,
        output: ((2 - tied) * hidden) as u32,
        samples: samples as u32,
        totals: u32::from(seed % 4 != 1),
        accumulate: (seed % 2) as u32,
        clip: [1.0, 0.75, 127.0 / 64.0][seed % 3],
    }
}

/// The parameters of every case, with the variant and the number of the shape. The last shape is large: once is enough.
pub(super) fn all_params() -> impl Iterator<Item = (usize, usize, Params)> {
    let of_variant = |variant: usize| {
        let count = SHAPES.len() - usize::from(variant > 0);
        let shapes = SHAPES.into_iter().take(count).enumerate();
        shapes.map(move |(seed, shape)| (variant, seed, params_of(seed, variant, shape)))
    };
    (0..ACTIVATIONS.len()).flat_map(of_variant)
}

impl Params {
    pub(super) fn case_name(&self) -> String {
        let Self {
            hidden,
            blocks,
            bands,
            tied,
            samples,
            total_1,
            ..
        } = self;
        format!("K={hidden} blocks={blocks} bands={bands} rows={total_1} tied={tied} L={samples}")
    }

    /// Rows of both perspectives, in floats.
    pub(super) fn rows_len(&self) -> usize {
        (self.total_1 + self.total_2) as usize * self.hidden as usize
    }
}

fn cases() -> Vec<Case> {
    let case = |(variant, seed, params): (usize, usize, Params)| {
        let mut inputs = Inputs::new(1600 + seed as u64);
        let [blocks, bands, samples] =
            [params.blocks, params.bands, params.samples].map(|n| n as usize);
        let (hidden, len) = (params.hidden as usize, params.len());
        // Those of B of each accumulator, of C and of d; a long sum adds up exactly.
        let of_bias = (1 + params.tied as usize) * blocks + 1;
        let mut terms = vec![of_bias; params.output as usize];
        terms.resize(len - 1, 2 * blocks + bands + 1);
        let of_samples = samples + 1;
        let bound_of_loss = sum_bound(of_samples, 1.0);
        terms.push(if matches!(bound_of_loss, Bound::Exact) {
            0
        } else {
            of_samples
        });
        let errors = inputs.for_sum(2 * samples, of_samples);
        let mut before = inputs.floats(len, -1.0, 1.0);
        before[len - 1] = 0.25;
        Case::new(
            params.case_name(),
            variant,
            params,
            vec![
                Slot::Floats(inputs.floats(params.rows_len(), -1.0, 1.0)),
                Slot::Floats(inputs.floats(bands * 2 * hidden, -1.0, 1.0)),
                Slot::Floats(errors),
                Slot::Floats(inputs.floats(len, -1.0, 1.0)),
                Slot::Update {
                    values: before,
                    bound: Bound::Sums { terms, c: 2.0 },
                },
                Slot::Update {
                    values: vec![0.5],
                    bound: bound_of_loss,
                },
            ],
        )
    };
    all_params().map(case).collect()
}
