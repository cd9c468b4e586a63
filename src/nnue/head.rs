//! The layers between accumulators and output, as data (section 1.14 of the mathematics).

use super::names::one_of;
use crate::engine::kernel::Real;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::ops::{Add, Mul};
use std::str::FromStr;

/// The function after a hidden layer of the head. All but ReLU clip at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HeadActivation {
    /// min(max(z, 0), 1).
    CRelu,
    /// min(max(z, 0), 1)².
    SCRelu,
    /// max(z, 0).
    Relu,
    /// min(max(z, 0), 1) beside its square: twice as many outputs as z has lanes, the plain ones
    /// first.
    Dual,
    /// min(max(z, 0), 1) beside min(z², 1), the square also of a negative z: twice as many outputs
    /// as z has lanes, the plain ones first. Many chess engines compute this.
    #[serde(rename = "dual-square")]
    DualSquare,
}

impl HeadActivation {
    /// Every activation of the head.
    pub const ALL: [Self; 5] = [
        Self::CRelu,
        Self::SCRelu,
        Self::Relu,
        Self::Dual,
        Self::DualSquare,
    ];

    /// The name in files and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CRelu => "crelu",
            Self::SCRelu => "screlu",
            Self::Relu => "relu",
            Self::Dual => "dual",
            Self::DualSquare => "dual-square",
        }
    }

    /// The names of all activations, as an error lists them.
    pub fn names() -> String {
        one_of(&Self::ALL.map(Self::name))
    }

    /// The number of outputs for each lane of z.
    pub const fn outputs(self) -> usize {
        match self {
            Self::Dual | Self::DualSquare => 2,
            Self::CRelu | Self::SCRelu | Self::Relu => 1,
        }
    }
}

impl HeadActivation {
    /// Writes the outputs for z.
    #[inline]
    pub(super) fn activate<R: Number>(self, z: &[R], to: &mut [R]) {
        let (zero, one) = (R::from_f64(0.0), R::from_f64(1.0));
        let limit = match self {
            Self::Relu => R::from_f64(f64::INFINITY),
            Self::CRelu | Self::SCRelu | Self::Dual | Self::DualSquare => one,
        };
        let (to, squares) = to.split_at_mut(z.len());
        for (to, &z) in to.iter_mut().zip(z) {
            *to = clamped(z, zero, limit);
        }
        match self {
            Self::CRelu | Self::Relu => {}
            Self::SCRelu => to.iter_mut().for_each(|h| *h = *h * *h),
            Self::Dual => {
                for (square, &h) in squares.iter_mut().zip(&*to) {
                    *square = h * h;
                }
            }
            // The square of z clipped at −1 and 1 is min(z², 1), also where z² is too large.
            Self::DualSquare => {
                for (square, &z) in squares.iter_mut().zip(z) {
                    let z = clamped(z, R::from_f64(-1.0), one);
                    *square = z * z;
                }
            }
        }
    }

    /// Writes ∂Loss/∂z, from z and the gradient of the outputs.
    #[inline]
    pub(super) fn backward<R: Number>(self, z: &[R], gradient: &[R], to: &mut [R]) {
        let (zero, one, two) = (R::from_f64(0.0), R::from_f64(1.0), R::from_f64(2.0));
        let (gradient, of_squares) = gradient.split_at(z.len());
        let inside = |z: R| (z >= zero) & (z <= one);
        let lanes = to.iter_mut().zip(z).zip(gradient);
        match self {
            Self::Relu => lanes.for_each(|((to, &z), &g)| *to = if z >= zero { g } else { zero }),
            Self::CRelu => lanes.for_each(|((to, &z), &g)| *to = if inside(z) { g } else { zero }),
            Self::SCRelu => lanes.for_each(|((to, &z), &g)| {
                *to = if inside(z) { two * z * g } else { zero };
            }),
            Self::Dual => {
                for (((to, &z), &g), &square) in lanes.zip(of_squares) {
                    *to = if inside(z) {
                        g + two * z * square
                    } else {
                        zero
                    };
                }
            }
            Self::DualSquare => {
                for (((to, &z), &g), &square) in lanes.zip(of_squares) {
                    let g = if z >= zero { g } else { zero };
                    *to = if (z >= R::from_f64(-1.0)) & (z <= one) {
                        g + two * z * square
                    } else {
                        zero
                    };
                }
            }
        }
    }
}

