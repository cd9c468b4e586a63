//! One pass over a slice of a batch, as commands: which kernels run, on which buffers, in which order.
//!
//! [`masked`] and, on a processor, [`scattered`] are the fast ways, for index lists; [`layered`] takes everything. Callers know only
//! [`Step::begin`], [`Step::reserve`] and [`Step::record_pass`], and the buffers of Y and the loss, so that another way to
//! compute a pass changes these files alone.

mod joined;
mod layered;
mod masked;
mod scattered;

use super::architecture::Architecture;
use super::slices::{Slice, SliceInputs};
use super::upstream::Upstream;
use crate::batch::{Batch, SparseInputs};
use crate::device::{Buffer, Device};
use crate::error::{Error, Result};
use crate::kernel::Element;
use crate::kernels::{loss, loss_gradient, sum};
use crate::optim::Optimizer;
use crate::recording::{BufferId, Recording};
use joined::Joined;
use layered::Layered;
use masked::{Masked, Pass};
use scattered::Scattered;
use std::borrow::Cow;
use std::ops::Range;

/// What grows with the samples may take this many bytes a buffer; a larger batch is cut over samples. Part of what the
/// bits of a run depend on, so a constant beside the device's own limit.
const WORKSPACE_BYTES: u64 = 256 << 20;

/// Buffers that hold a slice while a pass is at work, made as large as the largest slice so far.
#[derive(Debug)]
pub(super) struct Step {
    device: Device,
    architecture: Architecture,
    common: Common,
    joined: Joined,
    layered: Layered,
    masked: Masked,
    scattered: Scattered,
    way: Way,
    /// Whether the batch is gone through backward too.
    gradient: bool,
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
    /// For each moment a buffer a parameter.
    pub(super) moments: &'a [Vec<Buffer>],
}

impl Update<'_> {
    fn moments(&self, parameter: usize) -> Vec<BufferId> {
        let buffers = self.moments.iter();
        buffers.map(|buffers| buffers[parameter].id()).collect()
    }
}

