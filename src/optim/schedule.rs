//! The schedule of a number over a stage of a training: the learning rate η, or λ.

mod shares;
mod text;
mod timeline;

pub use shares::Shares;
pub use timeline::{Moment, Timeline};

use crate::error::{Error, Result};
use std::f64::consts::PI;

/// A course of a number over the periods of a stage. A period is a superbatch, or an epoch if the
/// stage is a number of epochs.
///
/// A schedule is a sequence of pieces. Files and options write it as text, `KIND:NUMBERS` for each
/// piece, joined with semicolons:
///
/// | text | value at progress p, from the start value a |
/// |---|---|
/// | `constant` | a |
/// | `linear:b` | a + p·(b − a) |
/// | `cosine:b` | b + ½(1 + cos(π·p))·(a − b); `cosine` ends at 0 |
/// | `exponential:b` | a·(b ÷ a)^p |
/// | `step:f,n` | a·f^k, where k is the number of whole n periods so far |
/// | `drop:f,n` | a in the first n periods, then a·f |
///
/// `@n` after a piece limits it to n periods, which the next piece follows. `=a` after the kind sets
/// the start of the piece. Without it the first piece starts at the setting's value, and a later
/// piece at the end of the piece before: `linear:0.6@600;constant`.
///
/// ```
/// use wgrad::optim::schedule::{Moment, Schedule, Unit, Warmup};
///
/// let schedule: Schedule = "step:0.1,18".parse()?;
/// let moment = Moment::of_period(19, 40);
/// let rate = schedule.rate(1e-3, Unit::Period, &moment, Warmup::NONE);
/// assert!((rate - 1e-4).abs() < 1e-10);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    first: Piece,
    then: Vec<Piece>,
}

/// A part of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    course: Course,
    start: Option<f32>,
    /// The periods of the piece; `None` for the rest of the stage.
    periods: Option<u64>,
}

/// The form of a piece.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Course {
    Constant,
    Linear { end: f32 },
    Cosine { end: f32 },
    Exponential { end: f32 },
    Step { factor: f32, every: u64 },
    Drop { factor: f32, after: u64 },
}

/// How often a scheduled number changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// At every step: step i of n steps has the progress (i − 1) ÷ n.
    Step,
    /// At every period. The learning rate of period s of n has the progress s ÷ n, and λ has
    /// (s − 1) ÷ (n − 1), which are bullet's conventions.
    Period,
}

/// A factor that rises to 1 over the first steps of a stage, in front of the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warmup {
    /// W, the number of steps; 0 for none.
    pub steps: u64,
    /// Whether step i has the factor 1 ÷ (W + 1 − i), as bullet's `Warmup` has, instead of i ÷ W.
    pub harmonic: bool,
}

impl Warmup {
    /// No warm-up: the factor is 1 at every step.
    pub const NONE: Self = Self {
        steps: 0,
        harmonic: false,
    };

    /// The factor of a step, counted from 1.
    pub fn factor(&self, step: u64) -> f64 {
        match self.steps {
            steps if step >= steps => 1.0,
            steps if self.harmonic => 1.0 / (steps + 1 - step) as f64,
            steps => step as f64 / steps as f64,
        }
    }
}

/// Where a number is between the start and the end of a piece.
#[derive(Clone, Copy)]
enum Convention {
    /// The last period has the value of the end.
    Rate,
    /// The first period has the value of the start, and the last period that of the end.
    Share,
}

impl Schedule {
    /// The same value at every step.
    pub const CONSTANT: Self = Self::of(Course::Constant);
    /// From the start down to 0 on half a cosine.
    pub const COSINE: Self = Self::of(Course::Cosine { end: 0.0 });

    const fn of(course: Course) -> Self {
        let (start, periods) = (None, None);
        Self {
            first: Piece {
                course,
                start,
                periods,
            },
            then: Vec::new(),
        }
    }

    /// The learning rate of a step, counted from 1, of a training of `steps`, where `start` is η.
    pub fn at_step(&self, start: f32, step: u64, steps: u64) -> f32 {
        let moment = Moment::of_step(step, steps);
        self.rate(start, Unit::Step, &moment, Warmup::NONE)
    }

    /// Whether it is [`Schedule::CONSTANT`].
    pub fn is_constant(&self) -> bool {
        *self == Self::CONSTANT
    }

    /// The learning rate at a moment, where `start` is η. It is computed in f64 and rounded once.
    pub fn rate(&self, start: f32, unit: Unit, moment: &Moment, warmup: Warmup) -> f32 {
        let rate = self.value(start, unit, moment, Convention::Rate);
        (rate * warmup.factor(moment.step)) as f32
    }

    /// λ at a moment, where `start` is the setting. It is computed in f64 and rounded once.
    pub fn share(&self, start: f32, unit: Unit, moment: &Moment, warmup: Warmup) -> f32 {
        let share = self.value(start, unit, moment, Convention::Share);
        (share * warmup.factor(moment.step)) as f32
    }

