//! The cases of both kernels of the forward pass.

use super::{Beside, Forward, LANES, Outputs, Variant, compute, largest_hidden};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Case, Kernel, Slot};
use crate::nnue::kernels::masked::Kind;
use crate::nnue::kernels::{loss, masked};
use crate::nnue::loss::Numbers;

/// A case but for the form of A.
pub(in crate::nnue::kernels) struct Parts {
    pub(in crate::nnue::kernels) name: String,
    pub(in crate::nnue::kernels) params: Forward,
    pub(in crate::nnue::kernels) lists: Slot,
    /// A of each perspective, in sixteenths.
    pub(in crate::nnue::kernels) weights: [Vec<f32>; 2],
    pub(in crate::nnue::kernels) small: Slot,
    pub(in crate::nnue::kernels) results: Slot,
    pub(in crate::nnue::kernels) bits: Slot,
    pub(in crate::nnue::kernels) slopes: Slot,
    pub(in crate::nnue::kernels) short_slopes: Slot,
}

/// The shapes of a variant, with the seed of each.
fn shapes(variant: Variant) -> impl Iterator<Item = (usize, [usize; 6])> {
    // [samples, K, F, N, interleave, buckets]: 0, 1, tile − 1, tile, tile + 1, every interleave,
    // primes, long lists, the largest K; buckets without samples.
    let shapes = [
        [0, 32, 2, 5, 1, 1],
        [1, 32, 1, 1, 1, 1],
        [3, 64, 7, 40, 2, 1],
        [31, 96, 32, 768, 1, 1],
        [32, 128, 32, 768, 4, 1],
        [33, 128, 32, 768, 1, 1],
        [7, 256, 19, 768, 2, 1],
        [1031, 160, 5, 45, 1, 1],
        [5, 4096, 3, 11, 4, 1],
        [1, 64, 3, 11, 2, 8],
        [67, 160, 5, 45, 1, 8],
    ];
    let most = largest_hidden(variant.lanes);
    let shapes = shapes.into_iter().enumerate();
    shapes.map(move |(seed, shape)| {
        let [samples, hidden, rest @ ..] = shape;
        let [width, features, interleave, buckets] = rest;
        let hidden = hidden.min(most);
        (
            seed,
            [samples, hidden, width, features, interleave, buckets],
        )
    })
}

/// The cases of a kernel, each made from a variant, a seed and a shape.
pub(in crate::nnue::kernels) fn cases(
    kernel: &Kernel,
    case: impl Fn(Variant, usize, [usize; 6]) -> Case,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for index in 0..kernel.variants() {
        let variant = Variant::new(kernel, index);
        cases.extend(shapes(variant).map(|(seed, shape)| case(variant, seed, shape)));
    }
    // Past 65,535 workgroups, which need so many lanes that the case asks for Y only.
    let of_output = Variant {
        kind: Kind::ALL[0],
        beside: Beside::Nothing,
        lanes: LANES[0],
    };
    cases.push(case(of_output, 18, [65_537, 4096, 1, 3, 4, 1]));
    cases
}

