//! The board on which the moves of a game are played, and the records of its positions.

use super::codes::Codes;
use super::filter::InGame;
use super::record::{Position, RawRecord, check_score};
use crate::error::{Fault, Result};
use cozy_chess::{Board, Color, Move, Piece};

/// A board, with the codes of its pieces beside it.
pub(crate) struct Played {
    board: Board,
    codes: Codes,
}

impl Played {
    pub(crate) fn new(board: Board) -> Self {
        let codes = codes(&board);
        Self { board, codes }
    }

    /// Plays a move. Returns the record of the position before it, with White's score and result.
    /// Castling goes from the king's square to the rook's.
    ///
    /// # Errors
    /// A score that a record cannot have, and a move that is not legal.
    #[inline(always)]
    pub(crate) fn play(
        &mut self,
        next: Move,
        score: i16,
        result: u8,
    ) -> Result<(RawRecord, InGame), Fault> {
        check_score(score)?;
        let Self { board, codes } = self;
        let own = board.side_to_move();
        let black = own == Color::Black;
        let (from, to) = (next.from as usize, next.to as usize);
        let kings = [Color::White, Color::Black].map(|color| board.king(color) as u8);
        let record = codes.record(board.occupied().0, kings, black, score, result);
        debug_assert!(Position::from_bytes(&record).is_ok());
        let castling = board.colors(own).has(next.to);
        let takes = board.colors(!own).has(next.to);
        let is_pawn = codes.kind(from) == Piece::Pawn as u8;
        let passes = is_pawn && !takes && next.from.file() != next.to.file();
        let in_game = InGame {
            ply: 2 * u32::from(board.fullmove_number()).saturating_sub(1) + u32::from(black),
            tactical: takes || passes || next.promotion.is_some(),
            castling,
            check: Some(!board.checkers().is_empty()),
        };
        board.try_play(next).map_err(|_| {
            let expected = format!("a legal move in {board}");
            Fault::new("move", expected, next)
        })?;
        match castling || passes {
            true => *codes = self::codes(board),
            false => codes.play(from, to, next.promotion.map(|kind| kind as u8)),
        }
        Ok((record, in_game))
    }
}

/// The codes of the pieces of a board.
fn codes(board: &Board) -> Codes {
    let mut boards = [0; 8];
    for (to, color) in boards.iter_mut().zip([Color::White, Color::Black]) {
        *to = board.colors(color).0;
    }
    for (to, piece) in boards[2..].iter_mut().zip(Piece::ALL) {
        *to = board.pieces(piece).0;
    }
    Codes::new(&boards)
}
