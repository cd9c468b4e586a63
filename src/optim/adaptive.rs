//! The optimizers that divide a mean of the gradients by a root of the mean of their squares:
//! AdamW, RAdam and Ranger (sections 5.2, 5.4 and 5.5). They share one sink, whose numbers differ.

use super::sinks::Step;
use super::{check_from_0, check_range};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²; m̂ = m/(1 − β1^t); v̂ = v/(1 − β2^t);
/// θ ← θ·(1 − η·w) − η·m̂/(√v̂ + ε), then θ clipped to a range if there is one.
///
/// Without [`bias_correction`](Self::bias_correction), m̂ = m and v̂ = v. Some trainers call that
/// form AdamW.
///
/// ```
/// use wgrad::optim::{AdamW, Optimizer};
///
/// let optimizer: Optimizer = AdamW { weight_decay: 0.0, ..AdamW::default() }.into();
/// assert!(optimizer.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamW {
    /// β1, from 0 to below 1.
    pub beta1: f32,
    /// β2, from 0 to below 1.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// w, on every parameter.
    pub weight_decay: f32,
    /// The range of θ.
    #[serde(alias = "clip")]
    pub weight_range: Option<(f32, f32)>,
    /// Whether m and v are divided by 1 − β^t.
    // Equal trainings write equal files: what is as in an earlier release is left out.
    #[serde(skip_serializing_if = "is_true")]
    pub bias_correction: bool,
}

impl AdamW {
    /// β1 = 0.9, β2 = 0.999, ε = 1e-8, decay 0.01, no range, with bias correction.
    pub(super) const DEFAULT: Self = Self {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
        weight_range: None,
        bias_correction: true,
    };
}

impl Default for AdamW {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// RAdam of Liu et al. with decoupled decay. m, v and m̂ are as in [`AdamW`]. With
/// ρ∞ = 2/(1 − β2) − 1 and ρ = ρ∞ − 2t·β2^t/(1 − β2^t),
///
/// ```text
/// r = √((ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ))
/// θ ← θ·(1 − η·w) − η·r·m̂·√(1 − β2^t)/(√v + ε)    if ρ > 5
/// θ ← θ·(1 − η·w) − η·m̂                            otherwise
/// ```
///
/// then θ clipped to a range if there is one. With β2 = 0.999, ρ exceeds 5 from step 6 on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RAdam {
    /// β1, from 0 to below 1.
    pub beta1: f32,
    /// β2, from 0 to below 1.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// w, on every parameter.
    pub weight_decay: f32,
    /// The range of θ.
    pub weight_range: Option<(f32, f32)>,
}

impl Default for RAdam {
    /// β1 = 0.9, β2 = 0.999, ε = 1e-8, decay 0.01 and no range.
    fn default() -> Self {
        let AdamW {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_range,
            ..
        } = AdamW::DEFAULT;
        Self {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_range,
        }
    }
}

/// [`RAdam`] with lookahead (Zhang et al.): after every k-th step,
/// slow ← slow + α·(θ − slow) and θ ← slow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ranger {
    /// β1, from 0 to below 1.
    pub beta1: f32,
    /// β2, from 0 to below 1.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// w, on every parameter.
    pub weight_decay: f32,
    /// The range of θ in every step. Between two numbers of a range, slow weights stay within it.
    pub weight_range: Option<(f32, f32)>,
    /// α, above 0 and at most 1.
    pub alpha: f32,
    /// k, the steps between two synchronizations.
    pub period: u32,
    /// The slow weights before the first step.
    pub slow_start: SlowStart,
}

/// The values of slow weights before the first step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlowStart {
    /// The initial parameters, as lookahead is defined.
    #[default]
    Weights,
    /// 0, as in bullet: with α = 0.5 the first synchronization halves every parameter.
    Zero,
}

impl Default for Ranger {
    /// [`RAdam`]'s default with α = 0.5, k = 6 and slow weights that start at the parameters.
    fn default() -> Self {
        let RAdam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_range,
        } = RAdam::default();
        Self {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_range,
            alpha: 0.5,
            period: 6,
            slow_start: SlowStart::Weights,
        }
    }
}

impl Ranger {
    /// Refuses an α or a k out of its range.
    pub(super) fn check(&self) -> Result<()> {
        if !(self.alpha > 0.0 && self.alpha <= 1.0) {
            let expected = "a number above 0 and at most 1";
            return Err(Error::argument("alpha", expected, self.alpha));
        }
        if self.period == 0 {
            return Err(Error::argument("period (k)", "at least 1", 0));
        }
        Ok(())
    }
}

/// How the numbers of a step depend on t.
#[derive(Clone, Copy, Debug)]
enum Correction {
    None,
    Bias,
    Rectified,
}

/// The numbers that the three optimizers have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adaptive {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    pub(super) weight_decay: f32,
    pub(super) weight_range: Option<(f32, f32)>,
    correction: Correction,
}

impl From<AdamW> for Adaptive {
    fn from(adamw: AdamW) -> Self {
        Self {
            beta1: adamw.beta1,
            beta2: adamw.beta2,
            epsilon: adamw.epsilon,
            weight_decay: adamw.weight_decay,
            weight_range: adamw.weight_range,
            correction: match adamw.bias_correction {
                true => Correction::Bias,
                false => Correction::None,
            },
        }
    }
}

impl From<RAdam> for Adaptive {
    fn from(radam: RAdam) -> Self {
        Self {
            beta1: radam.beta1,
            beta2: radam.beta2,
            epsilon: radam.epsilon,
            weight_decay: radam.weight_decay,
            weight_range: radam.weight_range,
            correction: Correction::Rectified,
        }
    }
}

