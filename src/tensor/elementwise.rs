//! Elementwise functions of one number and of two (section 4).

use super::Tensor;
use super::op::Op;
use super::tape::Saved;
use crate::error::Result;
use crate::tensor::kernels::binary::{self, Binary};
use crate::tensor::kernels::binary_gradient::{self, Partial};
use crate::tensor::kernels::unary::{self, Unary};
use crate::tensor::kernels::unary_gradient::{self, Slope};
use crate::tensor::shape::Shape;

/// The tensor from which a slope is computed.
enum Saves {
    Operand,
    Output,
}

impl Tensor {
    /// ln x; −∞ at 0 and NaN below.
    ///
    /// Gradient: g/x.
    pub fn log(&self) -> Result<Self> {
        self.function("log", Unary::Log, Slope::Log, Saves::Operand, [0.0; 2])
    }

    /// e^x.
    ///
    /// Gradient: g·e^x.
    pub fn exp(&self) -> Result<Self> {
        self.function("exp", Unary::Exp, Slope::Exp, Saves::Output, [0.0; 2])
    }

    /// x where x > 0, else 0.
    ///
    /// Gradient: g where x > 0, else 0.
    pub fn relu(&self) -> Result<Self> {
        self.function("relu", Unary::Relu, Slope::Relu, Saves::Operand, [0.0; 2])
    }

    /// σ(x) = 1/(1 + e^(−x)).
    ///
    /// Gradient: g·σ(1 − σ).
    pub fn sigmoid(&self) -> Result<Self> {
        let slope = Slope::Sigmoid;
        self.function("sigmoid", Unary::Sigmoid, slope, Saves::Output, [0.0; 2])
    }

    /// tanh x.
    ///
    /// Gradient: g·(1 − tanh²x).
    pub fn tanh(&self) -> Result<Self> {
        self.function("tanh", Unary::Tanh, Slope::Tanh, Saves::Output, [0.0; 2])
    }

    /// |x|.
    ///
    /// Gradient: g·sign x, 0 at 0.
    pub fn abs(&self) -> Result<Self> {
        self.function("abs", Unary::Abs, Slope::Abs, Saves::Operand, [0.0; 2])
    }

    /// √x, NaN below 0.
    ///
    /// Gradient: g/(2√x).
    pub fn sqrt(&self) -> Result<Self> {
        self.function("sqrt", Unary::Sqrt, Slope::Sqrt, Saves::Output, [0.0; 2])
    }

    /// ln(1 + e^x), without overflow.
    ///
    /// Gradient: g·σ(x).
    pub fn softplus(&self) -> Result<Self> {
        let slope = Slope::Softplus;
        self.function("softplus", Unary::Softplus, slope, Saves::Operand, [0.0; 2])
    }

    /// min(max(x, low), high); CReLU with the clip T is `clamp(0.0, T)`.
    ///
    /// Gradient: g where low ≤ x ≤ high, both ends included, else 0.
    ///
    /// # Errors
    /// An empty range, or ends that are not finite.
    pub fn clamp(&self, low: f32, high: f32) -> Result<Self> {
        if !(low <= high && low.is_finite() && high.is_finite()) {
            let op = Op::new("clamp", [self])?;
            return Err(op.fail("a finite range", format!("{low} to {high}")));
        }
        let slope = Slope::Clamp;
        self.function("clamp", Unary::Clamp, slope, Saves::Operand, [low, high])
    }

    /// −x.
    ///
    /// Gradient: −g.
    pub fn neg(&self) -> Result<Self> {
        let op = Op::new("neg", [self])?;
        let y = op.unary(Unary::Neg, [0.0; 2])?;
        op.record_one(y, |g| g.neg())
    }

    /// factor·x + summand.
    ///
    /// Gradient: factor·g.
    pub fn affine(&self, factor: f32, summand: f32) -> Result<Self> {
        let op = Op::new("affine", [self])?;
        let y = op.unary(Unary::Affine, [factor, summand])?;
        op.record_one(y, move |g| g.affine(factor, 0.0))
    }

