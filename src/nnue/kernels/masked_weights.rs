//! ∂Loss/∂A = C·G from the rows of G, and each band's share of Σ A·G: see [`masked`].

use super::masked::{self, BAND, GROUP, Rows};
use crate::engine::cpu::simd::{Simd, Work, widest};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Binding, Bound, Call, Case, Kernel, PLAIN, Pass, Slot, Traffic};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::parameters! {
    /// One accumulator's weights.
    pub struct Params {
        /// N.
        pub inputs: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// The first perspective that has this A, 0 or 1.
        pub perspective: u32,
        /// Perspectives that have it: 1, or 2 of a tied network.
        pub count: u32,
        /// Where the second perspective's rows begin, a multiple of 32; those of the first stand at 0.
        pub rows_2: u32,
        /// Rows of the first perspective.
        pub total_1: u32,
        /// Rows of the second.
        pub total_2: u32,
        /// Where C begins in `small`, a multiple of 4.
        pub output: u32,
        /// Where the first chunks of the features begin in `index`, `[N + 1]` for each perspective.
        pub first_chunks: u32,
        /// 1 adds to the gradient, 0 overwrites it.
        pub accumulate: u32,
        /// Chunks of all counted perspectives.
        pub chunks: u32,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.inputs.div_ceil(BAND as u32) * (self.hidden / 4).div_ceil(64)
    }
}

