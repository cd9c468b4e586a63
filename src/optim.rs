//! Optimisers (section 5), as kernels over a parameter's gradient, moments and values.

#[doc(hidden)]
pub mod kernels;
pub mod schedule;

use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};
use crate::optim::kernels::{adamw, sgd};
use serde::{Deserialize, Serialize};

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// v ← μ·v + g; θ ← θ − η·v.
    Sgd {
        /// μ, from 0 to below 1.
        momentum: f32,
    },
    /// θ ← θ·(1 − η·w); m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²; m̂ = m/(1 − β1^t); v̂ = v/(1 − β2^t);
    /// θ ← θ − η·m̂/(√v̂ + ε), then θ clipped to a range if there is one.
    ///
    /// Some trainers call AdamW a form without the bias corrections; this one has them.
    AdamW {
        /// β1, from 0 to below 1.
        beta1: f32,
        /// β2, from 0 to below 1.
        beta2: f32,
        /// ε.
        epsilon: f32,
        /// w, on every parameter.
        weight_decay: f32,
        /// The range of θ.
        clip: Option<(f32, f32)>,
    },
}

impl Optimizer {
    /// AdamW with β1 = 0.9, β2 = 0.999, ε = 1e-8, decay 0.01 and no range.
    pub const ADAMW: Self = Self::AdamW {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
        clip: None,
    };

    /// Refuses what would not descend: momenta outside \[0, 1), ε not above 0, a negative decay, an empty range.
    pub fn check(&self) -> Result<()> {
        let momentum = |name: &str, value: f32| {
            if (0.0..1.0).contains(&value) {
                return Ok(());
            }
            Err(Error::argument(name, "a number from 0 to below 1", value))
        };
        match *self {
            Self::Sgd { momentum: mu } => momentum("momentum", mu),
            Self::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                clip,
            } => {
                momentum("beta1", beta1)?;
                momentum("beta2", beta2)?;
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    let expected = "a finite number above 0";
                    return Err(Error::argument("epsilon", expected, epsilon));
                }
                if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
                    let expected = "a finite number from 0";
                    return Err(Error::argument("weight decay", expected, weight_decay));
                }
                match clip {
                    Some((low, high)) if !(low <= high && (high - low).is_finite()) => {
                        let found = format!("{low} to {high}");
                        Err(Error::argument("weight clip", "a finite range", found))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The names of the moments it keeps for each parameter.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["velocity"],
            Self::AdamW { .. } => &["m", "v"],
        }
    }

    /// Records step `step`, counted from 1, for `length` elements of a parameter; `moments` in the order of
    /// [`Optimizer::moments`], all of them changed in place.
    pub fn record(
        &self,
        recording: &mut Recording<'_>,
        (step, learning_rate): (u64, f32),
        length: usize,
        gradient: BufferId,
        moments: &[BufferId],
        values: BufferId,
    ) {
        let mut buffers = vec![gradient];
        buffers.extend_from_slice(moments);
        buffers.push(values);
        let length = length as u32;
        match *self {
            Self::Sgd { momentum } => {
                let params = sgd::Params {
                    length,
                    learning_rate,
                    momentum,
                };
                recording.dispatch(0, params, &buffers);
            }
            Self::AdamW { .. } => {
                if let Some(params) = self.adamw((step, learning_rate), length) {
                    recording.dispatch(0, params, &buffers);
                }
            }
        }
    }

    /// The numbers of step `step`, counted from 1, for `length` elements, if it is AdamW.
    pub(crate) fn adamw(
        &self,
        (step, learning_rate): (u64, f32),
        length: u32,
    ) -> Option<adamw::Params> {
        let Self::AdamW {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            clip,
        } = *self
        else {
            return None;
        };
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(step as f64))) as f32;
        let (low, high) = clip.unwrap_or_default();
        Some(adamw::Params {
            length,
            learning_rate,
            decay: (1.0 - f64::from(learning_rate) * f64::from(weight_decay)) as f32,
            beta1,
            beta2,
            correction1: correction(beta1),
            correction2: correction(beta2),
            epsilon,
            ranged: u32::from(clip.is_some()),
            low,
            high,
        })
    }
}
