//! The quantity that a network learns to predict.

use crate::error::Result;
use crate::nnue::data::Target;
use crate::nnue::loss::{Loss, WinRate};
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

    /// Checks the loss, λ and the scale.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) with the name of the value.
    pub fn check(&self) -> Result<()> {
        self.loss.check()?;
        self.target().check()
    }
}
