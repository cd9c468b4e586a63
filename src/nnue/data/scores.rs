//! Leaves out positions whose scores are no evaluations.

use super::dataset::Segment;
use super::record::{Position, RawRecord};
use aligned_vec::AVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on scores. Clones count together what they leave out.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScoreFilter {
    /// The least size of a score that is left out; 0 for none.
    bound: u16,
    dropped: Arc<AtomicU64>,
}

impl ScoreFilter {
    pub(crate) fn new(bound: u16) -> Self {
        Self {
            bound,
            dropped: Arc::default(),
        }
    }

    /// Whether it may leave something out.
    pub(crate) fn is_on(&self) -> bool {
        self.bound > 0
    }

    /// The number of positions that were left out.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Removes records of `new`, the consecutive records from `new.at` on, and adds a segment for
    /// each run of the others.
    pub(crate) fn keep(
        &self,
        records: &mut AVec<RawRecord>,
        segments: &mut Vec<Segment>,
        new: Segment,
    ) {
        if !records[new.at..].iter().any(|record| self.drops(record)) {
            if new.at < records.len() {
                segments.push(new);
            }
            return;
        }
        let (mut to, mut in_run) = (new.at, false);
        for from in new.at..records.len() {
            if self.drops(&records[from]) {
                in_run = false;
                continue;
            }
            if !in_run {
                let mut origin = new.origin;
                origin.number += (from - new.at) as u64;
                segments.push(Segment { at: to, origin });
                in_run = true;
            }
            records[to] = records[from];
            to += 1;
        }
        let dropped = (records.len() - to) as u64;
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        records.truncate(to);
    }

    /// Whether a record is left out. One that is no position is kept, so that it is an error.
    fn drops(&self, record: &RawRecord) -> bool {
        let score = i16::from_le_bytes([record[24], record[25]]);
        self.is_on() && score.unsigned_abs() >= self.bound && Position::from_bytes(record).is_ok()
    }
}
