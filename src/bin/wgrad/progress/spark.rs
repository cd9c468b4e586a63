//! The course of the loss in a few letters.

use crate::inspect::tensors::BARS;

/// The most letters.
pub const LETTERS: usize = 16;

/// The loss since the training began, as a line of bars. The steps are in shares of equal length;
/// when there would be more shares than letters, two become one.
#[derive(Default)]
pub struct Spark {
    /// The sum of the losses and the number of steps of each share.
    shares: Vec<(f64, u64)>,
    /// The steps of a share, a power of 2.
    length: u64,
}

impl Spark {
    /// Adds the loss of a step.
    pub fn push(&mut self, loss: f64) {
        self.length = self.length.max(1);
        match self.shares.last_mut() {
            Some((sum, steps)) if *steps < self.length => {
                *sum += loss;
                *steps += 1;
            }
            _ => {
                if self.shares.len() == LETTERS {
                    let pair = |pair: &[(f64, u64)]| (pair[0].0 + pair[1].0, pair[0].1 + pair[1].1);
                    self.shares = self.shares.chunks_exact(2).map(pair).collect();
                    self.length *= 2;
                }
                self.shares.push((loss, 1));
            }
        }
    }

    /// A letter for each share. The heights are logarithmic, from the lowest to the highest mean. A
    /// loss that has no logarithm is a space.
    pub fn text(&self) -> String {
        let means = self
            .shares
            .iter()
            .map(|&(sum, steps)| (sum / steps as f64).ln());
        let means: Vec<f64> = means.collect();
        let finite = || means.iter().copied().filter(|mean| mean.is_finite());
        let (low, high) = (
            finite().fold(f64::INFINITY, f64::min),
            finite().fold(f64::NEG_INFINITY, f64::max),
        );
        let letter = |mean: &f64| match (mean - low) / (high - low) {
            _ if !mean.is_finite() => ' ',
            // All means are equal.
            height if height.is_nan() => BARS[0],
            height => BARS[((height * BARS.len() as f64) as usize).min(BARS.len() - 1)],
        };
        means.iter().map(letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spark(losses: impl IntoIterator<Item = f64>) -> Spark {
        let mut spark = Spark::default();
        losses.into_iter().for_each(|loss| spark.push(loss));
        spark
    }

    #[test]
    fn a_loss_that_halves_goes_down_evenly() {
        let losses = (0..8).map(|step| 0.5f64.powi(step));
        assert_eq!(spark(losses).text(), "█▇▆▅▄▃▂▁");
        assert_eq!(spark([]).text(), "");
        assert_eq!(spark([0.25]).text(), "▁");
        assert_eq!(spark([0.25, 0.25]).text(), "▁▁");
    }

    #[test]
    fn many_steps_share_letters() {
        for steps in [16u64, 17, 100, 1000] {
            let spark = spark((1..=steps).map(|step| 1.0 / step as f64));
            let letters = spark.text().chars().count();
            assert!((LETTERS / 2..=LETTERS).contains(&letters), "{letters}");
            let counted: u64 = spark.shares.iter().map(|share| share.1).sum();
            assert_eq!(counted, steps);
            assert!(spark.text().starts_with('█') && spark.text().ends_with('▁'));
        }
    }

    #[test]
    fn what_is_no_number_leaves_a_gap() {
        assert_eq!(spark([1.0, f64::NAN, 0.5, 0.0]).text(), "█ ▁ ");
        assert_eq!(spark([f64::NAN]).text(), " ");
    }
}
