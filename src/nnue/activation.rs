//! The activations between accumulators and output, as data (section 1 of the mathematics).
//!
//! An activation is a [`Form`]: a power of Z above 0, with or without an upper end T. Everything
//! else follows from these two facts: the value and the slope, the conditions on Z that the masked
//! path stores, and the variants of the kernels.

use super::names::one_of;
use crate::engine::kernel::Real;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Mul;

/// The function between an accumulator and the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// min(max(Z, 0), T).
    CRelu,
    /// min(max(Z, 0), T)².
    SCRelu,
    /// max(Z, 0).
    Relu,
}

/// The facts that define an activation: H = min(max(Z, 0), T)^power, where T = ∞ without a clip.
///
/// Its slope is ∂H/∂Z = M·S with the mask M = \[0 ≤ Z ≤ T\], both ends included, and
/// S = power·Z^(power − 1). So H = w·S·Z inside the mask, with w = 1 ÷ power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The name in files, options and kernel variants.
    pub name: &'static str,
    /// Whether H is constant above T.
    pub clip: bool,
    /// The exponent, from 1 to [`Form::LARGEST_POWER`].
    pub power: u32,
}

impl Form {
    /// The largest power that the kernels compute.
    pub const LARGEST_POWER: u32 = 3;

    const fn new(name: &'static str, clip: bool, power: u32) -> Self {
        assert!(power >= 1 && power <= Self::LARGEST_POWER);
        Self { name, clip, power }
    }
}

impl Activation {
    /// Every activation. The index of an activation is its choice on the kernels' axis.
    pub const ALL: [Self; 3] = [Self::CRelu, Self::SCRelu, Self::Relu];

    /// The facts that define the activation.
    pub const fn form(self) -> Form {
        match self {
            Self::CRelu => Form::new("crelu", true, 1),
            Self::SCRelu => Form::new("screlu", true, 2),
            Self::Relu => Form::new("relu", false, 1),
        }
    }

    /// The name in files, options and kernel variants.
    pub const fn name(self) -> &'static str {
        self.form().name
    }

    /// The names of all activations, as an error lists them.
    pub fn names() -> String {
        one_of(&Self::ALL.map(Self::name))
    }

    /// Whether H is constant above T.
    pub const fn has_clip(self) -> bool {
        self.form().clip
    }

    /// Whether S depends on Z. The masked path then stores S as a float per lane; otherwise the
    /// mask is enough.
    pub const fn has_slopes(self) -> bool {
        self.form().power > 1
    }

    /// The number of conditions on Z for which the masked path stores a bit: 0 ≤ Z ≤ T and, with a
    /// clip, Z > T.
    pub const fn conditions(self) -> usize {
        if self.form().clip { 2 } else { 1 }
    }

    /// Multiplications per number. The value and the slope need equally many.
    pub const fn operations(self) -> u64 {
        self.form().power as u64 - 1
    }

    /// The upper end of the mask: T, or ∞ without a clip.
    #[inline(always)]
    pub fn limit<R: Real>(self, clip: R) -> R {
        match self.has_clip() {
            true => clip,
            false => R::from_f64(f64::INFINITY),
        }
    }

    /// H. A NaN stays NaN.
    #[inline(always)]
    pub fn value<R: Real + PartialOrd + Mul<Output = R>>(self, z: R, clip: R) -> R {
        let (zero, limit) = (R::from_f64(0.0), self.limit(clip));
        // Two selections, as in `f32::clamp`. The compiler does not vectorize one choice of three.
        let base = if z < zero { zero } else { z };
        let base = if base > limit { limit } else { base };
        match self.form().power {
            1 => base,
            2 => base * base,
            _ => base * base * base,
        }
    }

    /// ∂H/∂Z.
    #[inline(always)]
    pub fn slope<R: Real + PartialOrd + Mul<Output = R>>(self, z: R, clip: R) -> R {
        let inside = (z >= R::from_f64(0.0)) & (z <= self.limit(clip));
        let power = R::from_f64(f64::from(self.form().power));
        match self.form().power {
            _ if !inside => R::from_f64(0.0),
            1 => power,
            2 => power * z,
            _ => power * z * z,
        }
    }

    /// w = 1 ÷ power.
    #[inline(always)]
    pub fn weight<R: Real>(self) -> R {
        R::from_f64(1.0 / f64::from(self.form().power))
    }
}

impl std::str::FromStr for Activation {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|activation| activation.name() == text)
            .ok_or_else(|| Error::argument("activation", Self::names(), format!("{text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_choices() {
        for (position, activation) in Activation::ALL.into_iter().enumerate() {
            assert_eq!(activation as usize, position);
        }
    }

    /// Both ends belong to the mask, and inside it H = w·S·Z.
    #[test]
    fn slope_and_value_agree() {
        let clip: f64 = 0.75;
        for activation in Activation::ALL {
            let (next, before) = (clip.next_up(), (-0.0f64).next_down());
            assert_eq!(activation.slope(before, clip), 0.0);
            assert_eq!(activation.slope(next, clip) == 0.0, activation.has_clip());
            for z in [0.0, 0.25, 0.5, clip] {
                let power = activation.form().power as i32;
                let slope = f64::from(power) * f64::powi(z, power - 1);
                approx::assert_relative_eq!(activation.slope(z, clip), slope);
                let h = activation.weight::<f64>() * slope * z;
                approx::assert_relative_eq!(activation.value(z, clip), h, epsilon = 1e-15);
            }
            let top = activation.value(2.0, clip);
            assert_eq!(top == activation.value(clip, clip), activation.has_clip());
            assert!(activation.value(f64::NAN, clip).is_nan());
            assert_eq!(activation.value(-1.0f32, 0.5), 0.0);
        }
    }
}
