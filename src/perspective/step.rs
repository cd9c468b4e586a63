//! One pass over a slice of a batch, as commands: which kernels run, on which buffers, in which order.
//!
//! Z and ∂Loss/∂Z are kept in memory, `[samples, 2K]` each. Callers know only [`Step::slice_samples`], [`Step::reserve`] and
//! [`Step::record_pass`], and the buffers of Y and the loss, so that another way to compute a pass changes this file alone.

use super::architecture::Architecture;
use super::slices::{Slice, SliceInputs};
use super::upstream::Upstream;
use crate::batch::{Batch, SparseInputs};
use crate::device::{Buffer, Device};
use crate::error::{Error, Result};
use crate::kernel::Element;
use crate::kernels::{
    accumulator_dense, accumulator_sparse, activation_gradient, bias_gradient, loss, loss_gradient,
    output, output_gradient, sum, weights_gradient_dense, weights_gradient_sparse,
};
use crate::loss::Loss;
use crate::recording::{BufferId, Recording};

/// Z and ∂Loss/∂Z may take this many bytes each; a larger batch is cut over samples. Part of what the bits of a run
/// depend on, so a constant beside the device's own limit.
const WORKSPACE_BYTES: u64 = 256 << 20;

/// Buffers that hold a slice while a pass is at work, made as large as the largest slice so far.
#[derive(Debug)]
pub(super) struct Step {
    device: Device,
    architecture: Architecture,
    z: Buffer,
    dz: Buffer,
    /// Y, `[samples]`, after a pass.
    pub(super) y: Buffer,
    /// e = ∂Loss/∂Y, `[samples]`.
    e: Buffer,
    terms: Buffer,
    targets: Buffer,
    bucket: Buffer,
    inputs: [PerspectiveInputs; 2],
    /// The loss of the batch, `[1]`, after the pass over its last slice, if the pass had one.
    pub(super) loss: Buffer,
}

#[derive(Debug)]
struct PerspectiveInputs {
    /// X or the index lists.
    values: Buffer,
    dense: bool,
    starts: Buffer,
    offsets: Buffer,
    samples: Buffer,
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
    },
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

