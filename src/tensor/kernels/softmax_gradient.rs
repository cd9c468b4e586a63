//! Along one axis, gx = y·(g − Σ g·y) for y = softmax x (section 2), and gx = g − e^y·Σ g for y =
//! log-softmax x (section 4).

use super::softmax::{self, Softmax};
use super::strided::{self, STRIDED};
use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, LANES};
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// A walk over the rows of the upstream gradient, over every axis except the axis of the
    /// softmax.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of g.
        pub upstream_strides: [u32; 8],
        /// Rows.
        pub rows: u32,
        /// Elements of a row.
        pub width: u32,
        /// The distance from one element of a row of g to the next.
        pub step: u32,
    }
    pub struct Buffers {
        /// The result of the forward pass, `[rows, width]`.
        pub y: Read<f32>,
        /// The gradient of the result, anywhere in its buffer.
        pub upstream: Read<f32>,
        /// The gradient of the operand, `[rows, width]`.
        pub gradient: Write<f32>,
    }
}

impl Params {
    /// The parameters for a softmax along `axis` and an upstream gradient of this layout. In y and
    /// gx, `axis` is the last axis and the other axes keep their order.
    pub fn new(upstream: &Layout, axis: usize) -> Self {
        let walk = softmax::rows(upstream, axis);
        Self {
            shape: walk.shape,
            upstream_strides: walk.operands[0],
            rows: walk.length,
            width: upstream.shape[axis] as u32,
            step: upstream.strides()[axis] as u32,
        }
    }

    fn walk(&self) -> Walk<1> {
        Walk {
            shape: self.shape,
            operands: [self.upstream_strides],
            length: self.rows,
        }
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        if self.width == 0 { 0 } else { self.rows }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "softmax_gradient",
    operation: None,
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/softmax_gradient.wgsl"),
    libraries: &[GRID, STRIDED, LANES],
    axes: &[Softmax::VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

/// gx of one row over f64.
fn value(operation: Softmax, y: &[f64], g: &[f64]) -> Vec<f64> {
    let sum: f64 = g.iter().sum();
    let products: f64 = y.iter().zip(g).map(|(y, g)| y * g).sum();
    let value = |(y, g): (&f64, &f64)| match operation {
        Softmax::Softmax => y * (g - products),
        Softmax::Log => g - y.exp() * sum,
    };
    y.iter().zip(g).map(value).collect()
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (y, upstream, gradient) = (buffers.y, buffers.upstream, buffers.gradient);
    let width = p.width as usize;
    for row in 0..p.rows as usize {
        let y = &y[row * width..][..width];
        let g = strided::row(upstream, p.walk().place(0, row), p.step, width);
        let gx = value(Softmax::ALL[variant], y, &g);
        gradient[row * width..][..width].copy_from_slice(&gx);
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (y, upstream, gradient) = (buffers.y, buffers.upstream, buffers.gradient);
    let (operation, walk) = (Softmax::ALL[variant], p.walk());
    let (rows, width) = (p.rows as usize, p.width as usize);
    cpu::rows(&mut gradient[..rows * width], width, |row, gradient| {
        // The row first holds g, which then becomes gx in place.
        strided::copy(gradient, &upstream[walk.place(0, row)..], p.step as usize);
        let y = &y[row * width..][..width];
        cpu::vectorized(|| match operation {
            Softmax::Softmax => {
                let sum = cpu::sum_lanes(width, |j| gradient[j] * y[j]);
                let both = gradient.iter_mut().zip(y);
                both.for_each(|(g, y)| *g = y * (*g - sum));
            }
            Softmax::Log => {
                let sum = cpu::sum_lanes(width, |j| gradient[j]);
                let both = gradient.iter_mut().zip(y);
                both.for_each(|(g, y)| *g -= y.exp() * sum);
            }
        });
    });
}

/// The error allowed for each element of gx; ε = 2⁻²³, and a correctly rounded operation may be off
/// by one ε.
fn allowance(operation: Softmax, y: &[f64], g: &[f64]) -> Vec<f64> {
    let epsilon = f64::from(f32::EPSILON);
    let sizes = |terms: &dyn Fn(usize) -> f64| (0..g.len()).map(|j| terms(j).abs()).sum::<f64>();
    // The sum of n terms has an error of ε·√n of the sum of magnitudes, and each product rounds
    // once before the sum.
    let root = (g.len() as f64).sqrt();
    let sum: f64 = g.iter().sum();
    let sum_error = epsilon * root * sizes(&|j| g[j]);
    let products: f64 = y.iter().zip(g).map(|(y, g)| y * g).sum();
    let products_error = epsilon * (root + 1.0) * sizes(&|j| y[j] * g[j]);
    let gx = value(operation, y, g);
    let allowance = |j: usize| {
        let of_sum = match operation {
            // A subtraction and a product.
            Softmax::Softmax => y[j].abs() * (products_error + epsilon * (g[j] - products).abs()),
            // exp of 3 + 2·|y| ulps, a product and a subtraction.
            Softmax::Log => {
                y[j].exp() * (sum_error + (4.0 + 2.0 * y[j].abs()) * epsilon * sum.abs())
            }
        };
        // A product or an exponential below the smallest normal number may become 0.
        of_sum + epsilon * gx[j].abs() + f64::from(f32::MIN_POSITIVE) * (1.0 + sum.abs())
    };
    (0..g.len()).map(allowance).collect()
}

fn cases() -> Vec<Case> {
    // Rows of y whose elements are near each other, so that every term of a sum is more than its
    // bound, and rows that are nearly one-hot, so that the difference cancels.
    let ranges = [[-2.0, 2.0], [-30.0, 30.0]];
    let mut cases = Vec::new();
    for (variant, operation) in Softmax::ALL.into_iter().enumerate() {
        let views = softmax::views();
        for (seed, (name, layout, axis, length)) in (6500 + 100 * variant as u64..).zip(views) {
            for [low, high] in ranges {
                let mut inputs = Inputs::new(seed);
                let params = Params::new(&layout, axis);
                let (rows, width) = (params.rows as usize, params.width as usize);
                let g = inputs.floats(length, -2.0, 2.0);
                let widened: Vec<f64> = g.iter().map(|&g| f64::from(g)).collect();
                let (mut y, mut bound) = (Vec::new(), Vec::new());
                for row in 0..rows {
                    let x = inputs.floats(width, low, high);
                    let x: Vec<f64> = x.into_iter().map(f64::from).collect();
                    let rounded = softmax::value(operation, &x);
                    let rounded = rounded.into_iter().map(|y| f64::from(y as f32));
                    let of_row: Vec<f64> = rounded.collect();
                    let start = params.walk().place(0, row);
                    let g = strided::row(&widened, start, params.step, width);
                    bound.extend(allowance(operation, &of_row, &g));
                    y.extend(of_row.into_iter().map(|y| y as f32));
                }
                let output = Slot::Output {
                    len: rows * width,
                    bound: Bound::Each(bound),
                };
                let slots = Slots {
                    y: Slot::Floats(y),
                    upstream: Slot::Floats(g),
                    gradient: output,
                };
                let name = format!("{name} x={low}..{high}");
                cases.push(Case::new(name, variant, params, slots));
            }
        }
    }
    cases
}
