//! Tensors: f32 arrays on a device, any rank up to 6, with operations of NumPy's broadcasting and reverse-mode gradients.
//!
//! ```
//! use wgrad::{Device, Tensor};
//!
//! let device = Device::cpu()?;
//! let x = Tensor::new(&device, &[1.0, 2.0, 3.0], &[3])?.parameter();
//! let y = (&x * &x)?.sum(.., false)?;
//! let gradients = y.backward()?;
//! assert_eq!(gradients.of(&x)?.to_vec()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! Operations are recorded and played in batches; reading a tensor plays what is left. A tensor is a cheap handle:
//! clones and views share the elements. On the reference device the elements are f64.

mod accumulate;
mod buckets;
mod custom;
mod elementwise;
mod gradcheck;
mod jacobian;
#[doc(hidden)]
pub mod kernels;
pub mod lists;
mod matmul;
mod op;
mod operators;
mod pairwise;
mod reduction;
mod rows;
mod run;
pub mod shape;
mod storage;
mod tape;
mod views;

pub use accumulate::IndexLists;
pub use custom::{Backward, CustomOperation};
pub use gradcheck::{GradCheck, gradcheck};
pub use kernels::libraries;
pub use rows::{Classes, Normalized};

pub use tape::{Gradients, no_gradient};

use crate::engine::device::{Device, Readback, Values};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Data, Recording};
use crate::error::{Error, Result};
use crate::tensor::shape::{Layout, Shape};
use op::Op;
use std::sync::Arc;
use storage::Storage;
use tape::Node;

/// A tensor on a device. Clones share its elements.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    layout: Layout,
    /// Where it stands on the tape, if gradients flow through it.
    node: Option<Arc<Node>>,
}

