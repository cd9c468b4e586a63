//! The processes that train one network together, and the sum of their gradients.
//!
//! A batch is S shards, a power of two. Their gradients are the leaves of a binary tree: the sum of
//! shards 2i and 2i + 1, then of two such sums, and so on. Each of R ranks, a power of two up to S,
//! has S ÷ R consecutive shards, hence a whole subtree, and the ranks go on up the same tree. So
//! the bits of the sum depend on S and not on R.

#[cfg(feature = "mpi")]
mod mpi;
mod rows;

use crate::error::{Error, Result};
#[cfg(feature = "mpi")]
pub use mpi::{MpiJob, MpiRanks};
pub use rows::{Rows, sum_of_rows};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The processes of a training, seen from one of them. A rank is one of them, and its number.
///
/// Every call is collective: all ranks make the same calls in the same order.
pub trait Ranks: Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// R, the number of ranks.
    fn count(&self) -> usize;

    /// Sends `own` to another rank, and receives as many values from it as `theirs` has room for.
    /// The other rank calls it too, with the lengths exchanged.
    ///
    /// # Errors
    /// A rank that cannot be reached.
    fn exchange(&self, with: usize, own: &[f32], theirs: &mut [f32]) -> Result<()>;

    /// Gives the bytes of each rank to all ranks. The result is the same on all of them.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    fn share(&self, own: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// The name of the host of this rank.
    fn place(&self) -> String;
}

/// A training in one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn exchange(&self, with: usize, _: &[f32], _: &mut [f32]) -> Result<()> {
        Err(Error::argument("rank", "below 1", with))
    }

    fn share(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![own.to_vec()])
    }

    fn place(&self) -> String {
        String::new()
    }
}

/// Checks that a batch of `batch_size` samples can be cut into S = `shards` shards of equal size.
pub(super) fn check_shards(shards: usize, batch_size: usize) -> Result<()> {
    if !shards.is_power_of_two() || !batch_size.is_multiple_of(shards) {
        let expected = format!("a power of two that divides batch_size = {batch_size}");
        return Err(Error::argument("shards (S)", expected, shards));
    }
    Ok(())
}

/// The shards of a rank.
///
/// # Errors
/// A number of ranks that is no power of two or above S.
pub(super) fn shards_of(ranks: &dyn Ranks, shards: usize) -> Result<std::ops::Range<usize>> {
    let count = ranks.count();
    if !count.is_power_of_two() || count > shards {
        let expected = format!("a power of two up to the {shards} shards of a batch");
        return Err(Error::argument("ranks", expected, count));
    }
    let own = shards / count;
    Ok(ranks.rank() * own..(ranks.rank() + 1) * own)
}

/// From this number of values on, ranks exchange halves.
const HALVES_FROM: usize = 1 << 16;

/// Replaces the values of each rank by their sum, in the order of the tree.
pub fn sum(ranks: &dyn Ranks, values: &mut [f32], spare: &mut Vec<f32>) -> Result<()> {
    spare.resize(values.len(), 0.0);
    match values.len() {
        HALVES_FROM.. => sum_of_halves(ranks, values, spare),
        _ => sum_of_all(ranks, values, spare),
    }
}

/// Whether a flag is set on one rank at least.
pub(super) fn any(ranks: &dyn Ranks, flag: bool) -> Result<bool> {
    let mut value = [f32::from(u8::from(flag))];
    sum_of_all(ranks, &mut value, &mut [0.0])?;
    Ok(value[0] > 0.0)
}

/// Checks that all ranks have the same values by the same names.
///
/// # Errors
/// The first difference from rank 0, on all ranks.
pub(super) fn agree(ranks: &dyn Ranks, values: &BTreeMap<String, String>) -> Result<()> {
    let refused = |error| Error::argument("ranks", "values that JSON can hold", error);
    let own = serde_json::to_vec(values).map_err(refused)?;
    let all = ranks.share(&own)?;
    let read = |bytes: &Vec<u8>| serde_json::from_slice::<BTreeMap<String, String>>(bytes);
    let all = all.iter().map(read).collect::<serde_json::Result<Vec<_>>>();
    let all = all.map_err(refused)?;
    for (rank, others) in all.iter().enumerate() {
        for name in all[0].keys().chain(others.keys()) {
            let (first, found) = (all[0].get(name), others.get(name));
            if first != found {
                let text = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
                let place = format!("rank {rank}, {name}");
                let expected = format!("{}, as rank 0 has", text(first));
                return Err(Error::argument(place, expected, text(found)));
            }
        }
    }
    Ok(())
}

/// At each level of the tree, two ranks exchange all values.
fn sum_of_all(ranks: &dyn Ranks, values: &mut [f32], spare: &mut [f32]) -> Result<()> {
    let mut distance = 1;
    while distance < ranks.count() {
        ranks.exchange(ranks.rank() ^ distance, values, spare)?;
        add(values, spare);
        distance *= 2;
    }
    Ok(())
}

/// At each level of the tree, two ranks exchange the halves of the values that both have, so that
/// each has the sum of one half. The finished parts travel back down the tree. A rank sends 2(R −
/// 1)/R of its values.
fn sum_of_halves(ranks: &dyn Ranks, values: &mut [f32], spare: &mut [f32]) -> Result<()> {
    let rank = ranks.rank();
    let mut own = 0..values.len();
    let mut given = Vec::new();
    let mut distance = 1;
    while distance < ranks.count() {
        let middle = own.start + own.len() / 2;
        let (first, second) = (own.start..middle, middle..own.end);
        let (kept, sent) = match rank & distance {
            0 => (first, second),
            _ => (second, first),
        };
        let received = &mut spare[..kept.len()];
        ranks.exchange(rank ^ distance, &values[sent.clone()], received)?;
        add(&mut values[kept.clone()], received);
        given.push((distance, sent));
        own = kept;
        distance *= 2;
    }
    for (distance, sent) in given.into_iter().rev() {
        // The two parts are neighbors.
        let both = own.start.min(sent.start)..own.end.max(sent.end);
        let middle = own.start.max(sent.start) - both.start;
        let (first, second) = values[both.clone()].split_at_mut(middle);
        match own.start == both.start {
            true => ranks.exchange(rank ^ distance, first, second)?,
            false => ranks.exchange(rank ^ distance, second, first)?,
        }
        own = both;
    }
    Ok(())
}

/// Adds the values of the other half of a subtree. The sum of two floats does not depend on their
/// order.
pub(super) fn add(values: &mut [f32], others: &[f32]) {
    for (value, other) in values.iter_mut().zip(others) {
        *value += *other;
    }
}
