//! Forward, loss gradient and backward on index lists in one kernel, stretch by stretch: see
//! [`pieces`](super::pieces).
//!
//! With e = ∂Loss/∂Y, the slope S of the activation and the sample's lists, for each perspective p,
//!
//! ```text
//! Z[s]     = B + Σ A[f] over the list of s           Y[s] = d[b] + Σ_p C[b]·activation(Z[s])
//! ∂Loss/∂A[f] += e[s]·C[b]·S[s]  for each f of the list   ∂Loss/∂B += e[s]·C[b]·S[s]
//! ∂Loss/∂C[b] += e[s]·activation(Z[s])                 ∂Loss/∂d[b] += e[s]
//! ```
//!
//! where b is the bucket of sample s. The samples may have any order, because C of its bucket is
//! read for each sample. Consecutive samples of one bucket read it once.
//!
//! The backward pass reads Z while Z is still in a cache, and it needs no transposed index. In
//! return each stretch needs its own gradients. A GPU has no such caches for each thread and uses
//! `masked` instead.

mod cpu;

use super::libraries::{ACTIVATION, ACTIVATIONS, LOSS, UPSTREAMS};
use super::pieces::Pieces;
use super::{bucket_of, loss};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;
use crate::nnue::loss::{Link, Numbers};

crate::interface! {
    /// Sizes, and offsets in the joined buffers.
    pub struct Params {
        /// L.
        pub samples: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// N.
        pub inputs: u32,
        /// 1 if both perspectives have the same A and B.
        pub tied: u32,
        /// The offset of the first perspective's indices in `lists`.
        pub indices_1: u32,
        /// The offset of the second perspective's indices in `lists`.
        pub indices_2: u32,
        /// The number of rows of C.
        pub buckets: u32,
        /// The offset of the buckets of the samples in `lists`; not read with 1 bucket.
        pub bucket: u32,
        /// The offset of C in `small`; d follows C.
        pub output: u32,
        /// The offset of B of the second perspective in `small`. B of the first has offset 0.
        pub bias_2: u32,
        /// Samples of a stretch. The last stretch may have fewer.
        pub piece: u32,
        /// Indices in both perspectives' lists.
        pub entries: u32,
        /// The numbers of the loss.
        pub loss: Numbers,
        /// T.
        pub clip: f32,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub lists: Read<u32>,
        /// A of the first perspective, `[N, K]`.
        pub weights_1: Read<f32>,
        /// A of the second perspective, `[N, K]`.
        pub weights_2: Read<f32>,
        /// The head buffer: B of each accumulator, C and d.
        pub small: Read<f32>,
        /// The targets t, `[L]`, or e if it is given; then the weights, `[L]`, if there are any.
        pub targets: Read<f32>,
        /// Y, `[L]`.
        pub y: Write<f32>,
        /// The loss of each sample, `[L]`.
        pub terms: Write<f32>,
        /// The gradients of each stretch.
        pub gradients: Write<f32>,
    }
}

/// The largest K that a workgroup can compute: each invocation has 16 lanes of each perspective.
pub const LARGEST_HIDDEN: usize = 4096;

impl Params {
    pub(super) fn pieces(&self) -> Pieces {
        Pieces {
            inputs: self.inputs as usize,
            hidden: self.hidden as usize,
            accumulators: if self.tied == 1 { 1 } else { 2 },
            head: self.output_bias() + self.buckets as usize,
        }
    }

    fn count(&self) -> usize {
        self.samples.div_ceil(self.piece) as usize
    }