impl Tensor {
    /// A tensor of these values, row-major: f32 or f64, of which only the reference device keeps the precision.
    ///
    /// # Errors
    /// A number of values that is not the shape's, a shape of more than 6 axes, and what [`Device::allocate`] refuses.
    pub fn new<'a>(device: &Device, values: impl Into<Data<'a>>, shape: &[usize]) -> Result<Self> {
        let (shape, values) = (Shape::new(shape)?, values.into());
        if values.len() != shape.elements() {
            let expected = format!("{} for the shape {shape:?}", shape.elements());
            return Err(Error::argument("values", expected, values.len()));
        }
        if matches!(values, Data::Words(_)) {
            return Err(Error::argument("values", "floats", "whole numbers"));
        }
        let storage = Storage::new(device, "a tensor", Element::Float, shape)?;
        if !values.is_empty() {
            storage.fill(values)?;
        }
        Ok(Self::from_storage(storage, shape))
    }

    /// One number, without axes.
    pub fn scalar(device: &Device, value: f32) -> Result<Self> {
        Self::new(device, &[value], &[])
    }

    /// A tensor that is `value` everywhere; it takes the memory of one element.
    pub fn full(device: &Device, value: f32, shape: &[usize]) -> Result<Self> {
        Self::scalar(device, value)?.broadcast_to(shape)
    }

    /// Zeros everywhere.
    pub fn zeros(device: &Device, shape: &[usize]) -> Result<Self> {
        Self::full(device, 0.0, shape)
    }

    /// Ones everywhere.
    pub fn ones(device: &Device, shape: &[usize]) -> Result<Self> {
        Self::full(device, 1.0, shape)
    }

    /// A copy of the first elements of a buffer, row-major.
    pub(crate) fn copy_of(device: &Device, from: BufferId, shape: &[usize]) -> Result<Self> {
        let shape = Shape::new(shape)?;
        let storage = Storage::new(device, "a tensor", Element::Float, shape)?;
        let (to, len) = (storage.id(), shape.elements());
        device.record(|recording| recording.copy(from, to, 0, len))?;
        Ok(Self::from_storage(storage, shape))
    }

    fn from_storage(storage: Storage, shape: Shape) -> Self {
        Self {
            storage: Arc::new(storage),
            layout: Layout::contiguous(shape),
            node: None,
        }
    }

    /// The sizes of its axes.
    pub fn shape(&self) -> Shape {
        self.layout.shape
    }

    /// The number of its axes.
    pub fn rank(&self) -> usize {
        self.layout.shape.len()
    }

    /// The number of its elements.
    pub fn elements(&self) -> usize {
        self.layout.shape.elements()
    }

    /// The device it is on.
    pub fn device(&self) -> &Device {
        self.storage.device()
    }

    /// Whether gradients flow through it.
    pub fn requires_gradient(&self) -> bool {
        self.node.is_some()
    }

    /// This tensor as a parameter: a beginning of the tape, whose gradient [`Tensor::backward`] computes. It shares its
    /// elements with this one, but no history.
    #[must_use]
    pub fn parameter(&self) -> Self {
        Self {
            node: Some(Node::leaf(self.shape())),
            ..self.clone()
        }
    }

    /// The same elements without history: no gradient flows back through it.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            node: None,
            ..self.clone()
        }
    }

    /// Overwrites the elements with those of `values`, stretched to this shape. Every view and clone sees them; a
    /// backward pass that still needs the old ones is refused.
    pub fn assign(&self, values: &Self) -> Result<()> {
        let op = Op::new("assign", [self, values])?;
        let values = values.apart_from(self)?;
        let Some(from) = values.layout.broadcast_to(self.shape()) else {
            return Err(op.fail(format!("values for {:?}", self.shape()), ""));
        };
        let shape = self.shape();
        let mut axes = shape.iter().zip(self.layout.strides());
        if axes.any(|(&size, &stride)| size > 1 && stride == 0) {
            return Err(op.fail("a place for each element", "a stretched tensor"));
        }
        op.copy((&values, from), (self, self.layout))?;
        self.storage.changed();
        Ok(())
    }

    /// This tensor without history, copied if it shares its buffer with `other`: a kernel may not read and write one buffer.
    fn apart_from(&self, other: &Self) -> Result<Self> {
        match Arc::ptr_eq(&self.storage, &other.storage) {
            true => self.copied(),
            false => Ok(self.detach()),
        }
    }

    /// Its buffer, for dispatches.
    pub(crate) fn buffer(&self) -> BufferId {
        self.storage.id()
    }

    /// Whether it was made by [`Tensor::parameter`] and fills its buffer row-major.
    pub(crate) fn is_parameter(&self) -> bool {
        let whole = self.layout == Layout::contiguous(self.shape());
        whole && self.node.as_ref().is_some_and(|node| node.is_leaf())
    }

    /// Changes a parameter in place by the commands that `record` adds, given the buffers of its
    /// gradient (row-major), of `moments` and of its values.
    pub(crate) fn update(
        &self,
        gradient: &Self,
        moments: &[&Self],
        record: impl FnOnce(&mut Recording<'static>, BufferId, &[BufferId], BufferId),
    ) -> Result<()> {
        let op = Op::new("descend", [self, gradient])?;
        if gradient.shape() != self.shape() {
            return Err(op.fail("a gradient of the parameter's shape", ""));
        }
        let gradient = gradient.dense()?.apart_from(self)?;
        let moments: Vec<BufferId> = moments.iter().map(|moment| moment.storage.id()).collect();
        let (gradient, values) = (gradient.storage.id(), self.storage.id());
        self.device()
            .record(|recording| record(recording, gradient, &moments, values))?;
        self.storage.changed();
        Ok(())
    }

    /// The elements, row-major; waits for them.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        Ok(self.values()?.into_f32())
    }

    /// As [`Tensor::to_vec`], in the precision of the reference device.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        Ok(self.values()?.into_f64())
    }

    /// The one element of a tensor that has only one; waits for it.
    pub fn item(&self) -> Result<f32> {
        if self.elements() != 1 {
            return Err(Op::new("item", [self])?.fail("1 element", self.elements()));
        }
        Ok(self.to_vec()?[0])
    }

    /// The elements, row-major, without blocking a thread. What is read is what the tensor holds now.
    pub async fn read(&self) -> Result<Vec<f32>> {
        Ok(one(self.start_read()?.get().await?)?.into_f32())
    }

    fn values(&self) -> Result<Values> {
        one(self.start_read()?.wait()?)
    }

    fn start_read(&self) -> Result<Readback> {
        let dense = self.dense()?;
        dense.storage.fetch(dense.elements())
    }
}

fn one(values: Vec<Values>) -> Result<Values> {
    let first = values.into_iter().next();
    first.ok_or_else(|| Error::argument("tensor", "values read back", "none"))
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor")
            .field("shape", &self.shape())
            .field("device", &self.device().name())
            .field("requires_gradient", &self.requires_gradient())
            .finish()
    }
}
