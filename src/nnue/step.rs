//! One pass over a slice of a batch, as commands: which kernels run, on which buffers, in which order.
//!
//! [`masked`] and, on a processor, [`scattered`] are the fast ways, for index lists; [`layered`] takes everything. Callers know only
//! [`Step::begin`], [`Step::reserve`] and [`Step::record_pass`], and the buffers of Y and the loss, so that another way to
//! compute a pass changes these files alone.

mod layered;
mod lists;
mod masked;
mod scattered;

use super::architecture::Architecture;
use super::layout::Small;
use super::slices::{Slice, SliceInputs};
use super::upstream::Upstream;
use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::kernels::{loss, sum};
use crate::optim::Optimizer;
use crate::tensor::lists::SparseInputs;
use layered::Layered;
use lists::ListBuffer;
use masked::{Masked, Pass};
use scattered::Scattered;
use std::borrow::Cow;

/// What grows with the samples may take this many bytes a buffer; a larger batch is cut over samples. Part of what the
/// bits of a run depend on, so a constant beside the device's own limit.
const WORKSPACE_BYTES: u64 = 256 << 20;

/// Buffers that hold a slice while a pass is at work, made as large as the largest slice so far.
#[derive(Debug)]
pub(super) struct Step {
    device: Device,
    architecture: Architecture,
    common: Common,
    lists: ListBuffer,
    layered: Layered,
    masked: Masked,
    scattered: Scattered,
    way: Way,
}

/// How a batch is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Layered,
    Masked,
    Scattered,
}

/// The index lists of both perspectives.
type Lists<'a> = &'a [Cow<'a, SparseInputs>; 2];

/// What every pass has.
#[derive(Debug)]
struct Common {
    /// Y, `[samples]`.
    y: Buffer,
    /// e = ∂Loss/∂Y, `[samples]`.
    e: Buffer,
    terms: Buffer,
    targets: Buffer,
    bucket: Buffer,
    /// `[1]`.
    loss: Buffer,
}

/// What a pass computes beside Y.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal<'a> {
    /// Nothing.
    Output,
    /// The gradients of a batch of `total` samples, and its loss where there is one. Slices after the first of a batch
    /// add to those before.
    Gradients {
        upstream: Upstream<'a>,
        total: usize,
        gradients: Roles<'a>,
        /// What to do with the gradients of the whole batch.
        update: Option<Update<'a>>,
    },
}

/// A step of an optimiser.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update<'a> {
    pub(super) optimizer: Optimizer,
    /// The step's number, counted from 1, and the learning rate.
    pub(super) at: (u64, f32),
    /// For each moment buffers like those of the parameters.
    pub(super) moments: &'a [Vec<Buffer>],
}

impl Update<'_> {
    /// Those of a buffer of parameters.
    fn moments(&self, buffer: usize) -> Vec<BufferId> {
        let moments = self.moments.iter();
        moments.map(|buffers| buffers[buffer].id()).collect()
    }
}

/// The buffers of one parameter set, by role: see [`layout`](super::layout).
#[derive(Clone, Copy, Debug)]
pub(super) struct Roles<'a> {
    buffers: &'a [Buffer],
    tied: bool,
}

impl<'a> Roles<'a> {
    pub(super) fn new(architecture: &Architecture, buffers: &'a [Buffer]) -> Self {
        Self {
            buffers,
            tied: architecture.tied,
        }
    }

    /// A of a perspective.
    fn weights(&self, perspective: usize) -> BufferId {
        self.buffers[if self.tied { 0 } else { perspective }].id()
    }

    /// B of each accumulator, C and d: see [`Small`].
    fn small(&self) -> BufferId {
        self.buffers[self.small_index()].id()
    }

    fn small_index(&self) -> usize {
        self.buffers.len() - 1
    }
}

/// Makes a buffer large enough; nothing happens where it is.
fn grow(
    device: &Device,
    buffer: &mut Buffer,
    what: &str,
    element: Element,
    len: usize,
) -> Result<()> {
    if buffer.len() < len {
        *buffer = device.allocate(what, element, len)?;
    }
    Ok(())
}

