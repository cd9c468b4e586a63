//! Optimizers (section 5): the numbers of a step, and the sink that applies it.

mod adaptive;
mod group;
#[doc(hidden)]
pub mod kernels;
pub mod schedule;
#[doc(hidden)]
pub mod sinks;

use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};
use adaptive::Adaptive;
pub use adaptive::{AdamW, RAdam, Ranger, SlowStart};
pub use group::ParameterGroup;
use kernels::{lookahead, update};
use serde::{Deserialize, Serialize};
use sinks::{NO_RANGE, Sink, Step};

/// The moment of slow weights.
const SLOW: &str = "slow";

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Optimizer {
    /// Gradient descent with momentum.
    Sgd(Sgd),
    /// AdamW, with or without bias correction.
    AdamW(AdamW),
    /// RAdam.
    RAdam(RAdam),
    /// RAdam with lookahead.
    Ranger(Ranger),
}

/// v ← μ·v + g; θ ← θ − η·v.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sgd {
    /// μ, from 0 to below 1.
    pub momentum: f32,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9 }
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

impl From<RAdam> for Optimizer {
    fn from(radam: RAdam) -> Self {
        Self::RAdam(radam)
    }
}

impl From<Ranger> for Optimizer {
    fn from(ranger: Ranger) -> Self {
        Self::Ranger(ranger)
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
    /// AdamW with β1 = 0.9, β2 = 0.999, ε = 1e-8, decay 0.01, no range and bias correction.
    pub const ADAMW: Self = Self::AdamW(AdamW::DEFAULT);

    /// The names in files and options.
    pub const NAMES: [&'static str; 4] = ["adamw", "radam", "ranger", "sgd"];

    /// The optimizer of this name, with its default numbers.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "adamw" => Some(Self::ADAMW),
            "radam" => Some(RAdam::default().into()),
            "ranger" => Some(Ranger::default().into()),
            "sgd" => Some(Sgd::default().into()),
            _ => None,
        }
    }

