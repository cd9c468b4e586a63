//! The executor through wgpu. Only this folder and `choice` name wgpu.
//!
//! A recording becomes one command buffer. Its uploads are copied from mapped buffers, its
//! dispatches share compute passes, and its reads are copied to a buffer that is mapped for whoever
//! waits for the values. Several recordings share a submission, so that they share its fixed cost.
//! Pipelines, bind groups and the buffers for parameters, uploads and reads are kept, so that
//! playing a recording again creates nothing.

mod encode;
mod faults;
mod limits;
mod pipeline;
mod readback;
mod staging;
mod stamps;
mod submitter;

pub(super) use limits::unfit;
pub(super) use readback::GpuReadback;

use super::clock::Clock;
use super::{AdapterIdentity, Class, Executor, Objects, Pending, steps_in_flight};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Dispatch, Known, Recording};
use crate::error::{Error, Result};
use crate::panics::caught_async;
use faults::Faults;
use pipeline::Pipeline;
use readback::{ReadBuffers, Wanted};
use staging::{Held, Sheets};
use stamps::{Stamps, Timer};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use submitter::Submitter;

/// The distance between the parameters of two dispatches: the default alignment of dynamic uniform
/// offsets.
const UNIFORM_SLOT: u64 = 256;
/// The most workgroups in one dimension.
const MAX_GROUPS: u32 = 65_535;
const UNIFORMS: wgpu::BufferUsages =
    wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

struct State {
    buffers: HashMap<BufferId, GpuBuffer>,
    /// By the kernel's address and its variant, because two kernels may share a name.
    pipelines: HashMap<(usize, usize), Pipeline>,
    /// The parameters of the dispatches of one recording, one slot each.
    uniforms: wgpu::Buffer,
    sheets: Sheets,
}

/// A buffer, under the name that it was allocated with.
struct GpuBuffer {
    name: Box<str>,
    element: Element,
    buffer: wgpu::Buffer,
}

impl GpuBuffer {
    fn known(&self) -> Known<'_> {
        Known {
            name: &self.name,
            element: self.element,
            len: self.buffer.size() as usize / 4,
        }
    }
}

/// An opened adapter.
pub(super) struct Gpu {
    class: Class,
    identity: AdapterIdentity,
    device: wgpu::Device,
    binding_limit: u64,
    has_halves: bool,
    state: Mutex<State>,
    reads: Arc<ReadBuffers>,
    submitter: Arc<Submitter>,
    counts: Counts,
    /// `None` if the adapter has no timestamps.
    timer: Option<Timer>,
}

#[derive(Default)]
struct Counts {
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    staging_nanoseconds: AtomicU64,
}