impl From<Ranger> for Adaptive {
    fn from(ranger: Ranger) -> Self {
        let Ranger {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_range,
            ..
        } = ranger;
        let radam = RAdam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            weight_range,
        };
        radam.into()
    }
}

impl Adaptive {
    pub(super) fn check(&self) -> Result<()> {
        super::check_momentum("beta1", self.beta1)?;
        super::check_momentum("beta2", self.beta2)?;
        let epsilon = self.epsilon;
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::argument("epsilon", expected, epsilon));
        }
        check_from_0("weight decay", self.weight_decay)?;
        check_range(self.weight_range)
    }

    /// The numbers of step t, which begins with 1. They are computed in f64 and rounded once.
    ///
    /// The sink computes η·(m·c1)/(√(v·c2) + ε). RAdam's rectification r is a factor of c1, and its
    /// ε is divided by √(1 − β2^t), because it is added to √v before the correction. Without
    /// rectification c2 = 0 and ε = 1, so that the divisor is exactly 1.
    pub(super) fn step(&self, t: u64) -> Step {
        let (t, beta2) = (t as f64, f64::from(self.beta2));
        // 1 − β^t.
        let share = |beta: f32| 1.0 - f64::from(beta).powf(t);
        let (share_1, share_2) = (share(self.beta1), share(self.beta2));
        let epsilon = f64::from(self.epsilon);
        let (correction1, correction2, epsilon) = match self.correction {
            Correction::None => (1.0, 1.0, epsilon),
            Correction::Bias => (1.0 / share_1, 1.0 / share_2, epsilon),
            Correction::Rectified => match rectification(beta2, t) {
                Some(r) => (r / share_1, 1.0 / share_2, epsilon / share_2.sqrt()),
                None => (1.0 / share_1, 0.0, 1.0),
            },
        };
        Step {
            beta1: self.beta1,
            beta2: self.beta2,
            correction1: correction1 as f32,
            correction2: correction2 as f32,
            epsilon: epsilon as f32,
        }
    }
}

/// r of RAdam at step t, or `None` where ρ is at most 5.
fn rectification(beta2: f64, t: f64) -> Option<f64> {
    let power = beta2.powf(t);
    let last = 2.0 / (1.0 - beta2) - 1.0;
    let now = last - 2.0 * t * power / (1.0 - power);
    let square = (now - 4.0) * (now - 2.0) * last / ((last - 4.0) * (last - 2.0) * now);
    (now > 5.0).then(|| square.sqrt())
}

// Serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_true(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Optimizer;

    #[test]
    fn rectification_by_hand() {
        // ρ∞ = 19 for β2 = 0.9. At t = 10, β2^t = 0.3486784401 and ρ = 8.2932; at t = 5, ρ =
        // 4.5803.
        let r = rectification(0.9, 10.0).unwrap();
        let rho: f64 = 19.0 - 20.0 * 0.348_678_440_1 / (1.0 - 0.348_678_440_1);
        let square = (rho - 4.0) * (rho - 2.0) * 19.0 / (15.0 * 17.0 * rho);
        approx::assert_relative_eq!(r, square.sqrt(), max_relative = 1e-12);
        assert_eq!(rectification(0.9, 5.0), None);
        // With β2 = 0.999 the sixth step is the first one with a divisor.
        assert_eq!(rectification(0.999, 5.0), None);
        assert!(rectification(0.999, 6.0).is_some());
        // ρ∞ = 3 never exceeds 5.
        assert_eq!(rectification(0.5, 1e6), None);
    }

    #[test]
    fn files_of_earlier_releases_read_as_before() {
        let old = r#"{"adamw":{"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"weight_decay":0.01,"weight_range":null}}"#;
        let optimizer: Optimizer = serde_json::from_str(old).unwrap();
        assert_eq!(optimizer, Optimizer::ADAMW);
        assert_eq!(serde_json::to_string(&optimizer).unwrap(), old);
    }

    #[test]
    fn every_optimizer_survives_json() {
        let plain = AdamW {
            bias_correction: false,
            ..AdamW::default()
        };
        let ranger = Ranger {
            slow_start: SlowStart::Zero,
            weight_range: Some((-1.98, 1.98)),
            ..Ranger::default()
        };
        let all: [Optimizer; 4] = [
            plain.into(),
            RAdam::default().into(),
            Ranger::default().into(),
            ranger.into(),
        ];
        for optimizer in all {
            optimizer.check().unwrap();
            let text = serde_json::to_string(&optimizer).unwrap();
            let again: Optimizer = serde_json::from_str(&text).unwrap();
            assert_eq!(again, optimizer, "{text}");
        }
        let ranger: Optimizer = serde_json::from_str(r#"{"ranger":{}}"#).unwrap();
        assert_eq!(ranger, Ranger::default().into());
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let spoiled: [(&str, Optimizer); 5] = [
            (
                "beta2",
                RAdam {
                    beta2: 1.0,
                    ..RAdam::default()
                }
                .into(),
            ),
            (
                "epsilon",
                AdamW {
                    epsilon: 0.0,
                    ..AdamW::default()
                }
                .into(),
            ),
            (
                "alpha",
                Ranger {
                    alpha: 0.0,
                    ..Ranger::default()
                }
                .into(),
            ),
            (
                "alpha",
                Ranger {
                    alpha: f32::NAN,
                    ..Ranger::default()
                }
                .into(),
            ),
            (
                "period",
                Ranger {
                    period: 0,
                    ..Ranger::default()
                }
                .into(),
            ),
        ];
        for (name, optimizer) in spoiled {
            let error = optimizer.check().unwrap_err().to_string();
            assert!(error.contains(name), "no {name:?} in: {error}");
        }
    }
}