/// One case.
pub(in crate::nnue::kernels) fn parts(
    variant: Variant,
    seed: usize,
    [samples, hidden, width, features, interleave, buckets]: [usize; 6],
) -> Parts {
    let Variant { kind, beside, .. } = variant;
    let mut inputs = Inputs::new(1300 + seed as u64);
    let clip = [1.0, 0.75, 127.0 / 64.0][seed % 3];
    let sides = [(); 2].map(|()| inputs.sparse(samples, width, features));
    // Every other shape is the second of two strips.
    let first = if seed % 2 == 1 { samples / 3 } else { 0 };
    let starts = sides.iter().flat_map(|lists| lists.starts());
    let indices = sides.iter().flat_map(|lists| lists.indices());
    let mut lists: Vec<u32> = starts.chain(indices).copied().collect();
    let power = [2.0, 2.5][seed / 2 % 2];
    let numbers = beside
        .link()
        .map_or(Numbers::given(samples.max(1)), |link| {
            loss::case_numbers(link, seed, samples, power)
        });
    let of_buckets = if buckets > 1 { samples } else { 0 };
    let params = Forward {
        samples: (samples - first) as u32,
        first: first as u32,
        total: samples as u32,
        hidden: hidden as u32,
        indices_1: 2 * (samples as u32 + 1),
        indices_2: (2 * (samples + 1) + sides[0].indices().len()) as u32,
        targets: lists.len() as u32,
        sample_weights: (lists.len() + samples + of_buckets) as u32,
        buckets: buckets as u32,
        bucket: (lists.len() + samples) as u32,
        output: 2 * hidden as u32,
        bias_2: hidden as u32,
        interleave: interleave as u32,
        rounds: 1 + 3 * (hidden < 2048) as u32,
        inputs: features as u32,
        entries: sides
            .iter()
            .map(|lists| lists.indices().len() - lists.starts()[first] as usize)
            .sum::<usize>() as u32,
        loss: numbers,
        clip,
        units: masked::units(clip),
        lanes: variant.lanes,
    };
    let targets = inputs.floats(samples, 0.0, 1.0);
    lists.extend(targets.iter().map(|target| target.to_bits()));
    if buckets > 1 {
        lists.extend(inputs.words(samples, buckets as u32));
    }
    let weights_of_samples = loss::case_weights(&mut inputs, &numbers, samples);
    lists.extend(weights_of_samples.iter().map(|weight| weight.to_bits()));
    // Sixteenths add up exactly, so every Z and Y is exact, some Z are 0 or T, and every bit equals
    // the reference's.
    let small = inputs.sixteenths((2 + 2 * buckets) * hidden + buckets);
    let weights = [(); 2].map(|()| inputs.sixteenths(features * hidden));
    let words = samples * 2 * hidden / 32;
    let kinds = match beside {
        Beside::Nothing => 0,
        _ => kind.activation.conditions(),
    };
    let lanes = (samples - first) * 2 * hidden;
    let [slopes, short_slopes] = variant.slopes();
    let errors = beside.link().map_or(Vec::new(), |link| {
        let y = reference_y(&params, variant, &lists, [&weights[0], &weights[1], &small]);
        let each = |error: loss::ErrorOf| {
            let of_samples = [&targets[..], &weights_of_samples];
            let mut errors = loss::errors(error, link, &numbers, &y, of_samples);
            // The values before the strip must not change.
            errors[..first].fill(0.0);
            errors
        };
        [each(loss::error), each(loss::term_error)].concat()
    });
    // Y is exact.
    let errors = [vec![0.0; samples], errors].concat();
    Parts {
        name: format!(
            "L={samples} K={hidden} F={width} N={features} interleave={interleave} buckets={buckets} T={clip} {}",
            loss::described(&numbers)
        ),
        params,
        lists: Slot::Words(lists),
        weights,
        small: Slot::Floats(small),
        // The values before the strip must not change.
        results: Slot::Update {
            values: vec![0.25; errors.len()],
            bound: Bound::Each(errors),
        },
        bits: Slot::UpdateWords(vec![7; kinds * words]),
        slopes: Slot::Output {
            len: if slopes { lanes } else { 0 },
            bound: Bound::Exact,
        },
        short_slopes: Slot::UpdateWords(vec![7; if short_slopes { lanes / 2 } else { 0 }]),
    }
}

/// Y of a strip, from the lists and A of both perspectives and the head.
fn reference_y(params: &Forward, variant: Variant, lists: &[u32], floats: [&[f32]; 3]) -> Vec<f64> {
    let [first, second, small] = floats;
    let weights = [first, second];
    let hidden = params.hidden as usize;
    let small: Vec<f64> = small.iter().map(|&x| f64::from(x)).collect();
    let mut y = vec![0.0; params.total as usize];
    compute(
        params,
        Variant {
            beside: Beside::Nothing,
            ..variant
        },
        lists,
        |perspective, feature, lane| f64::from(weights[perspective][feature * hidden + lane]),
        &small,
        Outputs {
            results: &mut y,
            bits: &mut [],
            slopes: &mut [],
            short_slopes: &mut [],
        },
    );
    y
}
