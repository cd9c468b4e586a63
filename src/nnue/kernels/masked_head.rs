//! The gradients of B, C and d into a sink, and the loss. ∂Loss/∂B and ∂Loss/∂C come from the rows
//! of G_B and G_T and the bands' shares of Σ A·G (see [`masked`]), and ∂Loss/∂d = Σ e.

use super::libraries::{ACTIVATION, ACTIVATIONS, HEAD_GRADIENTS};
use super::masked::{self, GROUP};
use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::{GRID, LANES};
use crate::nnue::activation::Activation;
use crate::optim::kernels::update;
use crate::optim::sinks::{Element, Group, Number, SINK, SINKS, Sink, Step, for_sink};
use std::ops::Range;

crate::interface! {
    /// The parameters of the head buffer, and the loss.
    pub struct Params {
        /// The numbers of the groups of B, of C and of d for an optimizer's step.
        pub groups: [f32; 12],
        /// K, a multiple of 32.
        pub hidden: u32,
        /// 1 if both perspectives have the same B.
        pub tied: u32,
        /// Rows of G_B per perspective.
        pub blocks: u32,
        /// Bands of features.
        pub bands: u32,
        /// The offset of the second perspective's rows. The first perspective's rows have offset 0.
        pub rows_2: u32,
        /// Rows of the first perspective.
        pub total_1: u32,
        /// Rows of the second perspective.
        pub total_2: u32,
        /// The offset of B of the second accumulator in the head buffer. B of the first has offset
        /// 0.
        pub bias_2: u32,
        /// The offset of C in the head buffer. d follows C.
        pub output: u32,
        /// L. Each sample has an e and a loss in `errors`.
        pub samples: u32,
        /// 1 if the losses are summed, 0 if they are not read.
        pub totals: u32,
        /// T.
        pub clip: f32,
        /// The numbers of an optimizer's step.
        pub step: Step,
    }
    pub struct Buffers {
        /// The rows of sums.
        pub rows: Read<f32>,
        /// The shares of Σ A·G, `[bands, 2K]`.
        pub shares: Read<f32>,
        /// e of each sample, then the losses, `[2L]`.
        pub errors: Read<f32>,
        /// The head buffer: B of each accumulator, C and d.
        pub values: Update<f32>,
        /// The gradient of the head buffer, or its first moment.
        pub first: Update<f32>,
        /// The second moment of the head buffer; any other buffer for a sink without one.
        pub second: Update<f32>,
        /// The loss, `[1]`.
        pub loss: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.accumulators() as u32 * self.hidden / 32 + 1 + self.totals
    }
}

impl Params {
    fn accumulators(&self) -> usize {
        if self.tied == 1 { 1 } else { 2 }
    }

    /// B of each accumulator, C and d.
    fn len(&self) -> usize {
        (self.output + 2 * self.hidden) as usize + 1
    }

    /// For each accumulator, the offset of its B and the perspectives that have it.
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
    name: "masked_head",
    operation: Some("output"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/masked_head.wgsl"),
    libraries: &[GRID, ACTIVATION, LANES, HEAD_GRADIENTS, SINK],
    axes: &[ACTIVATIONS, SINKS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

/// The sums from which the gradients are made.
#[derive(Clone, Copy, Debug)]
struct Sources<'a, R> {
    rows: &'a [R],
    shares: &'a [R],
    errors: &'a [R],
}

impl<R> Sources<'_, R> {
    /// The terms of the loss.
    fn terms(&self, p: &Params) -> &[R] {
        &self.errors[p.samples as usize..][..p.samples as usize]
    }
}

impl Sources<'_, f64> {
    /// The gradients of B, C and d at the offsets of the head buffer, as the mathematics defines
    /// them.
    fn gradients(&self, p: &Params, activation: Activation, head: &[f64]) -> Vec<f64> {
        let Self {
            rows,
            shares,
            errors,
        } = *self;
        let output = p.output as usize;
        let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
        let inside_weight: f64 = activation.weight();
        // H(T), the value of a lane above the clip.
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
                let (inside, above) = match activation.has_clip() {
                    false => (sum(total - blocks), 0.0),
                    true => (sum(total - 2 * blocks), sum(total - blocks)),
                };
                let u = perspective * hidden + r;
                let share: f64 = (0..p.bands as usize)
                    .map(|band| shares[band * 2 * hidden + u])
                    .sum();
                gradient[output + u] =
                    inside_weight * (head[bias + r] * inside + share) + full * above;
                gradient[bias + r] += head[output + u] * inside;
            }
        }
        gradient[output + 2 * hidden] = errors[..p.samples as usize].iter().sum();
        gradient
    }

    fn loss(&self, p: &Params) -> f64 {
        self.terms(p).iter().sum()
    }
}

