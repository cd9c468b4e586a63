//! Makes a batch of raw records: checks them, lists their features, computes their targets.

use super::dataset::Dataset;
use super::features::FeatureSet;
use super::record::Position;
use super::shuffle::RawBatch;
use super::target::{Target, Targets};
use crate::error::Result;
use crate::nnue::batch::{Batch, Inputs};
use crate::tensor::lists::{Check, ListWriter};
use std::sync::Arc;

/// A batch with what its targets were made of.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedBatch {
    /// Inputs and targets.
    pub batch: Batch,
    /// The score of each sample in centipawns, for the side to move, `[L]`.
    pub scores: Vec<i16>,
    /// The result of each sample's game for the side to move: 0, ½ or 1, `[L]`.
    pub results: Vec<f32>,
}

/// What a worker makes batches with.
pub(crate) struct BatchMaker<F: ?Sized> {
    dataset: Dataset,
    features: Arc<F>,
    other_names: Option<Vec<u32>>,
    targets: Targets,
    transposed: bool,
}

impl<F: FeatureSet + ?Sized> BatchMaker<F> {
    /// For batches with the transposed index of their lists, or without.
    pub(crate) fn new(
        dataset: &Dataset,
        features: Arc<F>,
        target: Target,
        transposed: bool,
    ) -> Self {
        Self {
            dataset: dataset.clone(),
            other_names: features.other_names(),
            features,
            targets: Targets::new(target),
            transposed,
        }
    }

    /// The batch of these records, in the memory of `spare`.
    pub(crate) fn make(
        &mut self,
        raw: &RawBatch,
        spare: Option<LoadedBatch>,
    ) -> Result<LoadedBatch> {
        let mut draft = Draft::new(raw.records.len(), self.features.width(), spare);
        let fill = Fill {
            maker: self,
            raw,
            draft: &mut draft,
        };
        pulp::Arch::new().dispatch(fill)?;
        let features = self.features.features();
        let wanted = match self.transposed {
            true => Check::Transpose,
            false if self.features.is_distinct() => Check::Range,
            false => Check::Distinct,
        };
        let finish = |list: ListWriter, name| list.finish(name, features, wanted);
        let own = finish(draft.own, "features of the side to move")?;
        let other = match &self.other_names {
            Some(names) => draft.other.finish_renamed(&own, names),
            None => finish(draft.other, "features of the other side"),
        };
        Ok(LoadedBatch {
            batch: Batch::new(Inputs::Sparse([own, other?]), draft.targets)?,
            scores: draft.scores,
            results: draft.results,
        })
    }
}

/// The loop over the records, compiled for several processors: with instructions that count and find bits it takes half as long.
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
            let position = Position::from_bytes(record).map_err(|fault| {
                let (path, number) = maker.dataset.locate(position);
                fault.at(path, format_args!("record {number} (counted from 0)"))
            })?;
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
    /// Room for `samples` lists of `width`, in the memory of `spare`.
    fn new(samples: usize, width: usize, spare: Option<LoadedBatch>) -> Self {
        let (batch, scores, results) = match spare {
            Some(spare) => (Some(spare.batch), spare.scores, spare.results),
            None => Default::default(),
        };
        let (inputs, targets) = match batch.map(Batch::into_parts) {
            Some((Inputs::Sparse(inputs), targets)) => (inputs, targets),
            _ => Default::default(),
        };
        let [own, other] = inputs.map(|inputs| inputs.rewrite(samples, width));
        Self {
            own,
            other,
            targets: emptied(targets, samples),
            scores: emptied(scores, samples),
            results: emptied(results, samples),
        }
    }
}

/// With room for `samples`.
fn emptied<T>(mut memory: Vec<T>, samples: usize) -> Vec<T> {
    memory.clear();
    memory.reserve_exact(samples);
    memory
}
