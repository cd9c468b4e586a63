//! The layered path, which stores Z and ∂Loss/∂Z, `[samples, 2K]` each. It serves dense inputs, and
//! batches that are too large for [`Masked`](super::masked::Masked).

use super::buffers::{grow, grow_roomy};
use super::{Common, ParameterBuffers};
use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::Element;
use crate::engine::libraries::Tiles;
use crate::engine::recording::Recording;
use crate::error::Result;
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::kernels::{
    accumulator_dense, activation_gradient, bias_gradient, output, output_gradient,
    weights_gradient_dense,
};
use crate::nnue::layout::HeadLayout;
use crate::nnue::slices::{Slice, SliceInputs};
use crate::tensor::kernels::{accumulator_sparse, weights_gradient_sparse};
use crate::tensor::lists::SparseInputs;

/// The buffers of a layered pass.
#[derive(Debug)]
pub(super) struct Layered {
    architecture: Architecture,
    /// The variant of the products of dense inputs.
    pub(super) tiles: Tiles,
    z: Buffer,
    dz: Buffer,
    inputs: [PerspectiveInputs; 2],
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

impl Layered {
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
            architecture,
            tiles: Tiles::of(device.class()),
            z: floats("Z")?,
            dz: floats("∂Loss/∂Z")?,
            inputs: [inputs()?, inputs()?],
        })
    }

    /// The most bytes that a sample takes in one buffer.
    pub(super) fn sample_bytes(architecture: &Architecture, batch: &Batch) -> u64 {
        let row = match batch.inputs() {
            Inputs::Dense { inputs, .. } => inputs.next_multiple_of(4),
            Inputs::Sparse(lists) => lists.iter().map(SparseInputs::longest).max().unwrap_or(1),
        };
        4 * row.max(2 * architecture.hidden) as u64
    }

    pub(super) fn reserve(&mut self, device: &Device, slice: &Slice<'_>) -> Result<()> {
        let values = slice.samples() * 2 * self.architecture.hidden;
        grow(device, &mut self.z, "Z", Element::Float, values)?;
        grow(device, &mut self.dz, "∂Loss/∂Z", Element::Float, values)?;
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
                    grow(device, &mut inputs.values, "X", Element::Float, len)?;
                }
                SliceInputs::Sparse(lists) => {
                    let lists = &lists[perspective];
                    let (places, starts) = (lists.indices().len(), lists.starts().len());
                    let offsets = lists.offsets().len();
                    grow_roomy(
                        device,
                        &mut inputs.values,
                        "index lists",
                        Element::Word,
                        places,
                    )?;
                    let what = "starts of the index lists";
                    grow(device, &mut inputs.starts, what, Element::Word, starts)?;
                    let what = "samples of the transposed index";
                    grow_roomy(device, &mut inputs.samples, what, Element::Word, places)?;
                    let what = "offsets of the transposed index";
                    grow(device, &mut inputs.offsets, what, Element::Word, offsets)?;
                }
            }
        }
        Ok(())
    }

    /// The kernels' variant for the activation.
    fn variant(&self) -> usize {
        self.architecture.activation as usize
    }

    /// Uploads the inputs and computes Z and Y.
    pub(super) fn record_forward<'a>(
        &self,
        recording: &mut Recording<'a>,
        slice: &'a Slice<'a>,
        common: &Common,
        parameters: ParameterBuffers<'_>,
    ) {
        let hidden = self.architecture.hidden as u32;
        let samples = slice.samples() as u32;
        for (perspective, inputs) in self.inputs.iter().enumerate() {
            match &slice.inputs {
                SliceInputs::Dense(values) => {
                    recording.upload(inputs.values.id(), &*values[perspective]);
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
            let bias = HeadLayout::new(&self.architecture).bias(perspective);
            let head = parameters.head();
            match &slice.inputs {
                SliceInputs::Dense(_) => {
                    let params = accumulator_dense::Params {
                        samples,
                        hidden,
                        inputs: self.architecture.inputs as u32,
                        x_stride: self.architecture.inputs.next_multiple_of(4) as u32,
                        stride,
                        column,
                        bias,
                    };
                    let buffers = accumulator_dense::Buffers {
                        x: values,
                        weights,
                        small: head,
                        z: self.z.id(),
                    };
                    recording.dispatch(self.tiles as usize, params, buffers);
                }
                SliceInputs::Sparse(lists) => {
                    let params = accumulator_sparse::Params {
                        samples,
                        hidden,
                        stride,
                        column,
                        bias,
                        inputs: self.architecture.inputs as u32,
                        entries: lists[perspective].indices().len() as u32,
                    };
                    let buffers = accumulator_sparse::Buffers {
                        starts: inputs.starts.id(),
                        indices: values,
                        weights,
                        small: head,
                        z: self.z.id(),
                    };
                    recording.dispatch(0, params, buffers);
                }
            }
        }
        let head = HeadLayout::new(&self.architecture);
        let params = output::Params {
            samples,
            width: 2 * hidden,
            buckets: self.architecture.buckets as u32,
            clip: self.architecture.clip,
            output: head.output,
            output_bias: head.output_bias,
        };
        let buffers = output::Buffers {
            z: self.z.id(),
            small: parameters.head(),
            bucket: common.bucket.id(),
            y: common.y.id(),
        };
        recording.dispatch(self.variant(), params, buffers);
    }

    /// Computes the gradients from Z and e. Every micro-batch after the first one adds to the
    /// gradients.
    pub(super) fn record_backward(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        common: &Common,
        parameters: ParameterBuffers<'_>,
        gradients: ParameterBuffers<'_>,
    ) {
        let architecture = &self.architecture;
        let (hidden, samples) = (architecture.hidden as u32, slice.samples() as u32);
        let (width, buckets, clip) = (2 * hidden, architecture.buckets as u32, architecture.clip);
        let accumulate = u32::from(slice.range.start > 0);
        let head = HeadLayout::new(architecture);

        let params = output_gradient::Params {
            samples,
            width,
            buckets,
            clip,
            accumulate,
            first: head.output,
        };
        let buffers = output_gradient::Buffers {
            z: self.z.id(),
            e: common.e.id(),
            bucket: common.bucket.id(),
            gradient: gradients.head(),
        };
        recording.dispatch(self.variant(), params, buffers);
        let params = activation_gradient::Params {
            samples,
            width,
            buckets,
            clip,
            output: head.output,
        };
        let buffers = activation_gradient::Buffers {
            z: self.z.id(),
            e: common.e.id(),
            small: parameters.head(),
            bucket: common.bucket.id(),
            dz: self.dz.id(),
        };
        recording.dispatch(self.variant(), params, buffers);

        for (perspective, inputs) in self.inputs.iter().enumerate() {
            let column = perspective as u32 * hidden;
            // Tied weights: their gradient is the sum over both perspectives.
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
                first: head.bias(perspective),
            };
            let buffers = bias_gradient::Buffers {
                dz: self.dz.id(),
                gradient: gradients.head(),
            };
            recording.dispatch(0, params, buffers);
            let gradient = gradients.weights(perspective);
            match &slice.inputs {
                SliceInputs::Dense(_) => {
                    let params = weights_gradient_dense::Params {
                        samples,
                        inputs: architecture.inputs as u32,
                        x_stride: architecture.inputs.next_multiple_of(4) as u32,
                        hidden,
                        stride: width,
                        column,
                        accumulate,
                    };
                    let buffers = weights_gradient_dense::Buffers {
                        x: inputs.values.id(),
                        dz: self.dz.id(),
                        gradient,
                    };
                    recording.dispatch(self.tiles as usize, params, buffers);
                }
                SliceInputs::Sparse(lists) => {
                    let params = weights_gradient_sparse::Params {
                        inputs: architecture.inputs as u32,
                        hidden,
                        stride: width,
                        column,
                        accumulate,
                        samples,
                        entries: lists[perspective].samples().len() as u32,
                    };
                    let buffers = weights_gradient_sparse::Buffers {
                        offsets: inputs.offsets.id(),
                        samples: inputs.samples.id(),
                        dz: self.dz.id(),
                        gradient,
                    };
                    recording.dispatch(0, params, buffers);
                }
            }
        }
    }
}