/// As [`grow`], for what differs from batch to batch though their samples are as many: an eighth more is made, so that
/// batches soon grow nothing.
fn grow_roomy(
    device: &Device,
    buffer: &mut Buffer,
    what: &str,
    element: Element,
    len: usize,
) -> Result<()> {
    if buffer.len() >= len {
        return Ok(());
    }
    let limit = (device.binding_limit() / 4) as usize;
    let roomy = (len + len / 8).min(limit.max(len));
    grow(device, buffer, what, element, roomy)
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
            },
            lists: ListBuffer::new(device)?,
            layered: Layered::new(device, architecture.clone())?,
            masked: Masked::new(device, architecture.clone())?,
            scattered: Scattered::new(device, architecture)?,
            way: Way::Layered,
        })
    }

    /// Y, `[samples]`, after a pass.
    pub(super) fn y(&self) -> &Buffer {
        &self.common.y
    }

    /// The loss of the batch, `[1]`, after the pass over its last slice, if the pass had one.
    pub(super) fn loss(&self) -> &Buffer {
        &self.common.loss
    }

    /// Whether gradients read the transposed index of so many samples' lists, with so many indices in all.
    pub(super) fn reads_transposed(&self, samples: usize, entries: usize) -> bool {
        !self.scattered.fits(samples, entries)
    }

    /// Chooses the way for a batch, for gradients or for Y alone; says how many of its samples one pass can take.
    ///
    /// # Errors
    /// [`Error::Limit`] when not even one sample fits.
    pub(super) fn begin(&mut self, batch: &Batch, gradient: bool) -> Result<usize> {
        self.way = if gradient && self.scattered.takes(batch) {
            Way::Scattered
        } else if self.masked.takes(batch, gradient) {
            Way::Masked
        } else {
            Way::Layered
        };
        // What does not grow with the samples, and what each takes.
        let (fixed, bytes) = match self.way {
            Way::Scattered => (8, 4 * ListBuffer::sample_words(batch) as u64),
            Way::Masked => (
                self.masked.fixed_bytes(batch, gradient),
                self.masked.sample_bytes(batch, gradient),
            ),
            Way::Layered => (0, Layered::sample_bytes(&self.architecture, batch)),
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
        let room = limit.min(WORKSPACE_BYTES).saturating_sub(fixed);
        Ok((room / bytes).max(1) as usize)
    }

    /// Makes the buffers large enough for a slice that is gone through for this goal; nothing happens where they are.
    pub(super) fn reserve(&mut self, slice: &Slice<'_>, goal: Goal<'_>) -> Result<()> {
        let (device, samples) = (&self.device, slice.samples());
        let common = &mut self.common;
        grow(device, &mut common.y, "Y", Element::Float, samples)?;
        if let (SliceInputs::Sparse(lists), Way::Masked) = (&slice.inputs, self.way) {
            self.lists
                .reserve(device, &masked::parts(lists, slice, goal))?;
            return match goal {
                Goal::Gradients { .. } => self.masked.reserve(device, samples, lists),
                Goal::Output => Ok(()),
            };
        }
        for (buffer, what) in [
            (&mut common.e, "e"),
            (&mut common.terms, "loss terms"),
            (&mut common.targets, "targets"),
        ] {
            grow(device, buffer, what, Element::Float, samples)?;
        }
        let what = "buckets";
        grow(device, &mut common.bucket, what, Element::Word, samples)?;
        match (&slice.inputs, self.way) {
            (SliceInputs::Sparse(lists), Way::Scattered) => {
                self.lists.reserve(device, &lists::parts(lists))?;
                self.scattered.reserve(device, samples)
            }
            _ => self.layered.reserve(device, slice),
        }
    }

    /// Records one pass over a slice that [`Step::reserve`] has made room for.
    pub(super) fn record_pass<'a>(
        &'a self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        parameters: Roles<'a>,
        goal: Goal<'a>,
    ) {
        match (&slice.inputs, self.way) {
            (SliceInputs::Sparse(lists), Way::Masked) => {
                let masked = (&self.masked, &self.lists);
                Pass::new(masked, recording, slice, lists, parameters, goal).record(
                    recording,
                    &self.common,
                    self.fused(slice, goal),
                );
            }
            _ => self.record_others(recording, slice, parameters, goal),
        }
        self.record_update(recording, slice, parameters, goal);
    }

    /// The scattered and the layered way.
    fn record_others<'a>(
        &self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        parameters: Roles<'_>,
        goal: Goal<'a>,
    ) {
        let common = &self.common;
        let upstream = match goal {
            Goal::Output => None,
            Goal::Gradients { upstream, .. } => Some(upstream),
        };
        match upstream {
            Some(Upstream::Given(e)) => {
                let to = match self.way {
                    Way::Scattered => &common.targets,
                    _ => &common.e,
                };
                recording.upload(to.id(), &e[slice.range.clone()]);
            }
            _ => recording.upload(common.targets.id(), slice.targets),
        }
        if let Some(buckets) = slice.buckets {
            recording.upload(common.bucket.id(), buckets);
        }
        match (&slice.inputs, self.way, goal) {
            (
                SliceInputs::Sparse(lists),
                Way::Scattered,
                Goal::Gradients {
                    upstream,
                    total,
                    gradients,
                    ..
                },
            ) => self.scattered.record(
                recording,
                (slice, lists),
                (common, &self.lists),
                (parameters, gradients),
                (upstream.loss(), total),
            ),
            _ => {
                let layered = &self.layered;
                layered.record_forward(recording, slice, common, parameters);
                self.record_loss(recording, goal, slice.samples());
                if let Goal::Gradients { gradients, .. } = goal {
                    layered.record_backward(recording, slice, common, parameters, gradients);
                }
            }
        }
        self.record_sums(recording, slice, goal);
    }

    /// The update that needs no gradients: AdamW of a batch in one slice, by masks.
    fn fused<'a>(&self, slice: &Slice<'_>, goal: Goal<'a>) -> Option<Update<'a>> {
        match goal {
            Goal::Gradients {
                total,
                update: Some(update),
                ..
            } if self.way == Way::Masked && slice.samples() == total => {
                let is_adamw = matches!(update.optimizer, Optimizer::AdamW { .. });
                is_adamw.then_some(update)
            }
            _ => None,
        }
    }

    /// After the last slice, the update of what is not updated yet.
    fn record_update(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        parameters: Roles<'_>,
        goal: Goal<'_>,
    ) {
        let Goal::Gradients {
            total,
            gradients,
            update: Some(update),
            ..
        } = goal
        else {
            return;
        };
        if slice.range.end < total || self.fused(slice, goal).is_some() {
            return;
        }
        let pairs = parameters.buffers.iter().zip(gradients.buffers);
        for (buffer, (values, gradient)) in pairs.enumerate() {
            update.optimizer.record(
                recording,
                update.at,
                values.len(),
                gradient.id(),
                &update.moments(buffer),
                values.id(),
            );
        }
    }

    /// Computes the loss of each sample of the slice, and e, if it comes from a loss.
    fn record_loss(&self, recording: &mut Recording<'_>, goal: Goal<'_>, samples: usize) {
        let Goal::Gradients {
            upstream: Upstream::Loss(loss),
            total,
            ..
        } = goal
        else {
            return;
        };
        let params = loss::Params {
            samples: samples as u32,
            power: loss.power,
            scale: 1.0 / total as f32,
        };
        let Common {
            y,
            targets,
            terms,
            e,
            ..
        } = &self.common;
        let buffers = [y.id(), targets.id(), terms.id(), e.id()];
        recording.dispatch(loss.link as usize, params, &buffers);
    }

    /// The gradient of d where it is not there yet, and the slice's part of the loss of the batch.
    fn record_sums(&self, recording: &mut Recording<'_>, slice: &Slice<'_>, goal: Goal<'_>) {
        let Goal::Gradients {
            upstream,
            gradients,
            ..
        } = goal
        else {
            return;
        };
        let common = &self.common;
        let params = sum::Params {
            samples: slice.samples() as u32,
            buckets: match self.way {
                Way::Scattered => 0,
                _ => self.architecture.buckets as u32,
            },
            accumulate: u32::from(slice.range.start > 0),
            first: Small::new(&self.architecture).output_bias,
            totals: u32::from(upstream.loss().is_some()),
        };
        let buffers = [
            common.e.id(),
            common.bucket.id(),
            gradients.small(),
            common.terms.id(),
            common.loss.id(),
        ];
        recording.dispatch(0, params, &buffers);
    }
}
