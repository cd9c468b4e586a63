//! y = e^(x − max x)/Σ e^(x − max x) along one axis (section 2), or its logarithm x − max x − ln Σ
//! e^(x − max x) (section 4).

use super::strided::{self, STRIDED};
use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::{GRID, LANES};
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// A walk over the rows of x, over every axis except the axis of the softmax.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of x.
        pub x_strides: [u32; 8],
        /// Rows.
        pub rows: u32,
        /// Elements of a row.
        pub width: u32,
        /// The distance from one element of a row of x to the next.
        pub step: u32,
    }
    pub struct Buffers {
        /// The rows, anywhere in their buffer.
        pub x: Read<f32>,
        /// The result, row-major, `[rows, width]`.
        pub y: Write<f32>,
    }
}

impl Params {
    /// The parameters for a softmax along `axis` of an x with this layout. In y, `axis` is the last
    /// axis and the other axes keep their order.
    pub fn new(x: &Layout, axis: usize) -> Self {
        let walk = rows(x, axis);
        Self {
            shape: walk.shape,
            x_strides: walk.operands[0],
            rows: walk.length,
            width: x.shape[axis] as u32,
            step: x.strides()[axis] as u32,
        }
    }

    fn walk(&self) -> Walk<1> {
        Walk {
            shape: self.shape,
            operands: [self.x_strides],
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

/// The walk over the first elements of the rows along `axis`.
pub fn rows(layout: &Layout, axis: usize) -> Walk<1> {
    let others: Vec<usize> = (0..layout.shape.len())
        .filter(|&other| other != axis)
        .collect();
    Walk::over(&others, [layout])
}

super::variants! {
    /// The softmax or its logarithm.
    pub enum Softmax {
        /// e^(x − max)/Σ.
        Softmax = "softmax",
        /// x − max − ln Σ.
        Log = "log_softmax",
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "softmax",
    operation: None,
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/softmax.wgsl"),
    libraries: &[GRID, STRIDED, LANES],
    axes: &[Softmax::VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

/// The function of one row over f64.
pub fn value(operation: Softmax, row: &[f64]) -> Vec<f64> {
    // A NaN is never the maximum, but it enters the sum and, with the sum, every element.
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    let value = |x: &f64| match operation {
        Softmax::Softmax => (x - max).exp() / sum,
        Softmax::Log => x - max - sum.ln(),
    };
    row.iter().map(value).collect()
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, y) = (buffers.x, buffers.y);
    let width = p.width as usize;
    for row in 0..p.rows as usize {
        let values = strided::row(x, p.walk().place(0, row), p.step, width);
        y[row * width..][..width].copy_from_slice(&value(Softmax::ALL[variant], &values));
    }
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, y) = (buffers.x, buffers.y);
    let (operation, walk) = (Softmax::ALL[variant], p.walk());
    let (rows, width) = (p.rows as usize, p.width as usize);
    cpu::rows(&mut y[..rows * width], width, |row, y| {
        strided::copy(y, &x[walk.place(0, row)..], p.step as usize);
        cpu::vectorized(|| {
            // This ignores a NaN, but the NaN enters the sum and, with the sum, every element.
            let above = |max, &x: &f32| if x > max { x } else { max };
            let max = y.iter().fold(y[0], above);
            match operation {
                Softmax::Softmax => {
                    y.iter_mut().for_each(|y| *y = (*y - max).exp());
                    let sum = cpu::sum_lanes(width, |j| y[j]);
                    y.iter_mut().for_each(|y| *y /= sum);
                }
                Softmax::Log => {
                    let log = cpu::sum_lanes(width, |j| (y[j] - max).exp()).ln();
                    y.iter_mut().for_each(|y| *y = below(*y, max) - log);
                }
            }
        });
    });
}

/// x − max. If it would overflow for finite numbers, the result is the lowest f32, so that a loss
/// stays finite.
fn below(x: f32, max: f32) -> f32 {
    let below = x - max;
    if below < f32::MIN && x >= f32::MIN {
        f32::MIN
    } else {
        below
    }
}

/// The absolute error that WGSL's accuracy table allows for each element of a row; ε = 2⁻²³, and a
/// correctly rounded operation may be off by one ε.
fn allowance(operation: Softmax, row: &[f64]) -> Vec<f64> {
    let epsilon = f64::from(f32::EPSILON);
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Relative to e^d: exp has an error of 3 + 2·|d| ulps, and rounding d = x − max adds ε·|d|.
    let exp_error = |d: f64| (3.0 + 3.0 * d.abs()) * epsilon;
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    // Relative to the sum: the errors of its terms, and ε·√n for adding up n terms of one sign.
    let of_terms = row.iter().map(|x| exp_error(x - max) * (x - max).exp());
    let sum_error = of_terms.sum::<f64>() / sum + epsilon * (row.len() as f64).sqrt();
    // log: 2⁻²¹ if the sum is in [0.5, 2], and 3 ulps elsewhere.
    let log = sum.ln();
    let log_error = match sum * (1.0 - sum_error) {
        ..=2.0 => 2f64.powi(-21),
        _ => 3.0 * epsilon * log,
    };
    let allowance = |x: &f64| {
        let d = x - max;
        match operation {
            // A division of 2.5 ulps; an exponential or quotient below the smallest normal number
            // may become 0.
            Softmax::Softmax => {
                let relative = exp_error(d) + sum_error + 2.5 * epsilon;
                d.exp() / sum * relative + f64::from(f32::MIN_POSITIVE)
            }
            // Two subtractions. The relative error of the sum is the absolute error of its
            // logarithm.
            Softmax::Log => epsilon * (d.abs() + (d - log).abs()) + sum_error + log_error,
        }
    };
    row.iter().map(allowance).collect()
}

/// Layouts and axes for the cases of the softmax and its gradient, each with a name and the length
/// of its buffer: rows of 0, 1, tile − 1, tile, tile + 1, a prime and more elements, then
/// transposed, sliced and broadcast layouts of up to four axes, and last a layout of more than
/// 65,535 workgroups.
pub fn views() -> Vec<(String, Layout, usize, usize)> {
    let dense = |sizes: &[usize]| Layout::contiguous(strided::checked(sizes));
    let stretch = |from: &[usize], to: &[usize]| {
        let layout = dense(from).broadcast_to(strided::checked(to));
        layout.unwrap_or_else(|| unreachable!("{from:?} stretches to {to:?}"))
    };
    let mut views = Vec::new();
    let mut add = |name: &str, layout: Layout, axis: usize, length: usize| {
        let name = format!("{:?}{name} axis {axis}", &*layout.shape);
        views.push((name, layout, axis, length));
    };
    for [rows, width] in [
        [0, 5],
        [3, 0],
        [1, 1],
        [5, 1],
        [5, 63],
        [4, 64],
        [3, 65],
        [2, 997],
        [3, 1024],
    ] {
        add("", dense(&[rows, width]), 1, rows * width);
    }
    add("", dense(&[19]), 0, 19);
    add("", dense(&[67, 5]), 0, 335);
    let base = dense(&[5, 3, 7]);
    for axis in 0..3 {
        add(" transposed", base.permute(&[2, 1, 0]), axis, 105);
    }
    add(" sliced", base.slice(0, 1..4).slice(2, 4..6), 0, 105);
    add(" sliced", base.slice(0, 1..4).slice(2, 4..6), 1, 105);
    add(" stretched", stretch(&[67], &[3, 67]), 0, 67);
    add(" stretched", stretch(&[67], &[3, 67]), 1, 67);
    add(" stretched", stretch(&[5, 1, 9], &[5, 4, 9]), 2, 45);
    add(" stretched", stretch(&[], &[4, 33]), 1, 1);
    let four = dense(&[3, 70, 4, 5]);
    add("", four, 1, 4200);
    let four = four.permute(&[3, 1, 0, 2]).slice(1, 2..68).slice(0, 1..4);
    add(" transposed and sliced", four, 1, 4200);
    add(" transposed and sliced", four, 2, 4200);
    add("", dense(&[65_539, 3]), 1, 196_617);
    views
}

fn cases() -> Vec<Case> {
    // Elements that are near each other, so that every term of a sum is more than its bound;
    // elements that are far apart; and elements that are all far below 0. In the last two cases the
    // exponentials do not fit an f32 unless the maximum is subtracted first.
    let ranges = [[-2.0, 2.0], [-100.0, 100.0], [-110.0, -95.0]];
    let mut cases = Vec::new();
    for (variant, operation) in Softmax::ALL.into_iter().enumerate() {
        for (seed, (name, layout, axis, length)) in (6000 + 100 * variant as u64..).zip(views()) {
            for [low, high] in ranges {
                let x = Inputs::new(seed).floats(length, low, high);
                let params = Params::new(&layout, axis);
                let (rows, width) = (params.rows as usize, params.width as usize);
                let widened: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                let bound = (0..rows).flat_map(|row| {
                    let start = params.walk().place(0, row);
                    allowance(
                        operation,
                        &strided::row(&widened, start, params.step, width),
                    )
                });
                let output = Slot::Output {
                    len: rows * width,
                    bound: Bound::Each(bound.collect()),
                };
                let name = format!("{name} x={low}..{high}");
                cases.push(Case::new(
                    name,
                    variant,
                    params,
                    Slots {
                        x: Slot::Floats(x),
                        y: output,
                    },
                ));
            }
        }
    }
    cases
}