    fn function(
        &self,
        name: &'static str,
        function: Unary,
        slope: Slope,
        from: Saves,
        numbers: [f32; 2],
    ) -> Result<Self> {
        let op = Op::new(name, [self])?;
        let y = op.unary(function, numbers)?;
        let saved = match from {
            Saves::Operand => Saved::new(name, self),
            Saves::Output => Saved::new(name, &y),
        };
        op.record_one(y, move |g| {
            let saved = saved.get()?;
            let op = Op::new(name, [saved, g])?;
            let gradient = op.output(saved.shape())?;
            let params = unary_gradient::Params::new(&saved.layout, &g.layout, numbers);
            let buffers = unary_gradient::Buffers {
                saved: saved.buffer(),
                upstream: g.buffer(),
                gradient: gradient.buffer(),
            };
            op.dispatch(slope as usize, params, buffers)?;
            Ok(gradient)
        })
    }

    /// x + y.
    ///
    /// Gradients: g and g.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.combine(
            "add",
            Binary::Add,
            other,
            |g, _, _| Ok(g.clone()),
            |g, _, _| Ok(g.clone()),
        )
    }

    /// x − y.
    ///
    /// Gradients: g and −g.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.combine(
            "sub",
            Binary::Sub,
            other,
            |g, _, _| Ok(g.clone()),
            |g, _, _| g.neg(),
        )
    }

    /// x·y.
    ///
    /// Gradients: g·y and g·x.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        self.combine(
            "mul",
            Binary::Mul,
            other,
            |g, _, y| g.mul(y),
            |g, x, _| g.mul(x),
        )
    }

    /// x/y.
    ///
    /// Gradients: g/y and −g·x/y².
    pub fn div(&self, other: &Self) -> Result<Self> {
        let right = |g: &Self, x: &Self, y: &Self| partial("div", Partial::DivRight, x, y, g);
        self.combine("div", Binary::Div, other, |g, _, y| g.div(y), right)
    }

    /// x^y.
    ///
    /// It is 1 for y = 0. For x = 0 it is 0 if y > 0, and ∞ if y < 0. For x < 0 it is a real number
    /// if y is an integer, and NaN if not.
    ///
    /// Gradients: g·y·x^(y−1), which is 0 for y = 0; and g·x^y·ln x, which for x = 0 is 0 if y ≥ 0
    /// and −∞·g if y < 0, and NaN for x < 0.
    pub fn pow(&self, other: &Self) -> Result<Self> {
        let left = |g: &Self, x: &Self, y: &Self| partial("pow", Partial::PowLeft, x, y, g);
        let right = |g: &Self, x: &Self, y: &Self| partial("pow", Partial::PowRight, x, y, g);
        self.combine("pow", Binary::Pow, other, left, right)
    }

    /// x^y for a number y.
    pub fn powf(&self, exponent: f32) -> Result<Self> {
        self.pow(&Self::scalar(self.device(), exponent)?)
    }

    /// max(x, 0) − x·t + ln(1 + e^(−|x|)): the binary cross-entropy of the logit x and the
    /// probability t. A logit of ±∞ is certain of its label: the loss is 0 if t agrees with it, and
    /// ∞ otherwise.
    ///
    /// Gradients: g·(σ(x) − t) and −g·x.
    pub fn logistic_loss(&self, targets: &Self) -> Result<Self> {
        const NAME: &str = "binary_cross_entropy";
        let left = |g: &Self, x: &Self, t: &Self| partial(NAME, Partial::LogisticLossLeft, x, t, g);
        let right = |g: &Self, x: &Self, _: &Self| g.mul(x)?.neg();
        self.combine(NAME, Binary::LogisticLoss, targets, left, right)
    }

    /// x·w, and 0 where w = 0, even if x is infinite. This is a term of an expectation, such as
    /// p·ln p for a probability p of 0.
    ///
    /// Gradients: g·w and g·x.
    pub fn weighted_by(&self, weights: &Self) -> Result<Self> {
        self.combine(
            "weighted_by",
            Binary::Weighted,
            weights,
            |g, _, w| g.mul(w),
            |g, x, _| g.mul(x),
        )
    }

    /// 1 where x = y, and 0 elsewhere. It has no gradient.
    pub fn equal(&self, other: &Self) -> Result<Self> {
        Ok(Op::new("equal", [self, other])?.binary(Binary::Equal)?.1)
    }

    fn combine(
        &self,
        name: &'static str,
        function: Binary,
        other: &Self,
        left: impl Fn(&Self, &Self, &Self) -> Result<Self> + Send + Sync + 'static,
        right: impl Fn(&Self, &Self, &Self) -> Result<Self> + Send + Sync + 'static,
    ) -> Result<Self> {
        let op = Op::new(name, [self, other])?;
        let ([x, y], result) = op.binary(function)?;
        let shapes = [self.shape(), other.shape()];
        let saved = [Saved::new(name, &x), Saved::new(name, &y)];
        op.record(result, move |g, needs| {
            let (x, y) = (saved[0].get()?, saved[1].get()?);
            let left = needs[0].then(|| left(g, x, y)?.sum_to(shapes[0]));
            let right = needs[1].then(|| right(g, x, y)?.sum_to(shapes[1]));
            Ok(vec![left.transpose()?, right.transpose()?])
        })
    }

    /// The gradient of a tensor of `shape` that was stretched to the shape of this one: this
    /// tensor, summed over the axes along which the other was stretched.
    pub(super) fn sum_to(&self, shape: Shape) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        if self.elements() == shape.elements() {
            return self.reshape(&shape);
        }
        let front = self.rank() - shape.len();
        let stretched =
            |&axis: &usize| axis < front || (shape[axis - front] == 1 && self.shape()[axis] != 1);
        let axes: Vec<usize> = (0..self.rank()).filter(stretched).collect();
        self.sum(axes.as_slice(), true)?.reshape(&shape)
    }
}

