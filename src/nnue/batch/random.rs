//! Random batches from a seed, for measurements and checks.

use super::{Batch, Inputs};
use crate::error::{Error, Result};
use crate::tensor::lists::SparseInputs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// L = `samples` lists. Each has `max_indices` different indices below N = `inputs`, and every set
/// of that many indices is equally likely. Returns the starts, `[L + 1]`, and the indices,
/// `[L·max_indices]`, as [`SparseInputs::from_lists`] takes them. The same seed gives the same
/// lists.
///
/// # Errors
/// More indices per sample than inputs, or more than 2³² − 1 inputs or indices.
pub fn random_lists(
    seed: u64,
    inputs: usize,
    samples: usize,
    max_indices: usize,
) -> Result<(Vec<u32>, Vec<u32>)> {
    if max_indices > inputs {
        let expected = format!("at most {inputs} indices per sample (N)");
        return Err(Error::argument("indices", expected, max_indices));
    }
    if u32::try_from(inputs.max(samples.saturating_mul(max_indices))).is_err() {
        let expected = format!("at most {} inputs and indices", u32::MAX);
        let found = format!("{inputs} inputs and {samples} times {max_indices} indices");
        return Err(Error::argument("random lists", expected, found));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let starts = (0..=samples).map(|sample| (sample * max_indices) as u32);
    let lists = (0..samples).flat_map(|_| {
        let list = rand::seq::index::sample(&mut random, inputs, max_indices);
        list.into_iter().map(|index| index as u32)
    });
    Ok((starts.collect(), lists.collect()))
}

impl Batch {
    /// A batch of L = `samples` samples over N = `inputs` inputs. Each perspective of a sample has
    /// exactly `max_indices` inputs that are 1; targets are uniform between 0 and 1. The same seed
    /// gives the same batch.
    ///
    /// # Errors
    /// The errors of [`random_lists`], and a batch without samples or inputs.
    pub fn random(seed: u64, inputs: usize, samples: usize, max_indices: usize) -> Result<Self> {
        let lists = |seed| {
            let (starts, indices) = random_lists(seed, inputs, samples, max_indices)?;
            SparseInputs::from_lists(inputs, starts, indices)
        };
        // Three separate streams, so that the perspectives and the targets are independent.
        let seeds = [0, 1, 2].map(|stream| seed.wrapping_mul(3).wrapping_add(stream));
        let inputs = [lists(seeds[0])?, lists(seeds[1])?];
        let mut random = ChaCha8Rng::seed_from_u64(seeds[2]);
        let targets = (0..samples).map(|_| random.random_range(0.0..1.0));
        Self::new(Inputs::Sparse(inputs), targets.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn lists_have_their_width_and_follow_their_seed() {
        let batch = Batch::random(7, 40, 30, 9).unwrap();
        let Inputs::Sparse(lists) = batch.inputs() else {
            panic!("lists");
        };
        for lists in lists {
            for sample in 0..30 {
                let list: BTreeSet<_> = lists.list(sample).iter().collect();
                assert_eq!(list.len(), 9);
            }
        }
        assert_ne!(lists[0], lists[1]);
        assert_eq!(batch, Batch::random(7, 40, 30, 9).unwrap());
        assert_ne!(batch, Batch::random(8, 40, 30, 9).unwrap());
        let all = Batch::random(1, 5, 4, 5).unwrap();
        let Inputs::Dense { values, .. } = all.inputs().to_dense() else {
            panic!("X");
        };
        assert_eq!(values[0], [1.0; 20]);
        assert!(Batch::random(1, 5, 4, 6).is_err());
        assert!(Batch::random(1, 5, 0, 5).is_err());
    }
}
