//! WGSL functions of the optimizers.

/// `moved`: an element's step of AdamW; its shader's parameters have the numbers.
pub const ADAMW: &str = include_str!("../../../shaders/optim/lib/adamw.wgsl");
