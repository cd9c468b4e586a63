//! Nonlinear functions as layers.

use super::layer::{Layer, Mode};
use crate::error::Result;
use crate::tensor::Tensor;

/// A layer without tensors: an elementwise function, or softmax over the last axis.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Nonlinearity {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), T).
    CRelu {
        /// T, the upper end.
        clip: f32,
    },
    /// 1/(1 + e^(−x)).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// e^x / Σe^x over the last axis.
    Softmax,
}

impl Layer for Nonlinearity {
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
