//! The distribution of values.

use serde::Serialize;

/// Counts of values in bins of equal width.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The lowest value, where the first bin begins; 0 without values.
    pub lowest: f32,
    /// The highest value, where the last bin ends; 0 without values.
    pub highest: f32,
    /// The number of values in each bin. A value between two bins belongs to the upper one.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// The histogram of finite values. Equal values are all in the first bin.
    pub fn of(values: &[f32], bins: usize) -> Self {
        let mut counts = vec![0; bins.max(1)];
        let (low, high) = values
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |ends, &value| {
                (ends.0.min(value), ends.1.max(value))
            });
        let (low, high) = if low > high { (0.0, 0.0) } else { (low, high) };
        let width = (f64::from(high) - f64::from(low)) / counts.len() as f64;
        let last = counts.len() - 1;
        for &value in values {
            // A quotient of 0 ÷ 0 is converted to 0.
            let bin = ((f64::from(value) - f64::from(low)) / width) as usize;
            counts[bin.min(last)] += 1;
        }
        Self {
            lowest: low,
            highest: high,
            counts,
        }
    }
}
