//! The layers of the head after the first one: Y, the loss, δ = ∂Loss/∂z of the first layer, and
//! the shares of the splits in the gradients (section 1.14): see [`deep`].

mod cases;
pub(super) mod twin;

use super::deep;
use super::libraries::{HALF, HEAD, LOSS, PASSES};
use crate::engine::kernel::{Kernel, Pass, Read, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::nnue::loss::{Link, Numbers};

crate::interface! {
    /// Sizes, and offsets in the index.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// K.
        pub hidden: u32,
        /// Output buckets.
        pub buckets: u32,
        /// The offset of the buckets of the samples in `index`; not used with 1 bucket.
        pub bucket: u32,
        /// The offset of the targets in `index`, stored as the bits of floats. Without a loss they
        /// are not read.
        pub targets: u32,
        /// The offset of the weights of the samples in `index`, stored as the bits of floats, if
        /// they have weights.
        pub sample_weights: u32,
        /// Splits.
        pub splits: u32,
        /// The offset of the first sample of each split in `index`, `[splits + 1]`.
        pub starts: u32,
        /// The offset of the words of the layers in `index`.
        pub layers: u32,
        /// Floats of a row of z and δ.
        pub stride: u32,
        /// Floats of a share.
        pub share: u32,
        /// Samples that a workgroup computes together: see [`tile`].
        pub tile: u32,
        /// W and c of the layers after the first, for one bucket, and c of the first.
        pub parameters: u32,
        /// The numbers of the loss.
        pub loss: Numbers,
        /// What an L1 penalty adds to each ∂Loss/∂x of the first layer, at least 0. Only the scales
        /// read it.
        pub penalty: f32,
    }
    pub struct Buffers {
        /// Layers, buckets, splits and targets, among others.
        pub index: Read<u32>,
        /// The head buffer.
        pub head: Read<f32>,
        /// z of the first layer, `[samples, stride]`, and then δ.
        pub delta: Update<f32>,
        /// e, `[samples]`, if it is given.
        pub e: Read<f32>,
        /// Y, `[samples]`.
        pub y: Update<f32>,
        /// The shares, `[splits, share]`.
        pub shares: Update<f32>,
        /// The scale of each sample, `[samples]`: see [`half`](super::half).
        pub scales: Update<f32>,
    }
}

/// Floats in workgroup memory: a row for each lane of every layer and for the terms of the loss.
const PLACES: usize = 3840;

/// The most samples that a workgroup computes together.
const LARGEST_TILE: usize = 64;

/// The samples that fit in workgroup memory together, for layers of this width in all: the largest
/// power of 2 up to 64, or `None` if it is below 8.
pub fn tile(width: usize) -> Option<usize> {
    let mut tile = LARGEST_TILE;
    while tile >= 8 {
        if (width + 1) * (tile + 1) <= PLACES {
            return Some(tile);
        }
        tile /= 2;
    }
    None
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.splits
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_layers",
    operation: Some("head"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/deep_layers.wgsl"),
    libraries: &[GRID, HALF, HEAD, LOSS],
    axes: &[PASSES],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin: twin::twin,
    cpu: None,
    traffic: Some(traffic),
    cases: cases::cases,
};

/// What a dispatch computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Y.
    Output,
    /// Y and the gradients from a given e.
    Given,
    /// Y, the loss with this link, and its gradients.
    Loss(Link),
}

/// The variant for a goal.
pub fn variant_for(goal: Goal) -> usize {
    match goal {
        Goal::Loss(link) => link as usize,
        Goal::Given => Link::ALL.len(),
        Goal::Output => Link::ALL.len() + 1,
    }
}

fn meaning(variant: usize) -> Goal {
    match variant.checked_sub(Link::ALL.len()) {
        None => Goal::Loss(Link::ALL[variant]),
        Some(0) => Goal::Given,
        Some(_) => Goal::Output,
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let goal = meaning(variant);
    let [samples, buckets, splits, stride, parameters] =
        [p.samples, p.buckets, p.splits, p.stride, p.parameters].map(u64::from);
    let of_buckets = if buckets > 1 { splits } else { 0 };
    let read = samples * stride + buckets.min(splits) * parameters + splits + 1 + of_buckets;
    let products = 2 * samples * parameters;
    let (upstream, written, operations) = match goal {
        Goal::Output => (0, samples, products),
        Goal::Given => (
            samples,
            samples * (2 + stride) + splits * parameters,
            3 * products,
        ),
        Goal::Loss(link) => (
            samples * (1 + u64::from(p.loss.weighted)),
            samples * (2 + stride) + splits * parameters,
            3 * products + samples * link.operations(),
        ),
    };
    Traffic {
        read: 4 * (read + upstream),
        written: 4 * written,
        operations,
        ..Traffic::default()
    }
}

/// The number of parameters that [`Params::parameters`] counts.
pub fn parameters(layers: &[super::head::Layer]) -> usize {
    let all = deep::share(0, layers) - 1;
    all - layers[0].width * layers[0].inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_as_large_as_fits() {
        assert_eq!(tile(16 + 32 + 1), Some(64));
        assert_eq!(tile(58), Some(64));
        assert_eq!(tile(59), Some(32));
        assert_eq!(tile(425), Some(8));
        assert_eq!(tile(426), None);
    }
}