/// The arithmetic of both precisions.
pub(super) trait Number:
    Real + PartialOrd + Add<Output = Self> + Mul<Output = Self>
{
}
impl<R: Real + PartialOrd + Add<Output = R> + Mul<Output = R>> Number for R {}

/// min(max(z, low), high), which keeps a NaN.
fn clamped<R: Number>(z: R, low: R, high: R) -> R {
    let z = if z < low { low } else { z };
    if z > high { high } else { z }
}

impl FromStr for HeadActivation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| Error::argument("activation of a layer", Self::names(), text))
    }
}

/// A hidden layer of the head: z = W·x + c with a W and a c per output bucket, then the activation.
///
/// Its text is the width and the activation, such as `16:dual`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HiddenLayer {
    /// The number of lanes of z.
    pub width: usize,
    /// The function after it.
    pub activation: HeadActivation,
}

impl HiddenLayer {
    /// A layer of this width and activation.
    pub const fn new(width: usize, activation: HeadActivation) -> Self {
        Self { width, activation }
    }

    /// The number of its outputs: the width, or twice the width for both duals.
    pub const fn outputs(self) -> usize {
        self.width * self.activation.outputs()
    }
}

impl Display for HiddenLayer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.width, self.activation.name())
    }
}

impl FromStr for HiddenLayer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::argument("layer", "WIDTH:ACTIVATION, such as 16:dual", text);
        let (width, activation) = text.split_once(':').ok_or_else(wrong)?;
        let width = width.parse().map_err(|_| wrong())?;
        Ok(Self::new(width, activation.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_as_they_are_written() {
        for activation in HeadActivation::ALL {
            let layer = HiddenLayer::new(16, activation);
            assert_eq!(layer.to_string().parse::<HiddenLayer>().unwrap(), layer);
            let json = serde_json::to_value(layer).unwrap();
            assert_eq!(json["activation"], activation.name());
            assert_eq!(serde_json::from_value::<HiddenLayer>(json).unwrap(), layer);
        }
        for (text, expected) in [
            ("16", "WIDTH:ACTIVATION"),
            ("x:crelu", "WIDTH:ACTIVATION"),
            ("-1:crelu", "WIDTH:ACTIVATION"),
            ("16:tanh", "crelu, screlu, relu, dual or dual-square"),
            ("16:dualsquare", "dual-square"),
        ] {
            let error = text.parse::<HiddenLayer>().unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains(text.rsplit(':').next().unwrap()),
                "{error}"
            );
        }
    }

    /// The second output of each dual, and both outputs' gradients, at, between and past the kinks.
    #[test]
    fn only_the_dual_square_squares_a_negative_z() {
        let z = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0f32];
        let first = [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0];
        let inside = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let dual = [
            [0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 1.0],
            [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0],
        ];
        let square = [
            [1.0, 1.0, 0.25, 0.0, 0.25, 1.0, 1.0],
            [0.0, -2.0, -1.0, 0.0, 1.0, 2.0, 0.0],
        ];
        for (activation, [second, slope]) in [
            (HeadActivation::Dual, dual),
            (HeadActivation::DualSquare, square),
        ] {
            let mut outputs = [f32::NAN; 14];
            activation.activate(&z, &mut outputs);
            assert_eq!(outputs, [first, second].concat()[..], "{activation:?}");
            for (gradient, expected) in [([1.0, 0.0], inside), ([0.0, 1.0], slope)] {
                let mut found = [f32::NAN; 7];
                let gradient = gradient.map(|g| [g; 7]).concat();
                activation.backward(&z, &gradient, &mut found);
                assert_eq!(found, expected, "{activation:?}");
            }
        }
    }
}
