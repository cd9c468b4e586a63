//! The composed path: the network from tensor operations. It takes every architecture and every
//! batch on every device, and the paths with kernels of their own are tested against it.
//!
//! Tensors are computed as they are written down, not recorded. So a pass plays its operations
//! first and adds to the recording only the copies of what they leave behind.

use super::{Common, Goal, ParameterBuffers};
use crate::engine::device::Device;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::activation::Activation;
use crate::nnue::architecture::{Architecture, ParameterName};
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::head::HeadActivation;
use crate::nnue::kernels::loss;
use crate::nnue::layout;
use crate::nnue::slices::{Slice, SliceInputs};
use crate::nnue::upstream::Upstream;
use crate::tensor::lists::SparseInputs;
use crate::tensor::{Classes, IndexLists, Tensor, no_gradient};
use std::sync::{Mutex, PoisonError};

/// What the path keeps between passes.
#[derive(Debug)]
pub(super) struct Composed {
    device: Device,
    architecture: Architecture,
    /// The tensors that the last recording copies from: Y, or the gradients. The next pass, which
    /// begins after that recording was played, returns their memory.
    left: Mutex<Vec<Tensor>>,
}

/// The parameters as tensors, in the order of [`Architecture::tensors`].
struct Leaves {
    names: Vec<ParameterName>,
    tensors: Vec<Tensor>,
}

/// The result of a forward pass.
struct Output {
    /// Y, `[samples, 1]`.
    y: Tensor,
    /// The input of the first layer of the head, `[samples, n]`.
    x: Tensor,
}

impl Leaves {
    /// The tensor of a name. Those of the second perspective of a tied network are the first's.
    fn get(&self, names: [ParameterName; 2]) -> Option<&Tensor> {
        let place = |wanted| self.names.iter().position(|&name| name == wanted);
        let place = place(names[1]).or_else(|| place(names[0]))?;
        self.tensors.get(place)
    }

    fn of(&self, names: [ParameterName; 2]) -> Result<&Tensor> {
        self.get(names).ok_or_else(|| {
            let name = names[0].as_str();
            crate::error::Error::argument(name, "a tensor of the architecture", "none")
        })
    }
}

impl Composed {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Self {
        Self {
            device: device.clone(),
            architecture,
            left: Mutex::default(),
        }
    }

    /// The most bytes that a sample takes in one tensor.
    pub(super) fn sample_bytes(architecture: &Architecture, batch: &Batch) -> u64 {
        let row = match batch.inputs() {
            Inputs::Dense { inputs, .. } => inputs.next_multiple_of(4),
            Inputs::Sparse(lists) => lists.iter().map(SparseInputs::longest).max().unwrap_or(1),
        };
        let sizes = architecture.layer_sizes().into_iter();
        let widest = sizes.map(|size| size.inputs.max(2 * size.outputs)).max();
        let widest = widest.unwrap_or(1).max(2 * architecture.hidden);
        4 * row.max(widest) as u64
    }

    /// Computes Y; for a goal the gradients too, and the loss of each sample if there is one. The
    /// recording gets the copies of Y and of the gradients.
    pub(super) fn record(
        &self,
        recording: &mut Recording<'_>,
        slice: &Slice<'_>,
        common: &Common,
        parameters: ParameterBuffers<'_>,
        goal: Option<Goal<'_>>,
    ) -> Result<()> {
        let samples = slice.samples();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(goal) = goal else {
            let leaves = self.leaves(parameters)?;
            let y = no_gradient(|| self.output(&leaves, slice))?
                .y
                .contiguous()?;
            recording.copy(y.buffer(), common.y.id(), 0, samples);
            *left = vec![y];
            return self.device.flush();
        };
        let leaves = self.leaves(parameters)?;
        let Output { y, x } = self.output(&leaves, slice)?;
        let e = self.upstream(&y.contiguous()?, slice, common, goal)?;
        let found = match goal.penalty {
            0.0 => y.backward_with(&e)?,
            // As if Σ x were a second output, whose e is the penalty.
            penalty => {
                let outputs = Tensor::concat(&[&y, &x.sum(1, true)?], 1)?;
                let penalties = Tensor::new(&self.device, &vec![penalty; samples], &[samples, 1])?;
                outputs.backward_with(&Tensor::concat(&[&e, &penalties], 1)?)?
            }
        };
        let mut gradients = Vec::new();
        for (index, leaf) in leaves.tensors.iter().enumerate() {
            let mut gradient = found.of(leaf)?.contiguous()?;
            if let Some(before) = left.get(index).filter(|_| slice.range.start > 0) {
                gradient = before.add(&gradient)?;
            }
            let (buffer, first) = layout::place(&self.architecture, index);
            let to = goal.gradients.buffers[buffer].id();
            recording.copy(gradient.buffer(), to, first, gradient.elements());
            gradients.push(gradient);
        }
        *left = gradients;
        self.device.flush()
    }

