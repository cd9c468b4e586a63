//! y\[i\] = f(x\[i\]) (section 4): one kernel for every function of one number.

use super::libraries::FUNCTIONS;
use super::strided::{self, STRIDED};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Write};
use crate::engine::libraries::GRID;
use crate::tensor::shape::{Layout, Walk};

crate::interface! {
    /// One walk over x.
    pub struct Params {
        /// Sizes, as in [`Walk`].
        pub shape: [u32; 8],
        /// Strides of x.
        pub x_strides: [u32; 8],
        /// Elements.
        pub length: u32,
        /// Clamp: the lower end. Affine: the factor.
        pub first: f32,
        /// Clamp: the upper end. Affine: the summand.
        pub second: f32,
    }
    pub struct Buffers {
        /// The operand, anywhere in its buffer.
        pub x: Read<f32>,
        /// The results, row-major.
        pub y: Write<f32>,
    }
}

impl Params {
    /// The parameters for an x of this layout; `numbers` are the two numbers of clamp or affine.
    pub fn new(x: &Layout, numbers: [f32; 2]) -> Self {
        let walk = Walk::new([x]);
        Self {
            shape: walk.shape,
            x_strides: walk.operands[0],
            length: walk.length,
            first: numbers[0],
            second: numbers[1],
        }
    }
}

super::strided::walks! { Walk<1>: x_strides }

super::variants! {
    /// A function of one number.
    pub enum Unary {
        /// ln x.
        Log = "log",
        /// e^x.
        Exp = "exp",
        /// x where x > 0, else 0.
        Relu = "relu",
        /// 1/(1 + e^(−x)).
        Sigmoid = "sigmoid",
        /// tanh x.
        Tanh = "tanh",
        /// −x.
        Neg = "neg",
        /// |x|.
        Abs = "abs",
        /// √x.
        Sqrt = "sqrt",
        /// ln(1 + e^x).
        Softplus = "softplus",
        /// min(max(x, lower), upper).
        Clamp = "clamp",
        /// factor·x + summand.
        Affine = "affine",
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "unary",
    operation: None,
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/tensor/unary.wgsl"),
    libraries: &[GRID, STRIDED, FUNCTIONS],
    axes: &[Unary::VARIANTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: None,
    cases,
};

/// The function over f64.
pub fn value(operation: Unary, x: f64, numbers: [f64; 2]) -> f64 {
    match operation {
        Unary::Log => x.ln(),
        Unary::Exp => x.exp(),
        // NaN is not below 0, so it stays.
        Unary::Relu if x <= 0.0 => 0.0,
        Unary::Relu => x,
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Tanh => x.tanh(),
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sqrt => x.sqrt(),
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Clamp if x < numbers[0] => numbers[0],
        Unary::Clamp if x > numbers[1] => numbers[1],
        Unary::Clamp => x,
        Unary::Affine => numbers[0] * x + numbers[1],
    }
}

fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, y) = (buffers.x, buffers.y);
    let operation = Unary::ALL[variant];
    let numbers = [f64::from(p.first), f64::from(p.second)];
    strided::each(y, &p.walk(), [x], |[x]| value(operation, x, numbers));
}

fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let (x, y) = (buffers.x, buffers.y);
    let walk = p.walk();
    let (first, second) = (p.first, p.second);
    match Unary::ALL[variant] {
        Unary::Log => strided::map(y, &walk, [x], |[x]| x.ln()),
        Unary::Exp => strided::map(y, &walk, [x], |[x]| x.exp()),
        Unary::Relu => strided::map(y, &walk, [x], |[x]| if x <= 0.0 { 0.0 } else { x }),
        Unary::Sigmoid => strided::map(y, &walk, [x], |[x]| sigmoid(x)),
        Unary::Tanh => strided::map(y, &walk, [x], |[x]| x.tanh()),
        Unary::Neg => strided::map(y, &walk, [x], |[x]| -x),
        Unary::Abs => strided::map(y, &walk, [x], |[x]| x.abs()),
        Unary::Sqrt => strided::map(y, &walk, [x], |[x]| x.sqrt()),
        Unary::Softplus => strided::map(y, &walk, [x], |[x]| {
            (if x < 0.0 { 0.0 } else { x }) + (-x.abs()).exp().ln_1p()
        }),
        Unary::Clamp => strided::map(y, &walk, [x], |[x]| {
            let raised = if x < first { first } else { x };
            if raised > second { second } else { raised }
        }),
        Unary::Affine => strided::map(y, &walk, [x], |[x]| first * x + second),
    }
}

