//! Batches drawn from a seed, for measurements and checks.

use super::{Batch, Inputs};
use crate::error::{Error, Result};
use crate::tensor::lists::SparseInputs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// For each of L = `samples` samples exactly `width` different features of N = `features`, every set equally likely: the starts, `[L + 1]`, and
/// the indices, `[L·width]`, as [`SparseInputs::from_lists`] takes them. The same seed gives the same lists.
///
/// # Errors
/// More features a sample than there are, or more indices in all than 32 bits count.
pub fn random_lists(
    seed: u64,
    features: usize,
    samples: usize,
    width: usize,
) -> Result<(Vec<u32>, Vec<u32>)> {
    if width > features {
        let expected = format!("at most {features} features of a sample (N)");
        return Err(Error::argument("indices", expected, width));
    }
    if u32::try_from(features.max(samples.saturating_mul(width))).is_err() {
        let expected = format!("at most {} features and indices", u32::MAX);
        let found = format!("{features} and {samples} times {width}");
        return Err(Error::argument("random lists", expected, found));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let starts = (0..=samples).map(|sample| (sample * width) as u32);
    let lists = (0..samples).flat_map(|_| {
        let list = rand::seq::index::sample(&mut random, features, width);
        list.into_iter().map(|index| index as u32)
    });
    Ok((starts.collect(), lists.collect()))
}

impl Batch {
    /// L = `samples` samples over N = `features` inputs, with exactly `width` ones a sample and perspective, and targets uniform in
    /// 0 to 1. The same seed gives the same batch.
    ///
    /// # Errors
    /// As of [`random_lists`]; no sample or no feature.
    pub fn random(seed: u64, features: usize, samples: usize, width: usize) -> Result<Self> {
        let lists = |name, seed| {
            let (starts, indices) = random_lists(seed, features, samples, width)?;
            SparseInputs::from_lists(name, features, starts, indices)
        };
        // Streams of their own, so that neither perspective nor the targets repeat another.
        let seeds = [0, 1, 2].map(|stream| seed.wrapping_mul(3).wrapping_add(stream));
        let inputs = [lists("X1", seeds[0])?, lists("X2", seeds[1])?];
        let mut random = ChaCha8Rng::seed_from_u64(seeds[2]);
        let targets = (0..samples).map(|_| random.random_range(0.0..1.0));
        Self::new(Inputs::Sparse(inputs), targets.collect())
    }
}

impl Inputs {
    /// The same inputs as X of ones and zeros, `[L, N]`; dense inputs as they are.
    #[must_use]
    pub fn to_dense(&self) -> Self {
        let Self::Sparse(lists) = self else {
            return self.clone();
        };
        let features = lists[0].features();
        let values = lists.each_ref().map(|lists| {
            let mut x = vec![0.0; lists.len() * features];
            for (sample, row) in x.chunks_mut(features).enumerate() {
                for &index in lists.list(sample) {
                    row[index as usize] = 1.0;
                }
            }
            x
        });
        Self::Dense { features, values }
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
