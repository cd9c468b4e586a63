//! Y\[s\] = C\[b\]·H\[s\] + d\[b\] on index lists, where b is the sample's bucket, the mask bits and
//! slopes of Z that the gradients need, and e = ∂Loss/∂Y\[s\] (section 1): see [`masked`].

mod cpu;

use super::libraries::{ACTIVATION, ACTIVATIONS, BITS, EXTRAS, LOSS};
use super::{bucket_of, loss, masked};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{
    Bound, Call, Case, Kernel, Pass, Read, Slice, Slot, Traffic, Update, Write,
};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;
use crate::nnue::loss::{Link, Loss};

crate::interface! {
    /// Sizes, and offsets in the joined buffers. The offsets in `lists` may be any number.
    pub struct Params {
        /// Samples of this strip.
        pub samples: u32,
        /// The index of the strip's first sample among all samples.
        pub first: u32,
        /// Samples of all strips.
        pub total: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// The offset of the first perspective's indices in `lists`.
        pub indices_1: u32,
        /// The offset of the second perspective's indices in `lists`.
        pub indices_2: u32,
        /// The offset of the targets in `lists`, stored as the bits of floats. Without a loss they
        /// are not read.
        pub targets: u32,
        /// The number of rows of C.
        pub buckets: u32,
        /// The offset of the buckets of the samples in `lists`; not used with 1 bucket.
        pub bucket: u32,
        /// The offset of C in `small`; d follows C.
        pub output: u32,
        /// The offset of B of the second perspective in `small`. B of the first has offset 0.
        pub bias_2: u32,
        /// The order of lanes in words: 1, 2 or 4. K is a multiple of 32·`interleave`.
        pub interleave: u32,
        /// Samples that an invocation computes, one after the other.
        pub rounds: u32,
        /// N.
        pub inputs: u32,
        /// Indices in both perspectives' lists of this strip.
        pub entries: u32,
        /// q.
        pub power: f32,
        /// 1/L, where L is the number of samples of the whole batch.
        pub scale: f32,
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
        /// Y, `[L]`.
        pub y: Update<f32>,
        /// The mask words of each sample, by plane.
        pub bits: Update<u32>,
        /// The slope of each lane, `[samples, 2K]`.
        pub slopes: Write<f32>,
        /// e of each sample, then the losses, `[2L]`.
        pub errors: Update<f32>,
    }
}

/// Invocations of a workgroup.
const INVOCATIONS: u32 = 256;

/// The largest K that a workgroup can compute: 32 lanes per invocation.
pub const LARGEST_HIDDEN: usize = 32 * INVOCATIONS as usize / 2;

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        let teams = INVOCATIONS / (self.hidden / 16);
        self.samples.div_ceil(teams * self.rounds)
    }
}

impl Params {
    /// The bucket of each sample, `[total]`; empty with 1 bucket.
    fn sample_buckets<'a>(&self, lists: &'a [u32]) -> &'a [u32] {
        match self.buckets {
            1 => &[],
            _ => &lists[self.bucket as usize..][..self.total as usize],
        }
    }

    /// The offset of C of a bucket and a perspective in `small`.
    fn output(&self, bucket: usize, perspective: usize) -> usize {
        self.output as usize + (2 * bucket + perspective) * self.hidden as usize
    }

    /// The offset of d in `small`.
    fn output_bias(&self) -> usize {
        self.output(self.buckets as usize, 0)
    }
}

/// The results of a pass besides Y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// The bits and slopes of Z that the gradients need. The caller gives e.
    Bits,
    /// The same, and also e and the loss term of each sample, from the loss with this link.
    Loss(Link),
}

impl Beside {
    pub(super) fn link(self) -> Option<Link> {
        match self {
            Self::Loss(link) => Some(link),
            Self::Bits | Self::Nothing => None,
        }
    }
}

/// The variant for an activation and for the results besides Y.
pub fn variant_for(activation: Activation, beside: Beside) -> usize {
    let links = Link::ALL.len();
    let beside = match beside {
        Beside::Loss(link) => link as usize,
        Beside::Bits => links,
        Beside::Nothing => links + 1,
    };
    KERNEL.variant([activation as usize, beside])
}

