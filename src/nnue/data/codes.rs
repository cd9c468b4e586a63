//! The codes of the pieces on all squares, from which records are packed. The moves of a game
//! change few of them.

use super::record::RawRecord;

/// The lowest bit of each of the 32 codes of a record.
pub(crate) const CODES: u128 = u128::MAX / 15;

/// The pieces that are packed without a branch.
const AT_ONCE: usize = 8;

/// The bits of a byte, one per byte.
const BITS: [u64; 256] = {
    let mut bits = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            bits[byte] |= (byte as u64 >> bit & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    bits
};

/// The code of the piece on each square, relative to White: the kind, 0 to 5, plus 8 for Black. An
/// empty square has any code.
#[derive(Clone, Debug)]
pub(crate) struct Codes([u8; 64]);

impl Codes {
    /// The codes of the squares of White and Black and of the six kinds of pieces.
    pub(crate) fn new(boards: &[u64; 8]) -> Self {
        let [_, black, _, knights, bishops, rooks, queens, kings] = *boards;
        // The bits of the codes of all squares.
        let planes = [
            knights | rooks | kings,
            bishops | rooks,
            queens | kings,
            black,
        ]
        .map(u64::to_le_bytes);
        let mut codes = [0; 64];
        for (rank, squares) in codes.chunks_exact_mut(8).enumerate() {
            let [a, b, c, d] = planes.map(|plane| BITS[usize::from(plane[rank])]);
            squares.copy_from_slice(&(a | b << 1 | c << 2 | d << 3).to_le_bytes());
        }
        Self(codes)
    }

    /// Moves a piece, which becomes another kind if it promotes.
    #[inline(always)]
    pub(crate) fn play(&mut self, from: usize, to: usize, promotion: Option<u8>) {
        let code = self.0[from];
        self.0[to] = promotion.map_or(code, |kind| code & 8 | kind);
    }

    /// The kind on a square that is not empty.
    #[inline(always)]
    pub(crate) fn kind(&self, square: usize) -> u8 {
        self.0[square] & 7
    }

    /// The record of a position with these codes on its 2 to 32 occupied squares, and with one king
    /// each on the squares of White and Black. All is relative to White, with a sound score and
    /// result.
    #[inline(always)]
    pub(crate) fn record(
        &self,
        occupied: u64,
        [white, black]: [u8; 2],
        black_to_move: bool,
        score: i16,
        result: u8,
    ) -> RawRecord {
        let (occupied, score, result, own, other) = match black_to_move {
            true => (occupied.swap_bytes(), -score, 2 - result, black ^ 56, white),
            false => (occupied, score, result, white, black ^ 56),
        };
        let [low, high] = self.pack(occupied, black_to_move);
        let kings = u64::from(own) | u64::from(other) << 8;
        let rest = u64::from(score as u16) | u64::from(result) << 16 | kings << 24;
        let mut record = RawRecord::default();
        for (to, from) in record.chunks_exact_mut(8).zip([occupied, low, high, rest]) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        record
    }

    /// The codes of the occupied squares in the order of a record, in two halves. The squares are
    /// those that the side to move sees.
    #[inline(always)]
    fn pack(&self, occupied: u64, black_to_move: bool) -> [u64; 2] {
        let flip = if black_to_move { 56 } else { 0 };
        let (mut codes, mut left) = ([0u64; 2], occupied);
        for half in &mut codes {
            for begin in [0, AT_ONCE] {
                if left == 0 {
                    break;
                }
                // If fewer are left, any codes follow, which the mask below clears.
                for index in begin..begin + AT_ONCE {
                    let square = flip ^ (left.trailing_zeros() as usize % 64);
                    *half |= u64::from(self.0[square]) << (4 * index);
                    left &= left.wrapping_sub(1);
                }
            }
        }
        let unused = 4 * (32 - occupied.count_ones().min(32));
        let used = u128::MAX.checked_shr(unused).unwrap_or(0);
        let others = match black_to_move {
            true => CODES << 3,
            false => 0,
        };
        [0, 64].map(|begin| (codes[begin / 64] ^ (others >> begin) as u64) & (used >> begin) as u64)
    }
}
