//! The schedule of the learning rate over a training.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A course of the learning rate η over a training of a known number of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// η at every step.
    Constant,
    /// From η down to 0: step i of n has η·½(1 + cos(π·(i − 1)/n)).
    #[default]
    Cosine,
}

impl Schedule {
    /// Every schedule.
    pub const ALL: [Self; 2] = [Self::Constant, Self::Cosine];

    /// The name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
        }
    }

    /// The learning rate of step `step`, counted from 1, of `total`, where `peak` is η.
    ///
    /// It is computed in f64 and rounded once. Steps past the end have the rate of step
    /// `total + 1`, which is 0 for the cosine.
    pub fn learning_rate(self, peak: f32, step: u64, total: u64) -> f32 {
        let done = step.saturating_sub(1).min(total) as f64 / total.max(1) as f64;
        let share = match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (PI * done).cos()),
        };
        (f64::from(peak) * share) as f32
    }
}

impl std::str::FromStr for Schedule {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|schedule| schedule.name() == text)
            .ok_or_else(|| Error::argument("schedule", "constant or cosine", format!("{text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_by_hand() {
        let rate = |step| Schedule::Cosine.learning_rate(0.002, step, 4);
        // ½(1 + cos) of 0, π/4, π/2, 3π/4 and π.
        let expected = [0.002, 0.001_707_106_8, 0.001, 0.000_292_893_2, 0.0];
        for (step, expected) in (1..).zip(expected) {
            assert!(
                (rate(step) - expected).abs() < 1e-10,
                "step {step}: {}",
                rate(step)
            );
        }
        assert_eq!(rate(1), 0.002);
        assert_eq!(rate(99), 0.0);
    }

    #[test]
    fn constant_stays() {
        for step in [1, 2, 1000] {
            assert_eq!(Schedule::Constant.learning_rate(0.3, step, 1000), 0.3);
        }
    }

    #[test]
    fn names_parse_back() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.name().parse::<Schedule>().unwrap(), schedule);
            let json = serde_json::to_string(&schedule).unwrap();
            assert_eq!(json, format!("\"{}\"", schedule.name()));
        }
        let error = "linear".parse::<Schedule>().unwrap_err().to_string();
        assert_eq!(
            error,
            "schedule: expected constant or cosine, found \"linear\""
        );
    }
}
