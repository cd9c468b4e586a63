//! Recordings that wait for their submission, which several of them share.
//!
//! A submission has a fixed cost on the host. On a fast GPU that cost is a large part of a short
//! step, so a recording waits until there are enough for a submission. It waits no longer than
//! until somebody waits for it, or until the device is dropped.

use super::faults::Faults;
use super::lock;
use crate::engine::device::Class;
use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Waiting uploads of this many bytes are submitted at once: the copy alone takes the host far
/// longer than a submission.
const MOST_BYTES: u64 = 16 << 20;

/// The recordings that wait, and the queue that they wait for.
pub(super) struct Submitter {
    pub(super) faults: Faults,
    queue: wgpu::Queue,
    /// The most recordings in a submission.
    most: AtomicUsize,
    submissions: AtomicU64,
    has_failed: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    commands: Vec<wgpu::CommandBuffer>,
    /// The bytes of their uploads and parameters.
    bytes: u64,
    /// The submission that they become.
    next: Arc<Submission>,
    /// The submission that was made last.
    newest: Arc<Submission>,
}

/// A submission: empty while its recordings wait, then its number, or the reason why it failed.
#[derive(Default)]
pub(super) struct Submission(OnceLock<Result<wgpu::SubmissionIndex, String>>);

impl Submitter {
    pub(super) fn new(faults: Faults, queue: wgpu::Queue, class: Class) -> Self {
        Self {
            faults,
            queue,
            most: AtomicUsize::new(match class {
                Class::Gpu => 4,
                // The device computes on the cores of the host, so a step is never as short as a
                // submission.
                Class::Software | Class::Host => 1,
            }),
            submissions: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Sets the most recordings in a submission, from the next recording on.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The number of submissions so far.
    pub(super) fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Whether a submission has failed since the last call.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.swap(false, Ordering::Relaxed)
    }

    /// Adds the commands of a recording and the bytes of its uploads. Submits everything that
    /// waits if it is enough, and returns the submission of the recording.
    pub(super) fn add(&self, commands: wgpu::CommandBuffer, bytes: u64) -> Result<Arc<Submission>> {
        let mut waiting = lock(&self.waiting);
        waiting.commands.push(commands);
        waiting.bytes += bytes;
        let submission = Arc::clone(&waiting.next);
        if waiting.commands.len() >= self.most() || waiting.bytes >= MOST_BYTES {
            self.submit_waiting(&mut waiting)?;
        }
        Ok(submission)
    }

    /// Submits everything that waits.
    pub(super) fn submit(&self) -> Result<()> {
        self.submit_waiting(&mut lock(&self.waiting))
    }

    /// The number of a submission, for somebody who is about to wait for it. It is made now if it
    /// has not been made. If the device has no later work, everything that waits is submitted too,
    /// so that the device does not idle meanwhile.
    pub(super) fn made(&self, submission: &Arc<Submission>) -> Result<wgpu::SubmissionIndex> {
        let mut waiting = lock(&self.waiting);
        if submission.0.get().is_none() || Arc::ptr_eq(submission, &waiting.newest) {
            self.submit_waiting(&mut waiting)?;
        }
        let made = match submission.0.get() {
            Some(made) => made.clone(),
            None => Err("it was never made".to_owned()),
        };
        made.map_err(|reason| self.faults.failure("submit recordings", reason))
    }

    fn submit_waiting(&self, waiting: &mut Waiting) -> Result<()> {
        if waiting.commands.is_empty() {
            return Ok(());
        }
        waiting.bytes = 0;
        waiting.newest = std::mem::take(&mut waiting.next);
        let commands = waiting.commands.drain(..);
        let made = self
            .faults
            .scoped("submit recordings", || Ok(self.queue.submit(commands)));
        self.submissions.fetch_add(1, Ordering::Relaxed);
        // The submission is set here alone, so it was empty.
        let kept = made.as_ref().map_err(ToString::to_string);
        let _ = waiting.newest.0.set(kept.cloned());
        if made.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        made.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::device::{Device, Pending, Values};
    use crate::engine::recording::Recording;
    use std::num::NonZeroUsize;

    #[test]
    fn a_device_that_is_dropped_submits_what_waits() {
        let request = std::env::var("WGRAD_TEST_VULKAN");
        let device = Device::open(Some(request.as_deref().unwrap_or("vulkan:llvmpipe"))).unwrap();
        let buffer = device.upload("words", &[0_u32; 4][..]).unwrap();
        device.set_recordings_per_submission(NonZeroUsize::new(4).unwrap());
        let mut recording = Recording::new();
        recording.upload(buffer.id(), &[1_u32, 2, 3, 4][..]);
        recording.read(buffer.id(), 4);
        let Pending::Gpu(readback) = device.play(&recording).unwrap().0 else {
            panic!("{} is no adapter", device.name());
        };
        let before = readback.submitter.submissions();
        drop((buffer, device));
        assert_eq!(readback.submitter.submissions(), before + 1);
        let words = Values::Words(vec![1, 2, 3, 4]);
        assert_eq!(readback.wait().unwrap(), [words]);
    }
}
