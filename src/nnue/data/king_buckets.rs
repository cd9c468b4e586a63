//! Chess features that depend on the square of the perspective's own king.

use super::buckets::{NUMBERS, count_of};
use super::chess768::{Chess768, INPUTS, PIECES};
use super::features::{FeatureSet, Perspective};
use super::record::Position;
use crate::error::{Error, Result};
use crate::nnue::records::{Decoder, FLIP_SHIFT};
use std::fmt::{self, Debug, Formatter};

/// The squares of a board.
const SQUARES: usize = 64;
/// The squares on files a to d.
const HALF: usize = 32;

/// [`Chess768`] once for each bucket of king squares, N = 768 × buckets, with or without mirroring.
///
/// The list of a perspective comes about in this order:
///
/// 1. The board is turned so that the perspective plays upwards: for Black, each square s becomes
///    s ^ 56 and the colors are swapped. The perspective's own king is on square k.
/// 2. With mirroring, if k is on one of the files e to h, each square s becomes s ^ 7, the king's
///    too. The king is then on one of the files a to d.
/// 3. The bucket b is `table[k]` without mirroring, and `table[4·rank + file]` with it, where rank
///    and file of the king count from 0.
/// 4. A piece whose feature in [`Chess768`] is f, after both turns, is feature 768·b + f.
///
/// Each perspective goes by its own king, so the two lists of a position may have different turns
/// and buckets.
#[derive(Clone, PartialEq, Eq)]
pub struct KingBuckets {
    mirrored: bool,
    /// `[64]`, or `[32]` if mirrored.
    table: Box<[usize]>,
    buckets: usize,
    /// By the square of the king.
    views: Box<[View; SQUARES]>,
}

/// What a king's square does to the features of [`Chess768`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct View {
    /// ^ of the square: 7 if the board is mirrored, else 0.
    flip: u32,
    /// The first feature of the bucket.
    first: u32,
}

impl KingBuckets {
    /// A bucket for each of the 64 squares, a1 = 0, b1 = 1, h8 = 63, without mirroring.
    ///
    /// # Errors
    /// Another number of entries than 64, and numbers with gaps: every number from 0 to the largest
    /// must occur.
    pub fn new(table: &[usize]) -> Result<Self> {
        Self::from_table(false, table)
    }

    /// A bucket for each of the 32 squares on files a to d, a1 = 0, d1 = 3, a2 = 4, d8 = 31, with
    /// mirroring.
    ///
    /// # Errors
    /// As [`KingBuckets::new`], with 32 entries.
    pub fn mirrored(table: &[usize]) -> Result<Self> {
        Self::from_table(true, table)
    }

    fn from_table(mirrored: bool, table: &[usize]) -> Result<Self> {
        let (expected, squares) = match mirrored {
            true => (HALF, "files a to d (mirrored)"),
            false => (SQUARES, "the board (not mirrored)"),
        };
        if table.len() != expected {
            let expected = format!("{expected} {NUMBERS}, one for each square of {squares}");
            return Err(Error::argument(PLACE, expected, table.len()));
        }
        let buckets = count_of(PLACE, table)?;
        let view = |square: usize| {
            let flip = if mirrored && square % 8 >= 4 { 7 } else { 0 };
            let king = square ^ flip;
            let entry = match mirrored {
                true => king / 8 * 4 + king % 8,
                false => king,
            };
            View {
                flip: flip as u32,
                first: (INPUTS * table[entry]) as u32,
            }
        };
        Ok(Self {
            mirrored,
            table: table.into(),
            buckets,
            views: Box::new(std::array::from_fn(view)),
        })
    }

    /// Whether the board is mirrored if the king is on one of the files e to h.
    pub fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// The bucket of each square: `[64]`, or `[32]` with mirroring.
    pub fn table(&self) -> &[usize] {
        &self.table
    }

    /// The number of buckets, at least 1.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// Turns the features of [`Chess768`] into those of a perspective whose king is on this square.
    /// Anything may follow the features: the list is changed as a whole, in whole vectors.
    #[inline(always)]
    fn place(&self, king: u8, list: &mut [u32]) {
        let View { flip, first } = self.views[usize::from(king) % SQUARES];
        for feature in list.iter_mut().take(PIECES) {
            *feature = (*feature ^ flip).wrapping_add(first);
        }
    }
}

/// What errors name.
const PLACE: &str = "buckets (of kings)";

impl FeatureSet for KingBuckets {
    type Position = Position;

    fn inputs(&self) -> usize {
        INPUTS * self.buckets
    }

    fn max_indices(&self) -> usize {
        PIECES
    }

    #[inline(always)]
    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize {
        let count = Chess768.write(position, perspective, list);
        let [own, other] = position.kings();
        let king = match perspective {
            Perspective::Own => own,
            Perspective::Other => other,
        };
        self.place(king, list);
        count
    }

    #[inline(always)]
    fn write_both(
        &self,
        position: &Position,
        names: Option<&[u32]>,
        [own, other]: [&mut [u32]; 2],
    ) -> [usize; 2] {
        let counts = Chess768.write_both(position, names, [&mut *own, &mut *other]);
        let kings = position.kings();
        self.place(kings[0], own);
        self.place(kings[1], other);
        counts
    }

    fn groups(&self) -> usize {
        self.buckets * self.buckets
    }

    /// The buckets of both kings.
    fn group(&self, position: &Position) -> usize {
        let [own, other] = position.kings().map(|king| {
            let View { first, .. } = self.views[usize::from(king) % SQUARES];
            first as usize / INPUTS
        });
        own * self.buckets + other
    }

    fn decoder(&self) -> Option<Decoder> {
        let view = |&View { flip, first }: &View| (flip << FLIP_SHIFT) | first;
        Some(Decoder {
            inputs: self.inputs(),
            views: self.views.each_ref().map(view),
        })
    }

    fn is_distinct(&self) -> bool {
        // A position has at most one piece per square, and the turns permute the squares.
        true
    }
}

impl Debug for KingBuckets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("KingBuckets")
            .field("mirrored", &self.mirrored)
            .field("table", &self.table)
            .finish()
    }
}
