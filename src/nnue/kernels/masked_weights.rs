//! ∂Loss/∂A = Σ C·G over the buckets from the rows of G, into a sink, and the share of each band in
//! Σ A·G: see [`masked`].

use super::masked::{self, BAND, GROUP, Rows};
use crate::engine::cpu::simd::{Simd, Work, widest};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{
    Axis, Bound, Call, Case, Choice, Kernel, Pass, Read, Slot, Traffic, Update,
};
use crate::engine::libraries::GRID;
use crate::optim::kernels::update;
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
        // Vectors of a workgroup.
        let vectors = if self.buckets == 1 { 16 } else { 64 };
        self.inputs.div_ceil(BAND as u32) * (self.hidden / 4).div_ceil(vectors)
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
    cases,
};

/// The axis of one bucket, whose sums stay in registers, or several.
const BUCKETS: Axis = &[
    Choice::new("", &[]),
    Choice::new("buckets", &[("SEVERAL", 1)]),
];

/// The variant for a sink and a number of buckets.
pub fn variant_for(sink: Sink, buckets: usize) -> usize {
    KERNEL.variant([sink as usize, usize::from(buckets > 1)])
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
    for part in 0..inputs.div_ceil(BAND) * buckets {
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
                let share = (f / BAND * buckets + bucket) * 2 + perspective;
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
    let bands = inputs.div_ceil(BAND);
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
        [b.values, b.first].map(|all| all[..inputs * hidden].par_chunks_mut(BAND * hidden));
    let parts = values.zip(first).zip(shares).enumerate();
    if Sink::ALL[SINK].buffers() < 3 {
        parts.for_each(|(band, ((values, first), shares))| {
            run(band, [values, first, &mut [], shares]);
        });
    } else {
        let second = b.second[..inputs * hidden].par_chunks_mut(BAND * hidden);
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
        for (f, (values, first)) in (self.band * BAND..).zip(features) {
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
    let bands = inputs.div_ceil(BAND as u64);
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

fn cases() -> Vec<Case> {
    // [N, K, chunks of a feature's bucket at most, perspective, count, buckets]: 1, band − 1, band,
    // band + 1, lane groups that are not full, primes, and past 65,535 workgroups; the first and a
    // late step, with and without a range.
    let shapes = [
        [1, 32, 1, 0, 1, 1],
        [7, 64, 3, 1, 1, 1],
        [8, 128, 2, 0, 2, 1],
        [9, 160, 4, 0, 2, 1],
        [97, 320, 2, 1, 1, 1],
        [3, 4096, 5, 0, 2, 1],
        [524_289, 32, 1, 0, 1, 1],
        [1, 32, 2, 1, 1, 8],
        [15, 288, 2, 0, 2, 3],
        [8, 64, 3, 0, 2, 2],
        [9, 128, 1, 1, 1, 5],
        [33, 160, 1, 0, 1, 8],
    ];
    let case = |(variant, (seed, shape)): (usize, (usize, [usize; 6]))| {
        let [features, hidden, most, perspective, count, buckets] = shape;
        let mut inputs = Inputs::new(1500 + seed as u64);
        let (params, index) = self::shape(&mut inputs, shape);
        let t = if seed % 2 == 0 { 1 } else { 1000 };
        let ranged = seed % 3 != 0;
        let [a, b, c, d, ..] = update::case_groups(ranged);
        let params = Params {
            group: [a, b, c, d],
            step: update::case_step(t),
            ..params
        };
        let rows = (params.total_1 + params.total_2) as usize * hidden;
        let (all, sum) = (
            features * hidden,
            Bound::Sum {
                terms: count * most * buckets + 1,
                c: 1.0,
            },
        );
        let moves = chosen(variant).moves();
        // For an optimizer the gradient must be exact except for the rounding of the last product,
        // so its terms are sixteenths, which add up exactly.
        let factors = |inputs: &mut Inputs, count| match moves {
            true => inputs.sixteenths(count),
            false => inputs.floats(count, -1.0, 1.0),
        };
        let moment = Bound::Ulps {
            ulps: 4.0,
            absolute: 4.0 * f64::from(f32::EPSILON),
        };
        let update = |values: Vec<f32>, bound: Bound| Slot::Update { values, bound };
        let mut first = inputs.floats(all, -1.0, 1.0);
        let mut second = inputs.floats(all, 0.01, 1.0);
        if moves && t == 1 {
            first.fill(0.0);
            second.fill(0.0);
        }
        let slots = Slots {
            index: Slot::Words(index),
            rows: Slot::Floats(factors(&mut inputs, rows)),
            head: Slot::Floats(factors(
                &mut inputs,
                params.output as usize + buckets * 2 * hidden,
            )),
            // |m̂|/√v̂ is at most 10 here, times η.
            values: update(
                inputs.floats(all, -1.0, 1.0),
                match moves {
                    true => Bound::Ulps {
                        ulps: 4.0,
                        absolute: (16.0 * 0.02 + 1.0) * f64::from(f32::EPSILON),
                    },
                    false => Bound::Exact,
                },
            ),
            first: update(first, if moves { moment.clone() } else { sum }),
            second: update(second, moment),
            // The other perspective's shares must not change.
            shares: update(
                vec![0.25; features.div_ceil(BAND) * buckets * 2 * hidden],
                Bound::Sum {
                    terms: BAND.min(features) * most,
                    c: 1.0,
                },
            ),
        };
        let name = format!(
            "N={features} K={hidden} chunks={most} p={perspective} count={count} buckets={buckets} t={t}"
        );
        Case::new(name, variant, params, slots)
    };
    let of_sink = |sink: Sink| {
        let each = shapes.into_iter().enumerate();
        each.map(move |(seed, shape)| (variant_for(sink, shape[5]), (seed, shape)))
    };
    Sink::ALL
        .into_iter()
        .flat_map(of_sink)
        // The largest shape runs with one variant only.
        .filter(|(variant, (_, shape))| chosen(*variant) == Sink::AdamW || shape[0] < 1000)
        .map(case)
        .collect()
}

/// The parameters of `[N, K, chunks of a feature's bucket at most, perspective, count, buckets]`,
/// and an index with the first chunk of each bucket of each feature after a few other words. Each
/// perspective has two rows that are no chunks.
fn shape(inputs: &mut Inputs, shape: [usize; 6]) -> (Params, Vec<u32>) {
    let [features, hidden, most, perspective, count, buckets] = shape;
    let before = features % 4;
    let mut index = vec![u32::MAX; before];
    let totals = [0, 1].map(|_| {
        let counts = inputs.words(features * buckets, most as u32 + 1);
        let mut sum = 0;
        index.push(0);
        index.extend(counts.into_iter().map(|count| {
            sum += count;
            sum
        }));
        sum + 2
    });
    let params = Params {
        group: [0.0; 4],
        inputs: features as u32,
        hidden: hidden as u32,
        perspective: perspective as u32,
        count: count as u32,
        rows_2: totals[0] * hidden as u32,
        total_1: totals[0],
        total_2: totals[1],
        output: (features % 3 * 4) as u32,
        buckets: buckets as u32,
        first_chunks: before as u32,
        chunks: (perspective..perspective + count)
            .map(|p| totals[p] - 2)
            .sum(),
        step: Step::default(),
    };
    (params, index)
}
