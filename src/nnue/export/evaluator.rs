//! A network of floats that evaluates positions.

use crate::engine::device::Device;
use crate::error::Result;
use crate::nnue::data::{BatchBuilder, Encoding, FeatureSet, Position};
use crate::nnue::model::Model;
use crate::nnue::network::Network;
use crate::nnue::parameters::Parameters;

/// Evaluates positions one after the other on the CPU, in their order.
pub struct Evaluator {
    network: Network,
    encoding: Encoding,
    builder: BatchBuilder<dyn FeatureSet<Position = Position>>,
}

/// A piece and what it is worth in a position.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Contribution {
    /// The square from the view of the side to move: a1 = 0, b1 = 1, h8 = 63.
    pub square: u8,
    /// Y of the position minus Y without the piece, from the view of the side to move.
    pub value: f32,
}

impl Evaluator {
    /// An evaluator of a network.
    ///
    /// # Errors
    /// Parameters that do not fit the encoding, and failures of the CPU executor.
    pub fn new(parameters: &Parameters, encoding: &Encoding) -> Result<Self> {
        encoding.check(parameters.architecture())?;
        Ok(Self {
            network: Network::new(&Device::cpu()?, parameters)?,
            encoding: encoding.clone(),
            builder: BatchBuilder::new(encoding.inputs.features()),
        })
    }

    /// Y of each position.
    ///
    /// # Errors
    /// No positions, and failures of the CPU executor.
    pub fn outputs(&mut self, positions: &[Position]) -> Result<Vec<f32>> {
        for position in positions {
            let bucket = self.encoding.output_buckets.of(position);
            self.builder.push_with_bucket(position, 0.5, bucket);
        }
        let batch = self.builder.finish(self.network.output_needs())?;
        let outputs = self.network.outputs(&batch);
        self.builder.reuse(batch);
        outputs
    }

    /// What each piece but the kings is worth in a position: how Y changes without it, in the
    /// output bucket of one piece less. By ascending square.
    ///
    /// # Errors
    /// Failures of the CPU executor.
    pub fn contributions(&mut self, position: &Position) -> Result<Vec<Contribution>> {
        let (mut squares, mut positions) = (Vec::new(), vec![*position]);
        for piece in position.pieces() {
            if let Some(without) = position.without(piece.square) {
                squares.push(piece.square);
                positions.push(without);
            }
        }
        let outputs = self.outputs(&positions)?;
        let (whole, others) = outputs.split_first().unwrap_or((&0.0, &[]));
        let worth = squares.into_iter().zip(others);
        Ok(worth
            .map(|(square, y)| Contribution {
                square,
                value: whole - y,
            })
            .collect())
    }
}