    fn value(&self, start: f32, unit: Unit, moment: &Moment, convention: Convention) -> f64 {
        let (mut start, mut before) = (f64::from(start), 0);
        let mut pieces = self.pieces().peekable();
        while let Some(piece) = pieces.next() {
            start = piece.start.map_or(start, f64::from);
            let left = moment.periods.saturating_sub(before).max(1);
            let periods = piece.periods.unwrap_or(left);
            let inside = moment.period <= before + periods;
            if inside || pieces.peek().is_none() {
                let period = moment.period - before;
                let progress = match (unit, convention) {
                    (Unit::Step, _) => {
                        let length = moment.steps as f64 / moment.periods.max(1) as f64;
                        let done = moment.step.saturating_sub(1) as f64 - before as f64 * length;
                        done / (periods as f64 * length).max(1.0)
                    }
                    (Unit::Period, Convention::Rate) => period as f64 / periods as f64,
                    (Unit::Period, Convention::Share) => {
                        (period - 1) as f64 / (periods - 1).max(1) as f64
                    }
                };
                return piece.course.value(start, progress.clamp(0.0, 1.0), period);
            }
            start = piece.course.value(start, 1.0, periods);
            before += periods;
        }
        start
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        std::iter::once(&self.first).chain(&self.then)
    }

    /// Checks the numbers for a value that starts at `start`.
    ///
    /// # Errors
    /// [`Error::Argument`] with `name`: a piece of no periods, a piece before the last without a
    /// number of periods, and a factor or a value that is out of `allowed`.
    pub(crate) fn check(&self, name: &str, start: f32, allowed: Allowed) -> Result<()> {
        let wrong = |expected: &str, found: String| Err(Error::argument(name, expected, found));
        let last = self.then.len();
        let mut start = start;
        for (index, piece) in self.pieces().enumerate() {
            match piece.periods {
                Some(0) => {
                    let expected = "a piece of at least 1 superbatch or epoch";
                    return wrong(expected, format!("`{piece}`, which ends before it begins"));
                }
                None if index < last => {
                    let expected = "`@n`, a number of superbatches or epochs, after each piece \
                                    except the last";
                    return wrong(expected, format!("`{piece}`"));
                }
                _ => {}
            }
            start = piece.start.unwrap_or(start);
            let end = match piece.course.check(start) {
                true => piece.course.end(start, piece.periods.unwrap_or(1)),
                false => f32::NAN,
            };
            if !(allowed.holds(start) && allowed.holds(end)) {
                return wrong(allowed.expected(), format!("`{piece}` from {start}"));
            }
            start = end;
        }
        Ok(())
    }

    /// The value at the end of a stage of `periods`.
    pub fn last(&self, start: f32, periods: u64) -> f32 {
        let mut moment = Moment::of_period(periods.max(1), periods.max(1));
        moment.step += 1;
        self.value(start, Unit::Period, &moment, Convention::Rate) as f32
    }
}

/// The values that a scheduled number may have.
#[derive(Clone, Copy)]
pub(crate) enum Allowed {
    /// Finite and at least 0, for a learning rate.
    Rates,
    /// From 0 to 1, for λ.
    Shares,
}

impl Allowed {
    fn holds(self, value: f32) -> bool {
        match self {
            Self::Rates => value.is_finite() && value >= 0.0,
            Self::Shares => (0.0..=1.0).contains(&value),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Rates => "finite values from 0, above 0 for `exponential`, and `n` from 1",
            Self::Shares => {
                "values from 0 to 1 from the start to the end, above 0 for `exponential`, and `n` \
                 from 1"
            }
        }
    }
}

impl Course {
    /// The value at progress p, in the period of this number, counted from 1.
    fn value(self, start: f64, progress: f64, period: u64) -> f64 {
        let towards = |end: f32, share: f64| {
            let end = f64::from(end);
            match progress {
                1.0 => end,
                _ => end + share * (start - end),
            }
        };
        match self {
            Self::Constant => start,
            Self::Linear { end } => towards(end, 1.0 - progress),
            Self::Cosine { end } => towards(end, 0.5 * (1.0 + (PI * progress).cos())),
            Self::Exponential { end } => start * (f64::from(end) / start).powf(progress),
            Self::Step { factor, every } => {
                start * f64::from(factor).powf(((period - 1) / every) as f64)
            }
            Self::Drop { factor, after } if period > after => start * f64::from(factor),
            Self::Drop { .. } => start,
        }
    }

    fn end(self, start: f32, periods: u64) -> f32 {
        self.value(f64::from(start), 1.0, periods) as f32
    }

    fn check(self, start: f32) -> bool {
        match self {
            Self::Constant => true,
            Self::Linear { end } | Self::Cosine { end } => end.is_finite(),
            Self::Exponential { end } => end > 0.0 && end.is_finite() && start > 0.0,
            Self::Step { factor, every: n } | Self::Drop { factor, after: n } => {
                factor >= 0.0 && factor.is_finite() && n > 0
            }
        }
    }
}

#[cfg(test)]
mod tests;
