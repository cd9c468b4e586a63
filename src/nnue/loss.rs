//! The losses of the network's output: names, values and gradients.
//!
//! The twins and the evaluation compute a loss with `Numbers::term`, the CPU implementations with
//! `Numbers::term_f32`, and the shaders with `shaders/nnue/lib/loss.wgsl`.

mod numbers;
mod win_rate;

pub(crate) use numbers::Numbers;
pub use win_rate::WinRate;

use super::names::one_of;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The map from the raw output Y to the prediction P. Each link is one choice on the kernels' axis
/// of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// P = Y.
    Identity,
    /// P = σ(Y) = 1 ÷ (1 + e^(−Y)), or the [`WinRate`] of Y if the loss has one.
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

    /// Operations per sample: P and its slope, then the difference, its two powers, three scalings
    /// and the product with q, the sign and the slope, and the cross-entropy beside them.
    pub const fn operations(self) -> u64 {
        16 + match self {
            Self::Identity => 0,
            Self::Sigmoid => 14,
        }
    }

    /// P and ∂P/∂Y, without a [`WinRate`].
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
}

/// E = (1/L) Σ_s w\[s\]·D(P\[s\], t\[s\]), where P follows from Y by the link, and w is the weight
/// of a sample, which is 1 unless the batch [has others](super::Batch::with_weights).
///
/// D is |P − t|^q, and (1 + a)·|P − t|^q where P > t, with q = `power` and a = `asymmetry`. With
/// `cross_entropy` it is −t·ln P − (1 − t)·ln(1 − P) with P = σ(Y), for targets from 0 to 1. The
/// entropy of t is not subtracted, so a D with a t between 0 and 1 is above 0 also for P = t.
///
/// The gradient of a term is e = ∂E/∂Y. For a power it is (q/L)·w·|P − t|^(q − 1)·sign(P −
/// t)·∂P/∂Y, with sign(0) = 0, and with the factor 1 + a where P > t. For the cross-entropy it is
/// (1/L)·w·(P − t).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Loss {
    /// From Y to P.
    pub link: Link,
    /// q, at least 1. The cross-entropy does not read it.
    pub power: f32,
    /// a, above −1: a prediction above its target counts 1 + a times.
    // Equal trainings write equal files: what is as in an earlier release is left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub asymmetry: f32,
    /// The model that takes the place of σ in the sigmoid link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub win_rate: Option<WinRate>,
    /// Whether D is the cross-entropy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cross_entropy: bool,
}

impl Default for Loss {
    fn default() -> Self {
        Self::SIGMOID_MSE
    }
}

/// The term of one sample in the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term<R> {
    /// The summand of E.
    pub value: R,
    /// e, the derivative of the summand with respect to Y.
    pub gradient: R,
}

crate::setters! { Loss {
    power: f32,
    asymmetry: f32,
} }

impl Loss {
    /// Mean squared error of the raw output.
    pub const MSE: Self = Self::new(Link::Identity, 2.0);
    /// Mean squared error of σ(Y), for targets between 0 and 1.
    pub const SIGMOID_MSE: Self = Self::new(Link::Sigmoid, 2.0);
    /// Binary cross-entropy of σ(Y), for targets from 0 to 1.
    pub const CROSS_ENTROPY: Self = Self {
        cross_entropy: true,
        ..Self::SIGMOID_MSE
    };
    /// Mean squared error of the win rate of Y, with [`WinRate::STOCKFISH`].
    pub const WIN_RATE: Self = Self {
        win_rate: Some(WinRate::STOCKFISH),
        ..Self::SIGMOID_MSE
    };

    /// The losses that have names, with q = 2.
    pub const NAMED: [Self; 4] = [
        Self::MSE,
        Self::SIGMOID_MSE,
        Self::CROSS_ENTROPY,
        Self::WIN_RATE,
    ];