impl Gpu {
    pub(super) async fn open(
        adapter: &wgpu::Adapter,
        name: String,
        identity: AdapterIdentity,
    ) -> Result<Self> {
        let limits = limits::limits(&adapter.limits());
        // Shaders address a buffer by u32 words, and its length is a multiple of four words.
        let binding_limit = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(u64::from(u32::MAX) * 4)
            & !15;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: stamps::features(adapter.features()),
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let opened = caught_async(adapter.request_device(&descriptor)).await;
        let opened = opened.and_then(|opened| opened.map_err(|error| error.to_string()));
        let (device, queue) = opened.map_err(|reason| Error::Device {
            device: name.clone(),
            operation: "open the adapter".to_owned(),
            reason,
        })?;
        let faults = Faults::new(name, &device);
        let uniforms = faults.scoped("allocate parameters", || {
            Ok(device.create_buffer(&described("parameters", 1 << 16, UNIFORMS)))
        })?;
        let state = State {
            buffers: HashMap::new(),
            pipelines: HashMap::new(),
            uniforms,
            sheets: Sheets::default(),
        };
        let counts = Counts::default();
        counts.buffers.store(1, Ordering::Relaxed);
        let class = match adapter.get_info().device_type {
            wgpu::DeviceType::Cpu => Class::Software,
            _ => Class::Gpu,
        };
        let timer = Timer::new(&device, &queue);
        Ok(Self {
            class,
            identity,
            binding_limit,
            has_halves: adapter
                .get_downlevel_capabilities()
                .flags
                .contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32),
            state: Mutex::new(state),
            reads: Arc::default(),
            submitter: Arc::new(Submitter::new(faults, queue, class)),
            counts,
            timer,
            device,
        })
    }

    fn faults(&self) -> &Faults {
        &self.submitter.faults
    }

    fn create_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.counts.buffers.fetch_add(1, Ordering::Relaxed);
        self.device.create_buffer(&described(label, size, usage))
    }

    /// The pipeline of a dispatch, compiled at its first use, and its bind group, created if none
    /// is kept.
    fn bound<'s>(
        &self,
        state: &'s mut State,
        dispatch: &Dispatch,
    ) -> Result<(&'s wgpu::ComputePipeline, wgpu::BindGroup)> {
        let (kernel, variant) = (dispatch.kernel, dispatch.variant);
        let address = std::ptr::from_ref(kernel).addr();
        let pipeline = match state.pipelines.entry((address, variant)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let label = kernel.label(variant);
                let pipeline = self.faults().scoped(&format!("compile {label}"), || {
                    Ok(Pipeline::new(&self.device, kernel, variant))
                })?;
                self.counts.pipelines.fetch_add(1, Ordering::Relaxed);
                entry.insert(pipeline)
            }
        };
        let group = pipeline.group(&dispatch.buffers, |layout| {
            self.counts.bind_groups.fetch_add(1, Ordering::Relaxed);
            let buffers = dispatch.buffers.iter().map(|id| &state.buffers[id].buffer);
            pipeline::bind(&self.device, kernel, layout, buffers, &state.uniforms)
        });
        Ok((&pipeline.pipeline, group))
    }
}

impl State {
    fn forget_bind_groups(&mut self) {
        for pipeline in self.pipelines.values_mut() {
            pipeline.groups.clear();
        }
    }
}

/// A recording that is encoded, with its uploads in place.
struct Prepared {
    commands: wgpu::CommandBuffer,
    /// The bytes of its uploads and parameters.
    bytes: u64,
    held: Arc<Held>,
    wanted: Wanted,
    reads: Option<wgpu::Buffer>,
}

impl Gpu {
    /// Encodes a recording and writes its uploads.
    fn prepare(
        &self,
        state: &mut State,
        recording: &Recording<'_>,
        mut stamps: Option<&mut Stamps>,
    ) -> Result<Prepared> {
        // One more than a loop has in flight.
        let ring = steps_in_flight(self.submitter.most()) + 1;
        let encoded = self.faults().scoped("play a recording", || {
            let staged = state.sheets.stage(recording, ring, |size| {
                let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
                self.create_buffer("uploads", size, usage)
            });
            let mut wanted = readback::wanted(recording, |id| state.buffers[&id].element);
            if let Some(stamps) = stamps.as_deref_mut() {
                // The parameters are copied as well.
                let works = recording.commands().len() + 1;
                stamps.make_room(works, &self.device, |size| {
                    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
                    self.create_buffer("timestamps", size, usage)
                });
                wanted.extend(Stamps::wanted(works));
            }
            let reads = self.reads.take(&wanted, |size| {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.create_buffer("read back", size, usage)
            });
            let commands = self.encode(state, recording, &staged, reads.as_ref(), stamps)?;
            Ok((staged, wanted, reads, commands))
        });
        // An error of the commands shows up to here, so they cannot spoil a submission.
        let (staged, wanted, reads, commands) = encoded?;
        // Uploads are copied last, because several megabytes would evict the encoder's working set.
        let taken = staged.write(recording);
        let taken = taken.map_err(|error| self.faults().failure("write uploads", error))?;
        let counter = &self.counts.staging_nanoseconds;
        counter.fetch_add(taken.as_nanos() as u64, Ordering::Relaxed);
        Ok(Prepared {
            bytes: staged.bytes(),
            held: state.sheets.take_back(staged, &commands),
            commands,
            wanted,
            reads,
        })
    }
}

