//! ∂Loss/∂A = Σ C·G over the buckets from the rows of G, into a sink, and the share of each band in
//! Σ A·G: see [`masked`].

mod cases;

use super::masked::{self, GROUP, Rows};
use crate::engine::cpu::simd::{Simd, Work, widest};
use crate::engine::kernel::{Axis, Call, Choice, Kernel, Pass, Read, Traffic, Update};
use crate::engine::libraries::{GRID, Tiles};
use crate::optim::sinks::{Element, SINK, SINKS, Sink, Step, for_sink};
use rayon::prelude::*;
use std::ops::Range;

crate::interface! {
    /// The weights of one accumulator.
    pub struct Params {
        /// The numbers of A's group for an optimizer's step.
        pub group: [f32; 4],
        /// N.
        pub inputs: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// The first perspective that has this A, 0 or 1.
        pub perspective: u32,
        /// The number of perspectives that have it: 1, or 2 in a tied network.
        pub count: u32,
        /// The offset of the second perspective's rows, a multiple of 32. The offset of the first
        /// perspective's rows is 0.
        pub rows_2: u32,
        /// Rows of the first perspective.
        pub total_1: u32,
        /// Rows of the second perspective.
        pub total_2: u32,
        /// The offset of C in `head`, a multiple of 4.
        pub output: u32,
        /// Output buckets.
        pub buckets: u32,
        /// The offset of the first chunks of the features' buckets in `index`, `[N·buckets + 1]`
        /// per perspective.
        pub first_chunks: u32,
        /// Chunks of the perspectives that have this A.
        pub chunks: u32,
        /// Features of a band, a multiple of [`masked::BAND`].
        pub band: u32,
        /// Vectors of a workgroup: see [`vectors`].
        pub vectors: u32,
        /// The numbers of an optimizer's step.
        pub step: Step,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub index: Read<u32>,
        /// The rows of sums.
        pub rows: Read<f32>,
        /// The head buffer: B of each accumulator, C, `[buckets, 2K]`, and d.
        pub head: Read<f32>,
        /// A, `[N, K]`.
        pub values: Update<f32>,
        /// The gradient of A, or its first moment, `[N, K]`.
        pub first: Update<f32>,
        /// The second moment of A, `[N, K]`; any other buffer for a sink without one.
        pub second: Update<f32>,
        /// The shares of Σ A·G, `[bands, buckets, 2K]`.
        pub shares: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.inputs.div_ceil(self.band) * (self.hidden / 4).div_ceil(self.vectors)
    }
}

impl Params {
    /// The rows, and the chunks of each feature.
    fn rows<'a, R>(&self, index: &'a [u32], rows: &'a [R]) -> Rows<'a, R> {
        Rows {
            first_chunks: &index[self.first_chunks as usize..],
            rows,
            inputs: self.inputs as usize,
            buckets: self.buckets as usize,
            hidden: self.hidden as usize,
            second: self.rows_2 as usize,
            totals: [self.total_1 as usize, self.total_2 as usize],
        }
    }

    /// The perspectives that have this A.
    fn perspectives(&self) -> Range<usize> {
        self.perspective as usize..(self.perspective + self.count) as usize
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_weights",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/masked_weights.wgsl"),
    libraries: &[GRID, SINK],
    axes: &[SINKS, BUCKETS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases: cases::cases,
};

/// The axis of one bucket or several, and of several with tiles in registers, with which a band has
/// [`masked::BAND`] features.
const BUCKETS: Axis = &[
    Choice::new("", &[]),
    Choice::new("buckets", &[("SEVERAL", 1)]),
    Choice::new("registers", &[("SEVERAL", 2)]),
];

/// The variant for a sink, a number of buckets and tiles, which matter with several buckets.
pub fn variant_for(sink: Sink, buckets: usize, tiles: Tiles) -> usize {
    let choice = match tiles {
        _ if buckets == 1 => 0,
        Tiles::Shared => 1,
        Tiles::Registers => 2,
    };
    KERNEL.variant([sink as usize, choice])
}

/// Vectors of a workgroup of the same variant.
pub fn vectors(buckets: usize, tiles: Tiles) -> u32 {
    match tiles {
        _ if buckets == 1 => 16,
        Tiles::Shared => 8,
        Tiles::Registers => 64,
    }
}

/// The sink of a variant.
fn chosen(variant: usize) -> Sink {
    let [sink, _] = KERNEL.choices(variant);
    Sink::ALL[sink]
}

fn twin(call: Call<'_, f64>) {
    let sink = chosen(call.variant);
    for_sink!(sink, reference(call));
}

fn reference<const SINK: usize>(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (inputs, hidden) = (p.inputs as usize, p.hidden as usize);
    let rows = p.rows(b.index, b.rows);
    let output = &b.head[p.output as usize..];
    let buckets = rows.buckets;
    let band = p.band as usize;
    for part in 0..inputs.div_ceil(band) * buckets {
        for perspective in p.perspectives() {
            b.shares[(part * 2 + perspective) * hidden..][..hidden].fill(0.0);
        }
    }
    let mut unused = 0.0;
    for f in 0..inputs {
        for r in 0..hidden {
            let at = f * hidden + r;
            let mut gradient = 0.0;
            for (bucket, perspective) in pairs(buckets, p.perspectives()) {
                let chunks = rows.chunks(perspective, f, bucket);
                let of_pair = rows.of(perspective, chunks, r / GROUP);
                let sum: f64 = of_pair.map(|row| row[r % GROUP]).sum();
                gradient += output[(bucket * 2 + perspective) * hidden + r] * sum;
                let share = (f / band * buckets + bucket) * 2 + perspective;
                b.shares[share * hidden + r] += b.values[at] * sum;
            }
            let to = Element {
                value: &mut b.values[at],
                first: &mut b.first[at],
                second: b.second.get_mut(at).unwrap_or(&mut unused),
            };
            p.step.put::<SINK, f64>(&p.group, gradient, to);
        }
    }
}

/// One band of features: the inputs of all features, and its own part of the buffers that change.
struct BandTask<'a, const SINK: usize> {
    params: &'a Params,
    rows: Rows<'a, f32>,
    output: &'a [f32],
    band: usize,
    values: &'a mut [f32],
    first: &'a mut [f32],
    /// Empty for a sink without a second moment.
    second: &'a mut [f32],
    shares: &'a mut [f32],
}

