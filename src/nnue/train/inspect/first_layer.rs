//! The weights of the first layer by piece and square.

use crate::error::{Error, Result};
use crate::nnue::{ParameterName, Parameters};
use std::borrow::Cow;

/// The inputs of one king bucket: 12 pieces on 64 squares.
const PIECE_SQUARES: usize = 768;

/// A of each accumulator: the sum of its own and its shared part.
#[derive(Clone, Debug)]
pub struct FirstLayer<'a> {
    /// K.
    hidden: usize,
    /// `[N, K]`, of the side to move and, in an untied network, of the other side.
    weights: Vec<Cow<'a, [f32]>>,
}

impl<'a> FirstLayer<'a> {
    /// The first layer of a network.
    pub fn new(parameters: &'a Parameters) -> Self {
        use ParameterName::{A1, A2, Shared1, Shared2};
        let merged = |(own, shared)| {
            let own: &[f32] = parameters.get(own)?;
            Some(match parameters.get(shared) {
                None => Cow::Borrowed(own),
                // Feature f has the shared row f mod M.
                Some(shared) => {
                    let sums = own.chunks(shared.len()).flat_map(|bucket| {
                        let both = bucket.iter().zip(shared);
                        both.map(|(own, shared)| own + shared)
                    });
                    Cow::Owned(sums.collect())
                }
            })
        };
        let weights = [(A1, Shared1), (A2, Shared2)].into_iter();
        Self {
            hidden: parameters.architecture().hidden,
            weights: weights.filter_map(merged).collect(),
        }
    }

    /// The weights of an accumulator, `[N, K]`. A tied network has one for both.
    pub(super) fn weights(&self, perspective: usize) -> &[f32] {
        &self.weights[perspective.min(self.weights.len() - 1)]
    }

    /// The number of accumulators: 1 if the network is tied, otherwise 2.
    pub fn accumulators(&self) -> usize {
        self.weights.len()
    }

    /// The weights of a lane by piece and square, `[12, 64]`: the six kinds of the accumulator's
    /// own side from pawn to king, then those of the other side, each from a1 to h8. With king
    /// buckets it is the mean over the buckets.
    ///
    /// # Errors
    /// [`Error::Argument`] for an N that is no multiple of 768, and for an accumulator or a lane
    /// that the network does not have.
    pub fn piece_squares(&self, accumulator: usize, lane: usize) -> Result<Vec<f32>> {
        let check = |name: &str, index: usize, count: usize| match index < count {
            true => Ok(()),
            false => Err(Error::argument(name, format!("below {count}"), index)),
        };
        check("accumulator", accumulator, self.accumulators())?;
        check("lane", lane, self.hidden)?;
        let weights = self.weights(accumulator);
        let inputs = weights.len() / self.hidden;
        if !inputs.is_multiple_of(PIECE_SQUARES) {
            let expected = "a multiple of 768, the pieces and squares of chess";
            return Err(Error::argument("inputs (N)", expected, inputs));
        }
        let mut sums = vec![0.0f64; PIECE_SQUARES];
        let of_lane = weights.iter().skip(lane).step_by(self.hidden);
        for (feature, &weight) in of_lane.enumerate() {
            sums[feature % PIECE_SQUARES] += f64::from(weight);
        }
        let buckets = (inputs / PIECE_SQUARES) as f64;
        Ok(sums.into_iter().map(|sum| (sum / buckets) as f32).collect())
    }

    /// The lanes of an accumulator by the size of their weights, the largest first.
    ///
    /// # Errors
    /// An accumulator that the network does not have.
    pub fn largest_lanes(&self, accumulator: usize) -> Result<Vec<usize>> {
        if accumulator >= self.accumulators() {
            let expected = format!("below {}", self.accumulators());
            return Err(Error::argument("accumulator", expected, accumulator));
        }
        let mut squares = vec![0.0f64; self.hidden];
        for row in self.weights(accumulator).chunks(self.hidden) {
            let lanes = squares.iter_mut().zip(row);
            lanes.for_each(|(sum, &weight)| *sum += f64::from(weight).powi(2));
        }
        let mut lanes: Vec<_> = (0..self.hidden).collect();
        lanes.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
        Ok(lanes)
    }
}
