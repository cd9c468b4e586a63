//! out\[i\] = f(x\[i\], y\[i\]) (section 4): one kernel for every function of two numbers.

use super::libraries::{FUNCTIONS, POWER};
use super::strided::{self, STRIDED};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// One walk over x and y.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of x.
        pub x_strides: [u32; 8],
        /// Strides of y.
        pub y_strides: [u32; 8],
        /// Elements.
        pub length: u32,
    }
    pub struct Buffers {
        /// The first operand, anywhere in its buffer.
        pub x: Read<f32>,
        /// The second operand, anywhere in its buffer.
        pub y: Read<f32>,
        /// The results, row-major.
        pub result: Write<f32>,
    }
}

impl Params {
    /// The parameters for layouts of one shape.
    pub fn new(x: &Layout, y: &Layout) -> Self {
        let walk = Walk::new([x, y]);
        Self {
            shape: walk.shape,
            x_strides: walk.operands[0],
            y_strides: walk.operands[1],
            length: walk.length,
        }
    }
}

super::strided::walks! { Walk<2>: x_strides, y_strides }

super::variants! {
    /// A function of two numbers.
    pub enum Binary {
        /// x + y.
        Add = "add",
        /// x − y.
        Sub = "sub",
        /// x·y.
        Mul = "mul",
        /// x/y.
        Div = "div",
        /// x^y, with the edges of section 4.
        Pow = "pow",
        /// 1 where x = y, else 0.
        Equal = "equal",
        /// max(x, 0) − x·y + ln(1 + e^(−|x|)): binary cross-entropy of the logit x and the
        /// probability y.
        LogisticLoss = "binary_cross_entropy",
        /// x·y, and 0 where y = 0, even for an infinite x: a logarithm x with the weight y.
        Weighted = "cross_entropy",
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "binary",
    operation: None,
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/binary.wgsl"),
    libraries: &[GRID, STRIDED, FUNCTIONS, POWER],
    axes: &[Binary::VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

fn value(operation: Binary, x: f64, y: f64) -> f64 {
    match operation {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        // IEEE 754's pow has the edges that section 4 asks for.
        Binary::Pow => x.powf(y),
        Binary::Equal => f64::from(u8::from(x == y)),
        // An infinite logit is certain of a label: |x| times the distance from it, with 0·∞ = 0.
        Binary::LogisticLoss if x.is_infinite() => match if x > 0.0 { 1.0 - y } else { y } {
            0.0 => 0.0,
            distance => x.abs() * distance,
        },
        Binary::LogisticLoss => x.max(0.0) - x * y + (-x.abs()).exp().ln_1p(),
        Binary::Weighted if y == 0.0 => 0.0,
        Binary::Weighted => x * y,
    }
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, y, result) = (buffers.x, buffers.y, buffers.result);
    let operation = Binary::ALL[variant];
    strided::each(result, &p.walk(), [x, y], |[x, y]| value(operation, x, y));
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let operands = [buffers.x, buffers.y];
    let (out, walk) = (buffers.result, &p.walk());
    match Binary::ALL[variant] {
        Binary::Add => strided::map(out, walk, operands, |[x, y]| x + y),
        Binary::Sub => strided::map(out, walk, operands, |[x, y]| x - y),
        Binary::Mul => strided::map(out, walk, operands, |[x, y]| x * y),
        Binary::Div => strided::map(out, walk, operands, |[x, y]| x / y),
        Binary::Pow => strided::map(out, walk, operands, |[x, y]| x.powf(y)),
        Binary::Equal => strided::map(out, walk, operands, |[x, y]| f32::from(u8::from(x == y))),
        Binary::LogisticLoss => strided::map(out, walk, operands, |[x, y]| {
            let above = if x < 0.0 { 0.0 } else { x };
            let distance = if x > 0.0 { 1.0 - y } else { y };
            match x.is_infinite() {
                true if distance == 0.0 => 0.0,
                true => x.abs() * distance,
                false => above - x * y + (-x.abs()).exp().ln_1p(),
            }
        }),
        Binary::Weighted => strided::map(
            out,
            walk,
            operands,
            |[x, y]| if y == 0.0 { 0.0 } else { x * y },
        ),
    }
}

/// The error of `pow(x, y)` in WGSL's table, relative to the result. It is the error of exp2(y·log2
/// x). log2 is known to 2⁻²¹ in \[0.5, 2\] and to 3 ulps elsewhere, exp2 to 3 + 2·|·| ulps.
pub fn power_allowance(x: f64, y: f64) -> f64 {
    let epsilon = f64::from(f32::EPSILON);
    let log = x.abs().log2();
    let log_error = match x.abs() {
        0.5..=2.0 => 2f64.powi(-21),
        _ => 3.0 * epsilon * log.abs(),
    };
    let exponent = (y * log).abs();
    let exponent_error = y.abs() * log_error + epsilon * exponent;
    std::f64::consts::LN_2 * exponent_error + (3.0 + 2.0 * exponent) * epsilon
}

/// Bases and exponents: positive bases with any exponent, negative bases with integers, and zeros
/// of both.
pub fn powers(inputs: &mut Inputs, bases: usize, exponents: usize, signed: bool) -> [Vec<f32>; 2] {
    let mut x = inputs.positive(bases);
    let mut y = inputs.floats(exponents, -3.0, 3.0);
    if signed {
        let whole = inputs.words(exponents, 7);
        y = whole.into_iter().map(|whole| whole as f32 - 1.0).collect();
        for (x, sign) in x.iter_mut().zip(inputs.words(bases, 3)) {
            *x = if sign == 0 { -*x } else { *x };
        }
    }
    [x, y]
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (variant, operation) in Binary::ALL.into_iter().enumerate() {
        let long = (operation == Binary::Add).then(strided::long);
        let views = strided::views().into_iter().chain(long);
        for (seed, (name, layout, length)) in (3000 + 100 * variant as u64..).zip(views) {
            let mut inputs = Inputs::new(seed);
            // The view is on the left and a row-major operand on the right, or the reverse.
            let dense = Layout::contiguous(layout.shape);
            let count = dense.shape.elements();
            let swapped = seed % 2 == 1;
            let (layouts, lengths) = match swapped {
                false => ([&layout, &dense], [length, count]),
                true => ([&dense, &layout], [count, length]),
            };
            let [x, y] = match operation {
                Binary::Pow => powers(&mut inputs, lengths[0], lengths[1], seed % 4 < 2),
                Binary::Div => [
                    inputs.signed(lengths[0], &[0.0]),
                    inputs.positive(lengths[1]),
                ],
                // Few values, so that some are equal.
                Binary::Equal => lengths.map(|len| {
                    inputs
                        .signed(len, &[0.0, 1.0])
                        .iter()
                        .map(|v| v.round())
                        .collect()
                }),
                Binary::LogisticLoss => [
                    inputs.signed(lengths[0], &[0.0, -30.0, 30.0]),
                    inputs.floats(lengths[1], 0.0, 1.0),
                ],
                Binary::Weighted => [
                    inputs.signed(lengths[0], &[0.0, -1024.0]),
                    inputs.signed(lengths[1], &[0.0]),
                ],
                _ => lengths.map(|length| inputs.signed(length, &[0.0, 1024.0])),
            };
            let params = Params::new(layouts[0], layouts[1]);
            let walk = params.walk();
            let epsilon = f64::from(f32::EPSILON);
            let bound = |i: usize| {
                let (x, y) = (
                    f64::from(x[walk.place(0, i)]),
                    f64::from(y[walk.place(1, i)]),
                );
                let size = value(operation, x, y).abs();
                match operation {
                    Binary::Add | Binary::Sub | Binary::Mul | Binary::Weighted => epsilon * size,
                    Binary::Div => 2.5 * epsilon * size,
                    Binary::Pow => size * power_allowance(x, y),
                    Binary::Equal => 0.0,
                    // The error of the exponential, the error of the logarithm, and at most three
                    // roundings of x.
                    Binary::LogisticLoss => {
                        let u = (-x.abs()).exp();
                        let exp = (3.0 + 2.0 * x.abs()) * epsilon * u;
                        let log = match u {
                            ..0.0078125 => 5.0 * epsilon * u,
                            _ => 2f64.powi(-21),
                        };
                        exp + log + 3.0 * epsilon * x.abs()
                    }
                }
            };
            let len = walk.length as usize;
            let bound = Bound::Each((0..len).map(bound).collect());
            let name = format!("{name} on the {}", if swapped { "right" } else { "left" });
            let slots = Slots {
                x: Slot::Floats(x),
                y: Slot::Floats(y),
                result: Slot::Output { len, bound },
            };
            cases.push(Case::new(name, variant, params, slots));
        }
    }
    cases
}
