//! The losses of the network's output: names, values and gradients.
//!
//! The twins and the evaluation compute a loss with [`Loss::term`], the CPU implementations with
//! [`Loss::term_f32`], and the shaders with `shaders/nnue/lib/loss.wgsl`.

use super::names::one_of;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The map from the raw output Y to the prediction P. Each link is one choice on the kernels' axis
/// of losses.
///
/// A loss that is no power of |P − t| is a link too: its [`Loss::term`] does not read `power`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// P = Y.
    Identity,
    /// P = σ(Y) = 1 ÷ (1 + e^(−Y)).
    Sigmoid,
}

impl Link {
    /// Every link. The index of a link is its choice on the kernels' axis.
    pub const ALL: [Self; 2] = [Self::Identity, Self::Sigmoid];

    /// The name in kernel variants.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// The name of the loss with this link in files and options.
    pub const fn loss_name(self) -> &'static str {
        match self {
            Self::Identity => "mse",
            Self::Sigmoid => "sigmoid_mse",
        }
    }

    /// Operations per sample: P and its slope, then the difference, its two powers, two scalings
    /// and the product with q, the sign and the slope.
    pub const fn operations(self) -> u64 {
        8 + match self {
            Self::Identity => 0,
            Self::Sigmoid => 4,
        }
    }

    /// P and ∂P/∂Y.
    pub fn apply(self, y: f64) -> (f64, f64) {
        match self {
            Self::Identity => (y, 1.0),
            Self::Sigmoid => {
                let value = 1.0 / (1.0 + (-y).exp());
                // This is P(1 − P) without the cancellation in 1 − P.
                (value, value / (1.0 + y.exp()))
            }
        }
    }

    /// P and ∂P/∂Y as the CPU executor computes them: finite for every finite y.
    #[inline]
    pub fn apply_f32(self, y: f32) -> (f32, f32) {
        match self {
            Self::Identity => (y, 1.0),
            Self::Sigmoid => {
                let tail = (-y.abs()).exp();
                let large = 1.0 / (1.0 + tail);
                let small = tail * large;
                (if y >= 0.0 { large } else { small }, large * small)
            }
        }
    }
}

/// E = (1/L) Σ_s |P\[s\] − t\[s\]|^q, with P = link(Y) and q = `power`.
///
/// Its gradient is e = ∂E/∂Y = (q/L)·|P − t|^(q − 1)·sign(P − t)·∂P/∂Y, with sign(0) = 0. ∂P/∂Y is
/// 1, or P(1 − P) for the sigmoid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// From Y to P.
    pub link: Link,
    /// q, at least 1.
    pub power: f32,
}

/// The term of one sample in the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term<R> {
    /// The summand of E.
    pub value: R,
    /// e, the derivative of the summand with respect to Y.
    pub gradient: R,
}

impl Loss {
    /// Mean squared error of the raw output.
    pub const MSE: Self = Self::new(Link::Identity, 2.0);
    /// Mean squared error of σ(Y), for targets between 0 and 1.
    pub const SIGMOID_MSE: Self = Self::new(Link::Sigmoid, 2.0);

    /// A loss with this link and power.
    pub const fn new(link: Link, power: f32) -> Self {
        Self { link, power }
    }

    /// The term of one sample, where `scale` is 1/L.
    pub fn term(self, y: f64, target: f64, scale: f64) -> Term<f64> {
        let (prediction, slope) = self.link.apply(y);
        let (difference, q) = (prediction - target, f64::from(self.power));
        let size = difference.abs();
        let sign = if size == 0.0 {
            0.0
        } else {
            difference.signum()
        };
        Term {
            value: size.powf(q) * scale,
            gradient: q * scale * size.powf(q - 1.0) * sign * slope,
        }
    }

    /// The term of one sample as the CPU executor computes it.
    #[inline]
    pub fn term_f32(self, y: f32, target: f32, scale: f32) -> Term<f32> {
        let (prediction, slope) = self.link.apply_f32(y);
        let (difference, q) = (prediction - target, self.power);
        let size = difference.abs();
        let sign = if size == 0.0 {
            0.0
        } else {
            difference.signum()
        };
        Term {
            value: powered(size, q) * scale,
            gradient: powered(size, q - 1.0) * q * scale * sign * slope,
        }
    }

    /// Refuses a power below 1.
    pub fn check(&self) -> Result<()> {
        if self.power >= 1.0 && self.power.is_finite() {
            return Ok(());
        }
        let expected = "a finite number from 1";
        Err(Error::argument("power (q)", expected, self.power))
    }

    /// The name of the link in files and options.
    pub fn name(&self) -> &'static str {
        self.link.loss_name()
    }

    /// The names of all losses, as an error lists them.
    pub fn names() -> String {
        one_of(&Link::ALL.map(Link::loss_name))
    }
}

/// x^q for x ≥ 0. The powers 0, 1 and 2 are exact.
#[inline]
fn powered(x: f32, q: f32) -> f32 {
    match q {
        0.0 => 1.0,
        1.0 => x,
        2.0 => x * x,
        _ => x.powf(q),
    }
}

impl std::str::FromStr for Loss {
    type Err = Error;

    /// The loss of this name with q = 2.
    fn from_str(text: &str) -> Result<Self> {
        let link = Link::ALL
            .into_iter()
            .find(|link| link.loss_name() == text)
            .ok_or_else(|| Error::argument("loss", Self::names(), format!("{text:?}")))?;
        Ok(Self::new(link, 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_choices() {
        for (position, link) in Link::ALL.into_iter().enumerate() {
            assert_eq!(link as usize, position);
        }
    }

    /// The gradient is the difference quotient of the value, and both number types agree.
    #[test]
    fn gradient_and_value_agree() {
        for link in Link::ALL {
            for (power, y, target) in [(2.0, 0.3, 0.9), (2.5, -1.2, 0.1), (1.0, 2.0, 0.25)] {
                let loss = Loss::new(link, power);
                let value = |y: f64| loss.term(y, target, 0.5).value;
                let step = 1e-6;
                let quotient = (value(y + step) - value(y - step)) / (2.0 * step);
                let term = loss.term(y, target, 0.5);
                approx::assert_relative_eq!(term.gradient, quotient, max_relative = 1e-7);
                let rounded = loss.term_f32(y as f32, target as f32, 0.5);
                let [value, gradient] = [rounded.value, rounded.gradient].map(f64::from);
                approx::assert_relative_eq!(value, term.value, max_relative = 1e-5);
                approx::assert_relative_eq!(gradient, term.gradient, max_relative = 1e-5);
            }
        }
    }
}
