//! The win-rate model of Stockfish and nnue-pytorch.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// P(x) = ½·(1 + σ((x − o)/k) − σ((−x − o)/k)) of a score x in centipawns: the expected result of a
/// game that is won with probability σ((x − o)/k) and lost with probability σ((−x − o)/k). A
/// network's output has the score x = scale·Y.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WinRate {
    /// The centipawns of an output Y of 1. A target, which has a score already, does not read it.
    pub scale: f32,
    /// o, the score at which half of the games are won.
    pub offset: f32,
    /// k, the divisor of scores.
    pub scaling: f32,
}

impl Default for WinRate {
    fn default() -> Self {
        Self::STOCKFISH
    }
}

impl WinRate {
    /// The model of a prediction in nnue-pytorch: scale 600, o = 270, k = 340.
    pub const STOCKFISH: Self = Self {
        scale: 600.0,
        offset: 270.0,
        scaling: 340.0,
    };
    /// The model of a target's score in nnue-pytorch: o = 270, k = 380.
    pub const STOCKFISH_SCORE: Self = Self {
        scaling: 380.0,
        ..Self::STOCKFISH
    };

    /// P of a score in centipawns.
    pub fn of_score(&self, score: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let [offset, scaling] = [self.offset, self.scaling].map(f64::from);
        let won = sigmoid((score - offset) / scaling);
        0.5 * (1.0 + won - sigmoid((-score - offset) / scaling))
    }

    /// ln(P ÷ (1 − P)) of a score in centipawns.
    pub(crate) fn log_odds(&self, score: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let [offset, scaling] = [self.offset, self.scaling].map(f64::from);
        // P(−x) = 1 − P(x). The smaller of the two is ½·(σ((o − |x|)/k) + σ((−o − |x|)/k)).
        let size = score.abs();
        let smaller = sigmoid((offset - size) / scaling) + sigmoid((-offset - size) / scaling);
        let smaller = 0.5 * smaller;
        ((-smaller).ln_1p() - smaller.ln()).copysign(score)
    }

    /// The score in centipawns with this ln(P ÷ (1 − P)), the inverse of [`Self::log_odds`].
    ///
    /// With r = 1 − P for P ≥ ½, u = e^(x/k) and c = e^(o/k) + e^(−o/k), P(x) is the equation
    /// 2r·u² − (1 − 2r)·c·u − 2·(1 − r) = 0. Its positive root gives x = k·ln u.
    pub(crate) fn score_of(&self, log_odds: f64) -> f64 {
        let [offset, scaling] = [self.offset, self.scaling].map(f64::from);
        let r = 1.0 / (1.0 + log_odds.abs().exp());
        let linear = (1.0 - 2.0 * r) * 2.0 * (offset / scaling).cosh();
        let root = (linear * linear + 16.0 * r * (1.0 - r)).sqrt();
        let size = scaling * ((linear + root).ln() - (4.0 * r).ln());
        size.copysign(log_odds)
    }

    /// The factor of Y and the subtrahend in the arguments of σ.
    pub(super) fn of_output(&self) -> (f32, f32) {
        let [scale, offset, scaling] = [self.scale, self.offset, self.scaling].map(f64::from);
        ((scale / scaling) as f32, (offset / scaling) as f32)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// A scale or a k that is not finite and above 0, and an o that is not finite from 0 on.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("scale of a win rate", self.scale),
            ("scaling (k) of a win rate", self.scaling),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::argument(name, "a finite number above 0", value));
            }
        }
        if !(self.offset >= 0.0 && self.offset.is_finite()) {
            let name = "offset (o) of a win rate";
            return Err(Error::argument(name, "a finite number from 0", self.offset));
        }
        Ok(())
    }
}
