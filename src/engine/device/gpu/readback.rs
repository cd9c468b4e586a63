//! Values on their way back from the GPU, and the mappable buffers that receive them.

use super::lock;
use super::staging::Held;
use crate::engine::device::Values;
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Command, Recording};
use crate::error::{Error, Result};
use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};
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
        buffer.unmap();
        if buffer.size() <= KEPT {
            lock(&self.idle).push(buffer);
        }
    }
}

/// A submission whose reads are being mapped.
pub(crate) struct GpuReadback {
    name: String,
    device: wgpu::Device,
    submission: wgpu::SubmissionIndex,
    wanted: Wanted,
    buffer: Option<(
        wgpu::Buffer,
        OneshotReceiver<std::result::Result<(), wgpu::BufferAsyncError>>,
    )>,
    pool: Arc<ReadBuffers>,
    lost: Arc<Mutex<Option<String>>>,
    _held: Arc<Held>,
}

impl GpuReadback {
    pub(super) fn new(
        name: &str,
        device: &wgpu::Device,
        (submission, held): (wgpu::SubmissionIndex, Arc<Held>),
        wanted: Wanted,
        buffer: Option<wgpu::Buffer>,
        pool: &Arc<ReadBuffers>,
        lost: &Arc<Mutex<Option<String>>>,
    ) -> Self {
        let buffer = buffer.map(|buffer| {
            let (sender, receiver) = oneshot_channel();
            buffer.map_async(wgpu::MapMode::Read, ..bytes(&wanted), move |result| {
                // Sending fails only if nobody waits any more.
                let _ = sender.send(result);
            });
            (buffer, receiver)
        });
        Self {
            name: name.to_owned(),
            device: device.clone(),
            submission,
            wanted,
            buffer,
            pool: Arc::clone(pool),
            lost: Arc::clone(lost),
            _held: held,
        }
    }

    fn failure(&self, reason: impl ToString) -> Error {
        let lost = lock(&self.lost).clone();
        Error::Device {
            device: self.name.clone(),
            operation: "wait for the device".to_owned(),
            reason: lost.unwrap_or_else(|| reason.to_string()),
        }
    }

    /// Blocks until the submission is done, whether it reads or not.
    pub(in crate::engine::device) fn wait(self) -> Result<Vec<Values>> {
        let waited = self.device.poll(wgpu::PollType::Wait {
            submission_index: Some(self.submission.clone()),
            timeout: None,
        });
        waited.map_err(|error| self.failure(error))?;
        pollster::block_on(self.get())
    }

    /// Waits without blocking. On native backends no other thread polls the device, so each poll
    /// does so and asks to be polled again: the task stays runnable until the values arrive.
    pub(in crate::engine::device) async fn get(mut self) -> Result<Vec<Values>> {
        let Some((buffer, receiver)) = self.buffer.take() else {
            return Ok(self.empty());
        };
        let mut received = pin!(receiver.receive());
        let mapped = poll_fn(|context| {
            let polled = self.device.poll(wgpu::PollType::Poll);
            if let Poll::Ready(mapped) = received.as_mut().poll(context) {
                return Poll::Ready(mapped.ok_or("the device dropped the request".to_owned()));
            }
            if let Err(error) = polled {
                return Poll::Ready(Err(error.to_string()));
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let mapped = mapped.await.map_err(|reason| self.failure(reason))?;
        mapped.map_err(|error| self.failure(error))?;
        let values = {
            let view = buffer.get_mapped_range(..bytes(&self.wanted));
            let view = view.map_err(|error| self.failure(error))?;
            self.split(&view)
        };
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

/// Discarded values: the copy to their buffer must end before the buffer serves again.
impl Drop for GpuReadback {
    fn drop(&mut self) {
        if let Some((buffer, _)) = self.buffer.take() {
            self.pool.give_back(buffer);
        }
    }
}