impl Sources<'_, f32> {
    /// The same gradients as the CPU executor computes them.
    fn gradients_f32(&self, p: &Params, activation: Activation, head: &[f32]) -> Vec<f32> {
        let Self {
            rows,
            shares,
            errors,
        } = *self;
        let output = p.output as usize;
        let (hidden, blocks) = (p.hidden as usize, p.blocks as usize);
        let full = activation.value(p.clip, p.clip);
        let inside_weight: f32 = activation.weight();
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
                let (inside, above) = match activation.has_clip() {
                    false => (sum(total - blocks), vec![0.0; hidden]),
                    true => (sum(total - 2 * blocks), sum(total - blocks)),
                };
                let column = output + perspective * hidden;
                let (biases, outputs) = gradient.split_at_mut(output);
                let share = &mut outputs[perspective * hidden..][..hidden];
                for shares in shares.chunks(2 * hidden).take(p.bands as usize) {
                    cpu::add(share, &shares[perspective * hidden..][..hidden]);
                }
                for r in 0..hidden {
                    share[r] =
                        inside_weight * (head[bias + r] * inside[r] + share[r]) + full * above[r];
                    biases[bias + r] += head[column + r] * inside[r];
                }
            }
        }
        gradient[output + 2 * hidden] = cpu::sum_lanes(p.samples as usize, |s| errors[s]);
        gradient
    }

    fn loss_f32(&self, p: &Params) -> f32 {
        let terms = self.terms(p);
        cpu::sum_lanes(terms.len(), |s| terms[s])
    }
}

/// The variant for an activation and a sink.
pub fn variant_for(activation: Activation, sink: Sink) -> usize {
    KERNEL.variant([activation as usize, sink as usize])
}

/// The activation and the sink of a variant.
fn chosen(variant: usize) -> (Activation, Sink) {
    let [activation, sink] = KERNEL.choices(variant);
    (Activation::ALL[activation], Sink::ALL[sink])
}

impl Params {
    /// Puts the gradients of the head buffer.
    fn put<const SINK: usize, R: Number>(&self, gradients: Vec<R>, buffers: [&mut [R]; 3]) {
        let [values, first, second] = buffers;
        let mut unused = R::of(0.0);
        let groups: [Group; 3] = bytemuck::cast(self.groups);
        let (output, output_bias) = (self.output as usize, self.len() - 1);
        let elements = gradients.into_iter().zip(values).zip(first).enumerate();
        for (i, ((g, value), first)) in elements {
            let region = usize::from(i >= output) + usize::from(i >= output_bias);
            let to = Element {
                value,
                first,
                second: second.get_mut(i).unwrap_or(&mut unused),
            };
            self.step.put::<SINK, R>(&groups[region], g, to);
        }
    }
}

/// Overwrites the loss, or adds to it.
fn put_loss<R: Number>(sink: Sink, loss: &mut [R], sum: R) {
    loss[0] = match sink {
        Sink::Add => loss[0] + sum,
        _ => sum,
    };
}

fn twin(call: Call<'_, f64>) {
    let (activation, sink) = chosen(call.variant);
    let (p, b) = call.open::<Params>();
    let sources = Sources {
        rows: b.rows,
        shares: b.shares,
        errors: b.errors,
    };
    let gradients = sources.gradients(&p, activation, b.values);
    if p.totals == 1 {
        put_loss(sink, b.loss, sources.loss(&p));
    }
    fn put<const SINK: usize>(p: &Params, gradients: Vec<f64>, buffers: [&mut [f64]; 3]) {
        p.put::<SINK, f64>(gradients, buffers);
    }
    for_sink!(sink, put(&p, gradients, [b.values, b.first, b.second]));
}

fn body(call: Call<'_, f32>) {
    let (activation, sink) = chosen(call.variant);
    let (p, b) = call.open::<Params>();
    let sources = Sources {
        rows: b.rows,
        shares: b.shares,
        errors: b.errors,
    };
    let gradients = sources.gradients_f32(&p, activation, b.values);
    if p.totals == 1 {
        put_loss(sink, b.loss, sources.loss_f32(&p));
    }
    fn put<const SINK: usize>(p: &Params, gradients: Vec<f32>, buffers: [&mut [f32]; 3]) {
        p.put::<SINK, f32>(gradients, buffers);
    }
    for_sink!(sink, put(&p, gradients, [b.values, b.first, b.second]));
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let (activation, sink) = chosen(variant);
    let mut traffic = p.traffic_of_sums(activation);
    let (len, totals) = (p.len() as u64, u64::from(p.totals));
    // Every gradient reads B and C. An optimizer reads d as well, and adding to the loss reads the
    // loss.
    let rest = match sink {
        Sink::Write => 0,
        Sink::Add => totals,
        _ => 1,
    };
    traffic.read += 4 * (sink.reads() * len + rest);
    traffic.written = 4 * (sink.buffers() * len + totals);
    traffic.operations += sink.operations() * len;
    traffic
}

impl Params {
    /// The traffic of the sums from which the gradients and the loss are made.
    fn traffic_of_sums(&self, activation: Activation) -> Traffic {
        let [hidden, blocks, bands, samples] =
            [self.hidden, self.blocks, self.bands, self.samples].map(u64::from);
        let kinds = activation.conditions() as u64;
        let terms = 2 * (kinds * blocks + bands);
        let of_samples = (1 + u64::from(self.totals)) * samples;
        Traffic {
            read: 4 * (hidden * (terms + self.accumulators() as u64 + 2) + of_samples),
            operations: hidden * (terms + 12) + of_samples,
            ..Traffic::default()
        }
    }
}

