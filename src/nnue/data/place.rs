//! Where a loader goes on in its data.

use serde::{Deserialize, Serialize};

/// A point between two positions of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Spot {
    /// The index of the file in the dataset.
    pub file: u64,
    /// The bytes of the file before the spot, or before the game or chunk that holds it.
    pub offset: u64,
    /// The records or lines of the file before the spot.
    pub number: u64,
    /// The positions of its game or chunk before the spot, in a format of whole games.
    #[serde(skip_serializing_if = "is_zero")]
    pub inside: u64,
}

// serde passes a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Where the batches of a [`Loader`](super::Loader) go on. The default is the beginning of epoch 0.
///
/// A loader that starts at the [`next_place`](super::LoadedBatch::next_place) of a batch gives the
/// batches after it, bit by bit. It reads the block that holds the next record, and nothing before.
///
/// ```
/// use wgrad::nnue::data::Place;
///
/// assert_eq!(Place::after(0, 0), Place::default());
/// assert_eq!(Place::after(3, 0).epoch, 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Place {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// The number of the block in the epoch.
    pub block: u64,
    /// The records of the block that are already in batches.
    pub used: u64,
    /// Where the block begins.
    pub from: Spot,
    /// Where the data end that decide the order so far: the end of the block if some of it is in
    /// batches, and its beginning otherwise.
    pub to: Spot,
    /// Batches to leave out from there on. They are read, but not made.
    pub batches: u64,
}

impl Place {
    /// The place after this number of batches of an epoch. A loader reads the epoch up to there, so
    /// this is for states that hold no other place.
    pub fn after(epoch: u64, batches: u64) -> Self {
        Self {
            epoch,
            batches,
            ..Self::default()
        }
    }
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The index of the file in the dataset.
    pub(crate) file: usize,
    /// The records or lines of the file before it.
    pub(crate) number: u64,
}
