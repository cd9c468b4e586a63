//! marlinformat: records of 32 bytes, relative to White.
//!
//! They also begin the games of viriformat, where castling rights, en passant and clocks count.

use super::record::{Position, RawRecord};
use crate::error::{Fault, Result};
use cozy_chess::{Board, BoardBuilder, BoardBuilderError, Color, Piece, Rank, Square};

/// The code of a rook that may castle.
const CASTLING_ROOK: u8 = 6;

/// Converts a record: occupancy, 32 codes of 4 bits (kind, plus 8 for Black), side to move (bit 7),
/// move clocks, score and result (0 to 2 half points), both relative to White.
///
/// # Errors
/// A [`Fault`] with the field.
pub(crate) fn convert(record: &RawRecord) -> Result<Position, Fault> {
    let occupied = u64::from_le_bytes(std::array::from_fn(|at| record[at]));
    let count = occupied.count_ones();
    if count > 32 {
        let found = format!("{count} pieces");
        return Err(Fault::new("occupancy", "at most 32 pieces", found));
    }
    let (side, result) = (record[24], record[30]);
    if side & 0x7f > 64 {
        let expected = "a square from 0 to 63, or 64 for none";
        return Err(Fault::new("en passant square", expected, side & 0x7f));
    }
    let score = i16::from_le_bytes([record[28], record[29]]);
    // White, Black, and the six kinds.
    let mut boards = [0u64; 8];
    let mut left = occupied;
    for index in 0..count as usize {
        let square = left.trailing_zeros();
        left &= left - 1;
        let code = record[8 + index / 2] >> (4 * (index % 2)) & 15;
        let kind = match code & 7 {
            CASTLING_ROOK => 3,
            kind @ 0..=5 => kind,
            _ => {
                let expected = "a code from 0 to 6, or 8 to 14 for Black";
                let place = format!("piece on square {square}");
                return Err(Fault::new(place, expected, format!("piece code {code}")));
            }
        };
        boards[usize::from(code >> 3)] |= 1 << square;
        boards[usize::from(2 + kind)] |= 1 << square;
    }
    Position::from_boards(boards, side >> 7 == 1, score, result)
}

/// The record of a position with White to move, at move 1, without castling rights. Its codes are
/// those of bulletformat.
pub(crate) fn record(position: &Position) -> RawRecord {
    let own = position.to_bytes();
    let mut record = RawRecord::default();
    record[..24].copy_from_slice(&own[..24]);
    // No en passant square, and the number of the move.
    (record[24], record[26]) = (64, 1);
    record[28..30].copy_from_slice(&own[24..26]);
    record[30] = own[26];
    record
}

/// The board of a record that [`convert`] takes, with castling rights, en passant square and move
/// number.
///
/// # Errors
/// A [`Fault`] with what chess does not allow.
pub(crate) fn board(record: &RawRecord) -> Result<Board, Fault> {
    let occupied = u64::from_le_bytes(std::array::from_fn(|at| record[at]));
    let mut builder = BoardBuilder::empty();
    let mut has_king = [false; 2];
    let squares = (0..64).filter(|square| occupied >> square & 1 == 1);
    for (index, square) in squares.enumerate() {
        let code = record[8 + index / 2] >> (4 * (index % 2)) & 15;
        let (side, square) = (usize::from(code >> 3), Square::index(square));
        let color = Color::ALL[side];
        let piece = match code & 7 {
            CASTLING_ROOK => {
                if square.rank() != Rank::First.relative_to(color) {
                    let expected = "on its own first rank";
                    return Err(Fault::new("rook that may castle", expected, square));
                }
                let rights = builder.castle_rights_mut(color);
                let right = match has_king[side] {
                    true => &mut rights.short,
                    false => &mut rights.long,
                };
                *right = Some(square.file());
                Piece::Rook
            }
            kind => Piece::index(usize::from(kind)),
        };
        has_king[side] |= piece == Piece::King;
        *builder.square_mut(square) = Some((piece, color));
    }
    builder.side_to_move = Color::ALL[usize::from(record[24] >> 7)];
    builder.en_passant = Square::try_index(usize::from(record[24] & 0x7f));
    builder.halfmove_clock = record[25].min(100);
    // Beyond this number of moves, counting could overflow.
    builder.fullmove_number = u16::from_le_bytes([record[26], record[27]]).clamp(1, 1 << 14);
    builder.build().map_err(|error| {
        let expected = match error {
            BoardBuilderError::InvalidBoard => "a position that chess allows",
            BoardBuilderError::InvalidCastlingRights => "kings on their squares for castling",
            BoardBuilderError::InvalidEnPassant => "a pawn that has just moved two squares",
            BoardBuilderError::InvalidHalfMoveClock => "at most 100 half moves",
            BoardBuilderError::InvalidFullmoveNumber => "a move number from 1 on",
        };
        Fault::new("position", expected, error)
    })
}
