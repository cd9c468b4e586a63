//! Makes a batch from raw records: checks the records, lists their features and computes their
//! targets and output buckets.

use super::dataset::Dataset;
use super::draft::{Draft, emptied_for};
use super::features::FeatureSet;
use super::judge::Judge;
use super::output_buckets::OutputBuckets;
use super::place::Place;
use super::pool::Pool;
use super::record::{Position, RawRecord};
use super::shuffle::RawBatch;
use super::target::{Target, Targets};
use crate::error::Result;
use crate::nnue::batch::Batch;
use crate::nnue::order::places;
use crate::nnue::records::{Decoder, PIECE_COUNTS, Records};
use crate::optim::schedule::Shares;
use crate::tensor::lists::{ListWriter, Transpose};
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
#[derive(Debug)]
pub(crate) struct Contents {
    batch: Batch,
    scores: Vec<i16>,
    results: Vec<f32>,
    samples: usize,
    next: Place,
    ends_epoch: bool,
}

impl Contents {
    /// Contents without samples and without memory.
    fn empty() -> Self {
        Self {
            batch: Batch::empty(),
            scores: Vec::new(),
            results: Vec::new(),
            samples: 0,
            next: Place::default(),
            ends_epoch: false,
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

    /// The samples of the whole batch, of which these are a shard if the loader makes shards.
    pub fn samples(&self) -> usize {
        self.contents.samples
    }

    /// Where the batches after this one begin: the start of a loader that goes on after it.
    pub fn next_place(&self) -> &Place {
        &self.contents.next
    }

    /// Whether this is the last batch of its epoch.
    pub fn ends_epoch(&self) -> bool {
        self.contents.ends_epoch
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

/// Equal samples, wherever they come from.
impl PartialEq for LoadedBatch {
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (&self.contents, &other.contents);
        own.batch == other.batch && own.scores == other.scores && own.results == other.results
    }
}

impl Debug for LoadedBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.contents.fmt(f)
    }
}

/// The form in which a network reads its batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// When the transposed index is built.
    pub(crate) transpose: Transpose,
    /// Whether samples are in the order of their groups before that of their output buckets.
    pub(crate) by_group: bool,
    /// Whether samples are records, if the feature set has a decoder.
    pub(crate) records: bool,
}

/// Makes batches on one thread.
pub(crate) struct BatchMaker<F: ?Sized> {
    dataset: Dataset,
    features: Arc<F>,
    other_names: Option<Vec<u32>>,
    targets: Targets,
    shares: Option<Shares>,
    judge: Option<Judge>,
    /// `None` for a single bucket.
    buckets: Option<OutputBuckets>,
    form: Form,
    /// The decoder, if samples are records.
    decoder: Option<Decoder>,
    /// The memory of records in the order of their buckets and groups.
    ordered: RawBatch,
}

impl<F: FeatureSet<Position = Position> + ?Sized> BatchMaker<F> {
    pub(crate) fn new(
        dataset: &Dataset,
        features: Arc<F>,
        target: Target,
        buckets: OutputBuckets,
        form: Form,
    ) -> Self {
        Self {
            dataset: dataset.clone(),
            other_names: features.other_names(),
            decoder: features.decoder().filter(|_| form.records),
            features,
            targets: Targets::new(target),
            shares: None,
            judge: None,
            buckets: (buckets.count() > 1).then_some(buckets),
            form,
            ordered: RawBatch::default(),
        }
    }

    /// The batch of these records, in the memory of `spare`. Its samples are in the order in which
    /// a step computes them: by bucket and then by group, or by group and then by bucket.
    pub(crate) fn make(&mut self, raw: &RawBatch, spare: Option<Contents>) -> Result<Contents> {
        if let Some(shares) = &self.shares {
            let lambda = shares.at(raw.number, raw.epoch());
            self.targets.set_lambda(lambda);
        }
        if raw.records.is_empty() {
            // A shard of the last batch of an epoch.
            return Ok(Contents {
                samples: raw.samples,
                next: raw.next,
                ends_epoch: raw.ends_epoch,
                ..Contents::empty()
            });
        }
        if self.buckets.is_none() && self.features.groups() == 1 {
            return self.make_in_order(raw, spare);
        }
        let mut ordered = std::mem::take(&mut self.ordered);
        self.order(&mut ordered, raw);
        let made = self.make_in_order(&ordered, spare);
        self.ordered = ordered;
        made
    }

    /// Writes records in the order of their buckets and groups. Records of a bucket and a group
    /// keep their order.
    fn order(&self, to: &mut RawBatch, from: &RawBatch) {
        (to.next, to.ends_epoch, to.samples) = (from.next, from.ends_epoch, from.samples);
        let groups = self.features.groups();
        let buckets = self.buckets.as_ref().map_or(1, OutputBuckets::count);
        let key = |record: &RawRecord| {
            let bucket = self.buckets.as_ref().map_or(0, |buckets| {
                // The first 8 bytes of a record have a bit per occupied square.
                let squares = record.iter().take(8);
                let pieces: u32 = squares.map(|byte| byte.count_ones()).sum();
                usize::from(buckets.of_pieces(pieces as usize))
            });
            // A record that is no position is an error later on.
            let group = match groups {
                1 => 0,
                _ => Position::from_bytes(record).map_or(0, |at| self.features.group(&at)),
            };
            let key = match self.form.by_group {
                true => group * buckets + bucket,
                false => bucket * groups + group,
            };
            key as u32
        };
        let keys: Vec<u32> = from.records.iter().map(key).collect();
        to.records.clear();
        to.origins.clear();
        for place in places(&keys, buckets * groups) {
            to.records.push(from.records[place as usize]);
            to.origins.push(from.origins[place as usize]);
        }
    }