/// σ without overflow.
pub fn sigmoid(x: f32) -> f32 {
    let tail = (-x.abs()).exp();
    let large = 1.0 / (1.0 + tail);
    if x >= 0.0 { large } else { tail * large }
}

/// The absolute error that WGSL's accuracy table allows for the function at x; ε = 2⁻²³, and a
/// correctly rounded operation may be off by one ε.
fn allowance(operation: Unary, x: f64, numbers: [f64; 2]) -> f64 {
    let epsilon = f64::from(f32::EPSILON);
    let y = value(operation, x, numbers).abs();
    // exp: 3 + 2·|x| ulps.
    let exp = |x: f64| (3.0 + 2.0 * x.abs()) * epsilon * x.exp();
    match operation {
        // 2⁻²¹ in [0.5, 2], elsewhere 3 ulps.
        Unary::Log if (0.5..=2.0).contains(&x) => 2f64.powi(-21),
        Unary::Log => 3.0 * epsilon * y,
        Unary::Exp => exp(x),
        // The error of the exponential in 1 + e, which the quotient divides by 1 to 4, and two
        // roundings and a division of 2.5.
        Unary::Sigmoid => exp(-x.abs()) + 5.0 * epsilon * y,
        // The error of the exponential enters the numerator and the denominator. Near 0 the series
        // has five roundings.
        Unary::Tanh if x.abs() >= 0.25 => 2.0 * exp(-2.0 * x.abs()) + 5.0 * epsilon * y,
        Unary::Tanh => 5.0 * epsilon * y,
        // 1/inverseSqrt: 2 ulps and a division of 2.5.
        Unary::Sqrt => 5.0 * epsilon * y,
        Unary::Softplus => {
            let u = (-x.abs()).exp();
            let log = if u < 1.0 / 128.0 {
                5.0 * epsilon * u
            } else {
                2f64.powi(-21)
            };
            exp(-x.abs()) + log + epsilon * y
        }
        Unary::Relu | Unary::Neg | Unary::Abs | Unary::Clamp => 0.0,
        Unary::Affine => epsilon * ((numbers[0] * x).abs() + y),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (variant, operation) in Unary::ALL.into_iter().enumerate() {
        let long = (operation == Unary::Relu).then(strided::long);
        let views = strided::views().into_iter().chain(long);
        for (seed, (name, layout, length)) in (2000 + 100 * variant as u64..).zip(views) {
            let mut inputs = Inputs::new(seed);
            let numbers = match operation {
                Unary::Clamp => [-0.5, 1.5],
                Unary::Affine => [-1.25, 0.3],
                _ => [0.0, 0.0],
            };
            let x = match operation {
                Unary::Log | Unary::Sqrt => inputs.positive(length),
                Unary::Exp => inputs.floats(length, -20.0, 20.0),
                _ => inputs.signed(length, &[0.0, -0.5, 1.5, -30.0, 30.0]),
            };
            let params = Params::new(&layout, numbers);
            let walk = params.walk();
            let numbers = numbers.map(f64::from);
            let bound = (0..walk.length as usize)
                .map(|i| allowance(operation, f64::from(x[walk.place(0, i)]), numbers));
            let output = Slot::Output {
                len: walk.length as usize,
                bound: Bound::Each(bound.collect()),
            };
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
    cases
}