pub(super) fn meaning(variant: usize) -> (Activation, Beside) {
    let [activation, beside] = KERNEL.choices(variant);
    let beside = match beside.checked_sub(Link::ALL.len()) {
        None => Beside::Loss(Link::ALL[beside]),
        Some(0) => Beside::Bits,
        Some(_) => Beside::Nothing,
    };
    (Activation::ALL[activation], beside)
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "forward_sparse",
    operation: Some("network"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/forward_sparse.wgsl"),
    libraries: &[GRID, ACTIVATION, BITS, LOSS],
    axes: &[ACTIVATIONS, EXTRAS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(cpu::body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (activation, beside) = meaning(variant);
    let gradient = beside != Beside::Nothing;
    let (lists, small) = (buffers.lists, buffers.small);
    let weights = [buffers.weights_1, buffers.weights_2];
    let (y, bits, slopes) = (buffers.y, buffers.bits, buffers.slopes);
    let errors = buffers.errors;
    let (first, total, hidden) = (p.first as usize, p.total as usize, p.hidden as usize);
    let strip = first..first + p.samples as usize;
    let clip = f64::from(p.clip);
    let words = hidden / 32;
    let kinds = activation.conditions();
    for plane in 0..if gradient { 2 * kinds } else { 0 } {
        let plane = plane * total;
        bits[(plane + strip.start) * words..(plane + strip.end) * words].fill(0);
    }
    let buckets = p.sample_buckets(lists);
    for s in strip {
        let bucket = bucket_of(p.buckets, buckets, s);
        y[s] = small[p.output_bias() + bucket];
        for (perspective, weights) in weights.iter().enumerate() {
            let starts = &lists[perspective * (total + 1)..];
            let indices = [p.indices_1, p.indices_2][perspective] as usize;
            let bias = [0, p.bias_2][perspective] as usize;
            for r in 0..hidden {
                let mut z = small[bias + r];
                for i in starts[s]..starts[s + 1] {
                    z += weights[lists[indices + i as usize] as usize * hidden + r];
                }
                let output = small[p.output(bucket, perspective) + r];
                y[s] += output * activation.value(z, clip);
                if !gradient {
                    continue;
                }
                let (word, bit) = masked::word_and_bit(r, p.interleave as usize);
                let word = (perspective * total + s) * words + word;
                let slope = activation.slope(z, clip);
                let inside = (z >= 0.0) & (z <= activation.limit(clip));
                bits[word] |= u32::from(inside) << bit;
                if activation.has_clip() {
                    bits[2 * total * words + word] |= u32::from(z > clip) << bit;
                }
                if activation.has_slopes() {
                    slopes[(perspective * p.samples as usize + s - first) * hidden + r] = slope;
                }
            }
        }
        if let Some(link) = beside.link() {
            let target = f64::from(f32::from_bits(lists[p.targets as usize + s]));
            let loss = Loss::new(link, p.power);
            let term = loss.term(y[s], target, f64::from(p.scale));
            (errors[total + s], errors[s]) = (term.value, term.gradient);
        }
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let (activation, beside) = meaning(variant);
    let [samples, hidden, inputs, entries] =
        [p.samples, p.hidden, p.inputs, p.entries].map(u64::from);
    let lanes = samples * 2 * hidden;
    let (planes, slopes) = match activation {
        _ if beside == Beside::Nothing => (0, 0),
        _ => (
            activation.conditions() as u64,
            if activation.has_slopes() { lanes } else { 0 },
        ),
    };
    // A tied network has N rows of weights in all. The parameters do not say whether the network is
    // tied.
    let distinct = entries.min(inputs);
    let (of_loss, link_operations) = match beside.link() {
        Some(link) => (samples, link.operations()),
        None => (0, 0),
    };
    let buckets = u64::from(p.buckets);
    let head = (1 + 2 * buckets) * hidden + buckets;
    let of_buckets = if buckets > 1 { samples } else { 0 };
    Traffic {
        read: 4 * (2 * (samples + 1) + entries + head + of_buckets + of_loss),
        written: 4 * (samples + planes * lanes / 32 + slopes + 2 * of_loss),
        gathered_issued: 4 * entries * hidden,
        gathered_distinct: 4 * distinct * hidden,
        operations: entries * hidden + 2 * lanes + of_loss * link_operations,
    }
}

fn cases() -> Vec<Case> {
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
    let mut cases = Vec::new();
    for variant in 0..KERNEL.variants() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups, which need so many lanes that the case asks for Y only.
    let of_output = variant_for(Activation::ALL[0], Beside::Nothing);
    cases.push(case(of_output, 18, [65_537, 4096, 1, 3, 4, 1]));
    cases
}

fn case(
    variant: usize,
    seed: usize,
    [samples, hidden, width, features, interleave, buckets]: [usize; 6],
) -> Case {
    let (activation, beside) = meaning(variant);
    let mut inputs = Inputs::new(1300 + seed as u64);
    let clip = [1.0, 0.75, 127.0 / 64.0][seed % 3];
    let sides = [(); 2].map(|()| inputs.sparse(samples, width, features));
    // Every other shape is the second of two strips.
    let first = if seed % 2 == 1 { samples / 3 } else { 0 };
    let starts = sides.iter().flat_map(|lists| lists.starts());
    let indices = sides.iter().flat_map(|lists| lists.indices());
    let mut lists: Vec<u32> = starts.chain(indices).copied().collect();
    let params = Params {
        samples: (samples - first) as u32,
        first: first as u32,
        total: samples as u32,
        hidden: hidden as u32,
        indices_1: 2 * (samples as u32 + 1),
        indices_2: (2 * (samples + 1) + sides[0].indices().len()) as u32,
        targets: lists.len() as u32,
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
        power: [2.0, 2.5][seed / 2 % 2],
        scale: 1.0 / samples.max(1) as f32,
        clip,
    };
    let targets = inputs.floats(samples, 0.0, 1.0);
    lists.extend(targets.iter().map(|target| target.to_bits()));
    if buckets > 1 {
        lists.extend(inputs.words(samples, buckets as u32));
    }
    // Sixteenths add up exactly, so every Z and Y is exact, some Z are 0 or T, and every bit equals
    // the reference's.
    let small = inputs.sixteenths((2 + 2 * buckets) * hidden + buckets);
    let weights = [(); 2].map(|()| inputs.sixteenths(features * hidden));
    let words = samples * 2 * hidden / 32;
    let (kinds, slopes) = match activation {
        _ if beside == Beside::Nothing => (0, 0),
        _ if activation.has_slopes() => (activation.conditions(), (samples - first) * 2 * hidden),
        _ => (activation.conditions(), 0),
    };
    let errors = beside.link().map_or(Vec::new(), |link| {
        let y = reference_y(
            &params,
            activation,
            &lists,
            [&weights[0], &weights[1], &small],
        );
        let of_loss = (f64::from(params.power), f64::from(params.scale));
        let each = |error: loss::ErrorOf| {
            let strip = y[first..].iter().zip(&targets[first..]);
            let strip = strip.map(move |(&y, &target)| error(link, of_loss, y, f64::from(target)));
            // The values before the strip must not change.
            vec![0.0; first]
                .into_iter()
                .chain(strip)
                .collect::<Vec<_>>()
        };
        [each(loss::error), each(loss::term_error)].concat()
    });
    let [first_weights, second_weights] = weights;
    Case::new(
        format!(
            "L={samples} K={hidden} F={width} N={features} interleave={interleave} buckets={buckets} T={clip}"
        ),
        variant,
        params,
        Slots {
            lists: Slot::Words(lists),
            weights_1: Slot::Floats(first_weights),
            weights_2: Slot::Floats(second_weights),
            small: Slot::Floats(small),
            // The values before the strip must not change.
            y: Slot::Update {
                values: vec![0.25; samples],
                bound: Bound::Exact,
            },
            bits: Slot::UpdateWords(vec![7; kinds * words]),
            slopes: Slot::Output {
                len: slopes,
                bound: Bound::Exact,
            },
            errors: Slot::Update {
                values: vec![0.25; errors.len()],
                bound: Bound::Each(errors),
            },
        },
    )
}

/// Y of a strip as the twin computes it, from the lists and A of both perspectives and the head.
fn reference_y(
    params: &Params,
    activation: Activation,
    lists: &[u32],
    floats: [&[f32]; 3],
) -> Vec<f64> {
    let floats = floats.map(|values| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    let [first, second, small] = &floats;
    let mut y = vec![0.0; params.total as usize];
    twin(Call {
        params: bytemuck::bytes_of(params),
        variant: variant_for(activation, Beside::Nothing),
        buffers: vec![
            Slice::Words(lists),
            Slice::Floats(first),
            Slice::Floats(second),
            Slice::Floats(small),
            Slice::FloatsMut(&mut y),
            Slice::WordsMut(&mut []),
            Slice::FloatsMut(&mut []),
            Slice::FloatsMut(&mut []),
        ],
    });
    y
}
