//! Losses of the network's output. Pure data; the kernel is `loss`.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What stands between the raw output Y and the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// P = Y.
    Identity,
    /// P = σ(Y) = 1/(1 + e^(−Y)).
    Sigmoid,
}

impl Link {
    /// Every link in the order of its discriminants, which are the numbers of the kernels' variants.
    pub const ALL: [Self; 2] = [Self::Identity, Self::Sigmoid];

    /// P and ∂P/∂Y, by the mathematics.
    pub fn apply(self, y: f64) -> (f64, f64) {
        match self {
            Self::Identity => (y, 1.0),
            Self::Sigmoid => {
                let value = 1.0 / (1.0 + (-y).exp());
                // P(1 − P) without the cancellation of 1 − P.
                (value, value / (1.0 + y.exp()))
            }
        }
    }

    /// P and ∂P/∂Y as the CPU executor computes them: finite for every finite y.
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

/// Loss = (1/L) Σ_s |P\[s\] − t\[s\]|^q, with P = link(Y) and q = `power`.
///
/// Its gradient is e = (q/L)·|P − t|^(q−1)·sign(P − t)·∂P/∂Y, with sign(0) = 0; ∂P/∂Y is 1, or P(1 − P) for the sigmoid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// From Y to P.
    pub link: Link,
    /// q, at least 1.
    pub power: f32,
}

impl Loss {
    /// Mean squared error of the raw output.
    pub const MSE: Self = Self {
        link: Link::Identity,
        power: 2.0,
    };
    /// Mean squared error of σ(Y), for targets between 0 and 1.
    pub const SIGMOID_MSE: Self = Self {
        link: Link::Sigmoid,
        power: 2.0,
    };

    /// Refuses a power below 1.
    pub fn check(&self) -> Result<()> {
        if self.power >= 1.0 && self.power.is_finite() {
            return Ok(());
        }
        Err(Error::argument(
            "power (q)",
            "a finite number from 1",
            self.power,
        ))
    }

    /// The name of the link in files and options: `mse` or `sigmoid_mse`.
    pub fn name(&self) -> &'static str {
        match self.link {
            Link::Identity => "mse",
            Link::Sigmoid => "sigmoid_mse",
        }
    }
}

impl std::str::FromStr for Loss {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Self::MSE, Self::SIGMOID_MSE]
            .into_iter()
            .find(|loss| loss.name() == text)
            .ok_or_else(|| Error::argument("loss", "mse or sigmoid_mse", format!("{text:?}")))
    }
}