/// Work that still waits is done even if nobody waits for it.
impl Drop for Gpu {
    fn drop(&mut self) {
        // Who waits for the values learns of a lost device.
        if self.faults().lost().is_none()
            && let Err(error) = self.submitter.submit()
        {
            log::warn!("{error}");
        }
    }
}

/// Creates a buffer. A buffer for the host to write is created mapped.
fn described(label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::BufferDescriptor<'_> {
    wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: usage.contains(wgpu::BufferUsages::MAP_WRITE),
    }
}

/// A poisoned lock only means that another thread panicked; the maps inside are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor for Gpu {
    fn name(&self) -> &str {
        self.faults().name()
    }

    fn class(&self) -> Class {
        self.class
    }

    fn adapter(&self) -> Option<&AdapterIdentity> {
        Some(&self.identity)
    }

    fn binding_limit(&self) -> u64 {
        self.binding_limit
    }

    fn has_halves(&self) -> bool {
        self.has_halves
    }

    fn allocate(&self, what: &str, element: Element, len: usize) -> Result<BufferId> {
        let size = 4 * len as u64;
        let operation = format!("allocate {size} bytes for {what}");
        let buffer = self.faults().scoped(&operation, || {
            let usage = wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST;
            Ok(self.create_buffer(what, size, usage))
        })?;
        let id = BufferId::new();
        let buffer = GpuBuffer {
            name: what.into(),
            element,
            buffer,
        };
        lock(&self.state).buffers.insert(id, buffer);
        Ok(id)
    }

    fn free(&self, buffer: BufferId) {
        let mut state = lock(&self.state);
        state.buffers.remove(&buffer);
        for pipeline in state.pipelines.values_mut() {
            pipeline
                .groups
                .retain(|buffers, _| !buffers.contains(&buffer));
        }
    }

    fn play(&self, recording: &Recording<'_>) -> Result<Pending> {
        let mut state = lock(&self.state);
        recording.check(|id| state.buffers.get(&id).map(GpuBuffer::known))?;
        let mut stamps = self.timer.as_ref().and_then(Timer::stamps);
        let prepared = self.prepare(&mut state, recording, stamps.as_deref_mut());
        let submission = prepared.and_then(|prepared| {
            let submission = self.submitter.add(prepared.commands, prepared.bytes)?;
            Ok((submission, prepared.held, prepared.wanted, prepared.reads))
        });
        // A submission for a readback may have failed since the last recording.
        if self.submitter.has_failed() || submission.is_err() {
            // The objects that failed may be among those that were kept.
            state.forget_bind_groups();
            self.reads.forget_idle();
        }
        let (submission, held, wanted, buffer) = submission?;
        let readback = GpuReadback {
            submitter: Arc::clone(&self.submitter),
            submission,
            wanted,
            buffer,
            pool: Arc::clone(&self.reads),
            _held: held,
        };
        let works = stamps.map(|mut stamps| stamps.take());
        let Some((timer, works)) = self.timer.as_ref().zip(works) else {
            return Ok(Pending::Gpu(readback));
        };
        drop(state);
        let mut values = readback.wait()?;
        let recorded = timer.record(works, values.pop());
        recorded.map_err(|reason| self.faults().failure("time kernels", reason))?;
        Ok(Pending::Ready(values))
    }

    fn submit(&self) -> Result<()> {
        self.submitter.submit()
    }

    fn recordings_per_submission(&self) -> usize {
        self.submitter.most()
    }

    fn set_recordings_per_submission(&self, recordings: NonZeroUsize) {
        self.submitter.set_most(recordings.get());
    }

    fn lose(&self) {
        self.faults().lose();
    }

    fn clock(&self) -> Option<&Clock> {
        self.timer.as_ref().map(|timer| &timer.clock)
    }

    fn objects(&self) -> Objects {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Objects {
            buffers: load(&self.counts.buffers),
            bind_groups: load(&self.counts.bind_groups),
            pipelines: load(&self.counts.pipelines),
            submissions: self.submitter.submissions(),
        }
    }

    fn staging(&self) -> Duration {
        Duration::from_nanos(self.counts.staging_nanoseconds.load(Ordering::Relaxed))
    }
}
