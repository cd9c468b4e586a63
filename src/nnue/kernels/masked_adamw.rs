//! A step of AdamW for A, straight from the rows of G, and each band's share of Σ A·G: see [`masked`].

use super::masked::{self, BAND, GROUP, Rows};
use super::masked_weights;
use crate::engine::cpu::simd::{Simd, Work, widest};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Binding, Bound, Call, Case, Kernel, PLAIN, Pass, Slot, Traffic};
use crate::engine::libraries::GRID;
use crate::optim::kernels::adamw;
use crate::optim::kernels::libraries::ADAMW;
use rayon::prelude::*;

adamw::moving! {
    /// One accumulator's weights, as in `masked_weights`, and one step of AdamW, as in `adamw`.
    pub struct Params: masked_weights::Params {
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

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_adamw",
    operation: Some("adamw"),
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/nnue/masked_adamw.wgsl"),
    libraries: &[GRID, ADAMW],
    variants: PLAIN,
    bindings: &[
        Binding::words("index"),
        Binding::floats("rows"),
        Binding::floats("small"),
        Binding::update("first"),
        Binding::update("second"),
        Binding::update("weights"),
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
    let step = p.step();
    let (index, rows) = (call.words(0), call.floats(1));
    let output = &call.floats(2)[p.output as usize..];
    let rows = p.base().rows(index, rows);
    let (first, second) = (call.floats_mut(3), call.floats_mut(4));
    let (weights, shares) = (call.floats_mut(5), call.floats_mut(6));
    let (inputs, hidden) = (p.inputs as usize, p.hidden as usize);
    let perspectives = p.perspective as usize..(p.perspective + p.count) as usize;
    for band in 0..inputs.div_ceil(BAND) {
        for perspective in perspectives.clone() {
            shares[(band * 2 + perspective) * hidden..][..hidden].fill(0.0);
        }
    }
    for f in 0..inputs {
        for r in 0..hidden {
            let at = f * hidden + r;
            let mut gradient = 0.0;
            for perspective in perspectives.clone() {
                let of_feature = rows.of(perspective, f, r / GROUP);
                let sum: f64 = of_feature.map(|row| row[r % GROUP]).sum();
                gradient += output[perspective * hidden + r] * sum;
                shares[(f / BAND * 2 + perspective) * hidden + r] += weights[at] * sum;
            }
            step.move_reference(gradient, &mut first[at], &mut second[at], &mut weights[at]);
        }
    }
}

/// A band of features: what is read of all, and its own part of what is changed.
struct Band<'a> {
    params: &'a Params,
    rows: Rows<'a, f32>,
    output: &'a [f32],
    band: usize,
    first: &'a mut [f32],
    second: &'a mut [f32],
    weights: &'a mut [f32],
    shares: &'a mut [f32],
}

fn body(mut call: Call<'_, f32>) {
    let params: Params = call.params();
    let (index, rows) = (call.words(0), call.floats(1));
    let output = &call.floats(2)[params.output as usize..];
    let rows = params.base().rows(index, rows);
    let (inputs, hidden) = (params.inputs as usize, params.hidden as usize);
    let mut bands =
        |binding| call.floats_mut(binding)[..inputs * hidden].par_chunks_mut(BAND * hidden);
    let bands = bands(3).zip(bands(4)).zip(bands(5));
    let shares = &mut call.floats_mut(6)[..inputs.div_ceil(BAND) * 2 * hidden];
    bands
        .zip(shares.par_chunks_mut(2 * hidden))
        .enumerate()
        .for_each(|(band, (((first, second), weights), shares))| {
            widest(Band {
                params: &params,
                rows,
                output,
                band,
                first,
                second,
                weights,
                shares,
            });
        });
}

impl Work for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(self, _: S) {
        let (p, step) = (self.params, self.params.step());
        let hidden = p.hidden as usize;
        let perspectives = p.perspective as usize..(p.perspective + p.count) as usize;
        for perspective in perspectives.clone() {
            self.shares[perspective * hidden..][..hidden].fill(0.0);
        }
        let features = self
            .first
            .chunks_mut(hidden)
            .zip(self.second.chunks_mut(hidden));
        let features = features.zip(self.weights.chunks_mut(hidden));
        for (f, ((first, second), weights)) in (self.band * BAND..).zip(features) {
            for group in 0..hidden.div_ceil(GROUP) {
                let lanes = masked::lanes(hidden, group);
                let (mut sums, mut gradient) = ([0.0; GROUP], [0.0; GROUP]);
                let weights = &mut weights[lanes.clone()];
                for perspective in perspectives.clone() {
                    self.rows.sum(perspective, f, group, &mut sums);
                    let column = perspective * hidden + lanes.start;
                    let terms = gradient.iter_mut().zip(&sums);
                    for ((gradient, sum), c) in terms.zip(&self.output[column..]) {
                        *gradient += c * sum;
                    }
                    let shares = self.shares[column..].iter_mut().zip(&sums);
                    for ((share, sum), weight) in shares.zip(&*weights) {
                        *share += weight * sum;
                    }
                }
                let moments = first[lanes.clone()].iter_mut().zip(&mut second[lanes]);
                for ((weight, (first, second)), gradient) in
                    weights.iter_mut().zip(moments).zip(&gradient)
                {
                    step.move_element(*gradient, first, second, weight);
                }
            }
        }
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [inputs, hidden, count, chunks] = [p.inputs, p.hidden, p.count, p.chunks].map(u64::from);
    let bands = inputs.div_ceil(BAND as u64);
    Traffic {
        read: 4 * (count * (inputs + 1) + (chunks + count + 3 * inputs) * hidden),
        written: 4 * (3 * inputs + count * bands) * hidden,
        operations: (chunks + (4 * count + 15) * inputs) * hidden,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [N, K, chunks of a feature at most, perspective, count]: 1, band − 1, band, band + 1, groups of lanes that are not full,
    // primes, and past 65,535 workgroups; the first and a late step, with and without a range.
    let shapes = [
        [1, 32, 1, 0, 1],
        [7, 64, 3, 1, 1],
        [8, 128, 2, 0, 2],
        [9, 160, 4, 0, 2],
        [97, 320, 2, 1, 1],
        [524_289, 32, 1, 0, 1],
    ];
    let case = |(seed, shape): (usize, [usize; 5])| {
        let [features, hidden, most, perspective, count] = shape;
        let mut inputs = Inputs::new(1700 + seed as u64);
        let (weights, index) = masked_weights::shape(&mut inputs, shape);
        let t = if seed % 2 == 0 { 1 } else { 1000 };
        let step = adamw::case_step(t, seed % 3 != 0);
        let rows = (weights.total_1 + weights.total_2) as usize * hidden;
        let params = Params::new(weights, step);
        // Sixteenths add up exactly, so the gradient is that of the reference but for the last product's rounding.
        let update = |values: Vec<f32>, bound| Slot::Update { values, bound };
        let moment = Bound::Ulps {
            ulps: 4.0,
            absolute: 4.0 * f64::from(f32::EPSILON),
        };
        let mut first = inputs.floats(features * hidden, -1.0, 1.0);
        let mut second = inputs.floats(features * hidden, 0.01, 1.0);
        if t == 1 {
            first.fill(0.0);
            second.fill(0.0);
        }
        Case::new(
            format!("N={features} K={hidden} chunks={most} p={perspective} count={count} t={t}"),
            0,
            params,
            vec![
                Slot::Words(index),
                Slot::Floats(inputs.sixteenths(rows)),
                Slot::Floats(inputs.sixteenths(params.output as usize + 2 * hidden)),
                update(first, moment.clone()),
                update(second, moment),
                update(
                    inputs.floats(features * hidden, -1.0, 1.0),
                    // |m̂|/√v̂ is at most 10 here, by η.
                    Bound::Ulps {
                        ulps: 4.0,
                        absolute: (16.0 * 0.02 + 1.0) * f64::from(f32::EPSILON),
                    },
                ),
                update(
                    vec![0.25; features.div_ceil(BAND) * 2 * hidden],
                    Bound::Sum {
                        terms: BAND.min(features) * most,
                        c: 1.0,
                    },
                ),
            ],
        )
    };
    shapes.into_iter().enumerate().map(case).collect()
}