    /// The name in files and options.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::AdamW(_) => "adamw",
            Self::RAdam(_) => "radam",
            Self::Ranger(_) => "ranger",
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// Momenta outside \[0, 1), ε not above 0, a negative decay, an empty range, an α outside (0,
    /// 1], a period of 0.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Sgd(sgd) => check_momentum("momentum", sgd.momentum),
            Self::AdamW(adamw) => Adaptive::from(*adamw).check(),
            Self::RAdam(radam) => Adaptive::from(*radam).check(),
            Self::Ranger(ranger) => {
                Adaptive::from(*ranger).check()?;
                ranger.check()
            }
        }
    }

    /// The numbers of AdamW, RAdam or Ranger.
    fn adaptive(&self) -> Option<Adaptive> {
        match *self {
            Self::Sgd(_) => None,
            Self::AdamW(adamw) => Some(adamw.into()),
            Self::RAdam(radam) => Some(radam.into()),
            Self::Ranger(ranger) => Some(ranger.into()),
        }
    }

    /// The names of the moments that it keeps for each parameter.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["velocity"],
            Self::AdamW(_) | Self::RAdam(_) => &["m", "v"],
            Self::Ranger(_) => &["m", "v", SLOW],
        }
    }

    /// Whether a moment starts at the values of the parameters instead of 0.
    pub(crate) fn starts_at_values(&self, moment: &str) -> bool {
        match self {
            Self::Ranger(ranger) => moment == SLOW && ranger.slow_start == SlowStart::Weights,
            _ => false,
        }
    }

    /// The sink that applies it.
    #[doc(hidden)]
    pub fn sink(&self) -> Sink {
        match self {
            Self::Sgd(_) => Sink::Sgd,
            Self::AdamW(_) | Self::RAdam(_) | Self::Ranger(_) => Sink::AdamW,
        }
    }

    /// The numbers of a step that all parameters share.
    #[doc(hidden)]
    pub fn step(&self, at: StepAt) -> Step {
        match (self, self.adaptive()) {
            (_, Some(adaptive)) => adaptive.step(at.number),
            (Self::Sgd(sgd), None) => Step {
                beta1: sgd.momentum,
                ..Step::default()
            },
            (_, None) => Step::default(),
        }
    }

    /// The numbers of a step for one group of parameters.
    #[doc(hidden)]
    pub fn group(&self, at: StepAt, group: &ParameterGroup) -> sinks::Group {
        let rate = at.learning_rate * group.rate_factor;
        let (own_decay, own_range) = match self.adaptive() {
            None => (0.0, None),
            Some(adaptive) => (adaptive.weight_decay, adaptive.weight_range),
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
        self.record_groups(recording, at, &[(length, group)], buffers);
        self.record_lookahead(recording, at, length, buffers);
    }

    /// Whether slow weights and parameters are synchronized after a step.
    pub(crate) fn synchronizes(&self, at: StepAt) -> bool {
        match self {
            Self::Ranger(ranger) => at.number.is_multiple_of(u64::from(ranger.period)),
            _ => false,
        }
    }

    /// If it is due after this step, records the synchronization of a buffer of `length` parameters
    /// with its slow weights.
    pub(crate) fn record_lookahead(
        &self,
        recording: &mut Recording<'_>,
        at: StepAt,
        length: usize,
        buffers: UpdateBuffers<'_>,
    ) {
        let (Self::Ranger(ranger), Some(&slow)) = (self, buffers.moments.last()) else {
            return;
        };
        if self.synchronizes(at) {
            let params = lookahead::Params {
                length: length as u32,
                alpha: ranger.alpha,
            };
            let values = buffers.values;
            recording.dispatch(0, params, lookahead::Buffers { values, slow });
        }
    }

    /// Records a step for buffers whose elements belong to groups one after the other: for each
    /// group the end of its elements, and its numbers. A dispatch takes three groups.
    pub(crate) fn record_groups(
        &self,
        recording: &mut Recording<'_>,
        at: StepAt,
        groups: &[(usize, sinks::Group)],
        buffers: UpdateBuffers<'_>,
    ) {
        let moment = |index: usize| buffers.moments.get(index).copied().unwrap_or(buffers.spare);
        let to = update::Buffers {
            gradient: buffers.gradient,
            values: buffers.values,
            first: moment(0),
            second: moment(1),
        };
        let mut start = 0;
        for groups in groups.chunks(3) {
            let of = |index: usize| groups[index.min(groups.len() - 1)];
            let three = [of(0), of(1), of(2)];
            let [end_1, end_2, end] = three.map(|(end, _)| end as u32);
            let params = update::Params {
                groups: bytemuck::cast(three.map(|(_, group)| group)),
                start,
                end_1,
                end_2,
                end,
                step: self.step(at),
            };
            recording.dispatch(update::variant_of(self.sink()), params, to);
            start = end;
        }
    }
}

/// As in summaries of a training: `adamw (decay 0.01)`.
impl std::fmt::Display for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Self::Sgd(Sgd { momentum }) = self {
            return write!(f, "sgd (momentum {momentum})");
        }
        let Some(adaptive) = self.adaptive() else {
            return f.write_str(self.name());
        };
        write!(f, "{} (decay {}", self.name(), adaptive.weight_decay)?;
        if let Some((low, high)) = adaptive.weight_range {
            write!(f, ", weights within {low}..{high}")?;
        }
        match self {
            Self::AdamW(adamw) if !adamw.bias_correction => f.write_str(", no bias correction")?,
            Self::Ranger(ranger) => {
                write!(f, ", lookahead {} every {}", ranger.alpha, ranger.period)?;
                if ranger.slow_start == SlowStart::Zero {
                    f.write_str(" from 0")?;
                }
            }
            _ => {}
        }
        f.write_str(")")
    }
}

fn check_momentum(name: &str, value: f32) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::argument(name, "a number from 0 to below 1", value))
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
