//! The steps and periods of a stage.

/// The plan of a stage: its number of steps and periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The planned number of steps.
    pub steps: u64,
    /// The number of superbatches, or of epochs if the stage is a number of epochs.
    pub periods: u64,
    /// The number of batches of a superbatch; `None` if the periods are epochs, which end with the
    /// data.
    pub batches: Option<u64>,
}

/// A step of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The number of the step in the stage, counted from 1.
    pub step: u64,
    /// The planned number of steps of the stage.
    pub steps: u64,
    /// The number of the period, counted from 1.
    pub period: u64,
    /// The number of periods of the stage.
    pub periods: u64,
}

impl Timeline {
    /// The moment of a step, counted from 1, whose batch belongs to this epoch of the stage,
    /// counted from 0.
    pub fn moment(&self, step: u64, epoch: u64) -> Moment {
        let period = match self.batches {
            Some(batches) => step.saturating_sub(1) / batches.max(1) + 1,
            None => epoch + 1,
        };
        Moment {
            step,
            steps: self.steps,
            period,
            periods: self.periods,
        }
    }
}

impl Moment {
    /// A step of a stage that is one period.
    pub fn of_step(step: u64, steps: u64) -> Self {
        Self {
            step,
            steps,
            period: 1,
            periods: 1,
        }
    }

    /// A period of a stage whose periods have one step.
    pub fn of_period(period: u64, periods: u64) -> Self {
        Self {
            step: period,
            steps: periods,
            period,
            periods,
        }
    }
}
