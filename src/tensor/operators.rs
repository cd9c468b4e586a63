//! `+`, `−`, `·`, `/` and negation of tensors, and of a tensor and a number. Like the methods, they
//! return a `Result`.

use super::Tensor;
use crate::error::Result;
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! operator {
    ($Trait:ident, $method:ident, |$x:ident, $y:ident| $with_number:expr) => {
        impl $Trait for &Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: &Tensor) -> Result<Tensor> {
                Tensor::$method(self, other)
            }
        }
        impl $Trait<f32> for &Tensor {
            type Output = Result<Tensor>;
            fn $method(self, $y: f32) -> Result<Tensor> {
                let $x = self;
                $with_number
            }
        }
    };
}

operator!(Add, add, |x, y| x.affine(1.0, y));
operator!(Sub, sub, |x, y| x.affine(1.0, -y));
operator!(Mul, mul, |x, y| x.affine(y, 0.0));
operator!(Div, div, |x, y| x.div(&Tensor::scalar(x.device(), y)?));

impl Neg for &Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        Tensor::neg(self)
    }
}
