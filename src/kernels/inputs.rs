//! Inputs for cases: the same for every run, crossing every branch.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers from a fixed seed.
#[derive(Debug)]
pub struct Inputs(ChaCha8Rng);

impl Inputs {
    /// The stream of a seed; cases print it as part of their name where more than one is drawn for a shape.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// `count` numbers, uniform in `low..high`.
    pub fn floats(&mut self, count: usize, low: f32, high: f32) -> Vec<f32> {
        (0..count).map(|_| self.0.random_range(low..high)).collect()
    }

    /// Accumulator values around the kinks: uniform over −T..2T, with about one in eight exactly 0 or T.
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

    /// `count` words below `end`.
    pub fn words(&mut self, count: usize, end: u32) -> Vec<u32> {
        (0..count).map(|_| self.0.random_range(0..end)).collect()
    }

    /// Index lists `[samples, width]` without duplicates over `features`, about a quarter of the places padding,
    /// and each perspective's feature 0 in every list that has a place, so that one list of samples is long.
    pub fn index_lists(&mut self, samples: usize, width: usize, features: usize) -> Vec<i32> {
        let mut lists = Vec::with_capacity(samples * width);
        for _ in 0..samples {
            let start = lists.len();
            for place in 0..width {
                let index = if place == 0 {
                    0
                } else {
                    self.0.random_range(0..features) as i32
                };
                let taken = lists[start..].contains(&index);
                let padding = place > 0 && self.0.random_range(0..4) == 0;
                lists.push(if taken || padding { -1 } else { index });
            }
            let last = lists.len() - 1;
            let swap = self.0.random_range(start..=last);
            lists.swap(start, swap);
        }
        lists
    }
}
