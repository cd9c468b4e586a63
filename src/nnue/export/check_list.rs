//! The list of evaluations beside an exported file.

use super::evaluator::Evaluator;
use super::positions::pieces;
use crate::error::{Error, Result};
use crate::nnue::data::{Encoding, Position};
use crate::nnue::parameters::Parameters;
use std::io::{self, Write};
use wgrad_inference as engine;

/// 100 positions: every square of either king from its own side, every number of pieces from 2 to
/// 32, both sides to move.
const FENS: &str = include_str!("check.fens");

/// The evaluations of an integer network on fixed positions, which an engine must print for the
/// same file.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckList {
    rows: Vec<CheckRow>,
}

/// A position of a [`CheckList`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckRow {
    /// The position.
    pub fen: String,
    /// The king bucket of the side to move, and the one of the other side.
    pub king_buckets: [usize; 2],
    /// The output bucket.
    pub output_bucket: usize,
    /// The evaluation of the integer network in centipawns for the side to move.
    pub integer: i32,
    /// The evaluation of the network of floats.
    pub float: f32,
}

impl CheckList {
    /// Evaluates the positions with both networks.
    ///
    /// # Errors
    /// A number that is too large for its type in an engine, which names the position, and
    /// parameters that do not fit the encoding.
    pub fn new(
        network: &engine::Network,
        parameters: &Parameters,
        encoding: &Encoding,
    ) -> Result<Self> {
        let positions = FENS.lines().map(|fen| {
            let position = Position::from_fen(fen, 0, 1);
            position.map_err(Error::Argument)
        });
        let positions: Vec<Position> = positions.collect::<Result<_>>()?;
        let floats = Evaluator::new(parameters, encoding)?.outputs(&positions)?;
        let mut rows = Vec::with_capacity(positions.len());
        for ((fen, position), float) in FENS.lines().zip(&positions).zip(floats) {
            let board = pieces(position);
            let to_move = engine::Color::White;
            let integer = network
                .evaluate_checked(board.iter().copied(), to_move)
                .map_err(|overflow| {
                    Error::argument(
                        format!("integer evaluation of {fen}"),
                        "no overflow",
                        overflow,
                    )
                })?;
            let [own, other] = position.kings();
            let bucket = |king: u8| usize::from(network.inputs().king_buckets[usize::from(king)]);
            rows.push(CheckRow {
                fen: fen.to_owned(),
                king_buckets: [bucket(own), bucket(other)],
                output_bucket: network.output_bucket(position.piece_count()),
                integer,
                float: float * network.scale() as f32,
            });
        }
        Ok(Self { rows })
    }

    /// The positions and their evaluations.
    pub fn rows(&self) -> &[CheckRow] {
        &self.rows
    }

    /// The mean distance of both evaluations in centipawns.
    pub fn mean_difference(&self) -> f64 {
        let distance = |row: &CheckRow| f64::from(row.integer as f32 - row.float).abs();
        self.rows.iter().map(distance).sum::<f64>() / self.rows.len().max(1) as f64
    }

    /// Writes the list as lines of fields with tabs between them: a line of names, then the FEN,
    /// the evaluation of the integer network, the one of the network of floats, the king bucket of
    /// the side to move and of the other side, and the output bucket.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        writeln!(
            out,
            "fen\tinteger\tfloat\town king\tother king\toutput bucket"
        )?;
        for row in &self.rows {
            let [own, other] = row.king_buckets;
            writeln!(
                out,
                "{}\t{}\t{:.2}\t{own}\t{other}\t{}",
                row.fen, row.integer, row.float, row.output_bucket
            )?;
        }
        Ok(())
    }
}
