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

    /// Writes the features of both perspectives, each as by [`Self::write`], into lists that may have more places behind; `names` are
    /// [`Self::other_names`].
    ///
    /// For sets that have a faster way to write both at once. A loader gives 16 places behind each list, room for a vector.
    #[inline(always)]
    fn write_both(
        &self,
        position: &Position,
        names: Option<&[u32]>,
        [own, other]: [&mut [u32]; 2],
    ) -> [usize; 2] {
        let [own, other] = [own, other].map(|list| &mut list[..self.width()]);
        let count = self.write(position, Perspective::Own, own);
        let Some(names) = names else {
            return [count, self.write(position, Perspective::Other, other)];
        };
        for (to, &feature) in other.iter_mut().zip(&*own).take(count) {
            // What is no feature is found when the lists are checked.
            *to = names.get(feature as usize).copied().unwrap_or(feature);
        }
        [count; 2]
    }

    /// Whether [`Self::write`] can give no index twice, whatever the position.
    ///
    /// Then a loader that makes no transposed index, in whose making it shows, does not look for it: that would take as long as to write the
    /// features.
    fn is_distinct(&self) -> bool {
        false
    }
}
