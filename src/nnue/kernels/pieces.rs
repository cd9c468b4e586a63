//! The gradients of the shards of a batch: the geometry that `scatter_pieces` and `join_pieces`
//! share.
//!
//! A shard (`piece` in code) is a run of consecutive samples with its own gradients of all
//! parameters. Their order is: A of each accumulator, `[N, K]`, stored by lane group of [`GROUP`]
//! lanes as the rows of [`masked`]; B of each accumulator; C, `[buckets, 2K]`; and d, `[buckets]`,
//! padded to a multiple of sixteen floats, so that each vector of a processor has a cache line of
//! its own.

use super::masked::{self, GROUP};

/// The layout of the gradients of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// N.
    pub inputs: usize,
    /// K, a multiple of 32.
    pub hidden: usize,
    /// Accumulators with their own parameters: 1 in a tied network, else 2.
    pub accumulators: usize,
    /// Rows of C.
    pub buckets: usize,
}

impl Pieces {
    /// The offset of the gradient of A of an accumulator.
    pub fn weights(&self, accumulator: usize) -> usize {
        accumulator * self.inputs * self.hidden
    }

    /// The offset of the gradient of B of an accumulator.
    pub fn bias(&self, accumulator: usize) -> usize {
        self.weights(self.accumulators) + accumulator * self.hidden
    }

    /// The offset of the gradient of C.
    pub fn output(&self) -> usize {
        self.bias(self.accumulators)
    }

    /// The offset of the gradient of d.
    pub fn output_bias(&self) -> usize {
        self.output() + self.buckets * 2 * self.hidden
    }

    /// Floats of a shard, and the distance from one shard to the next.
    pub fn stride(&self) -> usize {
        self.output_bias() + self.buckets.next_multiple_of(16)
    }

    /// The index of element `[row, lane]` in a matrix of `rows` rows of `hidden` lanes, stored by
    /// lane group.
    pub fn place(rows: usize, hidden: usize, row: usize, lane: usize) -> usize {
        masked::place(hidden, rows, row, lane / GROUP).start + lane % GROUP
    }
}
