//! WGSL functions that the tensor kernels share.

/// `sigmoid`, `hyperbolic_tangent` and `log_one_plus`, without overflow or cancellation.
pub const FUNCTIONS: &str = include_str!("../../../shaders/tensor/lib/functions.wgsl");
/// `power`, with every edge of section 4; its shader's parameters have a field `length`.
pub const POWER: &str = include_str!("../../../shaders/tensor/lib/power.wgsl");
