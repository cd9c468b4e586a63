//! The cases of `masked_weights`.

use super::{Params, Slots, chosen, variant_for, vectors};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Case, Slot};
use crate::engine::libraries::Tiles;
use crate::nnue::kernels::masked::BAND;
use crate::optim::kernels::update;
use crate::optim::sinks::{Sink, Step};

pub(super) fn cases() -> Vec<Case> {
    // [N, K, chunks of a feature's bucket at most, perspective, count, buckets, band]: 1, band − 1,
    // band, band + 1, bands of several eights, lane groups that are not full, primes, and past
    // 65,535 workgroups; the first and a late step, with and without a range.
    let shapes = [
        [1, 32, 1, 0, 1, 1, 8],
        [7, 64, 3, 1, 1, 1, 8],
        [8, 128, 2, 0, 2, 1, 8],
        [9, 160, 4, 0, 2, 1, 8],
        [97, 320, 2, 1, 1, 1, 8],
        [3, 4096, 5, 0, 2, 1, 8],
        [524_289, 32, 1, 0, 1, 1, 8],
        [1, 32, 2, 1, 1, 8, 8],
        [15, 288, 2, 0, 2, 3, 8],
        [8, 64, 3, 0, 2, 2, 8],
        [9, 128, 1, 1, 1, 5, 8],
        [33, 160, 1, 0, 1, 8, 8],
        [41, 160, 2, 0, 2, 1, 24],
        [23, 96, 2, 0, 2, 3, 16],
        [41, 128, 1, 1, 1, 8, 24],
    ];
    let case = |(variant, (seed, shape, tiles)): (usize, (usize, [usize; 7], Tiles))| {
        let [features, hidden, most, perspective, count, buckets, band] = shape;
        let mut inputs = Inputs::new(1500 + seed as u64);
        let (params, index) = self::shape(&mut inputs, shape);
        let t = if seed % 2 == 0 { 1 } else { 1000 };
        let ranged = seed % 3 != 0;
        let [a, b, c, d, ..] = update::case_groups(ranged);
        let params = Params {
            group: [a, b, c, d],
            vectors: vectors(buckets, tiles),
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
                vec![0.25; features.div_ceil(band) * buckets * 2 * hidden],
                Bound::Sum {
                    terms: band.min(features) * most,
                    c: 1.0,
                },
            ),
        };
        let name = format!(
            "N={features} K={hidden} chunks={most} p={perspective} count={count} buckets={buckets} band={band} t={t}"
        );
        Case::new(name, variant, params, slots)
    };
    let of_sink = |(sink, tiles): (Sink, Tiles)| {
        let each = shapes.into_iter().enumerate();
        // In registers only the variant for several buckets is another one.
        each.filter(move |(_, shape)| tiles == Tiles::Shared || shape[5] > 1 && shape[6] == BAND)
            .map(move |(seed, shape)| (variant_for(sink, shape[5], tiles), (seed, shape, tiles)))
    };
    Sink::ALL
        .into_iter()
        .flat_map(|sink| Tiles::ALL.map(|tiles| (sink, tiles)))
        .flat_map(of_sink)
        // The largest shape runs with one variant only.
        .filter(|(variant, (_, shape, _))| chosen(*variant) == Sink::AdamW || shape[0] < 1000)
        .map(case)
        .collect()
}

/// The parameters of `[N, K, chunks of a feature's bucket at most, perspective, count, buckets,
/// band]`, and an index with the first chunk of each bucket of each feature after a few other
/// words. Each perspective has two rows that are no chunks.
fn shape(inputs: &mut Inputs, shape: [usize; 7]) -> (Params, Vec<u32>) {
    let [features, hidden, most, perspective, count, buckets, band] = shape;
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
        band: band as u32,
        vectors: 0,
        step: Step::default(),
    };
    (params, index)
}
