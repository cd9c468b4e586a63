//! Schedules and warm-ups as text, in files and options.

use super::{Course, Piece, Schedule, Unit, Warmup};
use crate::error::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// The forms of a piece, as an error lists them.
const FORMS: &str = "constant, linear:END, cosine[:END], exponential:END, step:FACTOR,EVERY or \
                     drop:FACTOR,AFTER, each with =START after the name and @PERIODS at the end \
                     if wanted, joined with `;`";

impl Piece {
    fn parse(text: &str) -> Option<Self> {
        let (text, periods) = match text.trim().split_once('@') {
            Some((text, periods)) => (text, Some(periods.trim().parse().ok()?)),
            None => (text.trim(), None),
        };
        let (head, numbers) = match text.split_once(':') {
            Some((head, numbers)) => (head, numbers.split(',').map(str::trim).collect()),
            None => (text, Vec::new()),
        };
        let (kind, start) = match head.split_once('=') {
            Some((kind, start)) => (kind, Some(start.trim().parse().ok()?)),
            None => (head, None),
        };
        let number = |index: usize| numbers[index].parse::<f32>().ok();
        let course = match (kind.trim(), numbers.len()) {
            ("constant", 0) => Course::Constant,
            ("linear", 1) => Course::Linear { end: number(0)? },
            ("cosine", 0) => Course::Cosine { end: 0.0 },
            ("cosine", 1) => Course::Cosine { end: number(0)? },
            ("exponential", 1) => Course::Exponential { end: number(0)? },
            ("step", 2) => Course::Step {
                factor: number(0)?,
                every: numbers[1].parse().ok()?,
            },
            ("drop", 2) => Course::Drop {
                factor: number(0)?,
                after: numbers[1].parse().ok()?,
            },
            _ => return None,
        };
        Some(Self {
            course,
            start,
            periods,
        })
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let pieces = text.split(';').map(|part| {
            Piece::parse(part).ok_or_else(|| {
                let found = format!("{:?}", part.trim());
                Error::argument("schedule", FORMS, found)
            })
        });
        let mut pieces = pieces.collect::<Result<Vec<_>, _>>()?;
        let first = pieces.remove(0);
        Ok(Self {
            first,
            then: pieces,
        })
    }
}

impl Display for Piece {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.course {
            Course::Constant => "constant",
            Course::Linear { .. } => "linear",
            Course::Cosine { .. } => "cosine",
            Course::Exponential { .. } => "exponential",
            Course::Step { .. } => "step",
            Course::Drop { .. } => "drop",
        };
        f.write_str(kind)?;
        if let Some(start) = self.start {
            write!(f, "={start}")?;
        }
        match self.course {
            Course::Constant => Ok(()),
            Course::Cosine { end: 0.0 } => Ok(()),
            Course::Linear { end } | Course::Cosine { end } | Course::Exponential { end } => {
                write!(f, ":{end}")
            }
            Course::Step { factor, every: n } | Course::Drop { factor, after: n } => {
                write!(f, ":{factor},{n}")
            }
        }?;
        match self.periods {
            Some(periods) => write!(f, "@{periods}"),
            None => Ok(()),
        }
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.then.iter().try_for_each(|piece| write!(f, ";{piece}"))
    }
}

impl FromStr for Warmup {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (number, harmonic) = match text.trim().strip_prefix("harmonic:") {
            Some(number) => (number, true),
            None => (text.trim(), false),
        };
        let steps = number.parse().map_err(|_| {
            let expected = "a number of steps, or harmonic:STEPS";
            Error::argument("warmup", expected, format!("{text:?}"))
        })?;
        Ok(Self { steps, harmonic })
    }
}

impl Display for Warmup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let prefix = if self.harmonic { "harmonic:" } else { "" };
        write!(f, "{prefix}{}", self.steps)
    }
}

impl Unit {
    /// Both units.
    pub const ALL: [Self; 2] = [Self::Step, Self::Period];

    /// The name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Period => "superbatch",
        }
    }
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "step" => Ok(Self::Step),
            "superbatch" | "epoch" => Ok(Self::Period),
            _ => {
                let expected = "step, superbatch or epoch";
                Err(Error::argument(
                    "schedule_per",
                    expected,
                    format!("{text:?}"),
                ))
            }
        }
    }
}

impl Display for Unit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Files hold these types as their text.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

as_text!(Schedule, Warmup, Unit);
