//! Batches from positions of any game, one position at a time.

use super::draft::Draft;
use super::features::FeatureSet;
use crate::error::Result;
use crate::nnue::batch::Batch;
use crate::nnue::needs::Needs;
use crate::tensor::lists::ListWriter;
use std::sync::Arc;

/// Makes batches from positions that the caller has, of any game and from any reader.
///
/// ```
/// use std::sync::Arc;
/// use wgrad::nnue::Needs;
/// use wgrad::nnue::data::{BatchBuilder, FeatureSet, Perspective};
///
/// /// Stones of both players on a board of nine points; feature = 9·(opponent's) + point.
/// struct Stones;
///
/// impl FeatureSet for Stones {
///     type Position = [Option<Perspective>; 9];
///     fn inputs(&self) -> usize {
///         18
///     }
///     fn max_indices(&self) -> usize {
///         9
///     }
///     fn write(&self, board: &Self::Position, from: Perspective, list: &mut [u32]) -> usize {
///         let mut count = 0;
///         for (point, owner) in board.iter().enumerate() {
///             if let Some(owner) = owner {
///                 list[count] = point as u32 + if *owner == from { 0 } else { 9 };
///                 count += 1;
///             }
///         }
///         count
///     }
/// }
///
/// let mut board = [None; 9];
/// board[4] = Some(Perspective::Other);
/// let mut builder = BatchBuilder::new(Arc::new(Stones));
/// builder.push(&board, 0.25);
/// let batch = builder.finish(Needs::default())?;
/// assert_eq!(batch.targets(), [0.25]);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub struct BatchBuilder<F: ?Sized> {
    features: Arc<F>,
    other_names: Option<Vec<u32>>,
    draft: Draft,
    /// The memory of an earlier batch.
    spare: Option<Batch>,
}

impl<F: FeatureSet + ?Sized> BatchBuilder<F> {
    /// A builder without samples.
    pub fn new(features: Arc<F>) -> Self {
        Self {
            other_names: features.other_names(),
            draft: Draft::new(features.max_indices(), Batch::empty()),
            features,
            spare: None,
        }
    }

    /// Adds a sample: a position and its target t.
    ///
    /// # Panics
    /// If the set writes more features than [`FeatureSet::max_indices`].
    pub fn push(&mut self, position: &F::Position, target: f32) {
        let (features, names) = (&*self.features, self.other_names.as_deref());
        ListWriter::push_both(self.draft.lists(), |lists| {
            features.write_both(position, names, lists)
        });
        self.draft.targets.push(target);
    }

    /// Adds a sample with its output bucket. Either all samples of a batch have one, or none has.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_with_bucket(&mut self, position: &F::Position, target: f32, bucket: u32) {
        self.push(position, target);
        self.draft.buckets.push(bucket);
    }

    /// The number of samples since the last batch.
    pub fn len(&self) -> usize {
        self.draft.len()
    }

    /// Whether there are no samples since the last batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch of the samples since the last batch, in the form that a network needs; see
    /// [`Learner::needs`](crate::nnue::Learner::needs). The builder is empty then, also after an
    /// error.
    ///
    /// # Errors
    /// No samples, a feature that is not below N or occurs twice in a list, output buckets for some
    /// of the samples only, and more than 2³¹ − 1 features.
    pub fn finish(&mut self, needs: Needs<'_>) -> Result<Batch> {
        let spare = self.spare.take().unwrap_or_else(Batch::empty);
        let next = Draft::new(self.features.max_indices(), spare);
        let draft = std::mem::replace(&mut self.draft, next);
        let transpose = needs.transpose(draft.len(), draft.entries());
        draft.finish(&*self.features, self.other_names.as_deref(), transpose)
    }

    /// Gives the memory of a batch back, for a later one.
    pub fn reuse(&mut self, batch: Batch) {
        self.spare = Some(batch);
    }
}
