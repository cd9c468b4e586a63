//! gx\[i\] = g\[i\]·f'(x\[i\]) (section 4). The slope is computed from x or from y = f(x),
//! whichever is simpler.

use super::libraries::FUNCTIONS;
use super::strided::{self, STRIDED};
use super::unary::sigmoid;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// One walk over the saved tensor and the upstream gradient.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of x or y.
        pub saved_strides: [u32; 8],
        /// Strides of g.
        pub upstream_strides: [u32; 8],
        /// Elements.
        pub length: u32,
        /// The lower end of clamp.
        pub lower: f32,
        /// The upper end of clamp.
        pub upper: f32,
    }
    pub struct Buffers {
        /// The operand or the result of the forward pass, as the slope needs.
        pub saved: Read<f32>,
        /// The gradient of the result.
        pub upstream: Read<f32>,
        /// The gradient of the operand, row-major.
        pub gradient: Write<f32>,
    }
}

impl Params {
    /// The parameters for layouts of one shape.
    pub fn new(saved: &Layout, upstream: &Layout, ends: [f32; 2]) -> Self {
        let walk = Walk::new([saved, upstream]);
        Self {
            shape: walk.shape,
            saved_strides: walk.operands[0],
            upstream_strides: walk.operands[1],
            length: walk.length,
            lower: ends[0],
            upper: ends[1],
        }
    }
}

super::strided::walks! { Walk<2>: saved_strides, upstream_strides }

super::variants! {
    /// A slope, as a function of x or y.
    pub enum Slope {
        /// 1/x.
        Log = "log",
        /// y.
        Exp = "exp",
        /// 1 where x > 0, else 0.
        Relu = "relu",
        /// y(1 − y).
        Sigmoid = "sigmoid",
        /// 1 − y².
        Tanh = "tanh",
        /// sign x, 0 at 0.
        Abs = "abs",
        /// 1/(2y).
        Sqrt = "sqrt",
        /// σ(x).
        Softplus = "softplus",
        /// 1 where lower ≤ x ≤ upper, else 0.
        Clamp = "clamp",
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "unary_gradient",
    operation: None,
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/unary_gradient.wgsl"),
    libraries: &[GRID, STRIDED, FUNCTIONS],
    axes: &[Slope::VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn value(slope: Slope, s: f64, g: f64, [lower, upper]: [f64; 2]) -> f64 {
    match slope {
        Slope::Log => g / s,
        Slope::Exp => g * s,
        Slope::Relu if s > 0.0 => g,
        Slope::Relu => 0.0,
        Slope::Sigmoid => g * s * (1.0 - s),
        Slope::Tanh => g * (1.0 - s * s),
        Slope::Abs if s > 0.0 => g,
        Slope::Abs if s < 0.0 => -g,
        Slope::Abs => 0.0,
        Slope::Sqrt => g / (2.0 * s),
        Slope::Softplus => g / (1.0 + (-s).exp()),
        Slope::Clamp if lower <= s && s <= upper => g,
        Slope::Clamp => 0.0,
    }
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (saved, upstream, gradient) = (buffers.saved, buffers.upstream, buffers.gradient);
    let slope = Slope::ALL[variant];
    let ends = [f64::from(p.lower), f64::from(p.upper)];
    strided::each(gradient, &p.walk(), [saved, upstream], |[s, g]| {
        value(slope, s, g, ends)
    });
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let operands = [buffers.saved, buffers.upstream];
    let (out, walk) = (buffers.gradient, &p.walk());
    let (lower, upper) = (p.lower, p.upper);
    match Slope::ALL[variant] {
        Slope::Log => strided::map(out, walk, operands, |[s, g]| g / s),
        Slope::Exp => strided::map(out, walk, operands, |[s, g]| g * s),
        Slope::Relu => strided::map(out, walk, operands, |[s, g]| if s > 0.0 { g } else { 0.0 }),
        Slope::Sigmoid => strided::map(out, walk, operands, |[s, g]| g * (s * (1.0 - s))),
        Slope::Tanh => strided::map(out, walk, operands, |[s, g]| g * ((1.0 - s) * (1.0 + s))),
        Slope::Abs => strided::map(out, walk, operands, |[s, g]| {
            let down = if s < 0.0 { -g } else { 0.0 };
            if s > 0.0 { g } else { down }
        }),
        Slope::Sqrt => strided::map(out, walk, operands, |[s, g]| g / (2.0 * s)),
        Slope::Softplus => strided::map(out, walk, operands, |[s, g]| g * sigmoid(s)),
        Slope::Clamp => strided::map(out, walk, operands, |[s, g]| {
            if s >= lower && s <= upper { g } else { 0.0 }
        }),
    }
}

fn cases() -> Vec<Case> {
    let ends = [-0.5, 1.5];
    let mut cases = Vec::new();
    for (variant, slope) in Slope::ALL.into_iter().enumerate() {
        let long = (slope == Slope::Relu).then(strided::long);
        let views = strided::views().into_iter().chain(long);
        for (seed, (name, layout, length)) in (4000 + 100 * variant as u64..).zip(views) {
            let mut inputs = Inputs::new(seed);
            let saved = match slope {
                Slope::Log | Slope::Exp | Slope::Sqrt => inputs.positive(length),
                Slope::Sigmoid => inputs.floats(length, 0.0, 1.0),
                Slope::Tanh => inputs.floats(length, -1.0, 1.0),
                _ => inputs.signed(length, &[0.0, -0.5, 1.5, -30.0, 30.0]),
            };
            // On every other view, all elements share one upstream gradient, as for a sum. On the
            // others it is row-major.
            let shape = layout.shape;
            let scalar =
                Layout::contiguous(crate::tensor::shape::Shape::SCALAR).broadcast_to(shape);
            let upstream = match scalar {
                Some(scalar) if seed % 2 == 0 => scalar,
                _ => Layout::contiguous(shape),
            };
            let params = Params::new(&layout, &upstream, ends);
            let walk = params.walk();
            let g = inputs.floats(shape.elements().max(1), -2.0, 2.0);
            // A division of 2.5 ulps, or one or two products. σ has the error that the kernel
            // `unary` states, and choices are exact.
            let epsilon = f64::from(f32::EPSILON);
            let bound = |i: usize| {
                let s = f64::from(saved[walk.place(0, i)]);
                let g = f64::from(g[walk.place(1, i)]);
                let size = value(slope, s, g, ends.map(f64::from)).abs();
                match slope {
                    Slope::Relu | Slope::Abs | Slope::Clamp => 0.0,
                    Slope::Exp => epsilon * size,
                    Slope::Log | Slope::Sqrt => 3.5 * epsilon * size,
                    Slope::Sigmoid | Slope::Tanh => 3.0 * epsilon * size,
                    Slope::Softplus => {
                        let tail = (-s.abs()).exp();
                        let exp = (3.0 + 2.0 * s.abs()) * epsilon * tail;
                        g.abs() * exp + 6.0 * epsilon * size
                    }
                }
            };
            let len = walk.length as usize;
            let bound = Bound::Each((0..len).map(bound).collect());
            let slots = Slots {
                saved: Slot::Floats(saved),
                upstream: Slot::Floats(g),
                gradient: Slot::Output { len, bound },
            };
            cases.push(Case::new(name, variant, params, slots));
        }
    }
    cases
}
