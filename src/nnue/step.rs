//! One pass over a micro-batch, as commands: which kernels run, on which buffers, in which order.
//!
//! [`masked`], [`deep`] on adapters and [`scattered`] on the CPU are the fast paths, for index
//! lists; [`layered`] and [`composed`] take every batch. Callers use only [`Step::plan`],
//! [`Step::reserve`] and [`Step::record`], and the buffers of Y and the loss, so a new path changes
//! only these files.

mod buffers;
mod composed;
mod deep;
mod end;
mod factorised;
mod fake_quantize;
mod half_weights;
mod layered;
mod lists;
mod masked;
mod plan;
mod records;
mod scattered;
mod tuning;
mod update;

use super::architecture::Architecture;
use super::layout::HeadLayout;
use super::slices::Slice;
use super::upstream::Upstream;
use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::kernels::{loss, sum};
use crate::tensor::lists::SparseInputs;
use buffers::grow;
use composed::Composed;
use deep::{Deep, DeepPass};
pub(super) use factorised::record_merge;
pub(super) use fake_quantize::QuantizedCopies;
use half_weights::HalfWeights;
use layered::Layered;
use lists::{ListBuffer, Source};
use masked::{Masked, MaskedPass};
pub(super) use plan::Plan;
use plan::Work;
use records::Feed;
use scattered::Scattered;
use std::borrow::Cow;
pub(super) use update::Update;

/// The buffers of a pass, as large as the largest micro-batch so far.
#[derive(Debug)]
pub(super) struct Step {
    device: Device,
    architecture: Architecture,
    common: Common,
    lists: ListBuffer,
    feed: Feed,
    half_weights: HalfWeights,
    composed: Composed,
    deep: Deep,
    layered: Layered,
    masked: Masked,
    scattered: Scattered,
    /// Whether every batch takes the composed path, as the witness of the others.
    pub(super) composed_only: bool,
}

/// The index lists of both perspectives.
type Lists<'a> = &'a [Cow<'a, SparseInputs>; 2];

/// Buffers that several paths share.
#[derive(Debug)]
struct Common {
    /// Y, `[samples]`. On the masked path e and the loss terms follow it.
    y: Buffer,
    /// e = ∂Loss/∂Y, `[samples]`.
    e: Buffer,
    terms: Buffer,
    targets: Buffer,
    bucket: Buffer,
    /// `[1]`.
    loss: Buffer,
    /// Buffers to bind if a sink needs fewer buffers.
    spare: Buffer,
    other_spare: Buffer,
}

/// The results of a pass besides Y: the gradients of a batch of `total` samples, and the loss if
/// there is one. Every micro-batch after the first one adds to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal<'a> {
    pub(super) upstream: Upstream<'a>,
    pub(super) total: usize,
    /// The samples over which the loss is a mean: more than `total` if the batch is a shard.
    pub(super) mean_over: usize,
    /// What an L1 penalty adds to each ∂Loss/∂x of the first layer of a longer head.
    pub(super) penalty: f32,
    pub(super) gradients: ParameterBuffers<'a>,
    /// The update with the gradients of the whole batch.
    pub(super) update: Option<Update<'a>>,
    /// The parameters that the update changes, if the pass reads quantized copies of them.
    pub(super) masters: Option<ParameterBuffers<'a>>,
}

/// The buffers of one parameter set: see [`layout`](super::layout).
#[derive(Clone, Copy, Debug)]
pub(super) struct ParameterBuffers<'a> {
    buffers: &'a [Buffer],
    /// A of each accumulator, if the inputs are factorised; otherwise none.
    merged: &'a [Buffer],
    tied: bool,
}

impl<'a> ParameterBuffers<'a> {
    pub(super) fn new(architecture: &Architecture, buffers: &'a [Buffer]) -> Self {
        Self {
            buffers,
            merged: &[],
            tied: architecture.tied,
        }
    }

    /// The same with the merged A of factorised inputs.
    pub(super) fn with_merged(self, merged: &'a [Buffer]) -> Self {
        Self { merged, ..self }
    }

    /// A of a perspective. Among gradients it is that of A, which is also that of its own part.
    fn weights(&self, perspective: usize) -> BufferId {
        let accumulator = if self.tied { 0 } else { perspective };
        let merged = self.merged.get(accumulator);
        merged.unwrap_or(&self.buffers[accumulator]).id()
    }

    /// B of each accumulator, C and d: see [`HeadLayout`].
    fn head(&self) -> BufferId {
        self.buffers[self.head_index()].id()
    }

    fn head_index(&self) -> usize {
        self.buffers.len() - 1
    }
}