impl Step {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let floats = |what| device.allocate(what, Element::Float, 1);
        let words = |what| device.allocate(what, Element::Word, 1);
        let inputs = || {
            Result::Ok(PerspectiveInputs {
                values: words("index lists")?,
                dense: false,
                starts: words("starts of the index lists")?,
                offsets: words("offsets of the transposed index")?,
                samples: words("samples of the transposed index")?,
            })
        };
        Ok(Self {
            device: device.clone(),
            architecture,
            z: floats("Z")?,
            dz: floats("∂Loss/∂Z")?,
            y: floats("Y")?,
            e: floats("e")?,
            terms: floats("loss terms")?,
            targets: floats("targets")?,
            bucket: words("buckets")?,
            inputs: [inputs()?, inputs()?],
            loss: floats("loss")?,
        })
    }

    /// How many samples of the batch one pass can take.
    ///
    /// # Errors
    /// [`Error::Limit`] when not even one sample fits.
    pub(super) fn slice_samples(&self, batch: &Batch) -> Result<usize> {
        use crate::batch::Inputs;
        let row = match batch.inputs() {
            Inputs::Dense { features, .. } => *features,
            Inputs::Sparse(lists) => lists.iter().map(SparseInputs::longest).max().unwrap_or(1),
        };
        let row_bytes = 4 * row.max(2 * self.architecture.hidden) as u64;
        let limit = self.device.binding_limit();
        if row_bytes > limit {
            return Err(Error::Limit {
                what: "one sample of the batch".to_owned(),
                device: self.device.name().to_owned(),
                needed: row_bytes,
                limit,
                advice: String::new(),
            });
        }
        Ok((limit.min(WORKSPACE_BYTES) / row_bytes).max(1) as usize)
    }

    /// Makes the buffers large enough for a slice; nothing happens where they are.
    pub(super) fn reserve(&mut self, slice: &Slice<'_>) -> Result<()> {
        let samples = slice.samples();
        let width = 2 * self.architecture.hidden;
        let device = &self.device;
        let grow = |buffer: &mut Buffer, what: &str, element, len: usize| {
            if buffer.len() < len {
                *buffer = device.allocate(what, element, len)?;
            }
            Result::Ok(())
        };
        grow(&mut self.z, "Z", Element::Float, samples * width)?;
        grow(&mut self.dz, "∂Loss/∂Z", Element::Float, samples * width)?;
        for (buffer, what) in [
            (&mut self.y, "Y"),
            (&mut self.e, "e"),
            (&mut self.terms, "loss terms"),
            (&mut self.targets, "targets"),
        ] {
            grow(buffer, what, Element::Float, samples)?;
        }
        grow(&mut self.bucket, "buckets", Element::Word, samples)?;
        for (perspective, inputs) in self.inputs.iter_mut().enumerate() {
            let dense = matches!(slice.inputs, SliceInputs::Dense(_));
            if inputs.dense != dense {
                let element = if dense { Element::Float } else { Element::Word };
                inputs.values = device.allocate("inputs", element, 1)?;
                inputs.dense = dense;
            }
            match &slice.inputs {
                SliceInputs::Dense(values) => {
                    let len = values[perspective].len();
                    grow(&mut inputs.values, "X", Element::Float, len)?;
                }
                SliceInputs::Sparse(lists) => {
                    let lists = &lists[perspective];
                    let (places, starts) = (lists.indices().len(), lists.starts().len());
                    let offsets = lists.offsets().len();
                    grow(&mut inputs.values, "index lists", Element::Word, places)?;
                    let what = "starts of the index lists";
                    grow(&mut inputs.starts, what, Element::Word, starts)?;
                    let what = "samples of the transposed index";
                    grow(&mut inputs.samples, what, Element::Word, places)?;
                    let what = "offsets of the transposed index";
                    grow(&mut inputs.offsets, what, Element::Word, offsets)?;
                }
            }
        }
        Ok(())
    }

    /// Records one pass over a slice that [`Step::reserve`] has made room for.
    pub(super) fn record_pass<'a>(
        &self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        parameters: Roles<'_>,
        goal: Goal<'a>,
    ) {
        self.record_forward(recording, slice, parameters);
        let Goal::Gradients {
            upstream,
            total,
            gradients,
        } = goal
        else {
            return;
        };
        match upstream {
            Upstream::Loss(loss) => self.record_loss(recording, slice, loss, total),
            Upstream::Given(e) => recording.upload(self.e.id(), &e[slice.range.clone()]),
        }
        self.record_backward(recording, slice, parameters, gradients);
    }

    /// The kernels' variant for the activation.
    fn variant(&self) -> usize {
        self.architecture.activation as usize
    }

    /// Uploads the slice and computes Z and Y.
    fn record_forward<'a>(
        &self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        parameters: Roles<'_>,
    ) {
        let hidden = self.architecture.hidden as u32;
        let samples = slice.samples() as u32;
        recording.upload(self.targets.id(), slice.targets);
        if let Some(buckets) = slice.buckets {
            recording.upload(self.bucket.id(), buckets);
        }
        for (perspective, inputs) in self.inputs.iter().enumerate() {
            match &slice.inputs {
                SliceInputs::Dense(values) => {
                    recording.upload(inputs.values.id(), values[perspective]);
                }
                SliceInputs::Sparse(lists) => {
                    let lists = &lists[perspective];
                    recording.upload(inputs.starts.id(), lists.starts());
                    recording.upload(inputs.values.id(), lists.indices());
                    recording.upload(inputs.offsets.id(), lists.offsets());
                    recording.upload(inputs.samples.id(), lists.samples());
                }
            }
        }
        for (perspective, inputs) in self.inputs.iter().enumerate() {
            let (stride, column) = (2 * hidden, perspective as u32 * hidden);
            let values = inputs.values.id();
            let weights = parameters.weights(perspective);
            let bias = parameters.bias(perspective);
            match &slice.inputs {
                SliceInputs::Dense(_) => {
                    let params = accumulator_dense::Params {
                        samples,
                        hidden,
                        inputs: self.architecture.inputs as u32,
                        stride,
                        column,
                    };
                    recording.dispatch(0, params, &[values, weights, bias, self.z.id()]);
                }
                SliceInputs::Sparse(_) => {
                    let params = accumulator_sparse::Params {
                        samples,
                        hidden,
                        stride,
                        column,
                    };
                    let starts = inputs.starts.id();
                    recording.dispatch(0, params, &[starts, values, weights, bias, self.z.id()]);
                }
            }
        }
        let params = output::Params {
            samples,
            width: 2 * hidden,
            buckets: self.architecture.buckets as u32,
            clip: self.architecture.clip,
        };
        let buffers = [
            self.z.id(),
            parameters.output_weights(),
            parameters.output_bias(),
            self.bucket.id(),
            self.y.id(),
        ];
        recording.dispatch(self.variant(), params, &buffers);
    }

    /// Computes e, and the slice's part of the loss of a batch of `total` samples.
    fn record_loss(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        loss: Loss,
        total: usize,
    ) {
        let samples = slice.samples() as u32;
        let variant = loss.link as usize;
        let scale = 1.0 / total as f32;
        let power = loss.power;
        let params = loss::Params {
            samples,
            power,
            scale,
        };
        let buffers = [self.y.id(), self.targets.id(), self.terms.id()];
        recording.dispatch(variant, params, &buffers);
        let params = sum::Params {
            samples,
            buckets: 1,
            accumulate: u32::from(slice.range.start > 0),
        };
        let buffers = [self.terms.id(), self.bucket.id(), self.loss.id()];
        recording.dispatch(0, params, &buffers);
        let params = loss_gradient::Params {
            samples,
            power,
            scale,
        };
        let buffers = [self.y.id(), self.targets.id(), self.e.id()];
        recording.dispatch(variant, params, &buffers);
    }

    /// From Z and e, the six gradients; slices after the first of a batch add to those before.
    fn record_backward(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        parameters: Roles<'_>,
        gradients: Roles<'_>,
    ) {
        let architecture = &self.architecture;
        let (hidden, samples) = (architecture.hidden as u32, slice.samples() as u32);
        let (width, buckets, clip) = (2 * hidden, architecture.buckets as u32, architecture.clip);
        let accumulate = u32::from(slice.range.start > 0);

        let params = sum::Params {
            samples,
            buckets,
            accumulate,
        };
        let buffers = [self.e.id(), self.bucket.id(), gradients.output_bias()];
        recording.dispatch(0, params, &buffers);
        let params = output_gradient::Params {
            samples,
            width,
            buckets,
            clip,
            accumulate,
        };
        let buffers = [
            self.z.id(),
            self.e.id(),
            self.bucket.id(),
            gradients.output_weights(),
        ];
        recording.dispatch(self.variant(), params, &buffers);
        let params = activation_gradient::Params {
            samples,
            width,
            buckets,
            clip,
        };
        let buffers = [
            self.z.id(),
            self.e.id(),
            parameters.output_weights(),
            self.bucket.id(),
            self.dz.id(),
        ];
        recording.dispatch(self.variant(), params, &buffers);

        for (perspective, inputs) in self.inputs.iter().enumerate() {
            let column = perspective as u32 * hidden;
            // Tied weights: the gradient is the sum of both perspectives'.
            let accumulate = if architecture.tied && perspective == 1 {
                1
            } else {
                accumulate
            };
            let params = bias_gradient::Params {
                samples,
                hidden,
                stride: width,
                column,
                accumulate,
            };
            let buffers = [self.dz.id(), gradients.bias(perspective)];
            recording.dispatch(0, params, &buffers);
            let gradient = gradients.weights(perspective);
            match &slice.inputs {
                SliceInputs::Dense(_) => {
                    let params = weights_gradient_dense::Params {
                        samples,
                        inputs: architecture.inputs as u32,
                        hidden,
                        stride: width,
                        column,
                        accumulate,
                    };
                    let buffers = [inputs.values.id(), self.dz.id(), gradient];
                    recording.dispatch(0, params, &buffers);
                }
                SliceInputs::Sparse(_) => {
                    let params = weights_gradient_sparse::Params {
                        inputs: architecture.inputs as u32,
                        hidden,
                        stride: width,
                        column,
                        accumulate,
                    };
                    let buffers = [
                        inputs.offsets.id(),
                        inputs.samples.id(),
                        self.dz.id(),
                        gradient,
                    ];
                    recording.dispatch(0, params, &buffers);
                }
            }
        }
    }
}
