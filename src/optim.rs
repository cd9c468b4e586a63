//! Optimizers (section 5): the numbers of a step, and the sink that applies it.

#[doc(hidden)]
pub mod kernels;
pub mod schedule;
#[doc(hidden)]
pub mod sinks;

use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};
use kernels::update;
use serde::{Deserialize, Serialize};
use sinks::{NO_RANGE, Sink, Step};

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Optimizer {
    /// Gradient descent with momentum.
    Sgd(Sgd),
    /// AdamW.
    AdamW(AdamW),
}

/// v ← μ·v + g; θ ← θ − η·v.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sgd {
    /// μ, from 0 to below 1.
    pub momentum: f32,
}

/// m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²; m̂ = m/(1 − β1^t); v̂ = v/(1 − β2^t);
/// θ ← θ·(1 − η·w) − η·m̂/(√v̂ + ε), then θ clipped to a range if there is one.
///
/// Some trainers call a form without the bias corrections AdamW; this one has them.
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
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9 }
    }
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            weight_range: None,
        }
    }
}

impl From<Sgd> for Optimizer {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

impl From<AdamW> for Optimizer {
    fn from(adamw: AdamW) -> Self {
        Self::AdamW(adamw)
    }
}

/// A step of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(hidden)]
pub struct StepAt {
    /// Its number, counted from 1.
    pub number: u64,
    /// The learning rate η.
    pub learning_rate: f32,
}

/// The numbers of one group of parameters that differ from the optimizer's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParameterGroup {
    /// The factor of the learning rate.
    pub rate_factor: f32,
    /// The weight decay w of AdamW, instead of the optimizer's.
    pub weight_decay: Option<f32>,
    /// The range of θ of AdamW, instead of the optimizer's.
    pub range: Option<(f32, f32)>,
}

impl Default for ParameterGroup {
    fn default() -> Self {
        Self {
            rate_factor: 1.0,
            weight_decay: None,
            range: None,
        }
    }
}

impl ParameterGroup {
    /// Checks the numbers.
    ///
    /// # Errors
    /// A factor below 0 or not finite, a negative decay, an empty range.
    pub fn check(&self) -> Result<()> {
        check_from_0("learning-rate factor", self.rate_factor)?;
        check_from_0("weight decay", self.weight_decay.unwrap_or(0.0))?;
        check_range(self.range)
    }

    /// Checks that an optimizer has what the group changes.
    ///
    /// # Errors
    /// A weight decay or a range for SGD, which has neither.
    pub fn check_for(&self, optimizer: &Optimizer) -> Result<()> {
        let Optimizer::Sgd(_) = optimizer else {
            return Ok(());
        };
        match (self.weight_decay, self.range) {
            (None, None) => Ok(()),
            (decay, range) => Err(Error::argument(
                "parameter group of sgd",
                "no weight decay and no range",
                format!("weight decay {decay:?} and range {range:?}"),
            )),
        }
    }
}

/// The buffers of one optimizer step.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct UpdateBuffers<'a> {
    /// g.
    pub gradient: BufferId,
    /// In the order of [`Optimizer::moments`], changed in place.
    pub moments: &'a [BufferId],
    /// θ, changed in place.
    pub values: BufferId,
    /// Any other float buffer, which stays as it is.
    pub spare: BufferId,
}

impl Optimizer {
    /// AdamW with β1 = 0.9, β2 = 0.999, ε = 1e-8, decay 0.01 and no range.
    pub const ADAMW: Self = Self::AdamW(AdamW {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
        weight_range: None,
    });

