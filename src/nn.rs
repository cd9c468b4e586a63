//! Layers, losses and training steps on tensors. Sections 2, 3 and 5 of docs/mathematics.md derive
//! their formulas.
//!
//! Samples are rows: a layer maps `[batch, in]` to `[batch, out]`.

mod batch_norm;
mod clip;
mod descent;
mod dropout;
mod file;
mod initial;
mod layer;
mod linear;
mod loss;
mod nonlinearity;
mod sequential;

pub use batch_norm::BatchNorm1d;
pub use clip::clip_by_norm;
pub use descent::Descent;
pub use dropout::Dropout;
pub use file::{read, write};
pub use initial::Initial;
pub use layer::{Layer, Mode, Named, Role};
pub use linear::Linear;
pub use loss::{binary_cross_entropy, cross_entropy, cross_entropy_classes, mse};
pub use nonlinearity::Nonlinearity;
pub use sequential::{Mlp, Sequential};
