//! The time that each command takes on a device, for measurements.

use super::Device;
use crate::engine::kernel::Traffic;
use crate::engine::recording::Command;
use crate::error::{Error, Result};
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a device spends time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The kernel of this name.
    Kernel(&'static str),
    /// Values on their way from the host to a buffer; on an adapter also the parameters of kernels.
    Upload,
    /// Values on their way from one buffer to another.
    Copy,
    /// Values on their way from a buffer to the host.
    Read,
}

impl Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kernel(name) => name,
            Self::Upload => "(uploads)",
            Self::Copy => "(copies)",
            Self::Read => "(reads)",
        })
    }
}

/// The time of one kernel, or of one kind of copy: see [`Device::kernel_times`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WorkTime {
    /// What took the time.
    pub work: Work,
    /// The number of dispatches or copies.
    pub runs: usize,
    /// The time of all of them together.
    pub time: Duration,
    /// The bytes and the arithmetic of all of them together. `None` for copies, and for a kernel
    /// that does not count its traffic.
    pub traffic: Option<Traffic>,
}

impl WorkTime {
    /// One run of a command. `None` if the command does nothing.
    pub(super) fn of(command: &Command<'_>, time: Duration) -> Option<Self> {
        let (work, traffic) = match command {
            Command::Upload(_, _, data) if !data.is_empty() => (Work::Upload, None),
            Command::Copy { len, .. } if *len > 0 => (Work::Copy, None),
            Command::Read(_, len) if *len > 0 => (Work::Read, None),
            Command::Dispatch(dispatch) if dispatch.groups > 0 => {
                let kernel = dispatch.kernel;
                let count =
                    |traffic: fn(_, &[u8]) -> _| traffic(dispatch.variant, &dispatch.params);
                (Work::Kernel(kernel.name), kernel.traffic.map(count))
            }
            _ => return None,
        };
        Some(Self {
            work,
            runs: 1,
            time,
            traffic,
        })
    }

    /// Copies of this kind, which take no time yet.
    pub(super) fn copy(work: Work) -> Self {
        Self {
            work,
            runs: 1,
            time: Duration::ZERO,
            traffic: None,
        }
    }

    fn join(&mut self, other: &Self) {
        self.runs += other.runs;
        self.time += other.time;
        self.traffic = self
            .traffic
            .zip(other.traffic)
            .map(|(own, other)| own + other);
    }
}

/// Collects the times of commands while somebody measures. An executor asks it once per recording.
#[derive(Default)]
pub(super) struct Clock {
    on: AtomicBool,
    times: Mutex<Vec<WorkTime>>,
}

impl Clock {
    /// Whether somebody measures.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Adds the times of commands.
    pub(super) fn add(&self, times: impl IntoIterator<Item = WorkTime>) {
        let mut all = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(times);
    }

    /// The times since the last call.
    pub(super) fn take(&self) -> Vec<WorkTime> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts the clock. `None` if it runs already.
    fn start(&self) -> Option<Running<'_>> {
        if self.on.swap(true, Ordering::AcqRel) {
            return None;
        }
        let running = Running(self);
        // A command that ended after the last clock stopped may have left its time.
        self.take();
        Some(running)
    }
}

/// A clock that runs until this is dropped.
struct Running<'a>(&'a Clock);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.on.store(false, Ordering::Release);
    }
}

impl Device {
    /// The time of each kernel on this device while `work` runs, which is called `rounds` times:
    /// for each kernel its total in one round, the median over the rounds, in the order of their
    /// first runs.
    ///
    /// On an adapter, timestamps around each dispatch measure the time, and the host waits for each
    /// submission. On the CPU and the reference it is the time of the implementation. The results
    /// keep their bits. Uploads, copies between buffers, and reads count as [`Work`] of their own;
    /// an adapter that has timestamps only around compute passes leaves them out. The time between
    /// commands and the time of the host belong to nothing. Whatever other threads run on this
    /// device meanwhile is counted too.
    ///
    /// The first round compiles pipelines and fills caches, so let the work run once before.
    ///
    /// # Errors
    /// Errors of `work`, and [`Error::Device`] if the adapter has no timestamps or another call
    /// measures at the same time.
    pub fn kernel_times(
        &self,
        rounds: usize,
        mut work: impl FnMut() -> Result<()>,
    ) -> Result<Vec<WorkTime>> {
        if rounds == 0 {
            return Err(Error::argument("rounds", "at least 1", rounds));
        }
        let unable = |reason: &str| Error::Device {
            device: self.name().to_owned(),
            operation: "time kernels".to_owned(),
            reason: reason.to_owned(),
        };
        let clock = self.executor.clock();
        let clock = clock.ok_or_else(|| unable("the adapter has no timestamps"))?;
        // Earlier operations on tensors do not belong to the work.
        self.finish()?;
        let running = clock.start();
        let running = running.ok_or_else(|| unable("another call measures at the same time"))?;
        let round = |_| {
            work()?;
            self.finish()?;
            Ok(joined(&running.0.take()))
        };
        let rounds = (0..rounds).map(round).collect::<Result<Vec<_>>>()?;
        Ok(medians(&rounds))
    }
}

/// One entry per work, in the order of the first runs.
fn joined(times: &[WorkTime]) -> Vec<WorkTime> {
    let mut all: Vec<WorkTime> = Vec::new();
    for time in times {
        match all.iter_mut().find(|other| other.work == time.work) {
            Some(other) => other.join(time),
            None => all.push(*time),
        }
    }
    all
}

/// For each work the entry of the round in which its time is the median. A round without the work
/// counts as less than any time.
fn medians(rounds: &[Vec<WorkTime>]) -> Vec<WorkTime> {
    let all = joined(&rounds.concat());
    let median = |work: &WorkTime| {
        let in_round =
            |round: &Vec<WorkTime>| round.iter().find(|one| one.work == work.work).copied();
        let mut found: Vec<_> = rounds.iter().map(in_round).collect();
        found.sort_by_key(|one| one.map(|one| one.time));
        found[found.len() / 2]
    };
    all.iter().filter_map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(work: Work, nanoseconds: u64) -> WorkTime {
        WorkTime {
            time: Duration::from_nanos(nanoseconds),
            traffic: Some(Traffic {
                read: nanoseconds,
                ..Traffic::default()
            }),
            ..WorkTime::copy(work)
        }
    }

    #[test]
    fn runs_of_a_kernel_add_up_and_the_median_round_counts() {
        let (first, second) = (Work::Kernel("first"), Work::Kernel("second"));
        let round = |a, b| joined(&[time(first, a), time(second, b), time(first, a)]);
        let rare = joined(&[time(first, 9), time(Work::Read, 5)]);
        let found = medians(&[round(1, 50), round(7, 10), rare, round(2, 30), round(3, 20)]);
        let rows = found
            .iter()
            .map(|one| (one.work, one.runs, one.time.as_nanos()));
        assert_eq!(rows.collect::<Vec<_>>(), [(first, 2, 6), (second, 1, 20)]);
        let read = found[0].traffic.map(|traffic| traffic.read);
        assert_eq!(read, Some(6));
    }

    #[test]
    fn a_clock_that_runs_is_not_started_again() {
        let clock = Clock::default();
        let running = clock.start().unwrap();
        assert!(clock.is_on() && clock.start().is_none());
        clock.add([time(Work::Copy, 1)]);
        drop(running);
        assert!(!clock.is_on());
        assert_eq!(clock.start().unwrap().0.take().len(), 0);
    }
}