    /// A loss with this link and power.
    pub const fn new(link: Link, power: f32) -> Self {
        Self {
            link,
            power,
            asymmetry: 0.0,
            win_rate: None,
            cross_entropy: false,
        }
    }

    /// The same loss with this model in place of σ.
    #[must_use]
    pub fn win_rate(self, model: WinRate) -> Self {
        Self {
            link: Link::Sigmoid,
            win_rate: Some(model),
            ..self
        }
    }

    /// P of an output, and ∂P/∂Y.
    pub fn predict(self, y: f64) -> (f64, f64) {
        self.numbers(1, false).predict(self.link, y)
    }

    /// The term of one sample, where `scale` is w/L.
    pub fn term(self, y: f64, target: f64, scale: f64) -> Term<f64> {
        self.numbers(1, false).term(self.link, y, target, scale)
    }

    /// The numbers that kernels read, for a batch of `total` samples that have weights or not.
    pub(crate) fn numbers(self, total: usize, weighted: bool) -> Numbers {
        let (steepness, shift) = self.win_rate.map_or((1.0, 0.0), |model| model.of_output());
        Numbers {
            power: if self.cross_entropy { 2.0 } else { self.power },
            scale: 1.0 / total as f32,
            asymmetry: self.asymmetry,
            steepness,
            shift,
            entropy: u32::from(self.cross_entropy),
            weighted: u32::from(weighted),
        }
    }

    /// Refuses a power below 1, an asymmetry of −1 or less, numbers of a win rate out of their
    /// range, a win rate without the sigmoid link, and a cross-entropy with anything but σ(Y).
    pub fn check(&self) -> Result<()> {
        if !(self.power >= 1.0 && self.power.is_finite()) {
            let expected = "a finite number from 1";
            return Err(Error::argument("power (q)", expected, self.power));
        }
        if !(self.asymmetry > -1.0 && self.asymmetry.is_finite()) {
            let expected = "a finite number above -1";
            return Err(Error::argument("asymmetry", expected, self.asymmetry));
        }
        if let Some(model) = &self.win_rate {
            model.check()?;
            if self.link != Link::Sigmoid {
                let found = self.link.name();
                return Err(Error::argument("link of a win rate", "sigmoid", found));
            }
        }
        let plain = self.link == Link::Sigmoid && self.win_rate.is_none() && self.asymmetry == 0.0;
        if self.cross_entropy && !plain {
            let expected = "the sigmoid link without a win rate and without an asymmetry";
            return Err(Error::argument(
                "cross-entropy",
                expected,
                format!("{self:?}"),
            ));
        }
        Ok(())
    }

    /// The loss of this name with the power, the asymmetry and, if both have one, the win rate of
    /// this loss.
    ///
    /// # Errors
    /// [`Error::Argument`] with the names of all losses.
    pub fn named(self, name: &str) -> Result<Self> {
        let named: Self = name.parse()?;
        Ok(Self {
            power: self.power,
            asymmetry: self.asymmetry,
            win_rate: named.win_rate.map(|usual| self.win_rate.unwrap_or(usual)),
            ..named
        })
    }

    /// The name in files and options.
    pub fn name(&self) -> &'static str {
        match (self.cross_entropy, self.win_rate) {
            (true, _) => "cross_entropy",
            (_, Some(_)) => "win_rate",
            _ => self.link.loss_name(),
        }
    }

    /// The names of all losses, as an error lists them.
    pub fn names() -> String {
        one_of(&Self::NAMED.map(|loss| loss.name()))
    }
}

// Serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl std::str::FromStr for Loss {
    type Err = Error;

    /// The loss of this name with q = 2.
    fn from_str(text: &str) -> Result<Self> {
        let mut named = Self::NAMED.into_iter();
        named
            .find(|loss| loss.name() == text)
            .ok_or_else(|| Error::argument("loss", Self::names(), format!("{text:?}")))
    }
}

#[cfg(test)]
mod tests;
