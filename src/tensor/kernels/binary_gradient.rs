//! The gradient of out = f(x, y) with respect to one of its operands, for functions whose gradient
//! is more than a product or a quotient (section 4).

use super::binary::{power_allowance, powers};
use super::libraries::{FUNCTIONS, POWER};
use super::strided::{self, STRIDED};
use super::unary::sigmoid;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// One walk over x, y and the upstream gradient.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of x.
        pub x_strides: [u32; 8],
        /// Strides of y.
        pub y_strides: [u32; 8],
        /// Strides of g.
        pub upstream_strides: [u32; 8],
        /// Elements.
        pub length: u32,
    }
    pub struct Buffers {
        /// The first operand of the forward pass.
        pub x: Read<f32>,
        /// The second operand of the forward pass.
        pub y: Read<f32>,
        /// The gradient of the result.
        pub upstream: Read<f32>,
        /// The gradient of one operand before it is summed to its shape, row-major.
        pub gradient: Write<f32>,
    }
}

impl Params {
    /// The parameters for layouts of one shape.
    pub fn new(x: &Layout, y: &Layout, upstream: &Layout) -> Self {
        let walk = Walk::new([x, y, upstream]);
        Self {
            shape: walk.shape,
            x_strides: walk.operands[0],
            y_strides: walk.operands[1],
            upstream_strides: walk.operands[2],
            length: walk.length,
        }
    }
}

super::strided::walks! { Walk<3>: x_strides, y_strides, upstream_strides }

super::variants! {
    /// A partial derivative, times the upstream gradient.
    pub enum Partial {
        /// ∂(x/y)/∂y = −x/y².
        DivRight = "div_right",
        /// ∂(x^y)/∂x = y·x^(y−1), 0 for y = 0.
        PowLeft = "pow_left",
        /// ∂(x^y)/∂y = x^y·ln x, with the edges of section 4.
        PowRight = "pow_right",
        /// σ(x) − y: binary cross-entropy with respect to its logit.
        LogisticLossLeft = "binary_cross_entropy_left",
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "binary_gradient",
    operation: None,
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/binary_gradient.wgsl"),
    libraries: &[GRID, STRIDED, FUNCTIONS, POWER],
    axes: &[Partial::VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn value(partial: Partial, x: f64, y: f64, g: f64) -> f64 {
    match partial {
        Partial::DivRight => -g * x / (y * y),
        Partial::PowLeft if y == 0.0 => 0.0,
        Partial::PowLeft => g * y * x.powf(y - 1.0),
        Partial::PowRight => g * exponent_slope(x, y),
        Partial::LogisticLossLeft => g * (1.0 / (1.0 + (-x).exp()) - y),
    }
}

/// ∂(x^y)/∂y.
fn exponent_slope(x: f64, y: f64) -> f64 {
    if x == 0.0 {
        return if y < 0.0 { f64::NEG_INFINITY } else { 0.0 };
    }
    // ln of a negative number is NaN, as the slope is.
    x.powf(y) * x.ln()
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let operands = [buffers.x, buffers.y, buffers.upstream];
    let gradient = buffers.gradient;
    let partial = Partial::ALL[variant];
    strided::each(gradient, &p.walk(), operands, |[x, y, g]| {
        value(partial, x, y, g)
    });
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let operands = [buffers.x, buffers.y, buffers.upstream];
    let (out, walk) = (buffers.gradient, &p.walk());
    match Partial::ALL[variant] {
        Partial::DivRight => strided::map(out, walk, operands, |[x, y, g]| -g * (x / y) / y),
        Partial::PowLeft => strided::map(out, walk, operands, |[x, y, g]| match y {
            0.0 => 0.0,
            _ => g * (y * x.powf(y - 1.0)),
        }),
        Partial::PowRight => strided::map(out, walk, operands, |[x, y, g]| {
            g * match x {
                0.0 if y < 0.0 => f32::NEG_INFINITY,
                0.0 => 0.0,
                _ => x.powf(y) * x.ln(),
            }
        }),
        Partial::LogisticLossLeft => {
            strided::map(out, walk, operands, |[x, y, g]| g * (sigmoid(x) - y));
        }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (variant, partial) in Partial::ALL.into_iter().enumerate() {
        let long = (partial == Partial::LogisticLossLeft).then(strided::long);
        let views = strided::views().into_iter().chain(long);
        for (seed, (name, layout, length)) in (5000 + 100 * variant as u64..).zip(views) {
            let mut inputs = Inputs::new(seed);
            let dense = Layout::contiguous(layout.shape);
            let count = dense.shape.elements();
            // The view is x, y or g in turn.
            let turn = seed as usize % 3;
            let mut layouts = [&dense; 3];
            layouts[turn] = &layout;
            let mut lengths = [count; 3];
            lengths[turn] = length;
            let [x, y] = match partial {
                Partial::DivRight => [
                    inputs.signed(lengths[0], &[0.0]),
                    inputs.positive(lengths[1]),
                ],
                Partial::PowLeft => powers(&mut inputs, lengths[0], lengths[1], seed % 4 < 2),
                Partial::PowRight => powers(&mut inputs, lengths[0], lengths[1], false),
                Partial::LogisticLossLeft => [
                    inputs.signed(lengths[0], &[0.0, -30.0, 30.0]),
                    inputs.floats(lengths[1], 0.0, 1.0),
                ],
            };
            let g = inputs.floats(lengths[2], -2.0, 2.0);
            let params = Params::new(layouts[0], layouts[1], layouts[2]);
            let walk = params.walk();
            let epsilon = f64::from(f32::EPSILON);
            let bound = |i: usize| {
                let x = f64::from(x[walk.place(0, i)]);
                let y = f64::from(y[walk.place(1, i)]);
                let g = f64::from(g[walk.place(2, i)]);
                let size = value(partial, x, y, g).abs();
                match partial {
                    // Two divisions of 2.5 ulps and a product.
                    Partial::DivRight => 6.0 * epsilon * size,
                    // Rounding y − 1 changes the power by the relative error ε·|(y − 1)·ln x|.
                    Partial::PowLeft => {
                        let exponent = (y - 1.0).abs() * (1.0 + x.abs().ln().abs());
                        size * (power_allowance(x, y - 1.0) + (2.0 + exponent) * epsilon)
                    }
                    // Near 1, WGSL bounds only the absolute error of log.
                    Partial::PowRight => {
                        let log = match x {
                            0.5..=2.0 => 2f64.powi(-21),
                            _ => 3.0 * epsilon * x.ln().abs(),
                        };
                        size * (power_allowance(x, y) + 2.0 * epsilon) + (g * x.powf(y)).abs() * log
                    }
                    Partial::LogisticLossLeft => {
                        let exp = (3.0 + 2.0 * x.abs()) * epsilon * (-x.abs()).exp();
                        g.abs() * (exp + 6.0 * epsilon)
                    }
                }
            };
            let len = walk.length as usize;
            let bound = Bound::Each((0..len).map(bound).collect());
            let name = format!("{name} as {}", ["x", "y", "g"][turn]);
            let slots = Slots {
                x: Slot::Floats(x),
                y: Slot::Floats(y),
                upstream: Slot::Floats(g),
                gradient: Slot::Output { len, bound },
            };
            cases.push(Case::new(name, variant, params, slots));
        }
    }
    cases
}
