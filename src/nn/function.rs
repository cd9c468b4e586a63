//! Activation functions as layers.

use super::layer::{Layer, Mode};
use crate::error::Result;
use crate::tensor::Tensor;

/// An elementwise function, or softmax over the last axis, as a layer without tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// x where x > 0, else 0.
    Relu,
    /// min(max(x, 0), T).
    CRelu {
        /// T.
        clip: f32,
    },
    /// 1/(1 + e^(−x)).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// Softmax over the last axis.
    Softmax,
}

impl Layer for Function {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        match *self {
            Self::Relu => x.relu(),
            Self::CRelu { clip } => x.clamp(0.0, clip),
            Self::Sigmoid => x.sigmoid(),
            Self::Tanh => x.tanh(),
            Self::Softmax => x.softmax(-1),
        }
    }
}