impl Op<'_> {
    fn unary(&self, function: Unary, numbers: [f32; 2]) -> Result<Tensor> {
        let x = self.operand(0);
        let y = self.output(x.shape())?;
        let params = unary::Params::new(&x.layout, numbers);
        let buffers = unary::Buffers {
            x: x.buffer(),
            y: y.buffer(),
        };
        self.dispatch(function as usize, params, buffers)?;
        Ok(y)
    }

    /// Both operands, stretched to the shape of the result, and the result.
    fn binary(&self, function: Binary) -> Result<([Tensor; 2], Tensor)> {
        let [x, y] = self.stretched()?;
        let result = self.output(x.shape())?;
        let params = binary::Params::new(&x.layout, &y.layout);
        let buffers = binary::Buffers {
            x: x.buffer(),
            y: y.buffer(),
            result: result.buffer(),
        };
        self.dispatch(function as usize, params, buffers)?;
        Ok(([x, y], result))
    }

    fn stretched(&self) -> Result<[Tensor; 2]> {
        let (x, y) = (self.operand(0), self.operand(1));
        let shape = x.shape().broadcast(&y.shape());
        let stretch = |tensor: &Tensor| {
            let layout = tensor.layout.broadcast_to(shape?)?;
            Some(Tensor {
                layout,
                ..tensor.detach()
            })
        };
        match (stretch(x), stretch(y)) {
            (Some(x), Some(y)) => Ok([x, y]),
            _ => Err(self.fail("shapes that stretch to one another", "")),
        }
    }
}

fn partial(
    name: &'static str,
    partial: Partial,
    x: &Tensor,
    y: &Tensor,
    g: &Tensor,
) -> Result<Tensor> {
    let op = Op::new(name, [x, y, g])?;
    let gradient = op.output(x.shape())?;
    let params = binary_gradient::Params::new(&x.layout, &y.layout, &g.layout);
    let buffers = binary_gradient::Buffers {
        x: x.buffer(),
        y: y.buffer(),
        upstream: g.buffer(),
        gradient: gradient.buffer(),
    };
    op.dispatch(partial as usize, params, buffers)?;
    Ok(gradient)
}
