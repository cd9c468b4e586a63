//! The cases of `masked_head`.

use super::{KERNEL, Params, Slots, chosen};
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Bound, Case, Slot};
use crate::optim::kernels::update;

/// [K, blocks, bands, chunks, tied, samples, buckets]: groups of lanes that are not full; blocks and
/// bands of less, exactly and more than the slots and than four times as many; samples of less,
/// exactly and more than a workgroup and than four, primes, and past 65,535 workgroups. Some buckets
/// have no sample.
const SHAPES: [[usize; 7]; 12] = [
    [32, 1, 1, 0, 0, 1, 1],
    [64, 7, 9, 3, 0, 255, 1],
    [128, 8, 7, 5, 1, 256, 1],
    [160, 9, 97, 1, 1, 257, 1],
    [320, 64, 8, 11, 0, 9973, 1],
    [524_320, 1, 1, 0, 0, 0, 1],
    [64, 1, 3, 2, 1, 1, 8],
    [160, 11, 9, 3, 0, 1021, 8],
    [288, 23, 17, 3, 1, 300, 3],
    [32, 127, 128, 1, 0, 400, 1],
    [64, 129, 511, 2, 1, 700, 2],
    [96, 131, 1031, 0, 1, 600, 1],
];

/// The first block of each bucket, and the first sample of each block.
fn index_of(inputs: &mut Inputs, shape: [usize; 7]) -> [Vec<u32>; 2] {
    let [_, blocks, .., samples, buckets] = shape;
    let mut ends = |count: usize, most: usize| {
        let mut ends = inputs.words(count - 1, most as u32 + 1);
        ends.extend([0, most as u32]);
        ends.sort_unstable();
        ends
    };
    [ends(buckets, blocks), ends(blocks, samples)]
}

/// The parameters of a shape with its number and a variant. The losses are summed but in every
/// fourth shape.
fn params_of(seed: usize, variant: usize, shape: [usize; 7]) -> Params {
    let [hidden, blocks, bands, chunks, tied, samples, buckets] = shape;
    let kinds = chosen(variant).0.conditions();
    let totals = [chunks + kinds * blocks, chunks + 1 + kinds * blocks];
    Params {
        groups: update::case_groups(!seed.is_multiple_of(3)),
        hidden: hidden as u32,
        tied: tied as u32,
        buckets: buckets as u32,
        first_blocks: seed as u32,
        block_starts: (seed + buckets + 1) as u32,
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

pub(super) fn cases() -> Vec<Case> {
    let case = |(variant, (seed, shape)): (usize, (usize, [usize; 7]))| {
        let params = params_of(seed, variant, shape);
        let [hidden, blocks, bands, _, tied, samples, buckets] = shape;
        let moves = chosen(variant).1.moves();
        let mut inputs = Inputs::new(1600 + seed as u64);
        let (len, rows) = (
            params.len(),
            (params.total_1 + params.total_2) as usize * hidden,
        );
        // The numbers of terms of the gradients of B, of C and of d. A long sum adds up exactly.
        let mut terms = vec![(1 + tied) * blocks + 1; params.output as usize];
        terms.resize(params.output_bias(), 2 * blocks + bands + 1);
        let of_loss = sum_bound(samples + 1, 1.0);
        let of_output_bias = match of_loss {
            Bound::Exact => 0,
            _ => samples + 1,
        };
        terms.resize(len, of_output_bias);
        let sums = Bound::Sums { terms, c: 2.0 };
        let moment = Bound::Ulps {
            ulps: 4.0,
            absolute: 4.0 * f64::from(f32::EPSILON),
        };
        // For an optimizer the gradients must be exact but for the last product's rounding:
        // multiples of a power of two add up exactly, and multiples of 1/1024 stay about as large
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
        let results = match moves {
            true => factors(&mut inputs, 3 * samples),
            false => inputs.for_sum(3 * samples, samples + 1),
        };
        let mut first = inputs.floats(len, -1.0, 1.0);
        let mut second = inputs.floats(len, 0.01, 1.0);
        if moves && seed % 2 == 0 {
            first.fill(0.0);
            second.fill(0.0);
        }
        if !moves {
            first[params.output_bias()..].fill(0.25);
        }
        // Something else stands before it.
        let index = [vec![u32::MAX; seed]]
            .into_iter()
            .chain(index_of(&mut inputs, shape));
        let index = index.flatten().collect();
        let slots = Slots {
            index: Slot::Words(index),
            rows: Slot::Floats(floats(&mut inputs, rows)),
            shares: Slot::Floats(floats(&mut inputs, bands * buckets * 2 * hidden)),
            results: Slot::Floats(results),
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
            "K={hidden} blocks={blocks} bands={bands} rows={total} tied={tied} L={samples} buckets={buckets} t={t}"
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
        // One variant is enough for the largest shape.
        .filter(|(variant, (_, shape))| *variant == 0 || shape[0] < 100_000)
        .map(case)
        .collect()
}
