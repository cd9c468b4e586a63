//! The gradients of B, C and d into a sink, and the loss. ∂Loss/∂B and ∂Loss/∂C come from the rows
//! of G_B and G_T and the bands' shares of Σ A·G (see [`masked`]), and ∂Loss/∂d is Σ e over the
//! samples of each bucket.

mod cases;

use super::libraries::{ACTIVATION, ACTIVATIONS, HEAD_GRADIENTS};
use super::masked::{self, GROUP};
use crate::engine::cpu;
use crate::engine::device::Class;
use crate::engine::kernel::{Axis, Call, Choice, Kernel, Pass, Read, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;
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
        /// Output buckets.
        pub buckets: u32,
        /// The offset of the first block of each bucket in `index`, `[buckets + 1]`.
        pub first_blocks: u32,
        /// The offset of the blocks' first samples there, `[blocks + 1]`.
        pub block_starts: u32,
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
        /// L. Each sample has an e and a loss in `results`.
        pub samples: u32,
        /// 1 if the losses are summed, 0 if they are not read.
        pub totals: u32,
        /// T.
        pub clip: f32,
        /// The numbers of an optimizer's step.
        pub step: Step,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub index: Read<u32>,
        /// The rows of sums.
        pub rows: Read<f32>,
        /// The shares of Σ A·G, `[bands, buckets, 2K]`.
        pub shares: Read<f32>,
        /// Y, then e, then the losses, `[3L]`.
        pub results: Read<f32>,
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
        self.accumulators() as u32 * self.hidden / 8 + self.buckets + self.totals
    }
}

impl Params {
    fn accumulators(&self) -> usize {
        if self.tied == 1 { 1 } else { 2 }
    }

    /// Where C of a bucket and a perspective begins.
    fn output(&self, bucket: usize, perspective: usize) -> usize {
        self.output as usize + (2 * bucket + perspective) * self.hidden as usize
    }

    /// Where d begins.
    fn output_bias(&self) -> usize {
        self.output(self.buckets as usize, 0)
    }

    /// B of each accumulator, C and d.
    fn len(&self) -> usize {
        self.output_bias() + self.buckets as usize
    }

    /// The blocks of a bucket.
    fn blocks(&self, index: &[u32], bucket: usize) -> Range<usize> {
        let first = &index[self.first_blocks as usize + bucket..];
        first[0] as usize..first[1] as usize
    }

    /// The samples of a bucket.
    fn of_bucket(&self, index: &[u32], bucket: usize) -> Range<usize> {
        let blocks = self.blocks(index, bucket);
        let starts = &index[self.block_starts as usize..];
        starts[blocks.start] as usize..starts[blocks.end] as usize
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

/// How many invocations share the terms of a vector.
const SLOTS: Axis = &[
    Choice::new("", &[]),
    Choice::new("8_slots", &[("SLOTS", 8)]),
];

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_head",
    operation: Some("output"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/masked_head.wgsl"),
    libraries: &[GRID, ACTIVATION, HEAD_GRADIENTS, SINK],
    axes: &[ACTIVATIONS, SINKS, SLOTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases: cases::cases,
};

/// The sums from which the gradients are made.
#[derive(Clone, Copy, Debug)]
struct Sources<'a, R> {
    index: &'a [u32],
    rows: &'a [R],
    shares: &'a [R],
    results: &'a [R],
}

impl<R> Sources<'_, R> {
    /// The terms of the loss.
    fn terms(&self, p: &Params) -> &[R] {
        &self.results[2 * p.samples as usize..][..p.samples as usize]
    }
}

impl Sources<'_, f64> {
    /// The gradients of B, C and d at the offsets of the head buffer, as the mathematics defines
    /// them.
    fn gradients(&self, p: &Params, activation: Activation, head: &[f64]) -> Vec<f64> {
        let (hidden, buckets) = (p.hidden as usize, p.buckets as usize);
        let inside_weight: f64 = activation.weight();
        // H(T), the value of a lane above the clip.
        let clip = f64::from(p.clip);
        let full = activation.value(clip, clip);
        let mut gradient = vec![0.0; p.len()];
        let lanes = p.biases().flat_map(|(bias, perspectives)| {
            let pairs = perspectives.flat_map(|own| (0..buckets).map(move |b| (own, b)));
            pairs.flat_map(move |(own, b)| (0..hidden).map(move |r| (bias + r, own, b, r)))
        });
        for (bias, perspective, bucket, r) in lanes {
            let total = [p.total_1, p.total_2][perspective] as usize;
            let rows = &self.rows[[0, p.rows_2 as usize][perspective]..];
            // Of the rows from `first` on.
            let sum = |first: usize| -> f64 {
                let place = |row| masked::place(hidden, total, row, r / GROUP).start + r % GROUP;
                let blocks = p.blocks(self.index, bucket);
                blocks.map(|block| rows[place(first + block)]).sum()
            };
            let blocks = p.blocks as usize;
            let (inside, above) = match activation.has_clip() {
                false => (sum(total - blocks), 0.0),
                true => (sum(total - 2 * blocks), sum(total - blocks)),
            };
            let u = (2 * bucket + perspective) * hidden + r;
            let of_bands = self.shares.chunks(buckets * 2 * hidden);
            let share: f64 = of_bands
                .take(p.bands as usize)
                .map(|shares| shares[u])
                .sum();
            let output = p.output as usize + u;
            gradient[output] = inside_weight * (head[bias] * inside + share) + full * above;
            gradient[bias] += head[output] * inside;
        }
        for bucket in 0..buckets {
            let e = &self.results[p.samples as usize..][p.of_bucket(self.index, bucket)];
            gradient[p.output_bias() + bucket] = e.iter().sum();
        }
        gradient
    }

