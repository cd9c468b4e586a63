//! λ of each batch of a loader.

use super::{Schedule, Timeline, Unit, Warmup};

/// λ of each batch of a [`Loader`](crate::nnue::data::Loader), from its schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// λ at the start of the stage.
    pub start: f32,
    /// The course of λ.
    pub schedule: Schedule,
    /// The rise of λ over the first steps.
    pub warmup: Warmup,
    /// How often λ changes.
    pub unit: Unit,
    /// The plan of the stage.
    pub timeline: Timeline,
    /// The steps of the stage before the first batch of the loader.
    pub steps: u64,
}

impl Shares {
    /// λ of a batch, counted from 0 at the start of the loader, in this epoch of the stage, counted
    /// from 0.
    pub fn at(&self, batch: u64, epoch: u64) -> f32 {
        let moment = self.timeline.moment(self.steps + batch + 1, epoch);
        let (start, unit) = (self.start, self.unit);
        self.schedule.share(start, unit, &moment, self.warmup)
    }
}
