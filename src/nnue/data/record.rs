//! Chess positions with score and result: the checked form of a 32-byte bulletformat record.

use super::codes::{CODES, Codes};
use crate::error::Fault;
use bulletformat::ChessBoard;

/// An unchecked record of a file.
pub(crate) type RawRecord = [u8; Position::BYTES];

/// A piece of a [`Position`], from the view of the side to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The kind: 0 to 5 for pawn, knight, bishop, rook, queen and king.
    pub kind: u8,
    /// Whether it belongs to the side to move.
    pub own: bool,
    /// The square: a1 = 0, b1 = 1, h8 = 63. The board is turned so that the side to move plays
    /// upwards.
    pub square: u8,
}

/// A checked position: at most 32 pieces of known kinds, one king for each side on the square that
/// the record says, a result of 0, ½ or 1, and a score that can be negated.
///
/// Everything is relative to the side to move. If Black is to move, the colors are swapped, the
/// squares are flipped (`square ^ 56`), and the score and the result are reversed.
///
/// [`str::parse`] parses a line of text, `FEN | score | result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(ChessBoard);

impl Position {
    /// The length of a record in bytes.
    pub const BYTES: usize = 32;

    /// A position from the squares of White and Black and of the six kinds of pieces, relative to
    /// White, as `score` and `result` are. It is the rule of what a position is for every form that
    /// holds boards: one king for each side, and at most 32 pieces.
    ///
    /// # Errors
    /// A [`Fault`] with the field.
    pub(crate) fn from_boards(
        boards: [u64; 8],
        black_to_move: bool,
        score: i16,
        result: u8,
    ) -> Result<Self, Fault> {
        check_score(score)?;
        check_result(result)?;
        for (color, name) in ["White", "Black"].into_iter().enumerate() {
            let kings = (boards[color] & boards[7]).count_ones();
            if kings != 1 {
                return Err(Fault::new(format!("kings of {name}"), "1", kings));
            }
        }
        let occupied = boards[0] | boards[1];
        let pieces = occupied.count_ones();
        if pieces > 32 {
            return Err(Fault::new("number of pieces", "at most 32", pieces));
        }
        let kinds = boards[2..].iter().fold(0, |all, board| all | board);
        if occupied & !kinds != 0 {
            let found = "a square of a side without a piece";
            return Err(Fault::new("board", "a kind for each piece", found));
        }
        // The checks above are all that a record needs.
        let kings = [0, 1].map(|side| (boards[side] & boards[7]).trailing_zeros() as u8);
        let record = Codes::new(&boards).record(occupied, kings, black_to_move, score, result);
        let board = read(&record);
        debug_assert!(is_sound(&board));
        Ok(Self(board))
    }

    /// Reads and checks a little-endian bulletformat record.
    ///
    /// # Errors
    /// A [`Fault`] with the field.
    #[inline(always)]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, Fault> {
        let board = read(bytes);
        if !is_sound(&board) {
            // The record is read again, so that a sound board can stay in registers.
            check(&read(bytes))?;
        }
        Ok(Self(board))
    }

    /// The little-endian bulletformat record.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.0.occ.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.0.pcs);
        bytes[24..26].copy_from_slice(&self.0.score.to_le_bytes());
        bytes[26..29].copy_from_slice(&[self.0.result, self.0.ksq, self.0.opp_ksq]);
        bytes[29..].copy_from_slice(&self.0.extra);
        bytes
    }

    /// The record.
    pub(crate) fn board(&self) -> &ChessBoard {
        &self.0
    }

    /// The 2 to 32 pieces, by ascending square.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.0.into_iter().map(|(code, square)| Piece {
            kind: code & 7,
            own: code < 8,
            square,
        })
    }

    /// The number of pieces, 2 to 32.
    #[inline(always)]
    pub fn piece_count(&self) -> usize {
        self.0.occ.count_ones() as usize
    }

    /// The king squares of the side to move and of the other side, each from its own view of the
    /// board.
    pub fn kings(&self) -> [u8; 2] {
        [self.0.ksq, self.0.opp_ksq]
    }

    /// The score in centipawns for the side to move, −32767 to 32767.
    pub fn score(&self) -> i16 {
        self.0.score
    }

    /// The same position with another score. −32768 becomes −32767.
    pub(crate) fn with_score(mut self, score: i16) -> Self {
        self.0.score = score.max(-i16::MAX);
        self
    }

    /// The result of the game for the side to move: 0, ½ or 1.
    pub fn result(&self) -> f32 {
        f32::from(self.0.result) / 2.0
    }
}

/// The fields of a little-endian record.
#[inline(always)]
fn read(bytes: &RawRecord) -> ChessBoard {
    let byte = |at: usize| bytes[at];
    ChessBoard {
        occ: u64::from_le_bytes(std::array::from_fn(byte)),
        pcs: std::array::from_fn(|at| byte(8 + at)),
        score: i16::from_le_bytes([byte(24), byte(25)]),
        result: byte(26),
        ksq: byte(27),
        opp_ksq: byte(28),
        extra: [byte(29), byte(30), byte(31)],
    }
}

