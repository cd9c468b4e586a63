//! What every layer is.

use crate::error::Result;
use crate::tensor::Tensor;

/// Whether a layer learns or is asked: batch normalisation and dropout differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, elements dropped.
    Training,
    /// Running statistics, nothing dropped.
    Evaluation,
}

/// What a layer's tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows its gradient.
    Parameter,
    /// A matrix that follows its gradient, `[in, out]` here and `[out, in]` in PyTorch's files.
    Matrix,
    /// A running value, without gradient.
    Buffer,
}

/// A layer's tensor under PyTorch's name for it.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    /// "weight", "bias", "running_mean"; with the layers' places before it in a network: "1.weight".
    pub name: String,
    /// The tensor.
    pub tensor: &'a Tensor,
    /// What it is for.
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

/// A differentiable map with tensors of its own.
pub trait Layer: Send + Sync {
    /// The layer's output, `[batch, out]`, for an input `[batch, in]`.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor>;

    /// Every tensor it has, in PyTorch's order.
    fn tensors(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// The tensors that follow their gradients.
    fn parameters(&self) -> Vec<Tensor> {
        let named = self.tensors().into_iter();
        let parameters = named.filter(|named| named.role != Role::Buffer);
        parameters.map(|named| named.tensor.clone()).collect()
    }
}
