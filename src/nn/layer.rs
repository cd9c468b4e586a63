//! The interface of all layers.

use crate::error::Result;
use crate::tensor::Tensor;

/// The purpose of a forward pass. Batch normalization and dropout depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Training: statistics of the batch, and dropped elements.
    Training,
    /// Evaluation: running statistics, and all elements.
    Evaluation,
}

/// The purpose of a layer's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A parameter that is trained.
    Parameter,
    /// A matrix that is trained. It is `[in, out]` here and `[out, in]` in PyTorch's files.
    Matrix,
    /// A running value, which has no gradient.
    Buffer,
}

/// A tensor of a layer, with PyTorch's name for it.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    /// The name, such as "weight", "bias" or "running_mean". In a network the number of the layer
    /// comes first: "1.weight".
    pub name: String,
    /// The tensor.
    pub tensor: &'a Tensor,
    /// The purpose.
    pub role: Role,
}

impl<'a> Named<'a> {
    pub(super) fn new(name: &str, tensor: &'a Tensor, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            tensor,
            role,
        }
    }
}

/// A differentiable function of a tensor that may have tensors of its own.
pub trait Layer: Send + Sync {
    /// The output of the layer, `[batch, out]`, for an input `[batch, in]`.
    ///
    /// # Errors
    /// An input whose shape does not fit the layer.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor>;

    /// All tensors of the layer, in PyTorch's order.
    fn tensors(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// The tensors that are trained.
    fn parameters(&self) -> Vec<Tensor> {
        let named = self.tensors().into_iter();
        let parameters = named.filter(|named| named.role != Role::Buffer);
        parameters.map(|named| named.tensor.clone()).collect()
    }
}
