//! Values on their way back from the GPU, and the mappable buffers that receive them.

use super::lock;
use super::staging::Held;
use super::submitter::{Submission, Submitter};
use crate::engine::device::{Values, blocked};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Command, Recording};
use crate::error::{Error, Result};
use futures_intrusive::channel::shared::oneshot_channel;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// One read of a recording: its element type and length.
pub(super) type Wanted = Vec<(Element, usize)>;

/// Larger buffers are not kept for the next read: parameters are read seldom, losses at every step.
const KEPT: u64 = 1 << 20;

fn bytes(wanted: &Wanted) -> u64 {
    wanted.iter().map(|(_, len)| 4 * *len as u64).sum()
}

/// The reads of a recording, given the element type of each buffer.
pub(super) fn wanted(recording: &Recording<'_>, element: impl Fn(BufferId) -> Element) -> Wanted {
    let reads = recording.commands().iter();
    reads
        .filter_map(|command| match command {
            Command::Read(id, len) => Some((element(*id), *len)),
            _ => None,
        })
        .collect()
}

/// The idle mappable buffers.
#[derive(Default)]
pub(super) struct ReadBuffers {
    idle: Mutex<Vec<wgpu::Buffer>>,
}

impl ReadBuffers {
    pub(super) fn forget_idle(&self) {
        lock(&self.idle).clear();
    }

    /// The smallest idle buffer that is large enough, or a new one; `None` if there is nothing to
    /// read.
    pub(super) fn take(
        &self,
        wanted: &Wanted,
        create: impl FnOnce(u64) -> wgpu::Buffer,
    ) -> Option<wgpu::Buffer> {
        let size = bytes(wanted);
        if size == 0 {
            return None;
        }
        let mut idle = lock(&self.idle);
        let fitting = idle.iter().enumerate();
        let fitting = fitting.filter(|(_, buffer)| buffer.size() >= size);
        match fitting.min_by_key(|(_, buffer)| buffer.size()) {
            Some((index, _)) => Some(idle.swap_remove(index)),
            // Small buffers are rounded up so that they serve again. A large one may be as large as
            // the device allows.
            None if size < KEPT => Some(create(size.next_power_of_two())),
            None => Some(create(size)),
        }
    }

    fn give_back(&self, buffer: wgpu::Buffer) {
        if buffer.size() <= KEPT {
            lock(&self.idle).push(buffer);
        }
    }
}

/// The values of a recording that may still wait for its submission.
pub(crate) struct GpuReadback {
    pub(super) submitter: Arc<Submitter>,
    pub(super) submission: Arc<Submission>,
    pub(super) wanted: Wanted,
    /// It is mapped only for somebody who waits, because a buffer that is mapped or about to be
    /// cannot be in a submission.
    pub(super) buffer: Option<wgpu::Buffer>,
    pub(super) pool: Arc<ReadBuffers>,
    pub(super) _held: Arc<Held>,
}

impl GpuReadback {
    fn failure(&self, reason: impl ToString) -> Error {
        self.submitter.faults.failed_wait(reason)
    }

    /// Blocks until the submission is done, whether it reads or not.
    pub(in crate::engine::device) fn wait(self) -> Result<Vec<Values>> {
        let index = self.submitter.made(&self.submission)?;
        self.submitter.faults.poll(wgpu::PollType::Wait {
            submission_index: Some(index),
            timeout: None,
        })?;
        blocked(self.get())
    }

    /// Waits without blocking. On native backends no other thread polls the device, so each poll
    /// does so and asks to be polled again: the task stays runnable until the values arrive. A
    /// browser polls the device itself, after the task has returned to it.
    pub(in crate::engine::device) async fn get(mut self) -> Result<Vec<Values>> {
        self.submitter.made(&self.submission)?;
        let Some(buffer) = self.buffer.take() else {
            return Ok(self.empty());
        };
        let (sender, receiver) = oneshot_channel();
        buffer.map_async(wgpu::MapMode::Read, ..bytes(&self.wanted), move |result| {
            // Sending fails only if nobody waits any more.
            let _ = sender.send(result);
        });
        let mut received = pin!(receiver.receive());
        let mapped = poll_fn(|context| {
            let faults = &self.submitter.faults;
            let polled = faults.poll(wgpu::PollType::Poll);
            if let Poll::Ready(mapped) = received.as_mut().poll(context) {
                let dropped = || self.failure("the device dropped the request");
                return Poll::Ready(mapped.ok_or_else(dropped));
            }
            // A device that is lost may never answer.
            let lost = faults.lost().map(|reason| self.failure(reason));
            if let Some(error) = polled.err().or(lost) {
                return Poll::Ready(Err(error));
            }
            if cfg!(not(target_arch = "wasm32")) {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        });
        let mapped = mapped.await?;
        mapped.map_err(|error| self.failure(error))?;
        self.submitter.faults.check("wait for the device")?;
        let values = {
            let view = buffer.get_mapped_range(..bytes(&self.wanted));
            let view = view.map_err(|error| self.failure(error))?;
            self.split(&view)
        };
        buffer.unmap();
        self.pool.give_back(buffer);
        Ok(values)
    }

    fn empty(&self) -> Vec<Values> {
        self.split(&[])
    }

    fn split(&self, bytes: &[u8]) -> Vec<Values> {
        let mut start = 0;
        let parts = self.wanted.iter().map(|&(element, len)| {
            let part = &bytes[start..start + 4 * len];
            start += 4 * len;
            match element {
                Element::Float => Values::F32(bytemuck::pod_collect_to_vec(part)),
                Element::Word => Values::Words(bytemuck::pod_collect_to_vec(part)),
            }
        });
        parts.collect()
    }
}

/// Discarded values: their buffer serves again. Commands take effect in their order, so the copy of
/// these values comes before that of the next ones.
impl Drop for GpuReadback {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.give_back(buffer);
        }
    }
}
