//! Feature sets: the inputs of a network that a position sets to 1.

use crate::nnue::records::Decoder;

/// One of the two views of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perspective {
    /// The view of the side to move.
    Own,
    /// The view of the other side.
    Other,
}

/// A map from a position of any game to one index list per perspective.
///
/// A [`Loader`](super::Loader) reads chess positions and takes the feature sets of
/// [`Position`](super::Position). Positions of another game, or from another reader, become batches
/// through a [`BatchBuilder`](super::BatchBuilder).
pub trait FeatureSet: Send + Sync {
    /// The positions of the game.
    type Position: ?Sized;

    /// N, the number of inputs of one perspective.
    fn inputs(&self) -> usize;

    /// The largest number of features that a position can have in one perspective.
    fn max_indices(&self) -> usize;

    /// Writes the features of a perspective to the beginning of `list` and returns their number.
    ///
    /// `list` has a length of [`Self::max_indices`] and any contents; the contents after the
    /// features are ignored. Each feature is below [`Self::inputs`] and is written at most once.
    fn write(&self, position: &Self::Position, perspective: Perspective, list: &mut [u32])
    -> usize;

    /// The permutation that maps a feature to its name from the other perspective, `[N]`, if one
    /// permutation holds for all positions.
    ///
    /// A loader then lists only the features of [`Perspective::Own`], which halves its time.
    /// Feature sets that depend on the square of a king have no such permutation.
    fn other_names(&self) -> Option<Vec<u32>> {
        None
    }

    /// Writes the features of both perspectives, as [`Self::write`] does, and returns their
    /// numbers. `names` is the result of [`Self::other_names`].
    ///
    /// A feature set overrides this method if it can list both perspectives together in less time.
    /// Each list of a loader or a builder is 16 elements longer than [`Self::max_indices`], which leaves room
    /// for whole vectors.
    #[inline(always)]
    fn write_both(
        &self,
        position: &Self::Position,
        names: Option<&[u32]>,
        [own, other]: [&mut [u32]; 2],
    ) -> [usize; 2] {
        let [own, other] = [own, other].map(|list| &mut list[..self.max_indices()]);
        let count = self.write(position, Perspective::Own, own);
        let Some(names) = names else {
            return [count, self.write(position, Perspective::Other, other)];
        };
        for (to, &feature) in other.iter_mut().zip(&*own).take(count) {
            // The check of the lists finds features that are out of range.
            *to = names.get(feature as usize).copied().unwrap_or(feature);
        }
        [count; 2]
    }

    /// The number of groups of positions: see [`Self::group`].
    fn groups(&self) -> usize {
        1
    }

    /// The group of a position, below [`Self::groups`]. Positions of a group have features in
    /// common.
    ///
    /// A loader puts the samples of a batch in the order of their groups and of their output buckets.
    /// A step then finds more of the weights that it reads in its caches.
    fn group(&self, _position: &Self::Position) -> usize {
        0
    }

    /// How a device computes the features from bulletformat records of chess positions; `None` if it
    /// cannot.
    #[doc(hidden)]
    fn decoder(&self) -> Option<Decoder> {
        None
    }

    /// Whether [`Self::write`] never writes a feature twice, for any position.
    ///
    /// A loader that builds no transposed index then skips the check for repeated features, which
    /// would take as long as writing the features.
    fn is_distinct(&self) -> bool {
        false
    }
}
