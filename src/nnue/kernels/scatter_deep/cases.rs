//! The cases of `scatter_deep`.

use super::super::deep::case::{architecture, head_len};
use super::super::head;
use super::twin::{Sources, reference};
use super::{KERNEL, Params, Slots, meaning};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Case, Slot};
use crate::nnue::kernels::loss;
use crate::nnue::loss::Numbers;

/// A case's sizes.
#[derive(Clone, Copy, Debug)]
struct Shape {
    samples: usize,
    hidden: usize,
    pairwise: bool,
    widths: &'static [usize],
    buckets: usize,
    /// Indices of a list.
    width: usize,
    inputs: usize,
    piece: usize,
}

/// L, K, pairwise, widths, buckets, and indices of a list, N and samples of a stretch.
type Sizes = (usize, usize, bool, &'static [usize], usize, [usize; 3]);

/// 0, 1, a block − 1, a block, a block + 1, stretches that are not full, groups of lanes that are
/// not full, primes; no hidden layer, several, a skip connection or not; buckets without samples;
/// the largest K. Longer stretches would pass the turns of loops that llvmpipe allows an
/// invocation.
const SHAPES: [Sizes; 9] = [
    (0, 32, false, &[3], 1, [2, 5, 1]),
    (1, 64, true, &[4, 3], 1, [1, 1, 4]),
    (127, 64, false, &[16, 32], 1, [5, 40, 40]),
    (211, 96, false, &[5], 8, [3, 31, 100]),
    (128, 128, true, &[16, 32], 3, [4, 45, 64]),
    (129, 192, true, &[], 2, [3, 31, 129]),
    (31, 256, true, &[8, 5, 3], 2, [3, 11, 31]),
    (5, 160, false, &[7, 2], 3, [2, 7, 2]),
    (3, 2048, true, &[16, 32], 1, [3, 11, 2]),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for variant in 0..KERNEL.variants() {
        for (seed, shape) in SHAPES.into_iter().enumerate() {
            let (samples, hidden, pairwise, widths, buckets, [width, inputs, piece]) = shape;
            let shape = Shape {
                samples,
                hidden,
                pairwise,
                widths,
                buckets,
                width,
                inputs,
                piece,
            };
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups.
    let many = Shape {
        samples: 65_537,
        hidden: 32,
        pairwise: false,
        widths: &[1],
        buckets: 1,
        width: 1,
        inputs: 1,
        piece: 1,
    };
    cases.push(case(0, 16, many));
    cases
}

/// Multiples of 1/2 from −1 to 1, of which `zeros` in `zeros` + 5 are 0. Sums of their products are
/// exact in f32, so that no z is on another side of a kink than the reference's.
fn halves(inputs: &mut Inputs, count: usize, zeros: u32) -> Vec<f32> {
    let words = inputs.words(count, 5 + zeros).into_iter();
    let value = |word: u32| {
        if word < 5 {
            word as f32 / 2.0 - 1.0
        } else {
            0.0
        }
    };
    words.map(value).collect()
}

fn case(variant: usize, seed: usize, shape: Shape) -> Case {
    let Shape {
        samples,
        hidden,
        buckets,
        inputs: features,
        ..
    } = shape;
    let mut inputs = Inputs::new(2500 + seed as u64);
    let (_, link) = meaning(variant);
    let architecture = architecture(hidden, shape.pairwise, shape.widths, buckets, seed);
    let layers = head::layers(&architecture);
    let lists = [(); 2].map(|()| inputs.sparse(samples, shape.width, features));
    let entries = lists.each_ref().map(|lists| lists.indices().len());
    let starts = lists.iter().flat_map(|lists| lists.starts());
    let indices = lists.iter().flat_map(|lists| lists.indices());
    let mut words: Vec<u32> = starts.chain(indices).copied().collect();
    let bucket = words.len() as u32;
    words.extend(inputs.words(samples, buckets as u32));
    let of_layers = words.len() as u32;
    words.extend(head::words(&layers));
    let tied = architecture.tied;
    let power = [2.0, 2.5][seed / 2 % 2];
    let numbers = link.map_or(Numbers::given(samples.max(1)), |link| {
        loss::case_numbers(link, seed, samples, power)
    });
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        inputs: features as u32,
        tied: u32::from(tied),
        pairwise: u32::from(shape.pairwise),
        indices_1: 2 * (samples as u32 + 1),
        indices_2: (2 * (samples + 1) + entries[0]) as u32,
        buckets: buckets as u32,
        bucket,
        layers: of_layers,
        depth: layers.len() as u32,
        head: head_len(&layers, buckets) as u32,
        bias_2: if tied { 0 } else { hidden as u32 },
        piece: shape.piece as u32,
        entries: entries.iter().sum::<usize>() as u32,
        loss: numbers,
        clip: [1.0, 0.75][seed % 2],
        penalty: [0.0, 0.5, 0.03][seed % 3] / samples.max(1) as f32,
    };
    // Few weights of the first layer are not 0, so that some of its z are not clipped.
    let mut small = halves(&mut inputs, params.head as usize, 0);
    let first = &mut small[layers[0].weights..][..buckets * layers[0].inputs * layers[0].width];
    first.copy_from_slice(&halves(&mut inputs, first.len(), hidden as u32 / 8));
    let weights = [(); 2].map(|()| halves(&mut inputs, features * hidden, 0));
    let weights = match tied {
        true => [weights[0].clone(), weights[0].clone()],
        false => weights,
    };
    let mut targets = inputs.floats(samples, 0.0, 1.0);
    targets.extend(loss::case_weights(&mut inputs, &numbers, samples));
    let doubles = |values: &[f32]| -> Vec<f64> { values.iter().map(|&x| f64::from(x)).collect() };
    let [weights_1, weights_2] = weights.each_ref().map(|weights| doubles(weights));
    let read = Sources {
        lists: &words,
        weights: [&weights_1, &weights_2],
        small: &doubles(&small),
        targets: &doubles(&targets),
    };
    let (mut y, mut terms) = (vec![0.0; samples], vec![0.0; samples]);
    let mut errors = vec![0.0; params.count() * params.pieces().stride()];
    reference(&params, variant, &read, (&mut y, &mut terms), |part| {
        errors[part.place] += part.error;
    });
    let (of_targets, of_weights) = targets.split_at(samples);
    let term_errors = match link {
        Some(link) => {
            let of_samples = [of_targets, of_weights];
            loss::errors(loss::term_error, link, &numbers, &y, of_samples)
        }
        None => vec![0.0; samples],
    };
    let name = format!(
        "L={samples} K={hidden} N={features} pairwise={} widths={:?} buckets={buckets} \
         skip={} tied={tied} piece={} {} penalty={}",
        shape.pairwise,
        shape.widths,
        architecture.skip,
        shape.piece,
        loss::described(&numbers),
        params.penalty
    );
    let slots = Slots {
        lists: Slot::Words(words.clone()),
        weights_1: Slot::Floats(weights[0].clone()),
        weights_2: Slot::Floats(weights[1].clone()),
        small: Slot::Floats(small.clone()),
        targets: Slot::Floats(targets.clone()),
        y: Slot::Output {
            len: samples,
            bound: Bound::Exact,
        },
        terms: Slot::Output {
            len: samples,
            bound: Bound::Each(term_errors),
        },
        gradients: Slot::Output {
            len: errors.len(),
            bound: Bound::Each(errors),
        },
    };
    Case::new(name, variant, params, slots)
}
