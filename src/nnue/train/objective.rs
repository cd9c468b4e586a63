//! The quantity that a network learns to predict.

use crate::error::Result;
use crate::nnue::data::Target;
use crate::nnue::loss::{Link, Loss, WinRate};
use serde::{Deserialize, Serialize};

/// The quantity that a network was trained to predict. Network files hold it, so that an evaluation
/// can use the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Objective {
    /// The loss, with its link.
    pub loss: Loss,
    /// λ, as in [`Settings::lambda`](super::Settings::lambda).
    // Network files keep the key of release 0.1.0, so that equal trainings write equal files.
    #[serde(rename = "wdl", alias = "lambda")]
    pub lambda: f32,
    /// The divisor of a score, as in [`Settings::scale`](super::Settings::scale).
    pub scale: f32,
    /// The model of a score, as in [`Settings::target_win_rate`](super::Settings::target_win_rate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_win_rate: Option<WinRate>,
}

impl Objective {
    /// An objective with this loss, this λ and this scale.
    pub fn new(loss: Loss, lambda: f32, scale: f32) -> Self {
        Self {
            loss,
            lambda,
            scale,
            target_win_rate: None,
        }
    }

    /// The same objective with this model of a score, if there is one.
    #[must_use]
    pub fn target_win_rate(self, target_win_rate: Option<WinRate>) -> Self {
        Self {
            target_win_rate,
            ..self
        }
    }

    /// The target of a position.
    pub fn target(&self) -> Target {
        let target = Target::new(self.lambda, self.scale);
        match self.target_win_rate {
            Some(model) => target.win_rate(model),
            None => target,
        }
    }

    /// The score in centipawns of an output Y: the score whose target, with λ = 0, is the
    /// prediction P of Y. It is T⁻¹(P(Y)), where T(score) is σ(score ÷ scale) or the win rate of a
    /// score.
    ///
    /// It is scale·Y if the loss reads σ(Y) and neither the loss nor the target has a win-rate
    /// model. With a loss that reads Y itself, an output of at most 0 has the score −∞, and one of
    /// at least 1 has ∞.
    pub fn score(&self, y: f32) -> f64 {
        let y = f64::from(y);
        // ln(P ÷ (1 − P)) does not lose the digits that a P near 0 or 1 loses.
        let log_odds = match (self.loss.link, self.loss.win_rate) {
            (Link::Identity, _) => (y.clamp(0.0, 1.0) / (1.0 - y).clamp(0.0, 1.0)).ln(),
            (Link::Sigmoid, None) => y,
            (Link::Sigmoid, Some(model)) => model.log_odds(f64::from(model.scale) * y),
        };
        match self.target_win_rate {
            None => f64::from(self.scale) * log_odds,
            Some(model) => model.score_of(log_odds),
        }
    }

    /// Checks the loss, λ and the scale.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) with the name of the value.
    pub fn check(&self) -> Result<()> {
        self.loss.check()?;
        self.target().check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn a_score_has_the_prediction_as_its_target() {
        let other = WinRate {
            scale: 400.0,
            offset: 0.0,
            scaling: 250.0,
        };
        let targets = [None, Some(WinRate::STOCKFISH_SCORE), Some(other)];
        for loss in Loss::NAMED
            .into_iter()
            .chain([Loss::SIGMOID_MSE.win_rate(other)])
        {
            for target in targets {
                let objective = Objective::new(loss, 0.3, 350.0).target_win_rate(target);
                for step in -30..=30 {
                    let y = match loss.link {
                        Link::Identity => 0.5 + step as f32 / 64.0,
                        Link::Sigmoid => step as f32 / 10.0,
                    };
                    let score = objective.score(y);
                    let of_score = match target {
                        None => Link::Sigmoid.apply(score / 350.0).0,
                        Some(model) => model.of_score(score),
                    };
                    let (predicted, _) = loss.predict(f64::from(y));
                    // The numbers of a loss are in 32 bits.
                    assert_relative_eq!(of_score, predicted, epsilon = 1e-6);
                    let mirrored = match loss.link {
                        Link::Identity => objective.score(1.0 - y),
                        Link::Sigmoid => objective.score(-y),
                    };
                    assert_relative_eq!(score, -mirrored, epsilon = 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_score_keeps_its_digits_far_from_0() {
        let plain = Objective::new(Loss::SIGMOID_MSE, 0.0, 400.0);
        assert_eq!(plain.score(75.0), 30_000.0);
        assert_eq!(plain.score(-75.0), -30_000.0);
        // Equal models of the output and of the score: 600·Y.
        let model = Objective::new(Loss::WIN_RATE, 0.0, 400.0);
        let model = model.target_win_rate(Some(WinRate::STOCKFISH));
        for y in [-50.0, -3.0, 0.0, 0.25, 7.5, 45.0] {
            assert_relative_eq!(model.score(y), 600.0 * f64::from(y), max_relative = 1e-9);
        }
        let raw = Objective::new(Loss::MSE, 0.0, 400.0);
        let ends = [-0.5, 0.0, 0.5, 1.0, 1.5].map(|y| raw.score(y));
        let most = f64::INFINITY;
        assert_eq!(ends, [-most, -most, 0.0, most, most]);
        assert!(raw.score(f32::NAN).is_nan());
    }
}
