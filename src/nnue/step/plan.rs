//! The plan of a batch: its path, and the size of its micro-batches.

use super::composed::Composed;
use super::layered::Layered;
use super::lists::{ListBuffer, Source};
use super::{Goal, Lists, Step, Update};
use crate::engine::device::Class;
use crate::engine::libraries::Tiles;
use crate::error::{Error, Result};
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::{deep, forward};
use crate::nnue::slices::{self, Slice, SliceInputs, SumsOf};
use crate::nnue::tuning::{Tuning, has_lanes};

/// The most bytes of a buffer that grows with the samples, on the CPU and on software adapters. A
/// batch that needs more is cut into micro-batches. The bits of a run depend on this number, so it
/// is a constant. The device's own limit applies as well.
pub(super) const WORKSPACE_BYTES: u64 = 256 << 20;
/// The same limit on a GPU. It is larger because each micro-batch needs its own transposed index,
/// and the host builds one in more time than the GPU needs for the whole step.
const GPU_WORKSPACE_BYTES: u64 = 1 << 30;

/// The most bytes of a tensor of the composed path on the CPU. Its passes go through memory once
/// per operation, so the tensors of a micro-batch should stay in the caches.
const NEAR_BYTES: u64 = 4 << 20;

/// The path and the sizes of a batch, chosen once per batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::nnue) struct Plan {
    path: Path,
    /// The most samples of a micro-batch.
    samples: usize,
    /// Whether the samples of a batch are computed in the order of their buckets.
    pub(in crate::nnue) by_bucket: bool,
    /// Whether A is the sum of two parts, whose update has a kernel of its own.
    factorised: bool,
    /// Whether the device decodes the batch's records.
    records: bool,
    /// The sums over samples from which gradients are made, and tiles of samples of one bucket.
    sums: Option<SumsOf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Composed,
    Deep,
    Layered,
    Masked,
    Scattered,
}

