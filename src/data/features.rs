//! Feature sets: which inputs of a network a position sets to 1.

use super::record::Position;

/// Turns a position into index lists, one for each perspective.
pub trait FeatureSet: Send + Sync {
    /// N, the number of inputs of one perspective.
    fn features(&self) -> usize;

    /// The most features that a position can have in one perspective.
    fn width(&self) -> usize;

    /// Writes the features of the side to move to `own` and those of the other side to `other`.
    ///
    /// Both have [`Self::width`] places and come filled with [`PADDING`](super::PADDING), which stays where no
    /// feature is written. Indices are below [`Self::features`], each at most once in a list.
    fn write(&self, position: &Position, own: &mut [i32], other: &mut [i32]);
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

    fn write(&self, position: &Position, own: &mut [i32], other: &mut [i32]) {
        for ((piece, own), other) in position.pieces().zip(own).zip(other) {
            let [ours, theirs] = if piece.own { [0, 384] } else { [384, 0] };
            let kind = 64 * i32::from(piece.kind);
            *own = ours + kind + i32::from(piece.square);
            *other = theirs + kind + i32::from(piece.square ^ 56);
        }
    }
}
