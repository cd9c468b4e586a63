//! The sinks of a kernel's gradients: a buffer, or an optimizer that updates the parameters.
//!
//! A gradient kernel has a variant per sink, so an optimizer needs no kernels of its own: it is one
//! case of `sink` in `shaders/optim/lib/sink.wgsl`, one function here, and one choice of [`SINKS`].

use crate::engine::kernel::{Axis, Choice, Real};
use std::ops::{Add, Div, Mul, Sub};

/// `sink`. The override `SINK` chooses the sink.
pub const SINK: &str = include_str!("../../shaders/optim/lib/sink.wgsl");

/// What happens to a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// It overwrites a buffer.
    Write,
    /// It is added to a buffer.
    Add,
    /// It updates a parameter by descent with momentum.
    Sgd,
    /// It updates a parameter by AdamW.
    AdamW,
}

/// The variants of a kernel with any sink, in the order of [`Sink`].
pub const SINKS: Axis = &[
    Choice::new("write", &[("SINK", 0)]),
    Choice::new("add", &[("SINK", 1)]),
    Choice::new("sgd", &[("SINK", 2)]),
    Choice::new("adamw", &[("SINK", 3)]),
];

/// The sinks that are optimizers, from [`Sink::Sgd`] on.
pub const OPTIMIZERS: Axis = SINKS.split_at(Sink::Sgd as usize).1;

impl Sink {
    /// Every sink, in the order of the enum.
    pub const ALL: [Self; 4] = [Self::Write, Self::Add, Self::Sgd, Self::AdamW];

    /// Whether it updates parameters.
    pub fn moves(self) -> bool {
        self as usize >= Self::Sgd as usize
    }

    /// The number of buffers like the parameters that it reads and writes: the gradient, or an
    /// optimizer's moments and the parameters themselves.
    pub fn buffers(self) -> u64 {
        match self {
            Self::Write | Self::Add => 1,
            Self::Sgd => 2,
            Self::AdamW => 3,
        }
    }

    /// The number of buffers besides the parameters that it reads.
    pub fn reads(self) -> u64 {
        match self {
            Self::Write => 0,
            Self::Add => 1,
            _ => self.buffers() - 1,
        }
    }

    /// Operations per element.
    pub fn operations(self) -> u64 {
        match self {
            Self::Write => 0,
            Self::Add => 1,
            Self::Sgd => 4,
            // m: 3, v: 4, the change: 6 with a root and a division, θ: 2.
            Self::AdamW => 15,
        }
    }
}

crate::uniform! {
    /// The numbers of an optimizer's step that all parameters share.
    #[derive(Default)]
    pub struct Step {
        /// β1 of AdamW, or μ of SGD.
        pub beta1: f32,
        /// β2.
        pub beta2: f32,
        /// 1/(1 − β1^t).
        pub correction1: f32,
        /// 1/(1 − β2^t).
        pub correction2: f32,
        /// ε.
        pub epsilon: f32,
    }
}

/// The numbers of a step that differ between groups of parameters: η, 1 − η·w, and the lower and
/// the upper end of the range of θ. The ends are [`NO_RANGE`] if θ has no range, because a clamp
/// may turn NaN into a number.
pub type Group = [f32; 4];

/// The ends of a range that a group does not have.
pub const NO_RANGE: (f32, f32) = (1.0, -1.0);

/// The arithmetic that both precisions share.
pub trait Number:
    Real
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + PartialOrd
{
    /// Converts a number of the step exactly.
    #[inline(always)]
    fn of(value: f32) -> Self {
        Self::from_f64(f64::from(value))
    }
    /// √x.
    fn root(self) -> Self;
    /// min(max(x, low), high), which keeps a NaN.
    fn within(self, low: Self, high: Self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn within(self, low: Self, high: Self) -> Self {
        self.clamp(low, high)
    }
}

impl Number for f64 {
    fn root(self) -> Self {
        self.sqrt()
    }
    fn within(self, low: Self, high: Self) -> Self {
        self.clamp(low, high)
    }
}

/// The values of one element that a sink changes.
#[derive(Debug)]
pub struct Element<'a, R> {
    /// The parameter θ.
    pub value: &'a mut R,
    /// The gradient, or the first moment.
    pub first: &'a mut R,
    /// The second moment. It is any number for a sink without one.
    pub second: &'a mut R,
}

impl Step {
    /// Puts the gradient of an element into the sink with the number `SINK`.
    #[inline(always)]
    pub fn put<const SINK: usize, R: Number>(&self, group: &Group, g: R, to: Element<'_, R>) {
        match Sink::ALL[SINK] {
            Sink::Write => *to.first = g,
            Sink::Add => *to.first = *to.first + g,
            Sink::Sgd => self.sgd(group, g, to),
            Sink::AdamW => self.adamw(group, g, to),
        }
    }

    /// As [`Step::put`] for the elements of a group. `second` may be empty if the sink has no
    /// second moment.
    #[inline(always)]
    pub fn put_all<const SINK: usize, R: Number>(
        &self,
        group: &Group,
        gradients: &[R],
        [values, first, second]: [&mut [R]; 3],
    ) {
        let elements = gradients.iter().zip(values).zip(first);
        if Sink::ALL[SINK].buffers() < 3 {
            for ((&g, value), first) in elements {
                let second = &mut R::of(0.0);
                let to = Element {
                    value,
                    first,
                    second,
                };
                self.put::<SINK, R>(group, g, to);
            }
        } else {
            for (((&g, value), first), second) in elements.zip(second) {
                let to = Element {
                    value,
                    first,
                    second,
                };
                self.put::<SINK, R>(group, g, to);
            }
        }
    }

    /// v ← μ·v + g; θ ← θ − η·v.
    #[inline(always)]
    fn sgd<R: Number>(&self, &[rate, ..]: &Group, g: R, to: Element<'_, R>) {
        let v = R::of(self.beta1) * *to.first + g;
        *to.first = v;
        *to.value = *to.value - R::of(rate) * v;
    }

    /// m ← β1·m + (1 − β1)·g; v ← β2·v + (1 − β2)·g²; θ ← θ·(1 − η·w) − η·m̂/(√v̂ + ε).
    #[inline(always)]
    fn adamw<R: Number>(&self, group: &Group, g: R, to: Element<'_, R>) {
        let [rate, decay, low, high] = group.map(R::of);
        let (beta1, beta2, one) = (R::of(self.beta1), R::of(self.beta2), R::of(1.0));
        let m = beta1 * *to.first + (one - beta1) * g;
        let v = beta2 * *to.second + (one - beta2) * g * g;
        *to.first = m;
        *to.second = v;
        let m_hat = m * R::of(self.correction1);
        let v_hat = v * R::of(self.correction2);
        let change = rate * m_hat / (v_hat.root() + R::of(self.epsilon));
        let next = *to.value * decay - change;
        *to.value = if low <= high {
            next.within(low, high)
        } else {
            next
        };
    }
}

/// Runs code that is generic over the number of a sink. The code is compiled separately for each
/// sink.
macro_rules! for_sink {
    ($sink:expr, $run:ident($($argument:expr),* $(,)?)) => {
        match $sink {
            $crate::optim::sinks::Sink::Write => $run::<0>($($argument),*),
            $crate::optim::sinks::Sink::Add => $run::<1>($($argument),*),
            $crate::optim::sinks::Sink::Sgd => $run::<2>($($argument),*),
            $crate::optim::sinks::Sink::AdamW => $run::<3>($($argument),*),
        }
    };
}
pub(crate) use for_sink;
