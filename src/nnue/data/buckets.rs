//! Numbers of buckets in a table.

use crate::error::{Error, Result};

/// What the entries of a table are.
pub(super) const NUMBERS: &str = "bucket numbers";

/// The number of buckets in a table: the largest number plus 1. Every number below must occur,
/// because a bucket without a sample would never be trained. Errors name `place`.
pub(super) fn count_of(place: &str, table: &[usize]) -> Result<usize> {
    let most = table.iter().copied().max().unwrap_or(0);
    // A table with gaps has one among as many numbers as it has entries.
    let gap = (0..=most)
        .take(table.len() + 1)
        .find(|number| !table.contains(number));
    match gap {
        None => Ok(most + 1),
        Some(gap) => {
            let expected = format!("{NUMBERS} without gaps, each from 0 to the largest");
            let found = format!("{most} but no {gap}");
            Err(Error::argument(place, expected, found))
        }
    }
}
