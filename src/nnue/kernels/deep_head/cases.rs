//! The cases of `deep_head`.

use super::super::deep::{self, case};
use super::super::head;
use super::{KERNEL, Params, Slots};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Case, Slot};
use crate::optim::kernels::update;
use crate::optim::sinks::Sink;

/// Samples, K, the widths of the hidden layers, and buckets.
type Shape = (usize, usize, &'static [usize], usize);

/// No sample, one split, LANES − 1, LANES and LANES + 1 splits, primes, no hidden layer, several
/// buckets, and past 65,535 workgroups.
const SHAPES: [Shape; 8] = [
    (0, 32, &[3], 1),
    (1, 32, &[], 1),
    (7 * 128, 64, &[5, 4], 1),
    (8 * 128, 32, &[16, 32], 1),
    (9 * 128, 96, &[3, 2, 1], 1),
    (1031, 32, &[7], 8),
    (300, 160, &[], 3),
    (0, 720_000, &[1], 1),
];

pub(super) fn cases() -> Vec<Case> {
    let numbers = (0..KERNEL.variants()).flat_map(|variant| {
        SHAPES
            .into_iter()
            .enumerate()
            .map(move |one| (variant, one))
    });
    numbers
        // One variant is enough for the largest shape.
        .filter(|(variant, (_, shape))| *variant == 0 || shape.1 < 100_000)
        .map(|(variant, (seed, shape))| case(variant, seed, shape))
        .collect()
}

fn case(variant: usize, seed: usize, (samples, hidden, widths, buckets): Shape) -> Case {
    let sink = Sink::ALL[variant];
    let moves = sink.moves();
    let mut inputs = Inputs::new(2500 + seed as u64);
    let architecture = case::architecture(hidden, false, widths, buckets, seed);
    let layers = head::layers(&architecture);
    let index = case::Index::new(&mut inputs, &architecture, samples);
    let (len, share) = (
        case::head_len(&layers, buckets),
        deep::share(hidden, &layers),
    );
    let t = if seed.is_multiple_of(2) { 1 } else { 1000 };
    let params = Params {
        groups: update::case_groups(!seed.is_multiple_of(3)),
        hidden: hidden as u32,
        tied: u32::from(architecture.tied),
        buckets: buckets as u32,
        first_splits: index.first_splits,
        splits: index.count(),
        layers: index.layers,
        share: share as u32,
        output: layers[0].weights as u32,
        output_bias: layers[0].bias as u32,
        length: len as u32,
        totals: u32::from(seed % 4 != 1),
        step: update::case_step(t),
    };
    let sum = Bound::Sum {
        terms: 2 * index.count() as usize + 1,
        c: 1.0,
    };
    let moment = Bound::Ulps {
        ulps: 4.0,
        absolute: 4.0 * f64::from(f32::EPSILON),
    };
    let mut first = inputs.floats(len, -1.0, 1.0);
    let mut second = inputs.floats(len, 0.01, 1.0);
    if moves && t == 1 {
        first.fill(0.0);
        second.fill(0.0);
    }
    let count = index.count() as usize * share;
    let update = |values: Vec<f32>, bound: Bound| Slot::Update { values, bound };
    let slots = Slots {
        index: Slot::Words(index.words),
        // For an optimizer the gradients must be exact but for the last product's rounding:
        // multiples of a power of two add up exactly, and multiples of 1/1024 stay about as large
        // as the moments.
        shares: Slot::Floats(match moves {
            true => {
                let mut values = inputs.sixteenths(count);
                values.iter_mut().for_each(|value| *value /= 64.0);
                values
            }
            false => inputs.floats(count, -1.0, 1.0),
        }),
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
        first: update(first, if moves { moment.clone() } else { sum.clone() }),
        second: update(second, moment),
        loss: update(vec![0.5], sum),
    };
    let name = format!("L={samples} K={hidden} widths={widths:?} buckets={buckets} t={t}");
    Case::new(name, variant, params, slots)
}
