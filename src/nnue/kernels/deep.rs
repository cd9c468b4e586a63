//! Gradients of networks with a longer head: the geometry that the kernels of the deep path share.
//!
//! With a pairwise product or hidden layers, D = ∂Loss/∂Z is a float of its own for each sample and
//! lane, so the bits of [`masked`](super::masked) do not hold it. The kernels store Z and D:
//!
//! ```text
//! deep_forward   lists, A, B      → Z
//! deep_first     Z, W1, c1        → z of the first layer, [samples, stride]
//! deep_layers    z, W, c, targets → Y, e; δ = ∂Loss/∂z of the first layer in place of z; shares
//! deep_input     δ, W1, Z         → D; shares
//! deep_rows      D                → Σ D over each chunk of the transposed index
//! deep_weights   the rows         → the gradient of A, into a sink
//! deep_head      the shares       → the gradients of B and of the layers, into a sink; the loss
//! ```
//!
//! The samples are in the order of their buckets. A *split* is at most [`SPLIT`] consecutive
//! samples of one bucket. Its *share* is what it adds to the gradients: of B of each perspective,
//! `[2K]`; of W of each layer for its bucket; of c of each layer; and to the loss.
//!
//! A training may store Z and D in 16 bits: see [`half`]. D is then divided by a power of 2 per
//! sample, about the largest of its |δ|.

pub(super) mod case;

use super::half;
use super::head::{self, Layer};
use crate::nnue::activation::Activation;
use std::ops::Range;

/// The most samples of a split. The bits of a run depend on this number.
pub const SPLIT: usize = 128;

/// Outputs of the first layer that a workgroup computes together. Rows of z and δ are padded to a
/// multiple of them.
pub const OUTPUTS: usize = 16;

/// Lanes of a tile of D.
pub const TILE: usize = 64;

/// Floats of a row of z and δ.
pub fn stride(layers: &[Layer]) -> usize {
    layers[0].width.next_multiple_of(OUTPUTS)
}

/// Floats of a share.
pub fn share(hidden: usize, layers: &[Layer]) -> usize {
    let of_layers = layers.iter().map(|layer| layer.width * (layer.inputs + 1));
    2 * hidden + of_layers.sum::<usize>() + 1
}

/// A row of Z, `[2K]`, from 32 bits or, if there is a limit, from 16 bits.
pub(super) fn z_row(
    z: &[f64],
    halves: &[u32],
    lanes: Range<usize>,
    limit: Option<f32>,
) -> Vec<f64> {
    match limit {
        None => z[lanes].to_vec(),
        Some(limit) => {
            let values = lanes.map(|lane| half::get(halves, lane));
            values.map(|ratio| ratio * f64::from(limit)).collect()
        }
    }
}

/// The offset of lane `u` of both perspectives in D of a sample, with 2K lanes in all.
pub fn place(samples: usize, sample: usize, u: usize) -> usize {
    (u / TILE * samples + sample) * TILE + u % TILE
}

/// The places of the layers' parameters for one bucket in a share.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    hidden: usize,
    first: usize,
    buckets: usize,
}

impl Shares {
    pub(super) fn new(hidden: usize, layers: &[Layer], buckets: usize) -> Self {
        Self {
            hidden,
            first: layers[0].weights,
            buckets,
        }
    }

    /// Of the tensor that begins here in the head buffer: W or c of a layer.
    pub(super) fn place(&self, tensor: usize) -> usize {
        2 * self.hidden + (tensor - self.first) / self.buckets
    }
}

/// The words of the layers from `offset` on, through those of the output layer.
pub(super) fn layers(index: &[u32], offset: u32) -> Vec<Layer> {
    let words = index[offset as usize..].chunks_exact(head::LAYER_WORDS);
    let mut layers = Vec::new();
    for words in words {
        layers.extend(head::read(words));
        if layers
            .last()
            .is_some_and(|layer| layer.activation.is_none())
        {
            break;
        }
    }
    layers
}

/// The samples of a split, and their bucket.
pub(super) fn split(
    index: &[u32],
    starts: u32,
    [buckets, bucket]: [u32; 2],
    split: usize,
) -> (Range<usize>, usize) {
    let starts = &index[starts as usize + split..];
    let samples = starts[0] as usize..starts[1] as usize;
    let own = match buckets {
        1 => 0,
        _ => index[bucket as usize + samples.start] as usize,
    };
    (samples, own)
}

/// An activation with T, and whether lanes are multiplied in pairs: from Z of a sample, `[2K]`, to
/// x.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    pub(super) activation: Activation,
    pub(super) clip: f64,
    pub(super) pairwise: bool,
    pub(super) hidden: usize,
}

impl Front {
    /// The lanes that column `j` of x depends on: one, or the two of a pair.
    pub(super) fn lanes(&self, j: usize) -> (usize, Option<usize>) {
        let half = self.hidden / 2;
        match self.pairwise {
            false => (j, None),
            true => {
                let lane = j / half * self.hidden + j % half;
                (lane, Some(lane + half))
            }
        }
    }

    fn value(&self, z: f64) -> f64 {
        self.activation.value(z, self.clip)
    }

    /// x in column `j`.
    pub(super) fn x(&self, z: &[f64], j: usize) -> f64 {
        match self.lanes(j) {
            (lane, None) => self.value(z[lane]),
            (lane, Some(other)) => self.value(z[lane]) * self.value(z[other]),
        }
    }

    /// The lanes of column `j`, each with its derivative of x. It is 0 outside the mask.
    pub(super) fn slopes(&self, z: &[f64], j: usize) -> Vec<(usize, f64)> {
        let slope = |lane: usize| self.activation.slope(z[lane], self.clip);
        match self.lanes(j) {
            (lane, None) => vec![(lane, slope(lane))],
            (lane, Some(other)) => vec![
                (lane, slope(lane) * self.value(z[other])),
                (other, slope(other) * self.value(z[lane])),
            ],
        }
    }
}
