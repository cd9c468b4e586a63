//! The forward pass of the masked path, which two kernels compute: `forward_sparse` from A in 32
//! bits and `forward_half` from A in 16 bits. Y\[s\] = C\[b\]·H\[s\] + d\[b\] on index lists, where
//! b is the sample's bucket, the mask bits and slopes of Z that the gradients need, and
//! e = ∂Loss/∂Y\[s\] (section 1): see [`masked`](super::masked).

pub(super) mod case;
mod twin;

use super::libraries::{ACTIVATION, BITS, EXTRAS, FORWARD, HALF, KINDS, LOSS};
use super::masked::Kind;
use crate::engine::kernel::{Axis, Choice, Kernel, Traffic};
use crate::engine::libraries::GRID;
use crate::nnue::loss::{Link, Numbers};

pub(super) use twin::{Outputs, compute};

crate::uniform! {
    /// Sizes, and offsets in the joined buffers. The offsets in `lists` may be any number.
    pub struct Forward {
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
        /// The offset of the weights of the samples in `lists`, stored as the bits of floats, if
        /// they have weights.
        pub sample_weights: u32,
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
        /// The numbers of the loss.
        pub loss: Numbers,
        /// T.
        pub clip: f32,
        /// The units of slopes in 16 bits: see [`units`](super::masked::units).
        pub units: f32,
        /// Lanes of an invocation, as the variant has them. Only the size of the grid uses it.
        pub lanes: u32,
    }
}

/// Invocations of a workgroup that have one perspective.
const SIDE: u32 = 128;

/// The lanes of an invocation that the kernels have variants for. More lanes need fewer loads of
/// indices, and fewer lanes need fewer registers, so that more invocations fit on a core of a GPU.
pub const LANES: [u32; 2] = [32, 16];

/// The largest K that a workgroup can compute with this many lanes per invocation.
pub const fn largest_hidden(lanes: u32) -> usize {
    (lanes * SIDE) as usize
}

/// The axis of [`LANES`].
pub(super) const TEAMS: Axis = &[
    Choice::new("32_lanes", &[("LANES", 32)]),
    Choice::new("16_lanes", &[("LANES", 16)]),
];

/// The axes of both kernels.
pub(super) const AXES: &[Axis] = &[KINDS, EXTRAS, TEAMS];

/// The libraries of both kernels. Only `forward_half` calls those of [`HALF`].
pub(super) const LIBRARIES: &[&str] = &[GRID, ACTIVATION, BITS, LOSS, HALF, FORWARD];

impl Forward {
    /// Workgroups.
    pub(super) fn groups(&self) -> u32 {
        let teams = SIDE / (self.hidden / self.lanes);
        self.samples.div_ceil(teams * self.rounds)
    }

    /// The bucket of each sample, `[total]`; empty with 1 bucket.
    pub(super) fn sample_buckets<'a>(&self, lists: &'a [u32]) -> &'a [u32] {
        match self.buckets {
            1 => &[],
            _ => &lists[self.bucket as usize..][..self.total as usize],
        }
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

/// A variant of both kernels.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What the pass stores of Z.
    pub kind: Kind,
    /// The results besides Y.
    pub beside: Beside,
    /// One of [`LANES`].
    pub lanes: u32,
}

impl Variant {
    /// The index of the variant.
    pub fn index(self, kernel: &Kernel) -> usize {
        let links = Link::ALL.len();
        let beside = match self.beside {
            Beside::Loss(link) => link as usize,
            Beside::Bits => links,
            Beside::Nothing => links + 1,
        };
        kernel.variant([
            self.kind.index(),
            beside,
            usize::from(self.lanes == LANES[1]),
        ])
    }

    pub(super) fn new(kernel: &Kernel, index: usize) -> Self {
        let [kind, beside, lanes] = kernel.choices(index);
        Self {
            kind: Kind::ALL[kind],
            beside: match beside.checked_sub(Link::ALL.len()) {
                None => Beside::Loss(Link::ALL[beside]),
                Some(0) => Beside::Bits,
                Some(_) => Beside::Nothing,
            },
            lanes: LANES[lanes],
        }
    }

    /// Whether the pass writes the slopes as floats, and whether it writes them in 16 bits.
    pub(super) fn slopes(&self) -> [bool; 2] {
        let any = self.beside != Beside::Nothing && self.kind.activation.has_slopes();
        [any && !self.kind.short, any && self.kind.short]
    }
}

/// The work of a pass that reads weights of this many bytes.
pub(super) fn traffic(variant: Variant, p: &Forward, bytes: u64) -> Traffic {
    let Variant { kind, beside, .. } = variant;
    let [samples, hidden, inputs, entries] =
        [p.samples, p.hidden, p.inputs, p.entries].map(u64::from);
    let lanes = samples * 2 * hidden;
    let planes = match beside {
        Beside::Nothing => 0,
        _ => kind.activation.conditions() as u64,
    };
    // Words.
    let slopes = match variant.slopes() {
        [true, _] => lanes,
        [_, true] => lanes / 2,
        _ => 0,
    };
    // A tied network has N rows of weights in all. The parameters do not say whether the network is
    // tied.
    let distinct = entries.min(inputs);
    let (of_loss, link_operations) = match beside.link() {
        Some(link) => (samples, link.operations()),
        None => (0, 0),
    };
    let of_weights = of_loss * u64::from(p.loss.weighted);
    let buckets = u64::from(p.buckets);
    let head = (1 + 2 * buckets) * hidden + buckets;
    let of_buckets = if buckets > 1 { samples } else { 0 };
    Traffic {
        read: 4 * (2 * (samples + 1) + entries + head + of_buckets + of_loss + of_weights),
        written: 4 * (samples + planes * lanes / 32 + slopes + 2 * of_loss),
        gathered_issued: bytes * entries * hidden,
        gathered_distinct: bytes * distinct * hidden,
        operations: entries * hidden + 2 * lanes + of_loss * link_operations,
    }
}
