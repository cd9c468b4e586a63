//! A hook that decides how much a position counts.

use super::record::Position;
use super::target::Target;
use crate::error::{Error, Result};
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// What a [`Judge`] decides about a position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The weight in the loss, from 0.
    pub weight: f32,
    /// λ, the share of the game result in the target, from 0 to 1.
    pub lambda: f32,
}

/// A function from a position, and from the target of the settings, to its weight and its λ.
///
/// ```
/// use wgrad::nnue::data::{Judge, Judgement, LoaderSettings};
///
/// // Decisive games count half, and quiet scores trust the result less.
/// let judge = Judge::new(|position, target| Judgement {
///     weight: if position.result() == 0.5 { 1.0 } else { 0.5 },
///     lambda: if position.score().abs() < 50 { 0.5 * target.lambda } else { target.lambda },
/// });
/// let settings = LoaderSettings::default().judge(Some(judge));
/// assert!(settings.judge.is_some());
/// ```
///
/// The threads of a loader call it, in no fixed order, so its answer must depend on its arguments
/// alone.
#[derive(Clone)]
pub struct Judge(Arc<Function>);

type Function = dyn Fn(&Position, &Target) -> Judgement + Send + Sync;

impl Judge {
    /// A judge that calls this function.
    pub fn new(judge: impl Fn(&Position, &Target) -> Judgement + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// The judgement of a position.
    ///
    /// # Errors
    /// A weight that is not finite from 0, and a λ outside [0, 1].
    pub(crate) fn of(&self, position: &Position, target: &Target) -> Result<Judgement> {
        let judged = self.0(position, target);
        let weight = judged.weight;
        if !(weight >= 0.0 && weight.is_finite()) {
            let name = "weight of the judge";
            return Err(Error::argument(name, "a finite number from 0", weight));
        }
        if !(0.0..=1.0).contains(&judged.lambda) {
            let name = "lambda (λ) of the judge";
            return Err(Error::argument(name, "a number from 0 to 1", judged.lambda));
        }
        Ok(judged)
    }
}

impl Debug for Judge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

/// Equal if both are clones of one judge.
impl PartialEq for Judge {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
