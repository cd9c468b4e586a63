//! Which of several timed choices is kept.

/// The ratio of the times of two choices that were timed in turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median over the rounds.
    pub median: f64,
    /// An interval that holds the median of all possible rounds with a confidence of 98.8% for
    /// eleven rounds: the second smallest and the second largest ratio of a round. Each ratio lies
    /// above the median with probability ½, so two or more lie on each side with probability
    /// 1 − 2·(1 + 11) ÷ 2¹¹.
    pub interval: (f64, f64),
}

impl Ratio {
    /// The time of a choice in each round ÷ the time of another choice in the same round.
    pub fn new(times: &[f64], others: &[f64]) -> Self {
        let pairs = times.iter().zip(others);
        let mut ratios: Vec<_> = pairs.map(|(time, other)| time / other).collect();
        ratios.sort_by(f64::total_cmp);
        let outer = usize::from(ratios.len() > 4);
        Self {
            median: ratios[ratios.len() / 2],
            interval: (ratios[outer], ratios[ratios.len() - 1 - outer]),
        }
    }

    /// Whether the interval contains 1 or only smaller numbers.
    fn is_no_slower(&self) -> bool {
        self.interval.0 <= 1.0
    }
}

/// The median.
pub fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The index of the choice to keep, from the times of the rounds of each choice and the number of
/// variants in which it differs from the choice by vendor. Among the choices that are not slower
/// than the fastest one, beyond the noise, it is the first with the fewest differences.
pub fn best(times: &[Vec<f64>], differences: &[usize]) -> usize {
    let all = 0..times.len();
    let fastest = all
        .clone()
        .min_by(|&a, &b| median(&times[a]).total_cmp(&median(&times[b])))
        .unwrap_or(0);
    all.filter(|&index| {
        index == fastest || Ratio::new(&times[index], &times[fastest]).is_no_slower()
    })
    .min_by_key(|&index| differences[index])
    .unwrap_or(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eleven rounds around a time, with a disturbance that all choices share and one of their own.
    fn rounds(time: f64, seed: usize) -> Vec<f64> {
        let round = |i: usize| {
            let shared = 1.0 + 0.3 * (i % 3) as f64;
            let own = 1.0 + 0.01 * ((i * 7 + seed * 5) % 11) as f64;
            time * shared * own
        };
        (0..11).map(round).collect()
    }

    #[test]
    fn a_ratio_compares_the_same_rounds() {
        let (a, b) = (rounds(2.0, 0), rounds(1.0, 0));
        let ratio = Ratio::new(&a, &b);
        assert_eq!((ratio.median, ratio.interval), (2.0, (2.0, 2.0)));
        // One outlier on each side does not widen the interval.
        let mut spoilt = a.clone();
        (spoilt[3], spoilt[8]) = (100.0, 0.001);
        assert_eq!(Ratio::new(&spoilt, &b).interval, (2.0, 2.0));
        let ratio = Ratio::new(&rounds(1.0, 1), &rounds(1.0, 2));
        assert!(
            ratio.interval.0 < 1.0 && ratio.interval.1 > 1.0,
            "{ratio:?}"
        );
    }

    #[test]
    fn the_fastest_choice_is_kept_unless_it_is_within_the_noise() {
        let times = [rounds(1.0, 1), rounds(0.8, 2), rounds(1.2, 3)];
        assert_eq!(best(&times, &[0, 1, 1]), 1);
        // Within the noise of the choice by vendor.
        let times = [rounds(1.0, 1), rounds(0.999, 2), rounds(1.2, 3)];
        assert_eq!(best(&times, &[0, 1, 1]), 0);
        // A second difference must gain something too.
        let times = [rounds(1.0, 1), rounds(0.799, 2), rounds(0.8, 3)];
        assert_eq!(best(&times, &[0, 2, 1]), 2);
        assert_eq!(best(&[rounds(1.0, 1)], &[0]), 0);
    }
}