/// The buffers of one parameter set in the order of the architecture's tensors, by role.
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

    fn weights(&self, perspective: usize) -> BufferId {
        self.buffers[if self.tied { 0 } else { perspective }].id()
    }

    fn bias(&self, perspective: usize) -> BufferId {
        self.buffers[if self.tied { 1 } else { 2 + perspective }].id()
    }

    fn output_weights(&self) -> BufferId {
        self.buffers[self.buffers.len() - 2].id()
    }

    fn output_bias(&self) -> BufferId {
        self.buffers[self.buffers.len() - 1].id()
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
            architecture,
            common: Common {
                y: floats("Y")?,
                e: floats("e")?,
                terms: floats("loss terms")?,
                targets: floats("targets")?,
                bucket: device.allocate("buckets", Element::Word, 1)?,
                loss: floats("loss")?,
            },
            joined: Joined::new(device, architecture)?,
            layered: Layered::new(device, architecture)?,
            masked: Masked::new(device, architecture)?,
            scattered: Scattered::new(device, architecture)?,
            way: Way::Layered,
            gradient: false,
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
        self.gradient = gradient;
        self.way = if gradient && self.scattered.takes(batch) {
            Way::Scattered
        } else if self.masked.takes(batch, gradient) {
            Way::Masked
        } else {
            Way::Layered
        };
        let bytes = match self.way {
            Way::Scattered => 4 * Joined::sample_words(batch) as u64,
            Way::Masked => self.masked.sample_bytes(batch),
            Way::Layered => Layered::sample_bytes(&self.architecture, batch),
        };
        let limit = self.device.binding_limit();
        if bytes > limit {
            return Err(Error::Limit {
                what: "one sample of the batch".to_owned(),
                device: self.device.name().to_owned(),
                needed: bytes,
                limit,
                advice: String::new(),
            });
        }
        Ok((limit.min(WORKSPACE_BYTES) / bytes).max(1) as usize)
    }

    /// Makes the buffers large enough for a slice; nothing happens where they are.
    pub(super) fn reserve(&mut self, slice: &Slice<'_>) -> Result<()> {
        let (device, samples) = (&self.device, slice.samples());
        let common = &mut self.common;
        for (buffer, what) in [
            (&mut common.y, "Y"),
            (&mut common.e, "e"),
            (&mut common.terms, "loss terms"),
            (&mut common.targets, "targets"),
        ] {
            grow(device, buffer, what, Element::Float, samples)?;
        }
        grow(
            device,
            &mut common.bucket,
            "buckets",
            Element::Word,
            samples,
        )?;
        match (&slice.inputs, self.way) {
            (SliceInputs::Sparse(lists), Way::Scattered) => {
                self.joined.reserve(device, samples, lists)?;
                self.scattered.reserve(device, samples)
            }
            (SliceInputs::Sparse(lists), Way::Masked) => {
                self.joined.reserve(device, samples, lists)?;
                match self.gradient {
                    true => self.masked.reserve(device, samples, lists),
                    false => Ok(()),
                }
            }
            _ => self.layered.reserve(device, slice),
        }
    }

    /// Records one pass over a slice that [`Step::reserve`] has made room for.
    pub(super) fn record_pass<'a>(
        &self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        parameters: Roles<'_>,
        goal: Goal<'a>,
    ) {
        let (common, joined) = (&self.common, &self.joined);
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
                (common, joined),
                (parameters, gradients),
                (upstream.loss(), total),
            ),
            (SliceInputs::Sparse(lists), Way::Masked, _) => {
                let gradient = upstream.is_some();
                let masked = (&self.masked, joined);
                let pass = Pass::new(masked, recording, slice, lists, parameters, gradient);
                for strip in pass.strips() {
                    pass.record_forward(recording, common, strip.clone(), gradient);
                    self.record_loss_gradient(recording, goal, strip.clone());
                    if gradient {
                        pass.record_rows(recording, common, strip);
                    }
                }
                if let Goal::Gradients { gradients, .. } = goal {
                    pass.record_gradients(recording, gradients, self.fused(slice, goal));
                }
            }
            _ => {
                let layered = &self.layered;
                layered.record_forward(recording, slice, common, parameters);
                self.record_loss_gradient(recording, goal, 0..slice.samples());
                if let Goal::Gradients { gradients, .. } = goal {
                    layered.record_backward(recording, slice, common, parameters, gradients);
                }
            }
        }
        self.record_sums(recording, slice, goal);
        self.record_update(recording, slice, parameters, goal);
    }

    /// The update that needs no gradient of A: AdamW of a batch in one slice.
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
        if slice.range.end < total {
            return;
        }
        let done = match self.fused(slice, goal) {
            Some(_) if self.architecture.tied => 1,
            Some(_) => 2,
            None => 0,
        };
        let pairs = parameters.buffers.iter().zip(gradients.buffers);
        for (parameter, (values, gradient)) in pairs.enumerate().skip(done) {
            update.optimizer.record(
                recording,
                update.at,
                values.len(),
                gradient.id(),
                &update.moments(parameter),
                values.id(),
            );
        }
    }

    /// Computes e for a strip of the slice, if it comes from a loss.
    fn record_loss_gradient(
        &self,
        recording: &mut Recording<'_>,
        goal: Goal<'_>,
        strip: Range<usize>,
    ) {
        let Goal::Gradients {
            upstream: Upstream::Loss(loss),
            total,
            ..
        } = goal
        else {
            return;
        };
        let params = loss_gradient::Params {
            samples: strip.len() as u32,
            first: strip.start as u32,
            power: loss.power,
            scale: 1.0 / total as f32,
        };
        let Common { y, targets, e, .. } = &self.common;
        recording.dispatch(loss.link as usize, params, &[y.id(), targets.id(), e.id()]);
    }

    /// The gradient of d, and the slice's part of the loss of the batch.
    fn record_sums(&self, recording: &mut Recording<'_>, slice: &Slice<'_>, goal: Goal<'_>) {
        let Goal::Gradients {
            upstream,
            total,
            gradients,
            ..
        } = goal
        else {
            return;
        };
        let common = &self.common;
        let samples = slice.samples() as u32;
        let sum = |recording: &mut Recording<'_>, buckets, values, to| {
            let params = sum::Params {
                samples,
                buckets,
                accumulate: u32::from(slice.range.start > 0),
            };
            recording.dispatch(0, params, &[values, common.bucket.id(), to]);
        };
        let buckets = self.architecture.buckets as u32;
        if self.way != Way::Scattered {
            sum(recording, buckets, common.e.id(), gradients.output_bias());
        }
        if let Upstream::Loss(loss) = upstream {
            let params = loss::Params {
                samples,
                power: loss.power,
                scale: 1.0 / total as f32,
            };
            let Common {
                y, targets, terms, ..
            } = common;
            let buffers = [y.id(), targets.id(), terms.id()];
            recording.dispatch(loss.link as usize, params, &buffers);
            sum(recording, 1, terms.id(), common.loss.id());
        }
    }
}
