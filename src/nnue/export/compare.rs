//! A network and its integer form over data.

use super::evaluator::Evaluator;
use super::positions::pieces;
use crate::error::Result;
use crate::nnue::data::{Dataset, Encoding, Position};
use crate::nnue::parameters::Parameters;
use rayon::prelude::*;
use serde::Serialize;
use wgrad_inference as engine;

/// How far an integer network is from the network that it was made of, in centipawns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The number of positions.
    pub positions: u64,
    /// The mean distance of both evaluations.
    pub mean: f64,
    /// The largest distance.
    pub largest: f64,
    /// The mean of integer − float.
    pub bias: f64,
    /// The share of positions for which one evaluation is above 0 and the other below.
    pub sign_flips: f64,
    /// The number of positions in which a number was too large for its type in an engine.
    pub overflows: u64,
}

/// The evaluations of a position, in centipawns for the side to move.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pair {
    /// Of the integer network.
    pub integer: i32,
    /// Of the network of floats.
    pub float: f32,
    /// A number that was too large for its type.
    pub overflow: Option<engine::Overflow>,
}

/// The positions that are evaluated together.
const BATCH: usize = 4096;

/// Evaluates all positions of a dataset, in the order of the files, with a network of floats and an
/// integer network. `seen` is called with each of them.
///
/// # Errors
/// Parameters that do not fit the encoding, damaged data, failures of the CPU executor, and errors
/// of `seen`.
pub fn compare(
    network: &engine::Network,
    parameters: &Parameters,
    encoding: &Encoding,
    dataset: &Dataset,
    mut seen: impl FnMut(Pair) -> Result<()>,
) -> Result<Difference> {
    let mut evaluator = Evaluator::new(parameters, encoding)?;
    let mut positions = dataset.iter();
    let mut found = Difference::default();
    let mut flips = 0u64;
    loop {
        let batch = positions
            .by_ref()
            .take(BATCH)
            .collect::<Result<Vec<Position>>>()?;
        if batch.is_empty() {
            let count = found.positions.max(1) as f64;
            found.mean /= count;
            found.bias /= count;
            found.sign_flips = flips as f64 / count;
            return Ok(found);
        }
        let floats = evaluator.outputs(&batch)?;
        let evaluated = batch.par_iter().map(|position| {
            let board = pieces(position);
            network.evaluate_position(board.iter().copied(), engine::Color::White)
        });
        let integers: Vec<_> = evaluated.collect();
        for ((integer, overflow), float) in integers.into_iter().zip(floats) {
            let float = float * network.scale() as f32;
            let difference = f64::from(integer) - f64::from(float);
            found.positions += 1;
            found.mean += difference.abs();
            found.bias += difference;
            found.largest = found.largest.max(difference.abs());
            flips += u64::from(f64::from(integer) * f64::from(float) < 0.0);
            found.overflows += u64::from(overflow.is_some());
            seen(Pair {
                integer,
                float,
                overflow,
            })?;
        }
    }
}