/// Whether [`check`] finds no fault, computed from all pieces at once. A wrong `false` would only
/// cost time.
#[inline(always)]
fn is_sound(board: &ChessBoard) -> bool {
    let pieces = board.occ.count_ones();
    if !(1..=32).contains(&pieces) {
        return false;
    }
    let codes = u128::from_le_bytes(board.pcs);
    let used = CODES >> (4 * (32 - pieces));
    // Only the unknown codes 6, 7, 14 and 15 have both middle bits. Of the other codes, only the
    // kings 5 and 13 have bits 0 and 2.
    let unknown = codes >> 1 & codes >> 2 & used;
    let kings = codes & codes >> 2 & used;
    let theirs = kings & codes >> 3;
    // Whether the only king of a side is the piece on `square`.
    let is_on = |king: u128, square: u8| {
        let Some(bit) = 1u64.checked_shl(square.into()) else {
            return false;
        };
        let before = (board.occ & (bit - 1)).count_ones();
        board.occ & bit != 0 && king == 1 << (4 * before)
    };
    unknown == 0
        && is_on(kings ^ theirs, board.ksq)
        && is_on(theirs, board.opp_ksq ^ 56)
        && board.result <= 2
        && board.score != i16::MIN
}

/// Checks a record piece by piece.
#[cold]
fn check(board: &ChessBoard) -> Result<(), Fault> {
    // With more pieces the iterator of `ChessBoard` would read past its 16 bytes of pieces.
    if board.occ.count_ones() > 32 {
        return Err(Fault::new(
            "occupancy",
            "at most 32 pieces",
            format!("{} pieces", board.occ.count_ones()),
        ));
    }
    let mut kings = [0u64; 2];
    for (code, square) in *board {
        match code & 7 {
            0..=4 => {}
            5 => kings[usize::from(code >> 3)] |= 1 << square,
            _ => {
                return Err(Fault::new(
                    format!("piece on square {square}"),
                    "a code from 0 to 5, or 8 to 13 for the opponent",
                    format!("piece code {code}"),
                ));
            }
        }
    }
    let stored = [board.ksq, board.opp_ksq ^ 56];
    for (side, name) in ["own", "opponent's"].into_iter().enumerate() {
        let count = kings[side].count_ones();
        if count != 1 {
            return Err(Fault::new(
                format!("{name} king"),
                "exactly 1 on the board",
                count,
            ));
        }
        let square = kings[side].trailing_zeros();
        if u32::from(stored[side]) != square {
            return Err(Fault::new(
                format!("{name} king square"),
                format!("{square} as on the board"),
                stored[side],
            ));
        }
    }
    check_result(board.result)?;
    check_score(board.score)
}

/// Checks that a result is 0, 1 or 2 half points.
pub(crate) fn check_result(result: u8) -> Result<(), Fault> {
    match result {
        0..=2 => Ok(()),
        _ => Err(Fault::new("result", "0, 1 or 2", result)),
    }
}

/// Refuses −32768, which has no negative for the other side's view of the position.
pub(crate) fn check_score(score: i16) -> Result<(), Fault> {
    match score {
        i16::MIN => Err(Fault::new("score", "-32767 to 32767", score)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_record_is_that_of_bulletformat() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..1000 {
            let mut boards = [0u64; 8];
            for index in 0..random.random_range(2..=32) {
                let square = random.random_range(0..64);
                let (side, kind) = match index {
                    0 | 1 => (index, 5),
                    _ => (random.random_range(0..2), random.random_range(0..5)),
                };
                if (boards[0] | boards[1]) >> square & 1 == 0 {
                    boards[side] |= 1 << square;
                    boards[2 + kind] |= 1 << square;
                }
            }
            let (black, score, result) = (random.random(), random.random_range(-9..9), 2);
            let Ok(found) = Position::from_boards(boards, black, score, result) else {
                continue; // Both kings are on one square.
            };
            let expected = ChessBoard::from_raw(boards, black.into(), score, 1.0).unwrap();
            assert_eq!(found.board(), &expected);
        }
    }

    #[test]
    fn the_quick_check_is_the_slow_one() {
        let fen = "r1bq1rk1/pp2bppp/2n2n2/3p4/3P4/2N2N2/PP2BPPP/R1BQ1RK1 w - - 0 1";
        let sound = Position::from_fen(fen, 31, 1).unwrap().to_bytes();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 2];
        for _ in 0..200_000 {
            let mut bytes = sound;
            for _ in 0..random.random_range(1..4) {
                let bit = random.random_range(0..8 * Position::BYTES);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let board = read(&bytes);
            let checked = check(&board);
            assert_eq!(is_sound(&board), checked.is_ok(), "{board:?}: {checked:?}");
            counts[usize::from(checked.is_ok())] += 1;
        }
        assert!(counts.iter().all(|&count| count > 10_000), "{counts:?}");
    }
}
