//! The training target of a position.

use super::record::Position;
use crate::error::{Error, Result};
use crate::nnue::loss::WinRate;

/// t = λ·result + (1 − λ)·σ(score ÷ scale), for the side to move, in \[0, 1\]. A win-rate model may
/// take the place of σ.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Target {
    /// λ, the share of the game result, from 0 to 1.
    pub lambda: f32,
    /// The divisor of the score: the score in centipawns whose σ is 0.73.
    pub scale: f32,
    /// The model that takes the place of σ(score ÷ scale).
    pub win_rate: Option<WinRate>,
}

impl Default for Target {
    /// The score alone: λ = 0, scale 400.
    fn default() -> Self {
        Self::new(0.0, 400.0)
    }
}

impl Target {
    /// A target with this λ and this scale.
    pub fn new(lambda: f32, scale: f32) -> Self {
        Self {
            lambda,
            scale,
            win_rate: None,
        }
    }

    /// The same target with this model in place of σ(score ÷ scale).
    #[must_use]
    pub fn win_rate(self, model: WinRate) -> Self {
        Self {
            win_rate: Some(model),
            ..self
        }
    }

    /// The same target with another λ, for one position.
    #[must_use]
    pub fn lambda(self, lambda: f32) -> Self {
        Self { lambda, ..self }
    }

    /// Checks that λ is from 0 to 1, that the scale is finite and positive, and the win-rate model.
    ///
    /// # Errors
    /// [`Error::Argument`] with the name of the value.
    pub fn check(&self) -> Result<()> {
        let (lambda, scale) = (self.lambda, self.scale);
        if !(0.0..=1.0).contains(&lambda) {
            return Err(Error::argument(
                "lambda (λ)",
                "a number from 0 to 1",
                lambda,
            ));
        }
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::argument("scale", "a finite number above 0", scale));
        }
        self.win_rate.map_or(Ok(()), |model| model.check())
    }

    /// σ(score ÷ scale), or the win rate of the score, for a score in centipawns.
    pub fn sigmoid(&self, score: i16) -> f32 {
        self.sigmoid_f64(score) as f32
    }

    /// The target of a position, computed in f64 and rounded once.
    pub fn of(&self, position: &Position) -> f32 {
        self.blend(position.result(), self.sigmoid_f64(position.score()))
    }

    #[inline(always)]
    fn blend(&self, result: f32, sigmoid: f64) -> f32 {
        let lambda = f64::from(self.lambda);
        (lambda * f64::from(result) + (1.0 - lambda) * sigmoid) as f32
    }

    fn sigmoid_f64(&self, score: i16) -> f64 {
        let score = f64::from(score);
        match self.win_rate {
            None => 1.0 / (1.0 + (-score / f64::from(self.scale)).exp()),
            Some(model) => model.of_score(score),
        }
    }
}

/// A [`Target`] that computes the sigmoid of each score once.
pub(crate) struct Targets {
    target: Target,
    /// σ by score, indexed in two's complement. 0 means unknown, or too small for an f64.
    sigmoids: Vec<f64>,
}

impl Targets {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            sigmoids: vec![0.0; 1 << 16],
        }
    }

    /// The target of the settings.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Replaces λ.
    pub(crate) fn set_lambda(&mut self, lambda: f32) {
        self.target.lambda = lambda;
    }

    /// The same number as [`Target::of`].
    #[inline(always)]
    pub(crate) fn of(&mut self, position: &Position) -> f32 {
        self.of_with(position, self.target.lambda)
    }

    /// As [`Targets::of`] with another λ.
    #[inline(always)]
    pub(crate) fn of_with(&mut self, position: &Position, lambda: f32) -> f32 {
        let score = position.score();
        let sigmoid = &mut self.sigmoids[usize::from(score as u16)];
        if *sigmoid == 0.0 {
            *sigmoid = self.target.sigmoid_f64(score);
        }
        self.target
            .lambda(lambda)
            .blend(position.result(), *sigmoid)
    }
}
