//! Makes a batch from raw records: checks the records, lists their features and computes their
//! targets.

use super::dataset::Dataset;
use super::features::FeatureSet;
use super::pool::Pool;
use super::record::Position;
use super::shuffle::RawBatch;
use super::target::{Target, Targets};
use crate::error::Result;
use crate::nnue::batch::{Batch, Inputs};
use crate::tensor::lists::{Check, ListWriter, Transpose};
use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::sync::Arc;

/// A batch from a [`Loader`](super::Loader), with the scores and results from which its targets
/// were computed.
///
/// It dereferences to [`Batch`]. Dropping it returns its memory to the loader for another batch.
pub struct LoadedBatch {
    contents: Contents,
    /// Receives the contents when the batch is dropped.
    spares: Pool<Contents>,
}

/// The contents of a [`LoadedBatch`].
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    batch: Batch,
    scores: Vec<i16>,
    results: Vec<f32>,
}

impl Contents {
    /// Contents without samples and without memory.
    fn empty() -> Self {
        Self {
            batch: Batch::empty(),
            scores: Vec::new(),
            results: Vec::new(),
        }
    }
}

impl LoadedBatch {
    pub(crate) fn new(contents: Contents, spares: Pool<Contents>) -> Self {
        Self { contents, spares }
    }

    /// The score of each sample in centipawns, for the side to move, `[L]`.
    pub fn scores(&self) -> &[i16] {
        &self.contents.scores
    }

    /// The result of each sample's game for the side to move: 0, ½ or 1, `[L]`.
    pub fn results(&self) -> &[f32] {
        &self.contents.results
    }
}

impl Deref for LoadedBatch {
    type Target = Batch;
    fn deref(&self) -> &Batch {
        &self.contents.batch
    }
}

impl AsRef<Batch> for LoadedBatch {
    fn as_ref(&self) -> &Batch {
        self
    }
}

impl Drop for LoadedBatch {
    fn drop(&mut self) {
        let contents = std::mem::replace(&mut self.contents, Contents::empty());
        self.spares.give(contents);
    }
}

impl PartialEq for LoadedBatch {
    fn eq(&self, other: &Self) -> bool {
        self.contents == other.contents
    }
}

impl Debug for LoadedBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.contents.fmt(f)
    }
}

/// Makes batches on one thread.
pub(crate) struct BatchMaker<F: ?Sized> {
    dataset: Dataset,
    features: Arc<F>,
    other_names: Option<Vec<u32>>,
    targets: Targets,
    transpose: Transpose,
}

impl<F: FeatureSet + ?Sized> BatchMaker<F> {
    pub(crate) fn new(
        dataset: &Dataset,
        features: Arc<F>,
        target: Target,
        transpose: Transpose,
    ) -> Self {
        Self {
            dataset: dataset.clone(),
            other_names: features.other_names(),
            features,
            targets: Targets::new(target),
            transpose,
        }
    }

    /// The batch of these records, in the memory of `spare`.
    pub(crate) fn make(&mut self, raw: &RawBatch, spare: Option<Contents>) -> Result<Contents> {
        let max_indices = self.features.max_indices();
        let mut draft = Draft::new(raw.records.len(), max_indices, spare);
        let fill = Fill {
            maker: self,
            raw,
            draft: &mut draft,
        };
        pulp::Arch::new().dispatch(fill)?;
        let inputs = self.features.inputs();
        let check = match self.transpose {
            Transpose::Now => Check::Transpose,
            Transpose::OnDemand if self.features.is_distinct() => Check::Range,
            Transpose::OnDemand => Check::Distinct,
        };
        let finish = |list: ListWriter, whose| {
            let lists = list.finish(inputs, check);
            lists.map_err(|error| error.within(format_args!("features of the {whose}")))
        };
        let own = finish(draft.own, "side to move")?;
        let other = match &self.other_names {
            Some(names) => draft.other.finish_renamed(&own, names),
            None => finish(draft.other, "other side"),
        };
        Ok(Contents {
            batch: Batch::new(Inputs::Sparse([own, other?]), draft.targets)?,
            scores: draft.scores,
            results: draft.results,
        })
    }
}

/// The loop over the records, compiled for several SIMD levels. Instructions that count and find
/// bits halve its time.
struct Fill<'a, F: ?Sized> {
    maker: &'a mut BatchMaker<F>,
    raw: &'a RawBatch,
    draft: &'a mut Draft,
}

impl<F: FeatureSet + ?Sized> pulp::WithSimd for Fill<'_, F> {
    type Output = Result<()>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Result<()> {
        let Self { maker, raw, draft } = self;
        for (record, &position) in raw.records.iter().zip(&raw.positions) {
            let position = Position::from_bytes(record)
                .map_err(|fault| maker.dataset.blame(position, fault))?;
            let features = &*maker.features;
            let names = maker.other_names.as_deref();
            let lists = [&mut draft.own, &mut draft.other];
            ListWriter::push_both(lists, |lists| features.write_both(&position, names, lists));
            draft.targets.push(maker.targets.of(&position));
            draft.scores.push(position.score());
            draft.results.push(position.result());
        }
        Ok(())
    }
}

/// A batch that is being made.
struct Draft {
    own: ListWriter,
    other: ListWriter,
    targets: Vec<f32>,
    scores: Vec<i16>,
    results: Vec<f32>,
}

impl Draft {
    /// Makes room for `samples` lists of at most `max_indices`, in the memory of `spare`.
    fn new(samples: usize, max_indices: usize, spare: Option<Contents>) -> Self {
        let spare = spare.unwrap_or_else(Contents::empty);
        let (inputs, targets) = match spare.batch.into_parts() {
            (Inputs::Sparse(inputs), targets) => (inputs, targets),
            (Inputs::Dense { .. }, targets) => (Default::default(), targets),
        };
        let [own, other] = inputs.map(|inputs| inputs.rewrite(samples, max_indices));
        Self {
            own,
            other,
            targets: emptied(targets, samples),
            scores: emptied(spare.scores, samples),
            results: emptied(spare.results, samples),
        }
    }
}

/// The same memory without elements, with room for `samples`.
fn emptied<T>(mut memory: Vec<T>, samples: usize) -> Vec<T> {
    memory.clear();
    memory.reserve_exact(samples);
    memory
}
