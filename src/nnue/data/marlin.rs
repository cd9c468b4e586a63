//! marlinformat: records of 32 bytes, relative to White.

use super::record::{Position, RawRecord};
use crate::error::{Fault, Result};

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
