//! The cases of `deep_layers`.

use super::super::deep::{self, Shares, case};
use super::super::head::{self, Layer};
use super::super::loss;
use super::twin::Head;
use super::{Goal, KERNEL, Params, Slots, meaning, parameters, tile};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Case, Slot};
use crate::nnue::loss::{Link, Numbers};

/// Samples, the widths of the hidden layers, and buckets.
type Shape = (usize, &'static [usize], usize);

/// 0, 1, tile − 1, tile, tile + 1, several splits, primes, no hidden layer, one lane, a skip
/// connection or not, layers that leave little room for samples.
const SHAPES: [Shape; 10] = [
    (0, &[3], 1),
    (1, &[], 1),
    (31, &[4, 3], 1),
    (63, &[16, 32], 2),
    (64, &[5, 2, 3], 1),
    (65, &[1], 3),
    (129, &[16, 32], 1),
    (1031, &[8, 5, 3], 8),
    (20, &[200, 150], 1),
    (9, &[3, 2, 1, 2, 3, 1, 2, 2], 2),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for variant in 0..KERNEL.variants() {
        for (seed, shape) in SHAPES.into_iter().enumerate() {
            cases.push(case(variant, seed, shape, deep::SPLIT));
        }
    }
    // Past 65,535 workgroups, with splits of one sample.
    cases.push(case(0, SHAPES.len(), (65_600, &[1], 1), 1));
    cases
}

/// `count` multiples of 1/2 from −1 to 1. The kernel's sums of them are exact in f32, so that no z
/// is on another side of a kink than the reference's.
fn halves(inputs: &mut Inputs, count: usize) -> Vec<f32> {
    let words = inputs.words(count, 5).into_iter();
    words.map(|word| word as f32 / 2.0 - 1.0).collect()
}

fn case(variant: usize, seed: usize, (samples, widths, buckets): Shape, most: usize) -> Case {
    let goal = meaning(variant);
    let mut inputs = Inputs::new(2400 + seed as u64);
    let hidden = 32;
    let architecture = case::architecture(hidden, false, widths, buckets, seed);
    let layers = head::layers(&architecture);
    let mut index = case::Index::with_splits(&mut inputs, &architecture, samples, most);
    let width = layers.iter().map(|layer| layer.width).sum();
    let (stride, share) = (deep::stride(&layers), deep::share(hidden, &layers));
    let power = [2.0, 2.5][seed % 2];
    let numbers = match goal {
        Goal::Loss(link) => loss::case_numbers(link, seed, samples, power),
        Goal::Output | Goal::Given => Numbers::given(samples.max(1)),
    };
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        buckets: buckets as u32,
        bucket: index.bucket,
        targets: index.words.len() as u32,
        sample_weights: (index.words.len() + samples) as u32,
        splits: index.count(),
        starts: index.starts,
        layers: index.layers,
        stride: stride as u32,
        share: share as u32,
        tile: tile(width).unwrap_or(1) as u32,
        parameters: parameters(&layers) as u32,
        loss: numbers,
        penalty: [0.0, 0.125][seed % 2],
    };
    let values = halves(&mut inputs, case::head_len(&layers, buckets));
    let delta = halves(&mut inputs, samples * stride);
    let e: Vec<f32> = halves(&mut inputs, samples);
    let targets = inputs.floats(samples, 0.0, 1.0);
    index
        .words
        .extend(targets.iter().map(|target| target.to_bits()));
    let weights = loss::case_weights(&mut inputs, &numbers, samples);
    index
        .words
        .extend(weights.iter().map(|weight| weight.to_bits()));
    let (of_delta, of_shares) = match goal {
        Goal::Output | Goal::Given => (Bound::Exact, Bound::Exact),
        Goal::Loss(link) => bounds(&params, link, &layers, &index.words, [&values, &delta]),
    };
    let slots = Slots {
        head: Slot::Floats(values),
        delta: Slot::Update {
            values: delta,
            bound: of_delta,
        },
        e: Slot::Floats(e),
        y: Slot::Update {
            values: vec![0.25; samples],
            bound: Bound::Exact,
        },
        // What other kernels add to a share must not change.
        shares: Slot::Update {
            values: vec![0.25; index.count() as usize * share],
            bound: of_shares,
        },
        scales: Slot::Update {
            values: vec![0.25; samples],
            bound: Bound::Exact,
        },
        index: Slot::Words(index.words),
    };
    let name = format!(
        "L={samples} widths={widths:?} buckets={buckets} skip={} {} penalty={}",
        architecture.skip,
        loss::described(&numbers),
        params.penalty
    );
    Case::new(name, variant, params, slots)
}

/// The bounds of δ and of the shares. z is exact and everything after e is linear in e, so an error
/// of e passes through the absolute values of W, and so do the roundings of the products.
fn bounds(
    p: &Params,
    link: Link,
    layers: &[Layer],
    index: &[u32],
    [values, delta]: [&[f32]; 2],
) -> (Bound, Bound) {
    const ROUNDINGS: f64 = 40.0 * f32::EPSILON as f64;
    let exact: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
    let sizes: Vec<f64> = exact.iter().map(|value| value.abs()).collect();
    let (stride, share) = (p.stride as usize, p.share as usize);
    let of = Shares::new(p.hidden as usize, layers, p.buckets as usize);
    let mut of_delta = vec![0.0; delta.len()];
    let mut of_shares = vec![0.0; p.splits as usize * share];
    for (split, of_share) in of_shares.chunks_mut(share).enumerate() {
        let (samples, bucket) = deep::split(index, p.starts, [p.buckets, p.bucket], split);
        let [head, of_sizes] = [&exact, &sizes].map(|values| Head {
            layers,
            bucket,
            values,
        });
        for s in samples {
            let row = delta[s * stride..][..layers[0].width].iter();
            let first: Vec<f64> = row.map(|&z| f64::from(z)).collect();
            let z = head.forward(&first);
            let y = z[layers.len() - 1][0];
            let target = f64::from(f32::from_bits(index[p.targets as usize + s]));
            let sample = loss::Sample {
                y,
                target,
                weight: p.weight(index, s),
            };
            let scale = f64::from(p.loss.scale) * sample.weight;
            let term = p.loss.term(link, y, target, scale);
            let error = loss::error(link, &p.loss, sample) + ROUNDINGS * term.gradient.abs();
            let deltas = of_sizes.errors(&z, error);
            of_delta[s * stride..][..layers[0].width].copy_from_slice(&deltas[0]);
            head.add_to(of_share, &of, &z, &deltas);
            of_share[share - 1] += loss::term_error(link, &p.loss, sample) + ROUNDINGS * term.value;
        }
    }
    (Bound::Each(of_delta), Bound::Each(of_shares))
}
