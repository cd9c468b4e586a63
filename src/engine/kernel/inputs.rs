//! Random inputs for cases. Every run draws the same numbers, and together they reach every branch.

use crate::engine::kernel::Bound;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A sum of more terms than this is made of numbers that add up exactly.
const LONG_SUM: usize = 2048;

/// The bound that belongs to [`Inputs::for_sum`], with `c` for a short sum.
pub fn sum_bound(terms: usize, c: f64) -> Bound {
    if terms > LONG_SUM {
        Bound::Exact
    } else {
        Bound::Sum { terms, c }
    }
}

/// Numbers from a fixed seed.
#[derive(Debug)]
pub struct Inputs(pub(crate) ChaCha8Rng);

impl Inputs {
    /// Starts the stream of a seed. Cases print the seed in their name if a shape has more than
    /// one.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// `count` numbers, uniform in `low..high`.
    pub fn floats(&mut self, count: usize, low: f32, high: f32) -> Vec<f32> {
        (0..count).map(|_| self.0.random_range(low..high)).collect()
    }

    /// `count` multiples of 1/16 from −1 to 1.
    ///
    /// Products of up to three of them are exact in f32, and so are sums of such products while a
    /// random walk of as many terms stays below 2²⁴ units. A long sum can therefore be compared bit
    /// for bit, which also finds one missing sample.
    pub fn sixteenths(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.0.random_range(-16..=16) as f32 / 16.0)
            .collect()
    }

    /// `count` factors for sums of `terms` products; [`sum_bound`] is the bound of such a sum.
    ///
    /// A short sum gets numbers of every size. A long sum, whose rounding bound could hide a
    /// missing sample, gets numbers that add up exactly.
    pub fn for_sum(&mut self, count: usize, terms: usize) -> Vec<f32> {
        if terms > LONG_SUM {
            self.sixteenths(count)
        } else {
            self.floats(count, -1.0, 1.0)
        }
    }

    /// Accumulator values near the kinks: uniform over −T to 2T, and about one in eight exactly 0
    /// or T.
    pub fn around_kinks(&mut self, count: usize, clip: f32) -> Vec<f32> {
        let mut values = self.floats(count, -clip, 2.0 * clip);
        for value in &mut values {
            match self.0.random_range(0..16) {
                0 => *value = 0.0,
                1 => *value = clip,
                _ => {}
            }
        }
        values
    }

    /// As [`Inputs::around_kinks`], for one factor of a sum of `terms` products. For a long sum T
    /// must be a multiple of 1/16.
    pub fn kinks_for_sum(&mut self, count: usize, clip: f32, terms: usize) -> Vec<f32> {
        if terms <= LONG_SUM {
            return self.around_kinks(count, clip);
        }
        let units = (clip * 16.0) as i32;
        assert_eq!(units as f32, clip * 16.0, "T is a multiple of 1/16");
        (0..count)
            .map(|_| self.0.random_range(-units..=2 * units) as f32 / 16.0)
            .collect()
    }

    /// `count` numbers from 1/64 to 64, as many below 1 as above. About one in eight is exactly 1.
    pub fn positive(&mut self, count: usize) -> Vec<f32> {
        let mut values = self.floats(count, -6.0, 6.0);
        for value in &mut values {
            let exact = self.0.random_range(0..8) == 0;
            *value = if exact { 1.0 } else { value.exp2() };
        }
        values
    }

    /// `count` numbers from −3 to 3. About one in eight is a number of `special`.
    pub fn signed(&mut self, count: usize, special: &[f32]) -> Vec<f32> {
        let mut values = self.floats(count, -3.0, 3.0);
        for value in &mut values {
            if self.0.random_range(0..8) == 0 {
                *value = special[self.0.random_range(0..special.len())];
            }
        }
        values
    }

    /// `count` words below `end`.
    pub fn words(&mut self, count: usize, end: u32) -> Vec<u32> {
        (0..count).map(|_| self.0.random_range(0..end)).collect()
    }
}