/// A micro-batch on its path, with the inputs and the goal that the path takes.
pub(super) enum Work<'a> {
    Deep(Source<'a>, Option<Goal<'a>>),
    Masked(Source<'a>, Option<Goal<'a>>),
    Scattered(Lists<'a>, Goal<'a>),
    Layered(Option<Goal<'a>>),
    Composed(Option<Goal<'a>>),
}

impl Step {
    /// Whether gradients read the transposed index of index lists with this many samples and, in
    /// all, this many indices.
    pub(in crate::nnue) fn reads_transposed(&self, samples: usize, entries: usize) -> bool {
        match self.composes() {
            // The micro-batches of the composed path on the CPU need indices of their own.
            true => self.device.class() != Class::Host,
            false => !self.scattered.fits(samples, entries),
        }
    }

    /// Whether the device decodes records for gradients of a batch of this size, with `entries`
    /// indices in all. The batch must be one micro-batch also as lists, so that both forms give the
    /// same bits.
    pub(in crate::nnue) fn takes_records(&self, samples: usize, entries: usize) -> bool {
        let limit = self.workspace().min(self.device.binding_limit() / 2);
        let entries = entries / 2;
        let fits = || match self.architecture.has_plain_head() {
            true => self.masked.takes_records(samples, entries, limit),
            false => self.deep.takes_records(samples, entries, limit),
        };
        !self.composed_only && self.feed.takes(samples, entries) && fits()
    }

    /// The most bytes of a buffer that grows with the samples of a fused path.
    fn workspace(&self) -> u64 {
        match self.device.class() {
            Class::Gpu => GPU_WORKSPACE_BYTES,
            Class::Host | Class::Software => WORKSPACE_BYTES,
        }
    }

    /// Whether gradients of such index lists are faster if the samples are in the order of their
    /// groups before that of their output buckets.
    pub(in crate::nnue) fn orders_by_group(&self, samples: usize, entries: usize) -> bool {
        !self.composes()
            && self.scattered.orders_by_group()
            && self.scattered.fits(samples, entries)
    }

    /// Whether every batch takes the composed path.
    fn composes(&self) -> bool {
        self.composed_only || !self.architecture.has_plain_head()
    }

    /// Chooses the path of a batch and the size of its micro-batches, for gradients or only for Y.
    ///
    /// # Errors
    /// [`Error::Limit`] if not even one sample fits.
    pub(in crate::nnue) fn plan(&self, batch: &Batch, gradient: bool) -> Result<Plan> {
        let buckets = self.architecture.buckets;
        if let Some(records) = batch.records()
            && gradient
            && batch.buckets().is_none_or(<[u32]>::is_sorted)
            && self.takes_records(batch.len(), 2 * records.entries())
        {
            let (path, sums) = match self.architecture.has_plain_head() {
                true => (Path::Masked, SumsOf::buckets(buckets)),
                false => (Path::Deep, SumsOf::blocks(buckets, deep::SPLIT)),
            };
            return Ok(Plan {
                path,
                samples: batch.len(),
                factorised: self.architecture.is_factorised(),
                // The samples are in this order already.
                by_bucket: false,
                records: true,
                sums: Some(sums),
            });
        }
        let path = if !self.composed_only && self.deep.takes(batch, gradient) {
            Path::Deep
        } else if gradient && !self.composed_only && self.scattered.takes(batch) {
            Path::Scattered
        } else if self.composes() {
            Path::Composed
        } else if self.masked.takes(batch, gradient) {
            Path::Masked
        } else {
            Path::Layered
        };
        // The bytes that do not grow with the number of samples, and the bytes per sample.
        let (fixed, bytes) = match path {
            Path::Scattered => {
                let words = ListBuffer::sample_words(&self.architecture, batch);
                (8, 4 * words as u64)
            }
            Path::Masked => (
                self.masked.fixed_bytes(batch, gradient),
                self.masked.sample_bytes(batch, gradient),
            ),
            Path::Deep => (
                self.deep.fixed_bytes(batch, gradient),
                self.deep.sample_bytes(batch, gradient),
            ),
            Path::Layered => (0, Layered::sample_bytes(&self.architecture, batch)),
            Path::Composed => (0, Composed::sample_bytes(&self.architecture, batch)),
        };
        let limit = self.device.binding_limit();
        if fixed + bytes > limit {
            return Err(Error::Limit {
                what: "one sample of the batch".to_owned(),
                device: self.device.name().to_owned(),
                needed: fixed + bytes,
                limit,
                advice: String::new(),
            });
        }
        let workspace = match self.device.class() {
            Class::Host if path == Path::Composed => NEAR_BYTES,
            _ => self.workspace(),
        };
        let room = workspace.min(limit.saturating_sub(fixed));
        let samples = (room / bytes).max(1) as usize;
        Ok(Plan {
            path,
            samples,
            factorised: self.architecture.is_factorised(),
            records: false,
            // The scattered path needs no order. With few inputs it gains from reading C once for
            // many samples, and samples of one bucket have much in common.
            by_bucket: buckets > 1
                && match path {
                    Path::Deep => true,
                    Path::Masked => gradient,
                    Path::Scattered => gradient && !self.scattered.orders_by_group(),
                    Path::Composed | Path::Layered => false,
                },
            sums: match path {
                Path::Deep => Some(SumsOf::blocks(buckets, deep::SPLIT)),
                Path::Masked if gradient => Some(SumsOf::buckets(buckets)),
                _ => None,
            },
        })
    }

    /// Every tuning of the kernels that compute gradients of such a batch. The first one is empty,
    /// and the others hold what differs from the choice without a tuning.
    ///
    /// # Errors
    /// As [`Step::plan`].
    pub(in crate::nnue) fn tunings(&self, batch: &Batch) -> Result<Vec<Tuning>> {
        let path = self.plan(batch, true)?.path;
        if self.device.class() == Class::Host {
            return Ok(vec![Tuning::default()]);
        }
        let is_dense = || !batch.has_records() && matches!(batch.inputs(), Inputs::Dense { .. });
        let (by_lanes, by_tiles) = match path {
            Path::Masked => (true, self.architecture.buckets > 1),
            Path::Deep => (false, true),
            Path::Layered => (false, is_dense()),
            Path::Composed | Path::Scattered => (false, false),
        };
        let standard = Tuning::standard(&self.device, &self.architecture);
        let hidden = self.architecture.hidden;
        let lanes = forward::LANES.map(Some).into_iter();
        let lanes = lanes.filter(|lanes| {
            let other = *lanes != standard.lanes;
            other && by_lanes && lanes.is_some_and(|lanes| has_lanes(lanes, hidden))
        });
        let tiles = Tiles::ALL.map(Some).into_iter();
        let tiles = tiles.filter(|tiles| *tiles != standard.tiles && by_tiles);
        let lanes: Vec<_> = std::iter::once(None).chain(lanes).collect();
        let each = std::iter::once(None).chain(tiles).flat_map(|tiles| {
            lanes.iter().map(move |&lanes| Tuning {
                lanes,
                tiles,
                recordings: None,
            })
        });
        Ok(each.collect())
    }

    /// The micro-batches of a batch, which is in the order of its buckets if the plan says so.
    pub(in crate::nnue) fn cut<'a>(&self, plan: Plan, batch: &'a Batch) -> Result<Vec<Slice<'a>>> {
        match (batch.records().filter(|_| plan.records), plan.sums) {
            (Some(records), Some(sums)) => Ok(vec![slices::whole(batch, records, sums)]),
            _ => slices::cut(batch, plan.samples, plan.sums),
        }
    }
}

impl Plan {
    /// Whether the path computes the gradient of each part of factorised inputs itself.
    pub(in crate::nnue) fn composes(self) -> bool {
        self.path == Path::Composed
    }

    pub(super) fn work<'a>(self, slice: &'a Slice<'a>, goal: Option<Goal<'a>>) -> Work<'a> {
        if let Some(records) = slice.records {
            let source = Source::Records(records);
            return match self.path {
                Path::Deep => Work::Deep(source, goal),
                _ => Work::Masked(source, goal),
            };
        }
        match (&slice.inputs, self.path, goal) {
            (_, Path::Composed, _) => Work::Composed(goal),
            (SliceInputs::Sparse(lists), Path::Deep, _) => Work::Deep(Source::Lists(lists), goal),
            (SliceInputs::Sparse(lists), Path::Masked, _) => {
                Work::Masked(Source::Lists(lists), goal)
            }

            (SliceInputs::Sparse(lists), Path::Scattered, Some(goal)) => {
                Work::Scattered(lists, goal)
            }
            _ => Work::Layered(goal),
        }
    }

    /// The update that the masked and the deep kernels apply themselves. If a batch is one
    /// micro-batch, it needs no gradients in memory. The parts of factorised inputs have a kernel
    /// of their own, and so has the update of parameters that the pass does not read.
    pub(super) fn fused<'a>(self, slice: &Slice<'_>, goal: Option<Goal<'a>>) -> Option<Update<'a>> {
        let goal = goal?;
        let whole = slice.samples() == goal.total;
        let has_updates = matches!(self.path, Path::Deep | Path::Masked) && !self.factorised;
        let reads_them = goal.masters.is_none();
        goal.update.filter(|_| whole && has_updates && reads_them)
    }
}