    fn loss(&self, p: &Params) -> f64 {
        self.terms(p).iter().sum()
    }
}

impl Sources<'_, f32> {
    /// The same gradients as the CPU executor computes them.
    fn gradients_f32(&self, p: &Params, activation: Activation, head: &[f32]) -> Vec<f32> {
        let (hidden, buckets) = (p.hidden as usize, p.buckets as usize);
        let full = activation.value(p.clip, p.clip);
        let inside_weight: f32 = activation.weight();
        let mut gradient = vec![0.0; p.len()];
        let pairs = p.biases().flat_map(|(bias, perspectives)| {
            perspectives.flat_map(move |own| (0..buckets).map(move |b| (bias, own, b)))
        });
        for (bias, perspective, bucket) in pairs {
            let total = [p.total_1, p.total_2][perspective] as usize;
            let rows = &self.rows[[0, p.rows_2 as usize][perspective]..];
            // Of the rows from `first` on.
            let sum = |first: usize| {
                let mut sums = vec![0.0; hidden];
                for group in 0..hidden.div_ceil(GROUP) {
                    let sums = &mut sums[masked::lanes(hidden, group)];
                    for block in p.blocks(self.index, bucket) {
                        let place = masked::place(hidden, total, first + block, group);
                        cpu::add(sums, &rows[place]);
                    }
                }
                sums
            };
            let blocks = p.blocks as usize;
            let (inside, above) = match activation.has_clip() {
                false => (sum(total - blocks), vec![0.0; hidden]),
                true => (sum(total - 2 * blocks), sum(total - blocks)),
            };
            let column = p.output(bucket, perspective);
            let (biases, outputs) = gradient.split_at_mut(p.output as usize);
            let u = column - p.output as usize;
            let share = &mut outputs[u..][..hidden];
            let of_bands = self.shares.chunks(buckets * 2 * hidden);
            for shares in of_bands.take(p.bands as usize) {
                cpu::add(share, &shares[u..][..hidden]);
            }
            for r in 0..hidden {
                share[r] =
                    inside_weight * (head[bias + r] * inside[r] + share[r]) + full * above[r];
                biases[bias + r] += head[column + r] * inside[r];
            }
        }
        for bucket in 0..buckets {
            let e = &self.results[p.samples as usize..][p.of_bucket(self.index, bucket)];
            gradient[p.output_bias() + bucket] = cpu::sum_lanes(e.len(), |s| e[s]);
        }
        gradient
    }

    fn loss_f32(&self, p: &Params) -> f32 {
        let terms = self.terms(p);
        cpu::sum_lanes(terms.len(), |s| terms[s])
    }
}

/// The variant for an activation, a sink and a kind of hardware.
pub fn variant_for(activation: Activation, sink: Sink, class: Class) -> usize {
    let slots = usize::from(class == Class::Software);
    KERNEL.variant([activation as usize, sink as usize, slots])
}

/// The activation and the sink of a variant.
fn chosen(variant: usize) -> (Activation, Sink) {
    let [activation, sink, _] = KERNEL.choices(variant);
    (Activation::ALL[activation], Sink::ALL[sink])
}

impl Params {
    /// Puts the gradients of the head buffer.
    fn put<const SINK: usize, R: Number>(&self, gradients: Vec<R>, buffers: [&mut [R]; 3]) {
        let [values, first, second] = buffers;
        let mut unused = R::of(0.0);
        let groups: [Group; 3] = bytemuck::cast(self.groups);
        let (output, output_bias) = (self.output as usize, self.output_bias());
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
        index: b.index,
        rows: b.rows,
        shares: b.shares,
        results: b.results,
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
        index: b.index,
        rows: b.rows,
        shares: b.shares,
        results: b.results,
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
        let buckets = u64::from(self.buckets);
        let terms = 2 * (kinds * blocks + bands * buckets);
        let of_samples = (1 + u64::from(self.totals)) * samples;
        Traffic {
            read: 4 * (hidden * (terms + self.accumulators() as u64 + 2 * buckets) + of_samples),
            operations: hidden * (terms + 12 * buckets) + of_samples,
            ..Traffic::default()
        }
    }
}
