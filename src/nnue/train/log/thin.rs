//! Which steps have a line in a log, and the line of several steps.

use super::Entry;

/// The number of steps at the start of a training that have a line each.
const SINGLE: u64 = 4096;

/// Whether a line ends at a step, counted from 1. The distance of these steps is 1 up to step
/// [`SINGLE`] and doubles whenever the number of steps doubles: there are [`SINGLE`] ÷ 2 lines for
/// each doubling, so 25,000 for 5 million steps.
pub(super) fn has_line(step: u64) -> bool {
    let distance = (step.saturating_sub(1) / SINGLE + 1).next_power_of_two();
    step.is_multiple_of(distance)
}

/// Steps that share a line.
#[derive(Debug)]
pub(super) struct Steps {
    last: Entry,
    count: u64,
    /// The sum of their losses.
    sum: f64,
}

impl Steps {
    /// Adds the entry of a step to those that wait.
    pub(super) fn add(waiting: &mut Option<Self>, entry: &Entry) {
        let Entry::Step { steps, loss, .. } = *entry else {
            return;
        };
        let (count, sum) = waiting
            .as_ref()
            .map_or((0, 0.0), |one| (one.count, one.sum));
        *waiting = Some(Self {
            last: entry.clone(),
            count: count + steps,
            sum: sum + loss * steps as f64,
        });
    }

    /// The entry of the last step, with the mean loss of all.
    pub(super) fn line(self) -> Entry {
        let mut line = self.last;
        if let Entry::Step { steps, loss, .. } = &mut line {
            (*steps, *loss) = (self.count, self.sum / self.count as f64);
        }
        line
    }
}