    /// Starts `[samples + 1]` and indices of a perspective.
    pub(super) fn lists<'a>(&self, lists: &'a [u32], perspective: usize) -> (&'a [u32], &'a [u32]) {
        let starts = self.samples as usize + 1;
        let indices = [self.indices_1, self.indices_2][perspective] as usize;
        (&lists[perspective * starts..][..starts], &lists[indices..])
    }

    /// The bucket of each sample, `[L]`; empty with 1 bucket.
    pub(super) fn sample_buckets<'a>(&self, lists: &'a [u32]) -> &'a [u32] {
        match self.buckets {
            1 => &[],
            _ => &lists[self.bucket as usize..][..self.samples as usize],
        }
    }

    /// The offset of B of a perspective in `small`.
    pub(super) fn bias(&self, perspective: usize) -> usize {
        [0, self.bias_2][perspective] as usize
    }

    /// The offset of C of a bucket and a perspective in `small`.
    pub(super) fn output(&self, bucket: usize, perspective: usize) -> usize {
        self.output as usize + (2 * bucket + perspective) * self.hidden as usize
    }

    /// The offset of d in `small`.
    pub(super) fn output_bias(&self) -> usize {
        self.output(self.buckets as usize, 0)
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.count() as u32
    }
}

/// The variant for an activation and a link. Without a link, the caller gives e.
pub fn variant_for(activation: Activation, link: Option<Link>) -> usize {
    let upstream = link.map_or(0, |link| 1 + link as usize);
    KERNEL.variant([activation as usize, upstream])
}

