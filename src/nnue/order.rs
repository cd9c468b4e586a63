//! The order in which a step computes the samples of a batch, where that is not the batch's own.

use super::batch::{Batch, Inputs};
use crate::engine::device::Values;
use crate::error::Result;

/// The samples of a batch in the order of their buckets. Those of a bucket keep the batch's order.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    /// The place in the caller's batch of each sample.
    places: Vec<u32>,
    pub(super) batch: Batch,
    /// An e that the caller gave.
    pub(super) e: Option<Vec<f32>>,
}

impl Ordered {
    /// Orders a batch of index lists by its buckets, which are below `buckets`, and an e that the
    /// caller gave; `None` if the batch has that order, or no lists.
    pub(super) fn new(batch: &Batch, buckets: usize, e: Option<&[f32]>) -> Result<Option<Self>> {
        let Some(own) = batch.buckets().filter(|own| !own.is_sorted()) else {
            return Ok(None);
        };
        let Inputs::Sparse(lists) = batch.inputs() else {
            return Ok(None);
        };
        let places = places(own, buckets);
        let lists = lists.each_ref().map(|lists| lists.reordered(&places));
        let targets = taken(&places, batch.targets());
        let ordered = Batch::new(Inputs::Sparse(lists), targets)?;
        let mut ordered = ordered.with_buckets(taken(&places, own))?;
        if let Some(weights) = batch.weights() {
            ordered = ordered.with_weights(taken(&places, weights))?;
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
    fn a_batch_is_ordered_by_bucket_and_its_outputs_go_back() {
        let lists = [(); 2].map(|()| SparseInputs::new(5, 1, vec![0, 1, 2, 3, 4]).unwrap());
        let batch = Batch::new(Inputs::Sparse(lists), vec![0.0, 0.1, 0.2, 0.3, 0.4]).unwrap();
        let batch = batch.with_buckets(vec![3, 0, 3, 1, 0]).unwrap();
        let batch = batch.with_weights(vec![0.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        let e = [0.0, 10.0, 20.0, 30.0, 40.0];
        let ordered = Ordered::new(&batch, 4, Some(&e)).unwrap().unwrap();
        assert_eq!(ordered.batch.buckets().unwrap(), [0, 0, 1, 3, 3]);
        assert_eq!(ordered.batch.targets(), [0.1, 0.4, 0.3, 0.0, 0.2]);
        assert_eq!(ordered.batch.weights().unwrap(), [1.0, 4.0, 3.0, 0.0, 2.0]);
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
        assert!(Ordered::new(&ordered.batch, 4, None).unwrap().is_none());
    }
}
