//! A loss as kernels read it, and the term of a sample.

use super::{Link, Term};
use std::ops::Range;

crate::uniform! {
    /// The numbers of a loss: see [`Loss`](super::Loss). The link is a choice of the kernel.
    #[derive(Default)]
    pub struct Numbers {
        /// q.
        pub power: f32,
        /// 1/L, where L is the number of samples of the whole batch.
        pub scale: f32,
        /// a, which is added to the weight 1 of a sample whose P is above its target.
        pub asymmetry: f32,
        /// The factor of Y in σ, 1 without a win rate.
        pub steepness: f32,
        /// The subtrahend in both σ of a win rate, 0 without one.
        pub shift: f32,
        /// 1 if the loss is the cross-entropy.
        pub entropy: u32,
        /// 1 if the samples have weights.
        pub weighted: u32,
    }
}

impl Numbers {
    /// The numbers of a kernel that is given e: only L.
    pub(crate) fn given(total: usize) -> Self {
        Self {
            power: 1.0,
            scale: 1.0 / total as f32,
            ..Self::default()
        }
    }

    /// P and ∂P/∂Y.
    pub(crate) fn predict(&self, link: Link, y: f64) -> (f64, f64) {
        if link == Link::Identity {
            return link.apply(y);
        }
        let [steepness, shift] = [self.steepness, self.shift].map(f64::from);
        let (won, won_slope) = link.apply(steepness * y - shift);
        let (lost, lost_slope) = link.apply(-steepness * y - shift);
        let value = match shift {
            0.0 => won,
            _ => 0.5 * (1.0 + won - lost),
        };
        (value, 0.5 * steepness * (won_slope + lost_slope))
    }

    /// The term of one sample, where `scale` is w/L.
    pub(crate) fn term(&self, link: Link, y: f64, target: f64, scale: f64) -> Term<f64> {
        let (prediction, slope) = self.predict(link, y);
        let (difference, q) = (prediction - target, f64::from(self.power));
        let size = difference.abs();
        let above = difference > 0.0;
        let weight = scale
            * if above {
                1.0 + f64::from(self.asymmetry)
            } else {
                1.0
            };
        let sign = if size == 0.0 {
            0.0
        } else {
            difference.signum()
        };
        match self.entropy {
            0 => Term {
                value: size.powf(q) * weight,
                gradient: q * weight * size.powf(q - 1.0) * sign * slope,
            },
            // ln(1 + e^y) − t·y, of which the first summand is max(y, 0) + ln(1 + e^−|y|).
            _ => Term {
                value: (y.max(0.0) - target * y + (-y.abs()).exp().ln_1p()) * weight,
                gradient: difference * weight,
            },
        }
    }

    /// P and ∂P/∂Y as the CPU executor computes them: finite for every finite y.
    #[inline]
    fn predict_f32(&self, link: Link, y: f32) -> (f32, f32) {
        if link == Link::Identity {
            return (y, 1.0);
        }
        let won = sigmoid(self.steepness * y - self.shift);
        if self.shift == 0.0 {
            return (won.0, self.steepness * won.1);
        }
        let lost = sigmoid(-self.steepness * y - self.shift);
        let value = 0.5 * (1.0 + won.0 - lost.0);
        (value, 0.5 * self.steepness * (won.1 + lost.1))
    }

    /// The term of one sample as the CPU executor computes it. `weight` is w.
    #[inline]
    pub(crate) fn term_f32(&self, link: Link, y: f32, target: f32, weight: f32) -> Term<f32> {
        let (prediction, slope) = self.predict_f32(link, y);
        let (difference, q) = (prediction - target, self.power);
        let size = difference.abs();
        let above = if difference > 0.0 {
            self.asymmetry
        } else {
            0.0
        };
        let weight = self.scale * weight * (1.0 + above);
        if self.entropy == 1 {
            return Term {
                value: (y.max(0.0) - target * y + (-y.abs()).exp().ln_1p()) * weight,
                gradient: difference * weight,
            };
        }
        let sign = if size == 0.0 {
            0.0
        } else {
            difference.signum()
        };
        Term {
            value: powered(size, q) * weight,
            gradient: powered(size, q - 1.0) * q * weight * sign * slope,
        }
    }

    /// The weights of some samples, which follow the targets of all samples; empty if they have
    /// none.
    pub(crate) fn of_samples<'a>(
        &self,
        targets: &'a [f32],
        samples: &Range<usize>,
        total: u32,
    ) -> &'a [f32] {
        match self.weighted {
            0 => &[],
            _ => &targets[total as usize..][samples.clone()],
        }
    }

    /// The weight of a sample, from the weights of all of them if they have weights.
    #[inline]
    pub(crate) fn weight<R: Copy + From<f32>>(&self, weights: &[R], sample: usize) -> R {
        match self.weighted {
            0 => R::from(1.0),
            _ => weights[sample],
        }
    }
}

/// σ(x) and its slope.
#[inline]
fn sigmoid(x: f32) -> (f32, f32) {
    let tail = (-x.abs()).exp();
    let large = 1.0 / (1.0 + tail);
    let small = tail * large;
    (if x >= 0.0 { large } else { small }, large * small)
}

/// x^q for x ≥ 0. The powers 0, 1 and 2 are exact.
#[inline]
fn powered(x: f32, q: f32) -> f32 {
    match q {
        0.0 => 1.0,
        1.0 => x,
        2.0 => x * x,
        _ => x.powf(q),
    }
}
