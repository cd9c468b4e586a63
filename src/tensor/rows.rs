//! Softmax over an axis, class indices, and batch normalization (sections 2 and 3).

use super::Tensor;
use super::buckets::Groups;
use super::op::Op;
use super::storage::Storage;
use super::tape::Saved;
use crate::engine::device::Device;
use crate::engine::kernel::Element;
use crate::error::{Error, Result};
use crate::tensor::kernels::softmax::{self, Softmax};
use crate::tensor::kernels::{batch_norm, batch_norm_gradient, one_hot, softmax_gradient};
use crate::tensor::shape::Shape;
use std::sync::{Arc, OnceLock};

impl Tensor {
    /// e^x/Σ e^x over an axis. The maximum is subtracted first.
    ///
    /// Gradient: y ⊙ (g − Σ(g ⊙ y)).
    pub fn softmax(&self, axis: isize) -> Result<Self> {
        self.along("softmax", Softmax::Softmax, axis)
    }

    /// ln softmax x over an axis: x − max − ln Σ e^(x − max).
    ///
    /// Gradient: g − softmax(x)·Σg.
    pub fn log_softmax(&self, axis: isize) -> Result<Self> {
        self.along("log_softmax", Softmax::Log, axis)
    }

    fn along(&self, name: &'static str, function: Softmax, axis: isize) -> Result<Self> {
        let op = Op::new(name, [self])?;
        let shape = self.shape();
        let axis = shape.axis(axis).map_err(|error| op.explain(error))?;
        let rows = op.output(rows_of(shape, axis)?)?;
        op.dispatch(
            function as usize,
            softmax::Params::new(&self.layout, axis),
            softmax::Buffers {
                x: self.buffer(),
                y: rows.buffer(),
            },
        )?;
        let saved = Saved::new(name, &rows);
        op.record_one(rows.as_axis(axis), move |g| {
            let y = saved.get()?;
            let op = Op::new(name, [y, g])?;
            let gradient = op.output(y.shape())?;
            let params = softmax_gradient::Params::new(&g.layout, axis);
            let buffers = softmax_gradient::Buffers {
                y: y.buffer(),
                upstream: g.buffer(),
                gradient: gradient.buffer(),
            };
            op.dispatch(function as usize, params, buffers)?;
            Ok(gradient.as_axis(axis))
        })
    }

    /// The view in which the last axis is axis `axis`.
    fn as_axis(&self, axis: usize) -> Self {
        let mut order: Vec<usize> = (0..self.rank() - 1).collect();
        order.insert(axis, self.rank() - 1);
        Self {
            layout: self.layout.permute(&order),
            ..self.clone()
        }
    }

    /// Batch normalization of `[batch, features]` with the batch's own mean and biased variance.
    /// The formulas are at `nn::BatchNorm1d`.
    ///
    /// # Errors
    /// Fewer than 2 samples, a γ or β that is not `[features]`, an ε that is not above 0.
    pub fn batch_norm(&self, gamma: &Self, beta: &Self, epsilon: f32) -> Result<Normalized> {
        const NAME: &str = "batch_norm";
        let op = Op::new(NAME, [self, gamma, beta])?;
        op.check_normalization(epsilon)?;
        let shape = self.shape();
        if shape[0] < 2 {
            return Err(op.fail("at least 2 samples while training", shape[0]));
        }
        let features = Shape::new(&shape[1..])?;
        let dense = [self, gamma, beta].map(|tensor| tensor.dense());
        let [x, gamma, beta] = dense;
        let (x, gamma, beta) = (x?, gamma?, beta?);
        let (output, mean, variance) = (
            op.output(shape)?,
            op.output(features)?,
            op.output(features)?,
        );
        let params = batch_norm::Params {
            samples: shape[0] as u32,
            features: shape[1] as u32,
            epsilon,
        };
        let buffers = batch_norm::Buffers {
            x: x.buffer(),
            gamma: gamma.buffer(),
            beta: beta.buffer(),
            y: output.buffer(),
            mean: mean.buffer(),
            variance: variance.buffer(),
        };
        op.dispatch(0, params, buffers)?;
        let saved = [&x, &mean, &variance, &gamma].map(|tensor| Saved::new(NAME, tensor));
        let output = op.record(output, move |g, _| {
            let [x, mean, variance, gamma] = [0, 1, 2, 3].map(|index: usize| saved[index].get());
            let (x, mean, variance, gamma) = (x?, mean?, variance?, gamma?);
            let g = g.dense()?;
            let op = Op::new(NAME, [x, &g])?;
            let gradients = [
                op.output(shape)?,
                op.output(features)?,
                op.output(features)?,
            ];
            let params = batch_norm_gradient::Params {
                samples: shape[0] as u32,
                features: shape[1] as u32,
                epsilon,
            };
            let [gradient, gamma_gradient, beta_gradient] = gradients.each_ref().map(Self::buffer);
            let buffers = batch_norm_gradient::Buffers {
                x: x.buffer(),
                mean: mean.buffer(),
                variance: variance.buffer(),
                gamma: gamma.buffer(),
                upstream: g.buffer(),
                gradient,
                gamma_gradient,
                beta_gradient,
            };
            op.dispatch(0, params, buffers)?;
            Ok(gradients.into_iter().map(Some).collect())
        })?;
        Ok(Normalized {
            output,
            mean,
            variance,
        })
    }

