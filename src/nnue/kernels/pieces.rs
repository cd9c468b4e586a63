//! Gradients over pieces of a batch, each of all parameters: the geometry that `scatter_pieces` and `join_pieces` share.
//!
//! A piece is some consecutive samples. Its gradients stand one after the other: those of A of each
//! accumulator, `[N, K]` in groups of [`GROUP`] lanes as the rows of [`masked`]; of B of each; of
//! C, `[buckets, 2K]`; and of d, `[buckets]`, filled up to a multiple of sixteen floats, so that
//! every vector of a processor lies on a cache line of its own.

use super::masked::{self, GROUP};

/// Where the gradients of a piece lie.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// N.
    pub inputs: usize,
    /// K, a multiple of 32.
    pub hidden: usize,
    /// Accumulators with parameters of their own: 1 if they are tied, else 2.
    pub accumulators: usize,
    /// Rows of C.
    pub buckets: usize,
}

impl Pieces {
    /// Where the gradient of A of an accumulator begins.
    pub fn weights(&self, accumulator: usize) -> usize {
        accumulator * self.inputs * self.hidden
    }

    /// Where the gradient of B of an accumulator begins.
    pub fn bias(&self, accumulator: usize) -> usize {
        self.weights(self.accumulators) + accumulator * self.hidden
    }

    /// Where the gradient of C begins.
    pub fn output(&self) -> usize {
        self.bias(self.accumulators)
    }

    /// Where the gradient of d begins.
    pub fn output_bias(&self) -> usize {
        self.output() + self.buckets * 2 * self.hidden
    }

    /// Floats of a piece, and so from one to the next.
    pub fn stride(&self) -> usize {
        self.output_bias() + self.buckets.next_multiple_of(16)
    }

    /// Where an element `[row, lane]` of `rows` rows of `hidden` lanes lies among them.
    pub fn place(rows: usize, hidden: usize, row: usize, lane: usize) -> usize {
        masked::place(hidden, rows, row, lane / GROUP).start + lane % GROUP
    }
}
