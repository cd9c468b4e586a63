//! Forward, loss gradient and backward of a network with a longer head on index lists in one
//! kernel, stretch by stretch: see [`pieces`](super::pieces).
//!
//! With x of a sample from the activated Z of both perspectives (multiplied in pairs or not), the
//! layers of the sample's bucket, and δ = ∂Loss/∂z of the first layer,
//!
//! ```text
//! Z = B + Σ A[f] over the list of each perspective      z = W1·x + c1, then the later layers → Y
//! ∂Loss/∂W1 += δ·xᵀ      ∂Loss/∂c1 += δ      D = ∂Loss/∂Z = (W1ᵀ·δ + penalty)·∂x/∂Z
//! ∂Loss/∂A[f] += D  for each f of the list               ∂Loss/∂B += D
//! ```
//!
//! and so on for the later layers. Z and D of a block of samples stay in the caches. A GPU has no
//! such caches for each thread and uses the kernels of [`deep`](super::deep) instead.

mod cases;
mod cpu;
mod head;
mod twin;

use super::bucket_of;
use super::head::{LAYER_WORDS, Layer};
use super::libraries::{ACTIVATION, ACTIVATIONS, HEAD, LOSS, UPSTREAMS};
use super::pieces::Pieces;
use crate::engine::kernel::{Kernel, Pass, Read, Traffic, Write};
use crate::engine::libraries::GRID;
use crate::nnue::activation::Activation;
use crate::nnue::loss::{Link, Numbers};

crate::interface! {
    /// Sizes, and offsets in the joined buffers.
    pub struct Params {
        /// L.
        pub samples: u32,
        /// K, a multiple of 32; of 64 with a pairwise product.
        pub hidden: u32,
        /// N.
        pub inputs: u32,
        /// 1 if both perspectives have the same A and B.
        pub tied: u32,
        /// 1 if the first K/2 activated lanes are multiplied with the last K/2.
        pub pairwise: u32,
        /// The offset of the first perspective's indices in `lists`.
        pub indices_1: u32,
        /// The offset of the second perspective's indices in `lists`.
        pub indices_2: u32,
        /// The number of output buckets.
        pub buckets: u32,
        /// The offset of the buckets of the samples in `lists`; not read with 1 bucket.
        pub bucket: u32,
        /// The offset of the words of the layers in `lists`.
        pub layers: u32,
        /// The number of layers.
        pub depth: u32,
        /// Floats of `small`.
        pub head: u32,
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
        /// What an L1 penalty adds to each ∂Loss/∂x, at least 0.
        pub penalty: f32,
    }
    pub struct Buffers {
        /// Index lists, buckets and layers of a batch.
        pub lists: Read<u32>,
        /// A of the first perspective, `[N, K]`.
        pub weights_1: Read<f32>,
        /// A of the second perspective, `[N, K]`.
        pub weights_2: Read<f32>,
        /// The head buffer: see [`head`](super::head).
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

/// The largest K, and the largest sum of the widths of all layers, that the shader computes.
pub const LARGEST_HIDDEN: usize = 4096;
/// See [`LARGEST_HIDDEN`].
pub const LARGEST_WIDTHS: usize = 512;

impl Params {
    fn pieces(&self) -> Pieces {
        Pieces {
            inputs: self.inputs as usize,
            hidden: self.hidden as usize,
            accumulators: if self.tied == 1 { 1 } else { 2 },
            head: self.head as usize,
        }
    }

    fn count(&self) -> usize {
        self.samples.div_ceil(self.piece) as usize
    }

    /// Starts `[samples + 1]` and indices of a perspective.
    fn lists<'a>(&self, lists: &'a [u32], perspective: usize) -> (&'a [u32], &'a [u32]) {
        let starts = self.samples as usize + 1;
        let indices = [self.indices_1, self.indices_2][perspective] as usize;
        (&lists[perspective * starts..][..starts], &lists[indices..])
    }

    /// The bucket of each sample, `[L]`; empty with 1 bucket.
    fn sample_buckets<'a>(&self, lists: &'a [u32]) -> &'a [u32] {
        match self.buckets {
            1 => &[],
            _ => &lists[self.bucket as usize..][..self.samples as usize],
        }
    }

    fn layers(&self, lists: &[u32]) -> Vec<Layer> {
        super::head::read(&lists[self.layers as usize..][..self.depth as usize * LAYER_WORDS])
    }

    /// The offset of B of a perspective in `small`.
    fn bias(&self, perspective: usize) -> usize {
        [0, self.bias_2][perspective] as usize
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

fn meaning(variant: usize) -> (Activation, Option<Link>) {
    let [activation, upstream] = KERNEL.choices(variant);
    let link = upstream.checked_sub(1).map(|link| Link::ALL[link]);
    (Activation::ALL[activation], link)
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "scatter_deep",
    operation: Some("network"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/scatter_deep.wgsl"),
    libraries: &[GRID, ACTIVATION, HEAD, LOSS],
    axes: &[ACTIVATIONS, UPSTREAMS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin: twin::twin,
    cpu: Some(cpu::body),
    traffic: Some(traffic),
    cases: cases::cases,
};

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, inputs, entries, head] =
        [p.samples, p.hidden, p.inputs, p.entries, p.head].map(u64::from);
    let pieces = p.count() as u64;
    let accumulators = p.pieces().accumulators as u64;
    let rows = entries.min(accumulators * inputs);
    let of_loss = meaning(variant).1.map_or(0, Link::operations);
    let of_buckets = if p.buckets > 1 { samples } else { 0 };
    // Each weight of a bucket's layers is a product forward, one backward and one in its gradient.
    let weights = head / u64::from(p.buckets);
    Traffic {
        read: 4 * (2 * (samples + 1) + entries + head + samples + of_buckets),
        written: 4 * (2 * samples + pieces * p.pieces().stride() as u64),
        // For each entry, a row of weights is read, and a row of gradients is read and written.
        gathered_issued: 4 * 3 * entries * hidden,
        gathered_distinct: 4 * (rows + entries.min(pieces * accumulators * inputs)) * hidden,
        operations: 2 * entries * hidden + samples * (12 * hidden + 6 * weights + of_loss + 1),
    }
}
