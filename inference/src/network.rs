//! A network of integers and its evaluation.

use super::accumulator::Accumulators;
use super::alloc::string::{String, ToString};
use super::alloc::vec::Vec;
use super::board::Color;
use super::head::Head;
use super::inputs::Inputs;
use super::sums::{Checked, Overflow, Wrapping};

/// The numbers of pieces on a board, from 0.
const COUNTS: usize = 33;

/// A two-perspective network of integers: one accumulator of K lanes for both perspectives, then
/// the head.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub(crate) inputs: Inputs,
    pub(crate) weights: Vec<i16>,
    pub(crate) biases: Vec<i16>,
    pub(crate) output_buckets: [u8; COUNTS],
    pub(crate) scale: i32,
    pub(crate) head: Head,
}

/// Parts of a network that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The part.
    pub place: &'static str,
    /// What was expected of it.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            place,
            expected,
            found,
        } = self;
        write!(f, "{place}: expected {expected}, found {found}")
    }
}

impl core::error::Error for Mismatch {}

impl Mismatch {
    pub(crate) fn new(place: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Self {
            place,
            expected,
            found,
        }
    }
}

/// Refuses a number that is not as expected.
pub(crate) fn expect(place: &'static str, expected: usize, found: usize) -> Result<(), Mismatch> {
    match expected == found {
        true => Ok(()),
        false => Err(Mismatch::new(place, expected, found)),
    }
}

impl Network {
    /// A network of
    ///
    /// - `weights` `[N, K]` and `biases` `[K]` of the accumulator,
    /// - `output_buckets`, the bucket of each number of pieces from 0 to 32,
    /// - `scale`, the centipawns of an output of 1,
    /// - and the head.
    ///
    /// # Errors
    /// A part whose length does not fit the others.
    pub fn new(
        inputs: Inputs,
        weights: Vec<i16>,
        biases: Vec<i16>,
        output_buckets: [u8; COUNTS],
        scale: i32,
        head: Head,
    ) -> Result<Self, Mismatch> {
        let hidden = biases.len();
        if hidden == 0 {
            return Err(Mismatch::new("lanes of the accumulator", "at least 1", 0));
        }
        let len = inputs.count().saturating_mul(hidden);
        expect("weights of the accumulator", len, weights.len())?;
        let last = output_buckets.iter().copied().max().unwrap_or(0);
        head.check(hidden, usize::from(last) + 1)?;
        Ok(Self {
            inputs,
            weights,
            biases,
            output_buckets,
            scale,
            head,
        })
    }

    /// How pieces become features.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// K, the number of lanes of an accumulator.
    pub fn hidden(&self) -> usize {
        self.biases.len()
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The centipawns of an output of 1.
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// The weights of the accumulator, `[N, K]`.
    pub fn weights(&self) -> &[i16] {
        &self.weights
    }

    /// The biases of the accumulator, `[K]`.
    pub fn biases(&self) -> &[i16] {
        &self.biases
    }

    /// The output bucket of a position with this many pieces.
    pub fn output_bucket(&self, pieces: usize) -> usize {
        usize::from(self.output_buckets[pieces.min(COUNTS - 1)])
    }

    /// The bucket of each number of pieces from 0 to 32.
    pub fn output_buckets(&self) -> &[u8; COUNTS] {
        &self.output_buckets
    }

    /// The weights of one feature.
    #[inline]
    pub(crate) fn row(&self, feature: usize) -> &[i16] {
        let hidden = self.hidden();
        &self.weights[feature * hidden..][..hidden]
    }

    /// The evaluation in centipawns for the side to move of a position with this many pieces.
    /// Numbers that are too large for their types wrap around, as they do in engines.
    pub fn evaluate(&self, accumulators: &Accumulators, to_move: Color, pieces: usize) -> i32 {
        let lanes = accumulators.lanes(to_move);
        let bucket = self.output_bucket(pieces);
        self.head.evaluate(lanes, bucket, self.scale, &mut Wrapping)
    }

    /// As [`Network::evaluate`], from the numbers of the features of the side to move and of the
    /// other side, each below N, and the output bucket.
    ///
    /// # Panics
    /// Panics at a feature or a bucket that the network does not have.
    pub fn evaluate_features(
        &self,
        features: [impl Iterator<Item = usize>; 2],
        bucket: usize,
    ) -> i32 {
        let lanes = features.map(|features| {
            let mut lanes = self.biases.clone();
            for feature in features {
                for (lane, &weight) in lanes.iter_mut().zip(self.row(feature)) {
                    *lane = lane.wrapping_add(weight);
                }
            }
            lanes
        });
        let lanes = [&lanes[0][..], &lanes[1][..]];
        self.head.evaluate(lanes, bucket, self.scale, &mut Wrapping)
    }

    /// As [`Network::evaluate`], from accumulators that are summed in wider integers.
    ///
    /// # Errors
    /// The first number that is too large for its type in an engine.
    pub fn evaluate_checked(
        &self,
        board: impl Iterator<Item = super::Piece> + Clone,
        to_move: Color,
    ) -> Result<i32, Overflow> {
        let accumulators = Accumulators::checked(self, board.clone())?;
        let bucket = self.output_bucket(board.count());
        let mut sums = Checked::default();
        let lanes = accumulators.lanes(to_move);
        let value = self.head.evaluate(lanes, bucket, self.scale, &mut sums);
        match sums.overflow {
            Some(overflow) => Err(overflow),
            None => Ok(value),
        }
    }

    /// The evaluation of a position as an engine computes it, and the first number in it that is too
    /// large for its type.
    pub fn evaluate_position(
        &self,
        board: impl Iterator<Item = super::Piece> + Clone,
        to_move: Color,
    ) -> (i32, Option<Overflow>) {
        match self.evaluate_checked(board.clone(), to_move) {
            Ok(value) => (value, None),
            Err(overflow) => {
                let accumulators = Accumulators::new(self, board.clone());
                let value = self.evaluate(&accumulators, to_move, board.count());
                (value, Some(overflow))
            }
        }
    }
}
