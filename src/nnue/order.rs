//! The order in which a step computes the samples of a batch, where that is not the batch's own.

use super::batch::{Batch, Inputs};
use crate::engine::device::Values;
use crate::error::Result;
use crate::tensor::lists::SparseInputs;
use std::borrow::Cow;

/// The samples of a batch in the order of their buckets, and then of their groups. Those of a bucket
/// and a group keep the batch's order.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    /// The place in the caller's batch of each sample.
    places: Vec<u32>,
    pub(super) batch: Batch,
    /// An e that the caller gave.
    pub(super) e: Option<Vec<f32>>,
}

impl Ordered {
    /// Orders a batch of index lists by its buckets, which are below `buckets`, and an e that the caller
    /// gave; `None` if the batch has that order, or no lists. If a number of inputs per group is given,
    /// the order of a bucket is that of the groups of each sample's first features.
    pub(super) fn new(
        batch: &Batch,
        buckets: usize,
        group: Option<usize>,
        e: Option<&[f32]>,
    ) -> Result<Option<Self>> {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return Ok(None);
        };
        let (of_groups, keys) = match group {
            Some(group) => by_group(lists, group, batch.buckets()),
            None => (1, batch.buckets().map(Cow::Borrowed)),
        };
        let Some(keys) = keys.filter(|keys| !keys.is_sorted()) else {
            return Ok(None);
        };
        let places = places(&keys, buckets * of_groups);
        let lists = lists.each_ref().map(|lists| lists.reordered(&places));
        let targets = taken(&places, batch.targets());
        let mut ordered = Batch::new(Inputs::Sparse(lists), targets)?;
        if let Some(own) = batch.buckets() {
            ordered = ordered.with_buckets(taken(&places, own))?;
        }
        let e = e.map(|e| taken(&places, e));
        Ok(Some(Self {
            places,
            batch: ordered,
            e,
        }))
    }

    /// The values of the slices in the order of the caller's batch.
    pub(super) fn undo(&self, slices: Vec<Values>) -> Values {
        let is_double = matches!(slices.first(), Some(Values::F64(_)));
        let mut found = vec![0.0; self.places.len()];
        let values = slices.into_iter().flat_map(Values::into_f64);
        for (&place, value) in self.places.iter().zip(values) {
            found[place as usize] = value;
        }
        match is_double {
            true => Values::F64(found),
            // They were f32 before, so no bit is lost.
            false => Values::F32(found.into_iter().map(|value| value as f32).collect()),
        }
    }
}

/// The most pairs of groups that samples are ordered by.
const MOST_PAIRS: usize = 1 << 12;

/// The number of pairs of groups, and for each sample its bucket and its pair as one number. If there
/// are too many pairs, all samples have the same one.
fn by_group<'a>(
    lists: &[SparseInputs; 2],
    group: usize,
    buckets: Option<&'a [u32]>,
) -> (usize, Option<Cow<'a, [u32]>>) {
    let groups = lists[0].inputs() / group;
    let pairs = groups * groups;
    if pairs > MOST_PAIRS {
        return (1, buckets.map(Cow::Borrowed));
    }
    let of = |lists: &SparseInputs, sample| {
        let first = lists.list(sample).first().copied().unwrap_or(0);
        first / group as u32
    };
    let keys = (0..lists[0].len()).map(|sample| {
        let bucket = buckets.map_or(0, |own| own[sample]) * pairs as u32;
        bucket + of(&lists[0], sample) * groups as u32 + of(&lists[1], sample)
    });
    (pairs, Some(keys.collect()))
}

/// A stable counting sort.
pub(super) fn places(own: &[u32], buckets: usize) -> Vec<u32> {
    // The next place of each bucket.
    let mut next = vec![0; buckets + 1];
    for &bucket in own {
        next[bucket as usize + 1] += 1;
    }
    for bucket in 0..buckets {
        next[bucket + 1] += next[bucket];
    }
    let mut places = vec![0; own.len()];
    for (sample, &bucket) in (0..).zip(own) {
        let next = &mut next[bucket as usize];
        places[*next] = sample;
        *next += 1;
    }
    places
}

fn taken<T: Copy>(places: &[u32], values: &[T]) -> Vec<T> {
    let values = places.iter().map(|&place| values[place as usize]);
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::lists::SparseInputs;

    #[test]
    fn the_samples_of_a_bucket_are_ordered_by_group() {
        let lists = [[5, 0, 3, 1, 4], [0, 3, 5, 4, 1]];
        let lists = lists.map(|list| SparseInputs::new(6, 1, list.to_vec()).unwrap());
        let batch = Batch::new(Inputs::Sparse(lists), vec![0.0, 0.1, 0.2, 0.3, 0.4]).unwrap();
        let ordered = Ordered::new(&batch, 1, Some(3), None).unwrap().unwrap();
        // The pairs of groups are (1, 0), (0, 1), (1, 1), (0, 1) and (1, 0).
        assert_eq!(ordered.batch.targets(), [0.1, 0.3, 0.0, 0.4, 0.2]);
        assert!(ordered.batch.buckets().is_none());
        let batch = batch.with_buckets(vec![1, 1, 0, 0, 1]).unwrap();
        let ordered = Ordered::new(&batch, 2, Some(3), None).unwrap().unwrap();
        assert_eq!(ordered.batch.targets(), [0.3, 0.2, 0.1, 0.0, 0.4]);
        assert_eq!(ordered.batch.buckets().unwrap(), [0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_batch_is_ordered_by_bucket_and_its_outputs_go_back() {
        let lists = [(); 2].map(|()| SparseInputs::new(5, 1, vec![0, 1, 2, 3, 4]).unwrap());
        let batch = Batch::new(Inputs::Sparse(lists), vec![0.0, 0.1, 0.2, 0.3, 0.4]).unwrap();
        let batch = batch.with_buckets(vec![3, 0, 3, 1, 0]).unwrap();
        let e = [0.0, 10.0, 20.0, 30.0, 40.0];
        let ordered = Ordered::new(&batch, 4, None, Some(&e)).unwrap().unwrap();
        assert_eq!(ordered.batch.buckets().unwrap(), [0, 0, 1, 3, 3]);
        assert_eq!(ordered.batch.targets(), [0.1, 0.4, 0.3, 0.0, 0.2]);
        assert_eq!(ordered.e.as_deref().unwrap(), [10.0, 40.0, 30.0, 0.0, 20.0]);
        let Inputs::Sparse(lists) = ordered.batch.inputs() else {
            panic!("lists stay lists");
        };
        assert_eq!(lists[1].indices(), [1, 4, 3, 0, 2]);
        let slices = vec![
            Values::F32(vec![10.0, 40.0]),
            Values::F32(vec![30.0, 0.0, 20.0]),
        ];
        assert_eq!(ordered.undo(slices).into_f32(), e);
        assert!(
            Ordered::new(&ordered.batch, 4, None, None)
                .unwrap()
                .is_none()
        );
    }
}
