//! The entries of one chunk of Stockfish binpack, decoded with the crate `sfbinpack`.
//!
//! A chunk holds chains. A chain begins with a whole position (32 bytes) and the number of entries
//! that follow (2 bytes); each of those is a move and a difference of scores in a few bits. Score
//! and result are relative to the side to move.

use super::filter::InGame;
use super::record::{Position, check_result, check_score};
use super::replay::Told;
use crate::error::Fault;
use sfbinpack::chess::color::Color;
use sfbinpack::chess::coords::Square;
use sfbinpack::chess::r#move::MoveType;
use sfbinpack::chess::piece::Piece;
use sfbinpack::chess::piecetype::PieceType;
use sfbinpack::{ChunkReader, TrainingDataEntry};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The length of the beginning of a chain in bytes: an entry and the number of those after it.
const CHAIN: usize = 34;

/// The kinds of pieces in the order of the boards of a position.
const KINDS: [PieceType; 6] = [
    PieceType::Pawn,
    PieceType::Knight,
    PieceType::Bishop,
    PieceType::Rook,
    PieceType::Queen,
    PieceType::King,
];

/// A chunk that is being decoded. After a fault it is not used again.
pub(crate) struct Chunk {
    /// The bytes of the chunk without its header, and `CHAIN` zero bytes. With those, the decoder
    /// tells a chain that ends with the chunk from one that ends before or after it.
    bytes: Vec<u8>,
    decoder: ChunkReader,
    /// The half move and the result of the entry before.
    last: Option<(u16, i16)>,
}

impl Chunk {
    /// Takes the bytes of a chunk without its header.
    pub(crate) fn new(mut bytes: Vec<u8>) -> Self {
        bytes.resize(bytes.len() + CHAIN, 0);
        Self {
            bytes,
            decoder: ChunkReader::default(),
            last: None,
        }
    }

    /// The number of bytes without the header.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - CHAIN
    }

    /// Whether an entry is left.
    pub(crate) fn has_next(&self) -> bool {
        self.decoder.has_next(&self.bytes[..self.len()])
    }

    /// Whether the next entry belongs to the chain of the one before. No chain begins in 0 bytes.
    fn is_in_chain(&self) -> bool {
        self.decoder.has_next(&[])
    }

    /// The position of the next entry, and what the chunk tells of it.
    ///
    /// # Errors
    /// Damage, with the field. Some damage gives other positions and is not found.
    pub(crate) fn next(&mut self) -> Result<(Position, Told), Fault> {
        let follows = self.is_in_chain();
        let (decoder, bytes) = (&mut self.decoder, &self.bytes);
        // The decoder reports no damage: it uses what it reads as indices of bytes and squares, and
        // panics where there is none. A check of the bits before it would be a second decoder. The
        // indexed code is safe, and the chunk is given up after a panic, so a half-changed decoder
        // does no harm. The panic hook still prints its message, and under `panic = "abort"` such
        // damage ends the program.
        let decode = AssertUnwindSafe(|| {
            let entry = decoder.next(bytes);
            convert(&entry).map(|(position, in_game)| (entry, position, in_game))
        });
        let (entry, position, in_game) = catch_unwind(decode).map_err(|_| {
            let expected = "a position and a move of one of its pieces";
            Fault::new("bits", expected, "others")
        })??;
        // The decoder has passed the end of the chunk if not even the zero bytes hold a chain.
        if !self.decoder.has_next(&self.bytes) {
            return Err(Fault::new("chain", "an end inside the chunk", "none"));
        }
        // A position that is a chain of its own may have any move, because nothing plays it.
        if follows || self.is_in_chain() {
            check_move(&entry)?;
        }
        let begins = !follows && !self.last.is_some_and(|last| continues(last, &entry));
        self.last = Some((entry.ply, entry.result));
        Ok((position, Told { in_game, begins }))
    }

    /// Checks that the last chain ends with the chunk.
    ///
    /// # Errors
    /// Bytes after the last chain.
    pub(crate) fn check_end(&self) -> Result<(), Fault> {
        // A chain would fit into the zero bytes alone if no byte is left.
        match self.decoder.has_next(&self.bytes[..self.bytes.len() - 1]) {
            true => {
                let found = "bytes after it that are too few for a chain";
                Err(Fault::new("last chain", "the end of the chunk", found))
            }
            false => Ok(()),
        }
    }
}

/// Whether the first entry of a chain may be a later position of the game whose last half move and
/// result these are. Tools that remove positions break games into chains.
fn continues((ply, result): (u16, i16), entry: &TrainingDataEntry) -> bool {
    let same_side = entry.ply.abs_diff(ply).is_multiple_of(2);
    let expected = if same_side { result } else { -result };
    entry.ply > ply && entry.result == expected
}

/// Checks that a move can be played, as the decoder does without a check.
fn check_move(entry: &TrainingDataEntry) -> Result<(), Fault> {
    let (pos, from, to) = (&entry.pos, entry.mv.from(), entry.mv.to());
    let is_own = || {
        let piece = pos.piece_at(from);
        piece != Piece::none() && piece.color() == pos.side_to_move()
    };
    if from == Square::NONE || to == Square::NONE || !is_own() {
        let expected = "a piece of the side to move, and a square for it";
        return Err(Fault::new("move", expected, "none"));
    }
    Ok(())
}

/// The position of an entry, and what its move and its place in the game tell.
fn convert(entry: &TrainingDataEntry) -> Result<(Position, InGame), Fault> {
    let pos = &entry.pos;
    let occupied = pos.occupied().bits();
    let kinds = KINDS.map(|kind| pos.pieces_bb_type(kind).bits());
    let white = KINDS.map(|kind| pos.pieces_bb_color(Color::White, kind).bits());
    let white = white.iter().fold(0, |all, board| all | board);
    let mut boards = [white, occupied & !white, 0, 0, 0, 0, 0, 0];
    boards[2..].copy_from_slice(&kinds);
    let black = pos.side_to_move() == Color::Black;
    // −1, 0 and 1 as half points.
    let result = u8::try_from(i32::from(entry.result) + 1).unwrap_or(u8::MAX);
    check_score(entry.score)?;
    check_result(result)?;
    let (score, result) = match black {
        true => (-entry.score, 2 - result),
        false => (entry.score, result),
    };
    let position = Position::from_boards(boards, black, score, result)?;
    let (next, kind) = (entry.mv, entry.mv.mtype());
    let takes = next.to() != Square::NONE && pos.piece_at(next.to()) != Piece::none();
    let castling = kind == MoveType::Castle;
    let special = matches!(kind, MoveType::Promotion | MoveType::EnPassant);
    let in_game = InGame {
        ply: entry.ply.into(),
        tactical: special || takes && !castling,
        castling,
        check: None,
    };
    Ok((position, in_game))
}
