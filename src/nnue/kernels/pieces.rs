//! The gradients of the stretches of a batch: the geometry that `scatter_pieces`, `scatter_deep`
//! and `join_pieces` share.
//!
//! A stretch (`piece` in code) is a run of consecutive samples with its own gradients of all
//! parameters. Their order is: A of each accumulator, `[N, K]`, stored by lane group of [`GROUP`]
//! lanes as the rows of [`masked`]; then the head buffer with B, padded to a multiple of sixteen
//! floats, so that each vector of a processor has a cache line of its own.

use super::masked::{self, GROUP};

/// The layout of the gradients of a stretch.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// N.
    pub inputs: usize,
    /// K, a multiple of 32.
    pub hidden: usize,
    /// Accumulators with their own parameters: 1 in a tied network, else 2.
    pub accumulators: usize,
    /// Floats of the head buffer.
    pub head: usize,
}

impl Pieces {
    /// The offset of the gradient of A of an accumulator.
    pub fn weights(&self, accumulator: usize) -> usize {
        accumulator * self.inputs * self.hidden
    }

    /// The offset of the gradients of the head buffer.
    pub fn head(&self) -> usize {
        self.weights(self.accumulators)
    }

    /// The offset of the gradient of B of an accumulator.
    pub fn bias(&self, accumulator: usize) -> usize {
        self.head() + accumulator * self.hidden
    }

    /// Floats of a stretch, and the distance from one stretch to the next.
    pub fn stride(&self) -> usize {
        self.head() + self.head.next_multiple_of(16)
    }

    /// The index of element `[row, lane]` in a matrix of `rows` rows of `hidden` lanes, stored by
    /// lane group.
    pub fn place(rows: usize, hidden: usize, row: usize, lane: usize) -> usize {
        masked::place(hidden, rows, row, lane / GROUP).start + lane % GROUP
    }
}
