//! Timestamps around the commands of a submission.
//!
//! While a clock is on, each dispatch has a compute pass of its own, because WebGPU takes
//! timestamps where a pass begins and ends. Timestamps around copies need a second feature.

use super::lock;
use super::readback::Wanted;
use crate::engine::device::Values;
use crate::engine::device::clock::{Clock, Work, WorkTime};
use crate::engine::kernel::Element;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The number of timestamps in one set, which is WebGPU's limit.
const PER_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;
/// The bytes of a timestamp.
const BYTES: u64 = wgpu::QUERY_SIZE as u64;
const AROUND_PASSES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY;
const AROUND_COPIES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;

/// The features to request of an adapter that has these.
pub(super) fn features(adapter: wgpu::Features) -> wgpu::Features {
    if adapter.contains(AROUND_PASSES) {
        adapter & (AROUND_PASSES | AROUND_COPIES)
    } else {
        wgpu::Features::empty()
    }
}

/// The clock of an adapter, and the sets of timestamps that serve one submission after the other.
pub(super) struct Timer {
    pub(super) clock: Clock,
    stamps: Mutex<Stamps>,
    /// The nanoseconds from one tick to the next.
    period: f64,
}

impl Timer {
    /// `None` if the device was opened without timestamps.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        let features = device.features();
        features.contains(AROUND_PASSES).then(|| Self {
            clock: Clock::default(),
            stamps: Mutex::new(Stamps {
                around_copies: features.contains(AROUND_COPIES),
                sets: Vec::new(),
                resolved: None,
                works: Vec::new(),
            }),
            period: f64::from(queue.get_timestamp_period()),
        })
    }

    /// The timestamps for the next submission, if the clock is on.
    pub(super) fn stamps(&self) -> Option<MutexGuard<'_, Stamps>> {
        self.clock.is_on().then(|| lock(&self.stamps))
    }

    /// Adds the times between the timestamps that came back to the clock. Returns the reason if
    /// they are no times.
    pub(super) fn record(
        &self,
        works: Vec<WorkTime>,
        values: Option<Values>,
    ) -> Result<(), String> {
        let Some(Values::Words(words)) = values else {
            return Err("the device returned no timestamps".to_owned());
        };
        let ticks = words.chunks_exact(2);
        let ticks: Vec<_> = ticks
            .map(|words| u64::from(words[0]) | u64::from(words[1]) << 32)
            .collect();
        let times = works.into_iter().zip(ticks.chunks_exact(2));
        let times = times.map(|(work, ticks)| {
            let (start, end) = (ticks[0], ticks[1]);
            let wrong = || format!("{}: timestamps from {start} to {end}", work.work);
            let taken = end.checked_sub(start).filter(|_| start > 0);
            let nanoseconds = self.period * taken.ok_or_else(wrong)? as f64;
            let time = Duration::from_nanos(nanoseconds.round() as u64);
            Ok(WorkTime { time, ..work })
        });
        let times = times.collect::<Result<Vec<_>, String>>()?;
        self.clock.add(times);
        Ok(())
    }
}

/// Two timestamps for each piece of work of one submission.
pub(super) struct Stamps {
    around_copies: bool,
    sets: Vec<wgpu::QuerySet>,
    /// Receives the values of all sets.
    resolved: Option<wgpu::Buffer>,
    works: Vec<WorkTime>,
}

impl Stamps {
    /// Makes room for so many pieces of work, and forgets those of the submission before.
    pub(super) fn make_room(
        &mut self,
        works: usize,
        device: &wgpu::Device,
        create: impl FnOnce(u64) -> wgpu::Buffer,
    ) {
        self.works.clear();
        let sets = (2 * works).div_ceil(PER_SET);
        if sets <= self.sets.len() {
            return;
        }
        self.sets.resize_with(sets, || {
            device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: PER_SET as u32,
            })
        });
        self.resolved = Some(create((sets * PER_SET) as u64 * BYTES));
    }

    /// The read that returns the timestamps of so many pieces of work.
    pub(super) fn wanted(works: usize) -> Wanted {
        vec![(Element::Word, 4 * works)]
    }

    /// The work of the submission, which has no times yet.
    pub(super) fn take(&mut self) -> Vec<WorkTime> {
        std::mem::take(&mut self.works)
    }

    fn next(&mut self, work: WorkTime) -> (&wgpu::QuerySet, u32) {
        let first = 2 * self.works.len();
        self.works.push(work);
        (&self.sets[first / PER_SET], (first % PER_SET) as u32)
    }

    /// The timestamps around a compute pass.
    pub(super) fn pass(&mut self, work: WorkTime) -> wgpu::ComputePassTimestampWrites<'_> {
        let (query_set, first) = self.next(work);
        wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Copies the timestamps to a buffer that the host can map, from byte `at` on.
    pub(super) fn resolve(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        to: Option<&wgpu::Buffer>,
        at: u64,
    ) {
        let stamps = 2 * self.works.len();
        let Some((resolved, to)) = self.resolved.as_ref().zip(to).filter(|_| stamps > 0) else {
            return;
        };
        for (set, first) in self.sets.iter().zip((0..stamps).step_by(PER_SET)) {
            let count = PER_SET.min(stamps - first) as u32;
            encoder.resolve_query_set(set, 0..count, resolved, first as u64 * BYTES);
        }
        encoder.copy_buffer_to_buffer(resolved, 0, to, at, stamps as u64 * BYTES);
    }
}

/// Encodes a copy with timestamps around it, if there are any for copies.
pub(super) fn around_copy(
    stamps: Option<&mut Stamps>,
    encoder: &mut wgpu::CommandEncoder,
    work: Work,
    copy: impl FnOnce(&mut wgpu::CommandEncoder),
) {
    match stamps.filter(|stamps| stamps.around_copies) {
        None => copy(encoder),
        Some(stamps) => {
            let (set, first) = stamps.next(WorkTime::copy(work));
            encoder.write_timestamp(set, first);
            copy(encoder);
            encoder.write_timestamp(set, first + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_become_times_and_wrong_ones_are_refused() {
        let timer = Timer {
            clock: Clock::default(),
            stamps: Mutex::new(Stamps {
                around_copies: true,
                sets: Vec::new(),
                resolved: None,
                works: Vec::new(),
            }),
            period: 2.5,
        };
        let record = |words: &[u32]| {
            let works = vec![WorkTime::copy(Work::Read)];
            timer.record(works, Some(Values::Words(words.to_vec())))
        };
        // From 2³² + 7 to 2·2³² + 1, and room that no timestamp used.
        record(&[7, 1, 1, 2, 9, 9, 9, 9]).unwrap();
        let times = timer.clock.take();
        let expected = Duration::from_nanos(((1u64 << 32) - 6) * 5 / 2);
        assert_eq!(
            times.iter().map(|one| one.time).collect::<Vec<_>>(),
            [expected]
        );
        for wrong in [[7, 1, 6, 1], [0, 0, 6, 1]] {
            let reason = record(&wrong).unwrap_err();
            assert!(reason.contains("(reads): timestamps from"), "{reason}");
        }
        assert!(timer.record(Vec::new(), None).is_err());
        assert!(timer.clock.take().is_empty());
    }
}