    fn make_in_order(&mut self, raw: &RawBatch, spare: Option<Contents>) -> Result<Contents> {
        let (samples, max_indices) = (raw.records.len(), self.features.max_indices());
        let spare = spare.unwrap_or_else(Contents::empty);
        if let Some(decoder) = self.decoder.clone() {
            return self.make_records(&decoder, raw, spare);
        }
        let mut draft = Draft::new(max_indices, spare.batch);
        draft.reserve(samples)?;
        let mut scores = emptied_for(samples, spare.scores)?;
        let mut results = emptied_for(samples, spare.results)?;
        let mut weights = Vec::new();
        let fill = Fill {
            maker: self,
            raw,
            draft: &mut draft,
            scores: &mut scores,
            results: &mut results,
            weights: &mut weights,
        };
        pulp::Arch::new().dispatch(fill)?;
        let names = self.other_names.as_deref();
        Ok(Contents {
            batch: with_weights(
                draft.finish(&*self.features, names, self.form.transpose)?,
                weights,
            )?,
            scores,
            results,
            samples: raw.samples,
            next: raw.next,
            ends_epoch: raw.ends_epoch,
        })
    }
}

impl<F: ?Sized> BatchMaker<F> {
    /// Lets λ follow a schedule, or not.
    pub(crate) fn set_shares(&mut self, shares: Option<Shares>) {
        self.shares = shares;
    }

    /// Lets a judge decide about positions, or not.
    pub(crate) fn set_judge(&mut self, judge: Option<Judge>) {
        self.judge = judge;
    }

    /// The target of a position. Its weight is added to `weights` if there is a judge.
    #[inline(always)]
    fn target(&mut self, position: &Position, weights: &mut Vec<f32>) -> Result<f32> {
        let Some(judge) = &self.judge else {
            return Ok(self.targets.of(position));
        };
        let judged = judge.of(position, self.targets.target())?;
        weights.push(judged.weight);
        Ok(self.targets.of_with(position, judged.lambda))
    }

    /// The batch of these records as records.
    fn make_records(
        &mut self,
        decoder: &Decoder,
        raw: &RawBatch,
        mut spare: Contents,
    ) -> Result<Contents> {
        let memory = spare.batch.take_records().map(Records::into_memory);
        let (_, targets, buckets) = spare.batch.into_parts();
        let samples = raw.records.len();
        let mut made = Contents {
            batch: Batch::empty(),
            scores: emptied_for(samples, spare.scores)?,
            results: emptied_for(samples, spare.results)?,
            samples: raw.samples,
            next: raw.next,
            ends_epoch: raw.ends_epoch,
        };
        let mut targets = emptied_for(samples, targets)?;
        let mut own = emptied_for(0, buckets.unwrap_or_default())?;
        let of_pieces = match &self.buckets {
            Some(buckets) => buckets.table().map(|bucket| bucket as u32),
            None => [0; PIECE_COUNTS],
        };
        let mut weights = Vec::new();
        let mut records = Records::new(decoder, of_pieces, memory.unwrap_or_default());
        records.reserve(samples)?;
        // As in `Fill`, the loop is compiled for several SIMD levels.
        pulp::Arch::new().dispatch(|| -> Result<()> {
            for (record, &origin) in raw.records.iter().zip(&raw.origins) {
                let read = Position::from_bytes(record)
                    .map_err(|fault| self.dataset.blame(origin, fault))?;
                let target = self.target(&read, &mut weights)?;
                records.push(record, target);
                targets.push(target);
                if let Some(buckets) = &self.buckets {
                    own.push(buckets.of(&read));
                }
                made.scores.push(read.score());
                made.results.push(read.result());
            }
            Ok(())
        })?;
        let own = self.buckets.is_some().then_some(own);
        made.batch = with_weights(Batch::from_records(records, targets, own), weights)?;
        Ok(made)
    }
}

/// The batch with the weights of a judge, if there was one.
fn with_weights(batch: Batch, weights: Vec<f32>) -> Result<Batch> {
    match weights.is_empty() {
        true => Ok(batch),
        false => batch.with_weights(weights),
    }
}

/// The loop over the records, compiled for several SIMD levels. Instructions that count and find
/// bits halve its time.
struct Fill<'a, F: ?Sized> {
    maker: &'a mut BatchMaker<F>,
    raw: &'a RawBatch,
    draft: &'a mut Draft,
    scores: &'a mut Vec<i16>,
    results: &'a mut Vec<f32>,
    weights: &'a mut Vec<f32>,
}

impl<F: FeatureSet<Position = Position> + ?Sized> pulp::WithSimd for Fill<'_, F> {
    type Output = Result<()>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Result<()> {
        let Self {
            maker,
            raw,
            draft,
            scores,
            results,
            weights,
        } = self;
        for (record, &origin) in raw.records.iter().zip(&raw.origins) {
            let position =
                Position::from_bytes(record).map_err(|fault| maker.dataset.blame(origin, fault))?;
            let features = &*maker.features;
            let names = maker.other_names.as_deref();
            // The closure is a part of this function, so it has its SIMD level.
            ListWriter::push_both(draft.lists(), |lists| {
                features.write_both(&position, names, lists)
            });
            draft.targets.push(maker.target(&position, weights)?);
            if let Some(buckets) = &maker.buckets {
                draft.buckets.push(buckets.of(&position));
            }
            scores.push(position.score());
            results.push(position.result());
        }
        Ok(())
    }
}
