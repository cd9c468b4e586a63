//! Times the steps of several tunings in turns on one device.

use crate::bench::steps::wait_for_all_but;
use std::collections::VecDeque;
use std::iter::Cycle;
use std::slice::Iter;
use std::time::{Duration, Instant};
use wgrad::error::Result;
use wgrad::nnue::{Batch, Learner, Tuning};

/// The number of rounds. In each of them every tuning is timed once.
pub const ROUNDS: usize = 11;
/// The least steps of a round.
const LEAST_STEPS: usize = 2;

/// A learner whose variants change between the rounds.
pub struct Turns<'a> {
    learner: Learner,
    batches: Cycle<Iter<'a, Batch>>,
    pending: VecDeque<wgrad::nnue::PendingLoss>,
}

impl<'a> Turns<'a> {
    /// Steps of the learner on these batches, one after the other. The batches are made before, so
    /// that a round has no work for a loader in it.
    pub fn new(learner: Learner, batches: &'a [Batch]) -> Self {
        Self {
            learner,
            batches: batches.iter().cycle(),
            pending: VecDeque::new(),
        }
    }

    /// The seconds of a step in each round, for each tuning. All of them take about `seconds` each.
    ///
    /// # Errors
    /// The errors of [`Learner::step`] and [`Learner::set_tuning`].
    pub fn time(mut self, tunings: &[Tuning], seconds: Duration) -> Result<Vec<Vec<f64>>> {
        // The first steps compile pipelines and create buffers.
        for tuning in tunings {
            self.round(*tuning, LEAST_STEPS)?;
        }
        let most = tunings.iter().filter_map(|tuning| tuning.recordings);
        let whole = most.map(usize::from).max().unwrap_or(1);
        let of_round = seconds.as_secs_f64() / ROUNDS as f64;
        // Steps wait for each other as in a round.
        let first = tunings.first().copied().unwrap_or_default();
        let each = self.round(first, LEAST_STEPS.next_multiple_of(whole))?;
        let steps = ((of_round / each) as usize).max(LEAST_STEPS);
        let steps = steps.next_multiple_of(whole);
        let mut times = vec![Vec::with_capacity(ROUNDS); tunings.len()];
        for round in 0..ROUNDS {
            // Every other round goes backward, so that a drift of the clock favors none of them.
            let order: &mut dyn Iterator<Item = usize> = match round % 2 {
                0 => &mut (0..tunings.len()),
                _ => &mut (0..tunings.len()).rev(),
            };
            for index in order {
                times[index].push(self.round(tunings[index], steps)?);
            }
        }
        Ok(times)
    }

    /// The seconds of a step, from the first call until the last loss arrives.
    fn round(&mut self, tuning: Tuning, steps: usize) -> Result<f64> {
        self.learner.set_tuning(tuning)?;
        let in_flight = self.learner.network().device().steps_in_flight();
        let start = Instant::now();
        for batch in self.batches.by_ref().take(steps) {
            self.pending.push_back(self.learner.step(batch, 1e-3)?);
            wait_for_all_but(in_flight, &mut self.pending)?;
        }
        wait_for_all_but(0, &mut self.pending)?;
        Ok(start.elapsed().as_secs_f64() / steps as f64)
    }
}