fn body(call: Call<'_, f32>) {
    let sink = chosen(call.variant);
    for_sink!(sink, bands(call));
}

fn bands<const SINK: usize>(call: Call<'_, f32>) {
    let (params, b) = call.open::<Params>();
    let rows = params.rows(b.index, b.rows);
    let output = &b.head[params.output as usize..];
    let (inputs, hidden) = (rows.inputs, rows.hidden);
    let size = params.band as usize;
    let bands = inputs.div_ceil(size);
    let run = |band, [values, first, second, shares]: [&mut [f32]; 4]| {
        widest(BandTask::<SINK> {
            params: &params,
            rows,
            output,
            band,
            values,
            first,
            second,
            shares,
        });
    };
    let share = rows.buckets * 2 * hidden;
    let shares = b.shares[..bands * share].par_chunks_mut(share);
    let [values, first] =
        [b.values, b.first].map(|all| all[..inputs * hidden].par_chunks_mut(size * hidden));
    let parts = values.zip(first).zip(shares).enumerate();
    if Sink::ALL[SINK].buffers() < 3 {
        parts.for_each(|(band, ((values, first), shares))| {
            run(band, [values, first, &mut [], shares]);
        });
    } else {
        let second = b.second[..inputs * hidden].par_chunks_mut(size * hidden);
        parts
            .zip(second)
            .for_each(|((band, ((values, first), shares)), second)| {
                run(band, [values, first, second, shares]);
            });
    }
}

impl<const SINK: usize> Work for BandTask<'_, SINK> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(self, _: S) {
        let p = self.params;
        let (hidden, buckets) = (p.hidden as usize, self.rows.buckets);
        for (bucket, perspective) in pairs(buckets, p.perspectives()) {
            self.shares[(bucket * 2 + perspective) * hidden..][..hidden].fill(0.0);
        }
        let mut second = self.second.chunks_mut(hidden);
        let features = self.values.chunks_mut(hidden);
        let features = features.zip(self.first.chunks_mut(hidden));
        for (f, (values, first)) in (self.band * p.band as usize..).zip(features) {
            let second = second.next().unwrap_or_default();
            for group in 0..hidden.div_ceil(GROUP) {
                let lanes = masked::lanes(hidden, group);
                let (mut sums, mut gradient) = ([0.0; GROUP], [0.0; GROUP]);
                let values = &mut values[lanes.clone()];
                for (bucket, perspective) in pairs(buckets, p.perspectives()) {
                    let chunks = self.rows.chunks(perspective, f, bucket);
                    if buckets > 1 && chunks.is_empty() {
                        continue;
                    }
                    let sums = self.rows.sum(perspective, chunks, group, &mut sums);
                    let column = (bucket * 2 + perspective) * hidden + lanes.start;
                    let terms = gradient.iter_mut().zip(sums);
                    for ((gradient, sum), c) in terms.zip(&self.output[column..]) {
                        *gradient += c * sum;
                    }
                    let shares = self.shares[column..].iter_mut().zip(sums);
                    for ((share, sum), weight) in shares.zip(&*values) {
                        *share += weight * sum;
                    }
                }
                let first = &mut first[lanes.clone()];
                let second = second.get_mut(lanes).unwrap_or_default();
                p.step
                    .put_all::<SINK, f32>(&p.group, &gradient, [values, first, second]);
            }
        }
    }
}

/// Each bucket, and in it each perspective.
#[inline(always)]
fn pairs(buckets: usize, perspectives: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    (0..buckets).flat_map(move |bucket| perspectives.clone().map(move |own| (bucket, own)))
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let sink = chosen(variant);
    let [inputs, hidden, count, chunks] = [p.inputs, p.hidden, p.count, p.chunks].map(u64::from);
    let buckets = u64::from(p.buckets);
    let bands = inputs.div_ceil(u64::from(p.band));
    // The shares need A with every sink.
    let read = 1 + sink.reads();
    Traffic {
        read: 4
            * (count * (inputs * buckets + 1)
                + (chunks + count * buckets + read * inputs) * hidden),
        written: 4 * (sink.buffers() * inputs + count * bands * buckets) * hidden,
        operations: (chunks + (4 * count * buckets + sink.operations()) * inputs) * hidden,
        ..Traffic::default()
    }
}