    /// The parameters as leaves of the tape, copied from their buffers.
    fn leaves(&self, parameters: ParameterBuffers<'_>) -> Result<Leaves> {
        let buffers = parameters.buffers.iter();
        let buffers = buffers.map(|buffer| self.copy(buffer.id(), &[buffer.len()]));
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        let specs = self.architecture.tensors();
        let tensors = specs.iter().enumerate().map(|(index, spec)| {
            let (buffer, first) = layout::place(&self.architecture, index);
            let own = buffers[buffer].slice(0, first..first + spec.len())?;
            Ok(own.reshape(&spec.shape)?.contiguous()?.parameter())
        });
        Ok(Leaves {
            tensors: tensors.collect::<Result<_>>()?,
            names: specs.iter().map(|spec| spec.name).collect(),
        })
    }

    fn copy(&self, buffer: BufferId, shape: &[usize]) -> Result<Tensor> {
        Tensor::copy_of(&self.device, buffer, shape)
    }

    /// e = ∂Loss/∂Y, `[samples, 1]`, given or from the loss, whose terms it leaves in `common`.
    fn upstream(
        &self,
        y: &Tensor,
        slice: &Slice<'_>,
        common: &Common,
        goal: Goal<'_>,
    ) -> Result<Tensor> {
        let (device, samples) = (&self.device, slice.samples());
        let to = common.y.id();
        device.record(|recording| recording.copy(y.buffer(), to, 0, samples))?;
        let loss = match goal.upstream {
            Upstream::Given(e) => {
                return Tensor::new(device, &e[slice.range.clone()], &[samples, 1]);
            }
            Upstream::Loss(loss) => loss,
        };
        let targets = [slice.targets, slice.weights].concat();
        let targets = Tensor::new(device, &targets, &[targets.len()])?;
        let params = loss::Params {
            samples: samples as u32,
            loss: loss.numbers(goal.mean_over, slice.is_weighted()),
        };
        let buffers = loss::Buffers {
            y: common.y.id(),
            targets: targets.buffer(),
            terms: common.terms.id(),
            e: common.e.id(),
        };
        device.dispatch(loss.link as usize, params, buffers)?;
        self.copy(common.e.id(), &[samples, 1])
    }

