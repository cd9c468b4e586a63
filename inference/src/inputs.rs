//! The features of a position in each perspective.

use super::board::{Color, Kind, Piece};

/// The squares of a board.
const SQUARES: usize = 64;

/// How pieces become features.
///
/// The list of a perspective comes about in this order:
///
/// 1. For Black, each square s becomes s ^ 56.
/// 2. With mirroring, if the perspective's own king is on one of the files e to h, each square s
///    becomes s ^ 7.
/// 3. A piece of kind k (pawn 0 to king 5) on square s is feature 64·k + s, plus 384 if it belongs
///    to the other side. With merged kings, the other side's king has the features of the own one.
/// 4. The bucket of the own king's square (before mirroring) adds 768 per bucket, or 704 with
///    merged kings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Whether the board is mirrored if the king is on one of the files e to h.
    pub mirrored: bool,
    /// Whether both kings share the features of the own king.
    pub merged_kings: bool,
    /// The bucket of each square of the own king, from its own side: a1, b1, to h8.
    pub king_buckets: [u8; SQUARES],
}

/// What the square of a king does to the features of its perspective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// ^ of each square.
    flip: u8,
    /// The first feature of the bucket.
    first: u32,
}

impl Inputs {
    /// 64 features for each of six kinds of pieces and two sides, whatever the square of the king.
    pub const PLAIN: Self = Self {
        mirrored: false,
        merged_kings: false,
        king_buckets: [0; SQUARES],
    };

    /// The number of king buckets.
    pub fn buckets(&self) -> usize {
        let last = self.king_buckets.iter().copied().max();
        usize::from(last.unwrap_or(0)) + 1
    }

    /// The features of one bucket.
    pub const fn per_bucket(&self) -> usize {
        SQUARES * if self.merged_kings { 11 } else { 12 }
    }

    /// N, the number of features.
    pub fn count(&self) -> usize {
        self.buckets() * self.per_bucket()
    }

    /// The view of a perspective whose own king is on this square, as White sees the board.
    pub(crate) fn view(&self, side: Color, king: u8) -> View {
        let turn = turn(side);
        let own = usize::from(king ^ turn) % SQUARES;
        let flip = match self.mirrored && own % 8 > 3 {
            true => 7,
            false => 0,
        };
        let bucket = usize::from(self.king_buckets[own]);
        View {
            flip: turn ^ flip,
            first: (bucket * self.per_bucket()) as u32,
        }
    }

    /// The feature of a piece in a perspective.
    pub(crate) fn feature(&self, side: Color, view: View, piece: Piece) -> usize {
        let own = piece.color == side || self.merged_kings && piece.kind == Kind::King;
        let plane = piece.kind as usize + if own { 0 } else { 6 };
        let square = usize::from(piece.square ^ view.flip) % SQUARES;
        view.first as usize + SQUARES * plane + square
    }
}

/// ^ of each square that turns the board so that the side plays upwards.
const fn turn(side: Color) -> u8 {
    match side {
        Color::White => 0,
        Color::Black => 56,
    }
}
