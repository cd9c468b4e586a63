//! Feature sets: which inputs of a network a position sets to 1.

use super::record::Position;

/// Whose view of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perspective {
    /// That of the side to move.
    Own,
    /// That of the other side.
    Other,
}

/// Turns a position into index lists, one for each perspective.
pub trait FeatureSet: Send + Sync {
    /// N, the number of inputs of one perspective.
    fn features(&self) -> usize;

    /// The most features that a position can have in one perspective.
    fn width(&self) -> usize;

    /// Writes the features of a perspective to the beginning of `list` and returns their number.
    ///
    /// `list` has [`Self::width`] places with anything in them; what is left there behind the features does not matter. Indices are
    /// below [`Self::features`], each at most once.
    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize;

    /// If what is feature f to the side to move is always the same feature to the other side: which, for each f, `[N]`.
    ///
    /// Then a loader has [`Perspective::Own`] written alone, and takes half the time. Sets whose indices depend on where a
    /// king stands have no such table.
    fn other_names(&self) -> Option<Vec<u32>> {
        None
    }

    /// What [`Self::other_names`] has for a feature, or for what is no feature anything: of sets that have no names it is not asked.
    ///
    /// For sets that compute it faster than they look it up.
    #[inline(always)]
    fn other_name(&self, feature: u32, names: &[u32]) -> u32 {
        names.get(feature as usize).copied().unwrap_or(feature)
    }

    /// Whether [`Self::write`] can give no index twice, whatever the position.
    ///
    /// Then a loader that makes no transposed index, in whose making it shows, does not look for it: that would take as long as to write the
    /// features.
    fn is_distinct(&self) -> bool {
        false
    }
}

/// The plain piece-square inputs: one for each colour, kind of piece and square, N = 768.
///
/// A piece of kind k on square s, as the side to move sees it, has the index 64·k + s for its owner, with
/// s flipped (s ^ 56) for the other side, and 384 more in the perspective that it does not belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chess768;

impl FeatureSet for Chess768 {
    fn features(&self) -> usize {
        768
    }

    fn width(&self) -> usize {
        32
    }

    #[inline(always)]
    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize {
        /// The feature of each code of a record on square 0, the opponent's codes from 8 on.
        const FIRST: [u32; 16] = {
            let mut first = [0; 16];
            let mut code = 0;
            while code < 16 {
                first[code] = 384 * (code as u32 >> 3) + 64 * (code as u32 & 7);
                code += 1;
            }
            first
        };
        let (opposite, flip) = match perspective {
            Perspective::Own => (0, 0),
            Perspective::Other => (8, 56),
        };
        let board = position.board();
        let mut squares = board.occ;
        let count = squares.count_ones() as usize;
        // By pairs, as they stand in the bytes of a record: of an odd number the last writes one feature too many.
        let (pairs, _) = list.as_chunks_mut::<2>();
        for (pair, codes) in pairs.iter_mut().zip(&board.pcs).take(count.div_ceil(2)) {
            for (feature, code) in pair.iter_mut().zip([codes & 15, codes >> 4]) {
                *feature = FIRST[usize::from(code ^ opposite)] + (squares.trailing_zeros() ^ flip);
                squares &= squares.wrapping_sub(1);
            }
        }
        count
    }

    fn other_names(&self) -> Option<Vec<u32>> {
        Some((0..768).map(|f| self.other_name(f, &[])).collect())
    }

    #[inline(always)]
    fn other_name(&self, feature: u32, _: &[u32]) -> u32 {
        let swapped = if feature < 384 {
            feature + 384
        } else {
            feature.wrapping_sub(384)
        };
        swapped ^ 56
    }

    fn is_distinct(&self) -> bool {
        // A position has one piece a square.
        true
    }
}