/// [K, blocks, bands, chunks, tied, samples]: lane groups that are not full; LANES − 1, LANES and
/// LANES + 1 terms; 1 sample, 255, 256 and 257 samples for the 256 invocations of a workgroup, and
/// a prime far above; and more than 65,535 workgroups.
const SHAPES: [[usize; 6]; 6] = [
    [32, 1, 1, 0, 0, 1],
    [64, 7, 9, 3, 0, 255],
    [128, 8, 7, 5, 1, 256],
    [160, 9, 97, 1, 1, 257],
    [320, 64, 8, 11, 0, 9973],
    [1_048_608, 1, 1, 0, 0, 0],
];

/// The parameters of a shape with its number and a variant. The losses are summed except in every
/// fourth shape.
fn params_of(seed: usize, variant: usize, shape: [usize; 6]) -> Params {
    let [hidden, blocks, bands, chunks, tied, samples] = shape;
    let kinds = chosen(variant).0.conditions();
    let totals = [chunks + kinds * blocks, chunks + 1 + kinds * blocks];
    Params {
        groups: update::case_groups(!seed.is_multiple_of(3)),
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
        clip: [1.0, 0.75, 127.0 / 64.0][seed % 3],
        step: update::case_step(if seed.is_multiple_of(2) { 1 } else { 1000 }),
    }
}

fn cases() -> Vec<Case> {
    let case = |(variant, (seed, shape)): (usize, (usize, [usize; 6]))| {
        let params = params_of(seed, variant, shape);
        let [hidden, blocks, bands, _, tied, samples] = shape;
        let moves = chosen(variant).1.moves();
        let mut inputs = Inputs::new(1600 + seed as u64);
        let (len, rows) = (
            params.len(),
            (params.total_1 + params.total_2) as usize * hidden,
        );
        // The numbers of terms of the gradients of B, of C and of d. A long sum adds up exactly.
        let mut terms = vec![(1 + tied) * blocks + 1; params.output as usize];
        terms.resize(len - 1, 2 * blocks + bands + 1);
        let of_loss = sum_bound(samples + 1, 1.0);
        terms.push(match of_loss {
            Bound::Exact => 0,
            _ => samples + 1,
        });
        let sums = Bound::Sums { terms, c: 2.0 };
        let moment = Bound::Ulps {
            ulps: 4.0,
            absolute: 4.0 * f64::from(f32::EPSILON),
        };
        // For an optimizer the gradients must be exact except for the rounding of the last product.
        // Multiples of a power of two add up exactly, and multiples of 1/1024 stay about as large
        // as the moments.
        let factors = |inputs: &mut Inputs, count| {
            let mut values = inputs.sixteenths(count);
            values.iter_mut().for_each(|value| *value /= 64.0);
            values
        };
        let floats = |inputs: &mut Inputs, count| match moves {
            true => factors(inputs, count),
            false => inputs.floats(count, -1.0, 1.0),
        };
        let update = |values: Vec<f32>, bound: Bound| Slot::Update { values, bound };
        let errors = match moves {
            true => factors(&mut inputs, 2 * samples),
            false => inputs.for_sum(2 * samples, samples + 1),
        };
        let mut first = inputs.floats(len, -1.0, 1.0);
        let mut second = inputs.floats(len, 0.01, 1.0);
        if moves && seed % 2 == 0 {
            first.fill(0.0);
            second.fill(0.0);
        }
        if !moves {
            first[len - 1] = 0.25;
        }
        let slots = Slots {
            rows: Slot::Floats(floats(&mut inputs, rows)),
            shares: Slot::Floats(floats(&mut inputs, bands * 2 * hidden)),
            errors: Slot::Floats(errors),
            values: match moves {
                // |m̂|/√v̂ is at most 10 here, times η.
                true => update(
                    inputs.sixteenths(len),
                    Bound::Ulps {
                        ulps: 4.0,
                        absolute: (16.0 * 0.03 + 1.0) * f64::from(f32::EPSILON),
                    },
                ),
                false => update(inputs.floats(len, -1.0, 1.0), Bound::Exact),
            },
            first: update(first, if moves { moment.clone() } else { sums }),
            second: update(second, moment),
            loss: update(vec![0.5], of_loss),
        };
        let (total, t) = (params.total_1, 1 + 999 * (seed % 2));
        let name = format!(
            "K={hidden} blocks={blocks} bands={bands} rows={total} tied={tied} L={samples} t={t}"
        );
        Case::new(name, variant, params, slots)
    };
    (0..KERNEL.variants())
        .flat_map(|variant| {
            SHAPES
                .into_iter()
                .enumerate()
                .map(move |one| (variant, one))
        })
        // The largest shape runs with one variant only.
        .filter(|(variant, (_, shape))| *variant == 0 || shape[0] < 100_000)
        .map(case)
        .collect()
}