    /// Checks the numbers.
    ///
    /// # Errors
    /// Momenta outside \[0, 1), ε not above 0, a negative decay, an empty range.
    pub fn check(&self) -> Result<()> {
        let momentum = |name: &str, value: f32| {
            if (0.0..1.0).contains(&value) {
                return Ok(());
            }
            Err(Error::argument(name, "a number from 0 to below 1", value))
        };
        match *self {
            Self::Sgd(Sgd { momentum: mu }) => momentum("momentum", mu),
            Self::AdamW(adamw) => {
                momentum("beta1", adamw.beta1)?;
                momentum("beta2", adamw.beta2)?;
                let epsilon = adamw.epsilon;
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    let expected = "a finite number above 0";
                    return Err(Error::argument("epsilon", expected, epsilon));
                }
                check_from_0("weight decay", adamw.weight_decay)?;
                check_range(adamw.weight_range)
            }
        }
    }

    /// The names of the moments that it keeps for each parameter.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["velocity"],
            Self::AdamW(_) => &["m", "v"],
        }
    }

    /// The sink that applies it.
    #[doc(hidden)]
    pub fn sink(&self) -> Sink {
        match self {
            Self::Sgd(_) => Sink::Sgd,
            Self::AdamW(_) => Sink::AdamW,
        }
    }

    /// The numbers of a step that all parameters share.
    #[doc(hidden)]
    pub fn step(&self, at: StepAt) -> Step {
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(at.number as f64))) as f32;
        match *self {
            Self::Sgd(Sgd { momentum }) => Step {
                beta1: momentum,
                ..Step::default()
            },
            Self::AdamW(adamw) => Step {
                beta1: adamw.beta1,
                beta2: adamw.beta2,
                correction1: correction(adamw.beta1),
                correction2: correction(adamw.beta2),
                epsilon: adamw.epsilon,
            },
        }
    }

    /// The numbers of a step for one group of parameters.
    #[doc(hidden)]
    pub fn group(&self, at: StepAt, group: &ParameterGroup) -> sinks::Group {
        let rate = at.learning_rate * group.rate_factor;
        let (own_decay, own_range) = match *self {
            Self::Sgd(_) => (0.0, None),
            Self::AdamW(adamw) => (adamw.weight_decay, adamw.weight_range),
        };
        let weight_decay = group.weight_decay.unwrap_or(own_decay);
        let decay = (1.0 - f64::from(rate) * f64::from(weight_decay)) as f32;
        let (low, high) = group.range.or(own_range).unwrap_or(NO_RANGE);
        [rate, decay, low, high]
    }

    /// Records a step for a buffer of `length` parameters of one group.
    #[doc(hidden)]
    pub fn record(
        &self,
        recording: &mut Recording<'_>,
        at: StepAt,
        length: usize,
        buffers: UpdateBuffers<'_>,
    ) {
        let group = self.group(at, &ParameterGroup::default());
        self.record_groups(recording, at, [(length, group); 3], buffers);
    }

    /// As [`Optimizer::record`] for up to three groups: for each the end of its elements, and its
    /// numbers.
    pub(crate) fn record_groups(
        &self,
        recording: &mut Recording<'_>,
        at: StepAt,
        groups: [(usize, sinks::Group); 3],
        buffers: UpdateBuffers<'_>,
    ) {
        let [end_1, end_2, length] = groups.map(|(end, _)| end as u32);
        let params = update::Params {
            groups: bytemuck::cast(groups.map(|(_, group)| group)),
            length,
            end_1,
            end_2,
            step: self.step(at),
        };
        let moment = |index: usize| buffers.moments.get(index).copied().unwrap_or(buffers.spare);
        let to = update::Buffers {
            gradient: buffers.gradient,
            values: buffers.values,
            first: moment(0),
            second: moment(1),
        };
        recording.dispatch(update::variant_of(self.sink()), params, to);
    }
}

/// As in summaries of a training: `adamw (decay 0.01)`.
impl std::fmt::Display for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Sgd(Sgd { momentum }) => write!(f, "sgd (momentum {momentum})"),
            Self::AdamW(AdamW {
                weight_decay,
                weight_range,
                ..
            }) => match weight_range {
                None => write!(f, "adamw (decay {weight_decay})"),
                Some((low, high)) => {
                    write!(
                        f,
                        "adamw (decay {weight_decay}, weights within {low}..{high})"
                    )
                }
            },
        }
    }
}

fn check_from_0(name: &str, value: f32) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::argument(name, "a finite number from 0", value))
}

fn check_range(range: Option<(f32, f32)>) -> Result<()> {
    match range {
        Some((low, high)) if !(low <= high && (high - low).is_finite()) => {
            let found = format!("{low} to {high}");
            Err(Error::argument("weight range", "a finite range", found))
        }
        _ => Ok(()),
    }
}
