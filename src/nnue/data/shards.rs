//! The parts of a batch that are made and computed apart from each other.

use crate::error::{Error, Result};
use std::ops::Range;

/// The shards of each batch that a loader makes: `count` shards of equal size, of which those from
/// `first` to before `end` are made. The last batch of an epoch may have fewer samples; its last
/// shards are then smaller or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shards {
    /// S, the shards of a batch.
    pub count: usize,
    /// The first shard that is made.
    pub first: usize,
    /// The shard after the last one that is made.
    pub end: usize,
}

impl Default for Shards {
    /// Whole batches.
    fn default() -> Self {
        Self::new(1, 0..1)
    }
}

impl Shards {
    /// These of `count` shards.
    pub fn new(count: usize, made: Range<usize>) -> Self {
        Self {
            count,
            first: made.start,
            end: made.end,
        }
    }

    /// The number of shards of a batch that are made.
    pub fn len(&self) -> usize {
        self.end - self.first
    }

    /// Whether none is made.
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }

    pub(super) fn check(&self, batch_size: usize) -> Result<()> {
        if self.count == 0 || !batch_size.is_multiple_of(self.count) {
            let expected = format!("a divisor of batch_size = {batch_size}");
            return Err(Error::argument("shards", expected, self.count));
        }
        if self.first >= self.end || self.end > self.count {
            let expected = format!("a range of the {} shards", self.count);
            let found = format!("{} to {}", self.first, self.end);
            return Err(Error::argument("shards", expected, found));
        }
        Ok(())
    }
}