impl Params {
    /// The rows, and which are a feature's.
    pub(super) fn rows<'a, R>(&self, index: &'a [u32], rows: &'a [R]) -> Rows<'a, R> {
        Rows {
            first_chunks: &index[self.first_chunks as usize..],
            rows,
            inputs: self.inputs as usize,
            hidden: self.hidden as usize,
            second: self.rows_2 as usize,
            totals: [self.total_1 as usize, self.total_2 as usize],
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_weights",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/masked_weights.wgsl"),
    libraries: &[GRID],
    variants: PLAIN,
    bindings: &[
        Binding::words("index"),
        Binding::floats("rows"),
        Binding::floats("weights"),
        Binding::floats("small"),
        Binding::update("gradient"),
        Binding::update("shares"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let (first_chunks, rows) = (&call.words(0)[p.first_chunks as usize..], call.floats(1));
    let (weights, output) = (call.floats(2), &call.floats(3)[p.output as usize..]);
    let (gradient, shares) = (call.floats_mut(4), call.floats_mut(5));
    let (inputs, hidden) = (p.inputs as usize, p.hidden as usize);
    for perspective in p.perspective as usize..(p.perspective + p.count) as usize {
        let total = [p.total_1, p.total_2][perspective] as usize;
        let rows = &rows[[0, p.rows_2 as usize][perspective]..];
        for band in 0..inputs.div_ceil(BAND) {
            let at = (band * 2 + perspective) * hidden;
            shares[at..at + hidden].fill(0.0);
        }
        for f in 0..inputs {
            let chunks = &first_chunks[perspective * (inputs + 1) + f..];
            for r in 0..hidden {
                let place = |row| masked::place(hidden, total, row, r / GROUP).start + r % GROUP;
                let sum: f64 = (chunks[0]..chunks[1])
                    .map(|chunk| rows[place(chunk as usize)])
                    .sum();
                let u = perspective * hidden + r;
                let add = p.accumulate == 1 || perspective > p.perspective as usize;
                let before = if add { gradient[f * hidden + r] } else { 0.0 };
                gradient[f * hidden + r] = before + output[u] * sum;
                shares[f / BAND * 2 * hidden + u] += weights[f * hidden + r] * sum;
            }
        }
    }
}

/// A band of features: what is read of all, and its own part of what is written.
struct Band<'a> {
    params: &'a Params,
    rows: Rows<'a, f32>,
    weights: &'a [f32],
    output: &'a [f32],
    band: usize,
    gradient: &'a mut [f32],
    shares: &'a mut [f32],
}

fn body(mut call: Call<'_, f32>) {
    let params: Params = call.params();
    let rows = params.rows(call.words(0), call.floats(1));
    let (weights, output) = (call.floats(2), &call.floats(3)[params.output as usize..]);
    let (gradient, shares) = (call.floats_mut(4), call.floats_mut(5));
    let (inputs, hidden) = (rows.inputs, rows.hidden);
    let gradient = &mut gradient[..inputs * hidden];
    let shares = &mut shares[..inputs.div_ceil(BAND) * 2 * hidden];
    gradient
        .par_chunks_mut(BAND * hidden)
        .zip(shares.par_chunks_mut(2 * hidden))
        .enumerate()
        .for_each(|(band, (gradient, shares))| {
            widest(Band {
                params: &params,
                rows,
                weights,
                output,
                band,
                gradient,
                shares,
            });
        });
}

impl Work for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(self, _: S) {
        let (p, hidden) = (self.params, self.params.hidden as usize);
        let perspectives = p.perspective as usize..(p.perspective + p.count) as usize;
        for perspective in perspectives.clone() {
            let add = p.accumulate == 1 || perspective > perspectives.start;
            let column = perspective * hidden..(perspective + 1) * hidden;
            let (output, shares) = (&self.output[column.clone()], &mut self.shares[column]);
            shares.fill(0.0);
            for (f, gradient) in (self.band * BAND..).zip(self.gradient.chunks_mut(hidden)) {
                let weights = &self.weights[f * hidden..][..hidden];
                for group in 0..hidden.div_ceil(GROUP) {
                    let lanes = masked::lanes(hidden, group);
                    let mut sums = [0.0; GROUP];
                    self.rows.sum(perspective, f, group, &mut sums);
                    let terms = gradient[lanes.clone()].iter_mut().zip(&sums);
                    let terms = terms.zip(&output[lanes.clone()]);
                    if add {
                        terms.for_each(|((gradient, sum), c)| *gradient += c * sum);
                    } else {
                        terms.for_each(|((gradient, sum), c)| *gradient = c * sum);
                    }
                    let terms = shares[lanes.clone()].iter_mut().zip(&sums);
                    for ((share, sum), weight) in terms.zip(&weights[lanes]) {
                        *share += weight * sum;
                    }
                }
            }
        }
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [inputs, hidden, count, chunks] = [p.inputs, p.hidden, p.count, p.chunks].map(u64::from);
    let before = u64::from(p.accumulate) * inputs * hidden;
    let bands = inputs.div_ceil(BAND as u64);
    Traffic {
        read: 4
            * (count * (inputs + 1) + chunks * hidden + inputs * hidden + count * hidden + before),
        written: 4 * (inputs + count * bands) * hidden,
        operations: (chunks + 4 * count * inputs) * hidden,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [N, K, chunks of a feature at most, perspective, count]: 1, band − 1, band, band + 1, groups of lanes that are not full,
    // primes, and past 65,535 workgroups.
    let shapes = [
        [1, 32, 1, 0, 1],
        [7, 64, 3, 1, 1],
        [8, 128, 2, 0, 2],
        [9, 160, 4, 0, 2],
        [97, 320, 2, 1, 1],
        [3, 4096, 5, 0, 2],
        [524_289, 32, 1, 0, 1],
    ];
    let case = |(seed, shape): (usize, [usize; 5])| {
        let [features, hidden, most, perspective, count] = shape;
        let mut inputs = Inputs::new(1500 + seed as u64);
        let (params, index) = self::shape(&mut inputs, shape);
        let accumulate = (seed % 2) as u32;
        let params = Params {
            accumulate,
            ..params
        };
        let rows = (params.total_1 + params.total_2) as usize * hidden;
        Case::new(
            format!(
                "N={features} K={hidden} chunks={most} p={perspective} count={count} accumulate={accumulate}"
            ),
            0,
            params,
            vec![
                Slot::Words(index),
                Slot::Floats(inputs.floats(rows, -1.0, 1.0)),
                Slot::Floats(inputs.floats(features * hidden, -1.0, 1.0)),
                Slot::Floats(inputs.floats(params.output as usize + 2 * hidden, -1.0, 1.0)),
                Slot::Update {
                    values: inputs.floats(features * hidden, -1.0, 1.0),
                    bound: Bound::Sum {
                        terms: count * most + 1,
                        c: 1.0,
                    },
                },
                Slot::Update {
                    // The other perspective's shares must stay.
                    values: vec![0.25; features.div_ceil(BAND) * 2 * hidden],
                    bound: Bound::Sum {
                        terms: BAND.min(features) * most,
                        c: 1.0,
                    },
                },
            ],
        )
    };
    shapes.into_iter().enumerate().map(case).collect()
}

/// The parameters of `[N, K, chunks of a feature at most, perspective, count]`, overwriting, and an index with the first chunk of each feature
/// behind a few other words; two rows that are no chunks stand behind each perspective's.
pub(super) fn shape(inputs: &mut Inputs, shape: [usize; 5]) -> (Params, Vec<u32>) {
    let [features, hidden, most, perspective, count] = shape;
    let before = features % 4;
    let mut index = vec![u32::MAX; before];
    let totals = [0, 1].map(|_| {
        let counts = inputs.words(features, most as u32 + 1);
        let mut sum = 0;
        index.push(0);
        index.extend(counts.into_iter().map(|count| {
            sum += count;
            sum
        }));
        sum + 2
    });
    let params = Params {
        inputs: features as u32,
        hidden: hidden as u32,
        perspective: perspective as u32,
        count: count as u32,
        rows_2: totals[0] * hidden as u32,
        total_1: totals[0],
        total_2: totals[1],
        output: (features % 3 * 4) as u32,
        first_chunks: before as u32,
        accumulate: 0,
        chunks: (perspective..perspective + count)
            .map(|p| totals[p] - 2)
            .sum(),
    };
    (params, index)
}