    fn output(&self, leaves: &Leaves, slice: &Slice<'_>) -> Result<Output> {
        use ParameterName::{Bias, C, D, W};
        let architecture = &self.architecture;
        let sides = [self.side(leaves, slice, 0)?, self.side(leaves, slice, 1)?];
        let first_x = Tensor::concat(&[&sides[0], &sides[1]], 1)?;
        let mut x = first_x.clone();
        let buckets = architecture.buckets;
        let first = vec![0; slice.samples()];
        let classes = match slice.buckets {
            Some(of_samples) if buckets > 1 => of_samples,
            _ => &first,
        };
        let classes = Classes::new(&self.device, classes, buckets)?;
        let mut skipped = None;
        for (index, layer) in architecture.layers.iter().enumerate() {
            let (w, c) = (leaves.of([W(index); 2])?, leaves.of([Bias(index); 2])?);
            x = hidden(&x.bucketed_linear(w, c, &classes)?, layer.activation)?;
            if architecture.skip && index == 0 {
                skipped = Some(x.clone());
            }
        }
        if let Some(first) = &skipped {
            x = Tensor::concat(&[first, &x], 1)?;
        }
        let last = architecture.layers.len();
        if last > 0 {
            let (w, c) = (leaves.of([W(last); 2])?, leaves.of([Bias(last); 2])?);
            let y = x.bucketed_linear(w, c, &classes)?;
            return Ok(Output { y, x: first_x });
        }
        let width = architecture.head_inputs();
        let c = leaves.of([C; 2])?.reshape(&[buckets, 1, width])?;
        let d = leaves.of([D; 2])?.reshape(&[buckets, 1])?;
        let y = x.bucketed_linear(&c, &d, &classes)?;
        Ok(Output { y, x: first_x })
    }

    /// The activated accumulator of a perspective, multiplied in pairs if the architecture says so.
    fn side(&self, leaves: &Leaves, slice: &Slice<'_>, perspective: usize) -> Result<Tensor> {
        use ParameterName::{A1, A2, B1, B2, Shared1, Shared2};
        let architecture = &self.architecture;
        let (n, k, m) = (
            architecture.inputs,
            architecture.hidden,
            architecture.shared,
        );
        // The first name twice is the first perspective's.
        let names = |first, second| [first, if perspective == 0 { first } else { second }];
        let mut a = leaves.of(names(A1, A2))?.clone();
        if let Some(shared) = leaves.get(names(Shared1, Shared2)) {
            let own = a.reshape(&[n / m, m, k])?;
            a = own.add(&shared.reshape(&[1, m, k])?)?.reshape(&[n, k])?;
        }
        let b = leaves.of(names(B1, B2))?;
        let z = match &slice.inputs {
            SliceInputs::Sparse(lists) => {
                IndexLists::new(&self.device, &lists[perspective])?.accumulate(&a, b)?
            }
            SliceInputs::Dense(x) => {
                let shape = [slice.samples(), n.next_multiple_of(4)];
                let x = Tensor::new(&self.device, &*x[perspective], &shape)?;
                x.slice(1, 0..n)?.matmul(&a)?.add(b)?
            }
        };
        let clip = architecture.clip;
        if !architecture.pairwise {
            return activated(&z, architecture.activation, clip);
        }
        if architecture.activation == Activation::CRelu {
            return z.pairwise(clip);
        }
        let h = activated(&z, architecture.activation, clip)?;
        h.slice(1, 0..k / 2)?.mul(&h.slice(1, k / 2..k)?)
    }
}

/// H of an accumulator. The slope is 1 at both ends of the mask, as in every other path.
fn activated(z: &Tensor, activation: Activation, clip: f32) -> Result<Tensor> {
    let form = activation.form();
    let base = z.clamp(0.0, if form.clip { clip } else { f32::MAX })?;
    let mut h = base.clone();
    for _ in 1..form.power {
        h = h.mul(&base)?;
    }
    Ok(h)
}

/// The activation of a hidden layer.
fn hidden(z: &Tensor, activation: HeadActivation) -> Result<Tensor> {
    let clipped = |z: &Tensor| z.clamp(0.0, 1.0);
    match activation {
        HeadActivation::Relu => z.clamp(0.0, f32::MAX),
        HeadActivation::CRelu => clipped(z),
        HeadActivation::SCRelu => {
            let h = clipped(z)?;
            h.mul(&h)
        }
        HeadActivation::Dual => {
            let h = clipped(z)?;
            Tensor::concat(&[&h, &h.mul(&h)?], 1)
        }
        HeadActivation::DualSquare => {
            let both_signs = z.clamp(-1.0, 1.0)?;
            Tensor::concat(&[&clipped(z)?, &both_signs.mul(&both_signs)?], 1)
        }
    }
}