impl Step {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let floats = |what| device.allocate(what, Element::Float, 1);
        Ok(Self {
            device: device.clone(),
            architecture: architecture.clone(),
            common: Common {
                y: floats("Y")?,
                e: floats("e")?,
                terms: floats("loss terms")?,
                targets: floats("targets")?,
                bucket: device.allocate("buckets", Element::Word, 1)?,
                loss: floats("loss")?,
                spare: floats("spare")?,
                other_spare: floats("spare")?,
            },
            lists: ListBuffer::new(device)?,
            feed: Feed::new(device, architecture.clone())?,
            half_weights: HalfWeights::new(device, &architecture)?,
            composed: Composed::new(device, architecture.clone()),
            deep: Deep::new(device, architecture.clone())?,
            layered: Layered::new(device, architecture.clone())?,
            masked: Masked::new(device, architecture.clone())?,
            scattered: Scattered::new(device, architecture)?,
            composed_only: false,
        })
    }

    /// Stores Z and ∂Loss/∂Z, or slopes, of passes with gradients in 16 bits, or not. Returns
    /// whether a path can.
    pub(super) fn set_half(&mut self, half: bool) -> bool {
        self.deep.set_half(half) | self.masked.set_half(half)
    }

    /// Lets forward passes of passes with gradients read A in 16 bits, or not. Returns whether a
    /// path can.
    pub(super) fn set_half_weights(&mut self, half: bool) -> bool {
        (self.architecture.has_plain_head() || self.deep.applies()) && self.half_weights.set(half)
    }

    /// Y, `[samples]`, after a pass.
    pub(super) fn y(&self) -> &Buffer {
        &self.common.y
    }

    /// The loss of the batch, `[1]`, after the pass over its last micro-batch, if the pass had one.
    pub(super) fn loss(&self) -> &Buffer {
        &self.common.loss
    }

    /// Makes the buffers large enough for a micro-batch, if they are not.
    pub(super) fn reserve(
        &mut self,
        plan: Plan,
        slice: &Slice<'_>,
        goal: Option<Goal<'_>>,
    ) -> Result<()> {
        let (device, samples) = (&self.device, slice.samples());
        let common = &mut self.common;
        grow(device, &mut common.y, "Y", Element::Float, samples)?;
        let work = plan.work(slice, goal);
        if matches!(work, Work::Masked(_, Some(_)) | Work::Deep(_, Some(_))) {
            self.half_weights.reserve(device)?;
        }
        if !matches!(work, Work::Masked(..) | Work::Deep(..)) {
            let of_targets = samples + slice.weights.len();
            for (buffer, what, len) in [
                (&mut common.e, "e", samples),
                (&mut common.terms, "loss terms", samples),
                (&mut common.targets, "targets", of_targets),
            ] {
                grow(device, buffer, what, Element::Float, len)?;
            }
            let what = "buckets";
            grow(device, &mut common.bucket, what, Element::Word, samples)?;
        }
        match work {
            Work::Deep(source, goal) => {
                if let Some(Upstream::Given(_)) = goal.map(|goal| goal.upstream) {
                    grow(device, &mut common.e, "e", Element::Float, samples)?;
                }
                match source {
                    Source::Lists(lists) => {
                        let parts = self.deep.parts(lists, slice, goal);
                        self.lists.reserve(device, &parts)?;
                    }
                    Source::Records(records) => {
                        let (samples, layers) = ((slice, records), self.deep.words());
                        self.feed
                            .reserve(device, &mut self.lists, samples, layers)?;
                    }
                }
                self.deep.reserve(device, slice, source, goal.is_some())
            }
            Work::Masked(source, goal) => {
                match source {
                    Source::Lists(lists) => {
                        let parts = masked::parts(&self.architecture, lists, slice, goal);
                        self.lists.reserve(device, &parts)?;
                    }
                    Source::Records(records) => {
                        let samples = (slice, records);
                        self.feed.reserve(device, &mut self.lists, samples, &[])?;
                    }
                }
                match goal {
                    Some(_) => {
                        grow(
                            device,
                            &mut common.y,
                            "Y, e and losses",
                            Element::Float,
                            3 * samples,
                        )?;
                        self.masked.reserve(device, slice, source)
                    }
                    None => Ok(()),
                }
            }
            Work::Scattered(lists, _) => {
                let parts = self.scattered.parts(slice, lists);
                self.lists.reserve(device, &parts)?;
                self.scattered.reserve(device, samples, lists)
            }
            Work::Layered(_) => self.layered.reserve(device, slice),
            Work::Composed(_) => Ok(()),
        }
    }

    /// Records one pass over a micro-batch for which [`Step::reserve`] has made room. The composed
    /// path computes meanwhile.
    pub(super) fn record<'a>(
        &'a self,
        recording: &mut Recording<'a>,
        plan: Plan,
        slice: &'a Slice<'a>,
        parameters: ParameterBuffers<'a>,
        goal: Option<Goal<'a>>,
    ) -> Result<()> {
        let fused = plan.fused(slice, goal);
        match plan.work(slice, goal) {
            Work::Deep(source, goal) => {
                let pass = DeepPass {
                    buffers: &self.deep,
                    list_buffer: &self.lists,
                    common: &self.common,
                    half_weights: &self.half_weights,
                    slice,
                    feed: &self.feed,
                    source,
                    parameters,
                    goal,
                    fused,
                };
                pass.record(recording);
            }
            Work::Masked(source, goal) => {
                let pass = MaskedPass {
                    buffers: &self.masked,
                    list_buffer: &self.lists,
                    common: &self.common,
                    half_weights: &self.half_weights,
                    slice,
                    feed: &self.feed,
                    source,
                    parameters,
                    goal,
                    fused,
                };
                pass.record(recording);
            }
            Work::Scattered(lists, goal) => {
                self.upload(recording, slice, goal.upstream, &self.common.targets);
                self.scattered.record(
                    recording,
                    &scattered::Inputs {
                        slice,
                        lists,
                        list_buffer: &self.lists,
                        common: &self.common,
                        parameters,
                        goal,
                    },
                );
                // The kernels have already computed the gradient of d.
                self.record_sums(recording, slice, goal, 0);
            }
            Work::Layered(goal) => self.record_layered(recording, slice, parameters, goal),
            Work::Composed(goal) => {
                let common = &self.common;
                self.composed
                    .record(recording, slice, common, parameters, goal)?;
                if let Some(goal) = goal {
                    self.record_sums(recording, slice, goal, 0);
                }
            }
        }
        let Some(goal) = goal.filter(|goal| slice.range.end == goal.total) else {
            return Ok(());
        };
        let parameters = goal.masters.unwrap_or(parameters);
        match fused {
            None => self.record_end(recording, plan, parameters, goal)?,
            Some(update) if update.head(&self.architecture).is_none() => {
                self.record_update(recording, parameters, goal.gradients, update, true);
            }
            Some(_) => {}
        }
        match goal.update {
            Some(update) => self.record_lookahead(recording, parameters, update),
            None => Ok(()),
        }
    }

    fn record_layered<'a>(
        &'a self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        parameters: ParameterBuffers<'a>,
        goal: Option<Goal<'a>>,
    ) {
        let (layered, common) = (&self.layered, &self.common);
        match goal {
            None => recording.upload(common.targets.id(), slice.targets),
            Some(goal) => self.upload(recording, slice, goal.upstream, &common.e),
        }
        if let Some(buckets) = slice.buckets {
            recording.upload(common.bucket.id(), buckets);
        }
        layered.record_forward(recording, slice, common, parameters);
        if let Some(goal) = goal {
            self.record_loss(recording, slice, goal);
            layered.record_backward(recording, slice, common, parameters, goal.gradients);
            self.record_sums(recording, slice, goal, self.architecture.buckets as u32);
        }
    }

    /// Uploads the targets if there is a loss, otherwise e to its buffer.
    fn upload<'a>(
        &self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        upstream: Upstream<'a>,
        e_buffer: &Buffer,
    ) {
        match upstream {
            Upstream::Given(e) => recording.upload(e_buffer.id(), &e[slice.range.clone()]),
            Upstream::Loss(_) => {
                let to = self.common.targets.id();
                recording.upload(to, slice.targets);
                if slice.is_weighted() {
                    recording.upload_at(to, slice.samples(), slice.weights);
                }
            }
        }
    }

    /// If e comes from a loss, computes e and the loss of each sample.
    fn record_loss(&self, recording: &mut Recording<'_>, slice: &Slice<'_>, goal: Goal<'_>) {
        let Some(loss) = goal.upstream.loss() else {
            return;
        };
        let params = loss::Params {
            samples: slice.samples() as u32,
            loss: loss.numbers(goal.mean_over, slice.is_weighted()),
        };
        let common = &self.common;
        let buffers = loss::Buffers {
            y: common.y.id(),
            targets: common.targets.id(),
            terms: common.terms.id(),
            e: common.e.id(),
        };
        recording.dispatch(loss.link as usize, params, buffers);
    }

    /// Computes the gradient of d for this many buckets, and adds the losses of the micro-batch to
    /// the loss of the batch.
    fn record_sums(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        goal: Goal<'_>,
        buckets: u32,
    ) {
        let common = &self.common;
        let params = sum::Params {
            samples: slice.samples() as u32,
            buckets,
            accumulate: u32::from(slice.range.start > 0),
            first: HeadLayout::new(&self.architecture).output_bias,
            totals: u32::from(goal.upstream.loss().is_some()),
        };
        let buffers = sum::Buffers {
            values: common.e.id(),
            bucket: common.bucket.id(),
            sums: goal.gradients.head(),
            terms: common.terms.id(),
            total: common.loss.id(),
        };
        recording.dispatch(0, params, buffers);
    }
}
