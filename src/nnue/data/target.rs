//! The training target of a position.

use super::record::Position;
use crate::error::{Error, Result};

/// t = λ·result + (1 − λ)·σ(score / scale), for the side to move, in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// λ, the share of the game's result, 0 to 1.
    pub lambda: f32,
    /// Centipawns at which σ stands at 0.73; 400 as a rule.
    pub scale: f32,
}

impl Default for Target {
    /// The score alone: λ = 0, scale 400.
    fn default() -> Self {
        Self {
            lambda: 0.0,
            scale: 400.0,
        }
    }
}

impl Target {
    /// Refuses a λ outside 0 to 1 and a scale that is not finite and positive.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.lambda) {
            return Err(Error::argument("lambda", "0 to 1", self.lambda));
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(Error::argument(
                "scale",
                "a finite number above 0",
                self.scale,
            ));
        }
        Ok(())
    }

    /// σ(score / scale), of a score in centipawns.
    pub fn sigmoid(&self, score: i16) -> f32 {
        self.sigmoid_f64(score) as f32
    }

    /// t of a position, computed in f64 and rounded once.
    pub fn of(&self, position: &Position) -> f32 {
        self.blend(position.result(), self.sigmoid_f64(position.score()))
    }

    #[inline(always)]
    fn blend(&self, result: f32, sigmoid: f64) -> f32 {
        let lambda = f64::from(self.lambda);
        (lambda * f64::from(result) + (1.0 - lambda) * sigmoid) as f32
    }

    fn sigmoid_f64(&self, score: i16) -> f64 {
        1.0 / (1.0 + (-f64::from(score) / f64::from(self.scale)).exp())
    }
}

/// A [`Target`] that computes σ once a score.
pub(crate) struct Targets {
    target: Target,
    /// σ of each score, in two's complement; 0 where it is not known, or too small for a number.
    sigmoids: Vec<f64>,
}

impl Targets {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            sigmoids: vec![0.0; 1 << 16],
        }
    }

    /// What [`Target::of`] is.
    #[inline(always)]
    pub(crate) fn of(&mut self, position: &Position) -> f32 {
        let score = position.score();
        let sigmoid = &mut self.sigmoids[usize::from(score as u16)];
        if *sigmoid == 0.0 {
            *sigmoid = self.target.sigmoid_f64(score);
        }
        self.target.blend(position.result(), *sigmoid)
    }
}