    /// γ ⊙ (x − μ)/√(v + ε) + β for given μ and v, `[features]` like γ and β: batch normalization
    /// in evaluation mode.
    pub fn normalize_by(
        &self,
        mean: &Self,
        variance: &Self,
        gamma: &Self,
        beta: &Self,
        epsilon: f32,
    ) -> Result<Self> {
        Op::new("batch_norm", [self, mean, variance, gamma, beta])?.check_normalization(epsilon)?;
        let deviation = variance.affine(1.0, epsilon)?.sqrt()?;
        self.sub(mean)?.div(&deviation)?.mul(gamma)?.add(beta)
    }
}

/// The shape with one axis moved to the end.
fn rows_of(shape: Shape, axis: usize) -> Result<Shape> {
    shape.with(|sizes| {
        let size = sizes.remove(axis);
        sizes.push(size);
    })
}

impl Op<'_> {
    /// Checks that the first operand is \[batch, features\] and the others are \[features\].
    fn check_normalization(&self, epsilon: f32) -> Result<()> {
        let shape = self.operand(0).shape();
        if shape.len() != 2 {
            return Err(self.fail("[batch, features]", format!("{shape:?}")));
        }
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(self.fail("a finite ε above 0", epsilon));
        }
        let misfit = self
            .operands()
            .iter()
            .skip(1)
            .find(|one| *one.shape() != shape[1..]);
        match misfit {
            None => Ok(()),
            Some(one) => {
                let expected = format!("{} values for each feature's {:?}", shape[1], &shape[1..]);
                Err(self.fail(expected, format!("{:?}", one.shape())))
            }
        }
    }
}

/// The result of [`Tensor::batch_norm`].
#[derive(Clone, Debug)]
pub struct Normalized {
    /// y, `[batch, features]`.
    pub output: Tensor,
    /// μ of the batch, `[features]`. It has no gradient.
    pub mean: Tensor,
    /// The biased variance of the batch, `[features]`. It has no gradient.
    pub variance: Tensor,
}

/// Class indices on a device, one per row.
#[derive(Clone)]
pub struct Classes {
    storage: Arc<Storage>,
    indices: Arc<[u32]>,
    classes: usize,
    /// The rows by class, from the first use on.
    groups: Arc<OnceLock<Groups>>,
}

impl Classes {
    /// # Errors
    /// An index that is not below `classes`.
    pub fn new(device: &Device, indices: &[u32], classes: usize) -> Result<Self> {
        let outside = indices.iter().position(|&index| index as usize >= classes);
        if let Some(row) = outside {
            let name = format!("class of row {row}");
            let expected = format!("an index below {classes}");
            return Err(Error::argument(name, expected, indices[row]));
        }
        Shape::new(&[indices.len(), classes])?;
        let storage = Storage::of_words(device, "class indices", indices)?;
        Ok(Self {
            storage: Arc::new(storage),
            indices: indices.into(),
            classes,
            groups: Arc::default(),
        })
    }

    pub(super) fn device(&self) -> &Device {
        self.storage.device()
    }

    pub(super) fn rows(&self) -> usize {
        self.indices.len()
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// The rows by class. There is at least 1 class.
    pub(super) fn groups(&self) -> Result<&Groups> {
        if let Some(groups) = self.groups.get() {
            return Ok(groups);
        }
        let groups = Groups::new(self.device(), &self.indices, self.classes)?;
        Ok(self.groups.get_or_init(|| groups))
    }

    /// `[rows, classes]`: 1 at each row's class, and 0 elsewhere.
    pub fn one_hot(&self) -> Result<Tensor> {
        let device = self.device();
        let shape = Shape::new(&[self.rows(), self.classes])?;
        let storage = Storage::new(device, "one_hot", Element::Float, shape)?;
        let params = one_hot::Params {
            rows: self.rows() as u32,
            classes: self.classes as u32,
        };
        let buffers = one_hot::Buffers {
            class_of: self.storage.id(),
            y: storage.id(),
        };
        device.dispatch(0, params, buffers)?;
        Ok(Tensor::from_storage(storage, shape))
    }
}

impl std::fmt::Debug for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classes")
            .field("rows", &self.rows())
            .field("classes", &self.classes)
            .finish()
    }
}