pub(super) fn meaning(variant: usize) -> (Activation, Option<Link>) {
    let [activation, upstream] = KERNEL.choices(variant);
    let link = upstream.checked_sub(1).map(|link| Link::ALL[link]);
    (Activation::ALL[activation], link)
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "scatter_pieces",
    operation: Some("network"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/scatter_pieces.wgsl"),
    libraries: &[GRID, ACTIVATION, LOSS],
    axes: &[ACTIVATIONS, UPSTREAMS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(cpu::body),
    traffic: Some(traffic),
    cases,
};

/// The inputs of the reference.
struct Sources<'a> {
    lists: &'a [u32],
    weights: [&'a [f64]; 2],
    small: &'a [f64],
    targets: &'a [f64],
}

/// Computes Y and the loss term of each sample, and passes each term of a gradient to `add`: its
/// index, its sample, e, and the factor of e.
fn reference(
    p: &Params,
    variant: usize,
    read: &Sources<'_>,
    (y, terms): (&mut [f64], &mut [f64]),
    mut add: impl FnMut(usize, usize, f64, f64),
) {
    let (activation, link) = meaning(variant);
    let (pieces, hidden, clip) = (p.pieces(), p.hidden as usize, f64::from(p.clip));
    let mut z = vec![0.0; 2 * hidden];
    let buckets = p.sample_buckets(read.lists);
    for s in 0..p.samples as usize {
        let bucket = bucket_of(p.buckets, buckets, s);
        let list = |perspective| {
            let (starts, indices) = p.lists(read.lists, perspective);
            indices[starts[s] as usize..starts[s + 1] as usize]
                .iter()
                .map(|&f| f as usize)
        };
        y[s] = read.small[p.output_bias() + bucket];
        for (perspective, weights) in read.weights.iter().enumerate() {
            let (bias, output) = (p.bias(perspective), p.output(bucket, perspective));
            for r in 0..hidden {
                let terms = list(perspective).map(|f| weights[f * hidden + r]);
                let value = read.small[bias + r] + terms.sum::<f64>();
                z[perspective * hidden + r] = value;
                y[s] += read.small[output + r] * activation.value(value, clip);
            }
        }
        let (term, e) = match link {
            Some(link) => {
                let weight = p.loss.weight(&read.targets[p.samples as usize..], s);
                let scale = f64::from(p.loss.scale) * weight;
                let term = p.loss.term(link, y[s], read.targets[s], scale);
                (term.value, term.gradient)
            }
            None => (0.0, read.targets[s]),
        };
        terms[s] = term;
        let base = s / p.piece as usize * pieces.stride();
        for perspective in 0..2 {
            let accumulator = perspective % pieces.accumulators;
            let output = p.output(bucket, perspective);
            let of_output = pieces.head() + output;
            for r in 0..hidden {
                let value = z[perspective * hidden + r];
                let to_lane = activation.slope(value, clip) * read.small[output + r];
                let h = activation.value(value, clip);
                add(base + of_output + r, s, e, h);
                add(base + pieces.bias(accumulator) + r, s, e, to_lane);
                for f in list(perspective) {
                    let place = Pieces::place(pieces.inputs, hidden, f, r);
                    add(base + pieces.weights(accumulator) + place, s, e, to_lane);
                }
            }
        }
        add(base + pieces.head() + p.output_bias() + bucket, s, e, 1.0);
    }
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let read = Sources {
        lists: buffers.lists,
        weights: [buffers.weights_1, buffers.weights_2],
        small: buffers.small,
        targets: buffers.targets,
    };
    let (y, terms, gradients) = (buffers.y, buffers.terms, buffers.gradients);
    gradients[..p.count() * p.pieces().stride()].fill(0.0);
    reference(&p, variant, &read, (y, terms), |place, _, e, by| {
        gradients[place] += e * by;
    });
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, inputs, entries] =
        [p.samples, p.hidden, p.inputs, p.entries].map(u64::from);
    let pieces = p.count() as u64;
    let accumulators = p.pieces().accumulators as u64;
    let lanes = samples * 2 * hidden;
    let rows = entries.min(accumulators * inputs);
    let of_loss = meaning(variant).1.map_or(0, Link::operations);
    let buckets = u64::from(p.buckets);
    let head = (accumulators + 2 * buckets) * hidden + buckets;
    let of_buckets = if buckets > 1 { samples } else { 0 };
    let of_weights = samples * u64::from(p.loss.weighted);
    Traffic {
        read: 4 * (2 * (samples + 1) + entries + head + samples + of_weights + of_buckets),
        written: 4 * (2 * samples + pieces * p.pieces().stride() as u64),
        // For each entry, a row of weights is read, and a row of gradients is read and written.
        gathered_issued: 4 * 3 * entries * hidden,
        gathered_distinct: 4 * (rows + entries.min(pieces * accumulators * inputs)) * hidden,
        operations: 2 * entries * hidden + 6 * lanes + samples * (of_loss + 1),
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N, piece, buckets]: 0, 1, a block − 1, a block, a block + 1, pieces that are
    // not full, groups of lanes that are not full, primes, the largest K; buckets without samples,
    // and more than a vector of them. Longer pieces would pass the turns of loops that llvmpipe
    // allows an invocation.
    let shapes = [
        [0, 32, 2, 5, 1, 1],
        [1, 32, 1, 1, 4, 1],
        [127, 256, 7, 40, 127, 1],
        [128, 96, 32, 768, 64, 1],
        [129, 288, 5, 31, 129, 1],
        [307, 160, 5, 45, 100, 1],
        [509, 64, 9, 45, 500, 1],
        [3, 4096, 3, 11, 2, 1],
        [1, 32, 2, 5, 1, 8],
        [131, 160, 5, 45, 50, 8],
        [30, 288, 3, 7, 30, 19],
    ];
    let mut cases = Vec::new();
    for variant in 0..KERNEL.variants() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups.
    cases.push(case(0, 16, [65_537, 32, 1, 1, 1, 1]));
    cases
}

fn case(
    variant: usize,
    seed: usize,
    [samples, hidden, width, features, piece, buckets]: [usize; 6],
) -> Case {
    let mut inputs = Inputs::new(1700 + seed as u64);
    let (_, link) = meaning(variant);
    let lists = [(); 2].map(|()| inputs.sparse(samples, width, features));
    let starts = lists.iter().flat_map(|lists| lists.starts());
    let indices = lists.iter().flat_map(|lists| lists.indices());
    let tied = seed % 2;
    let power = [2.0, 2.5][seed / 2 % 2];
    let numbers = link.map_or(Numbers::given(samples.max(1)), |link| {
        loss::case_numbers(link, seed, samples, power)
    });
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        inputs: features as u32,
        tied: tied as u32,
        indices_1: 2 * (samples as u32 + 1),
        indices_2: (2 * (samples + 1) + lists[0].indices().len()) as u32,
        buckets: buckets as u32,
        bucket: lists
            .iter()
            .fold(2 * (samples + 1), |end, lists| end + lists.indices().len())
            as u32,
        output: (2 - tied) as u32 * hidden as u32,
        bias_2: (1 - tied) as u32 * hidden as u32,
        piece: piece as u32,
        entries: lists
            .iter()
            .map(|lists| lists.indices().len())
            .sum::<usize>() as u32,
        loss: numbers,
        clip: [1.0, 0.75][seed % 2],
    };
    // Sixteenths add up exactly, so every Z and Y is exact, some Z are 0 or T, and every mask
    // equals the reference's.
    let small = inputs.sixteenths((2 - tied + 2 * buckets) * hidden + buckets);
    let weights = [(); 2].map(|()| inputs.sixteenths(features * hidden));
    let weights = if tied == 1 {
        [weights[0].clone(), weights[0].clone()]
    } else {
        weights
    };
    let mut targets = inputs.floats(samples, 0.0, 1.0);
    targets.extend(loss::case_weights(&mut inputs, &numbers, samples));
    let mut lists: Vec<u32> = starts.chain(indices).copied().collect();
    if buckets > 1 {
        lists.extend(inputs.words(samples, buckets as u32));
    }
    let doubles = |values: &[f32]| -> Vec<f64> { values.iter().map(|&x| f64::from(x)).collect() };
    let [first, second] = weights.each_ref().map(|weights| doubles(weights));
    let (small_64, targets_64) = (doubles(&small), doubles(&targets));
    let read = Sources {
        lists: &lists,
        weights: [&first, &second],
        small: &small_64,
        targets: &targets_64,
    };
    let (mut y, mut terms) = (vec![0.0; samples], vec![0.0; samples]);
    reference(
        &params,
        variant,
        &read,
        (&mut y, &mut terms),
        |_, _, _, _| {},
    );
    let errors_by = |error: loss::ErrorOf| -> Vec<f64> {
        let (targets, weights) = targets.split_at(samples);
        match link {
            Some(link) => loss::errors(error, link, &numbers, &y, [targets, weights]),
            None => vec![0.0; samples],
        }
    };
    let (term_errors, errors) = (errors_by(loss::term_error), errors_by(loss::error));
    // For each gradient: the sum of its terms, the sum of their magnitudes, and the error that the
    // errors of e cause.
    let mut sums = vec![(0.0f64, 0.0, 0.0); params.count() * params.pieces().stride()];
    reference(
        &params,
        variant,
        &read,
        (&mut y, &mut terms),
        |place, sample, e, by| {
            let (terms, magnitude, error) = &mut sums[place];
            *terms += 1.0;
            *magnitude += (e * by).abs();
            *error += errors[sample] * by.abs();
        },
    );
    // Each product has two roundings, and each addition has one.
    let rounding = 2.0 * f64::from(f32::EPSILON);
    let bounds = sums
        .iter()
        .map(|(terms, magnitude, error)| rounding * terms.sqrt() * magnitude + error);
    let bounds: Vec<f64> = bounds.collect();
    Case::new(
        format!(
            "L={samples} K={hidden} F={width} N={features} piece={piece} tied={tied} buckets={buckets} {}",
            loss::described(&numbers)
        ),
        variant,
        params,
        Slots {
            lists: Slot::Words(lists),
            weights_1: Slot::Floats(weights[0].clone()),
            weights_2: Slot::Floats(weights[1].clone()),
            small: Slot::Floats(small),
            targets: Slot::Floats(targets),
            y: Slot::Output {
                len: samples,
                bound: Bound::Exact,
            },
            terms: Slot::Output {
                len: samples,
                bound: Bound::Each(term_errors),
            },
            gradients: Slot::Output {
                len: bounds.len(),
                bound: Bound::Each(bounds),
            },
        },
    )
}
