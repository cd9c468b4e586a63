//! The executor through wgpu. With `choice`, the only code that names wgpu.
//!
//! A recording becomes one submission: its uploads are written before it or copied inside it, its dispatches share
//! compute passes, its reads are copied to a buffer that is mapped when the device is done. Pipelines, bind groups and
//! the buffers for parameters, uploads and reads are kept, so that playing a recording again creates nothing.

mod pipeline;
mod readback;

pub(super) use readback::Readback;

use super::{Class, Executor, Objects, Pending};
use crate::error::{Error, Result};
use crate::kernel::Element;
use crate::recording::{BufferId, Command, Data, Dispatch, Recording};
use pipeline::Pipeline;
use readback::ReadBuffers;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Distance between the parameters of two dispatches: the default alignment of dynamic uniform offsets.
const UNIFORM_SLOT: usize = 256;
/// Bind groups that are kept for recordings to come.
const MAX_BIND_GROUPS: usize = 4096;
/// Workgroups in one dimension.
const MAX_GROUPS: u32 = 65_535;

/// The counts of WebGPU's defaults, which every kernel keeps inside; sizes of buffers are the adapter's own.
fn limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    let defaults = wgpu::Limits::default();
    wgpu::Limits {
        max_storage_buffers_per_shader_stage: defaults.max_storage_buffers_per_shader_stage,
        max_compute_invocations_per_workgroup: defaults.max_compute_invocations_per_workgroup,
        max_compute_workgroup_storage_size: defaults.max_compute_workgroup_storage_size,
        max_compute_workgroup_size_x: defaults.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: defaults.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: defaults.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: defaults.max_compute_workgroups_per_dimension,
        ..adapter.clone()
    }
}

/// Why an adapter with these limits cannot run the kernels, if so.
pub(super) fn unfit(adapter: &wgpu::Limits) -> Option<String> {
    let needed = limits(adapter);
    let counts = |limits: &wgpu::Limits| {
        [
            (
                "storage buffers",
                limits.max_storage_buffers_per_shader_stage,
            ),
            ("invocations", limits.max_compute_invocations_per_workgroup),
            (
                "bytes of workgroup memory",
                limits.max_compute_workgroup_storage_size,
            ),
            (
                "workgroups a dimension",
                limits.max_compute_workgroups_per_dimension,
            ),
        ]
    };
    let pairs = counts(adapter).into_iter().zip(counts(&needed));
    let mut lacking = pairs.filter(|((_, has), (_, needs))| has < needs);
    lacking
        .next()
        .map(|((what, has), (_, needs))| format!("{has} {what}, {needs} needed"))
}

struct State {
    buffers: HashMap<BufferId, wgpu::Buffer>,
    pipelines: HashMap<(&'static str, usize), Arc<Pipeline>>,
    bind_groups: HashMap<(&'static str, usize, Vec<BufferId>), wgpu::BindGroup>,
    /// Parameters of the dispatches of one recording, a slot each.
    uniforms: wgpu::Buffer,
    /// Uploads that must wait for a command before them.
    staging: wgpu::Buffer,
    /// The bytes on their way to `uniforms` and `staging`.
    parameters: Vec<u8>,
    staged: Vec<u8>,
}

/// An opened adapter.
pub(super) struct Gpu {
    name: String,
    class: Class,
    device: wgpu::Device,
    queue: wgpu::Queue,
    binding_limit: u64,
    state: Mutex<State>,
    reads: Arc<ReadBuffers>,
    lost: Arc<Mutex<Option<String>>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    buffers: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
    submissions: AtomicU64,
}

impl Gpu {
    pub(super) fn open(adapter: &wgpu::Adapter, name: String) -> Result<Self> {
        let limits = limits(&adapter.limits());
        // A buffer is addressed by u32 words in the shaders.
        let binding_limit = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
            .min(u64::from(u32::MAX) * 4)
            & !3;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: wgpu::Features::empty(),
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|error| Error::Device {
            device: name.clone(),
            operation: "open the adapter".to_owned(),
            reason: error.to_string(),
        })?;
        let lost = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            *lock(&seen) = Some(format!("{reason:?}: {message}"));
        });
        let uncaptured = Arc::clone(&lost);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            *lock(&uncaptured) = Some(error.to_string());
        }));
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let state = State {
            buffers: HashMap::new(),
            pipelines: HashMap::new(),
            bind_groups: HashMap::new(),
            uniforms: buffer("parameters", 1 << 16, wgpu::BufferUsages::UNIFORM),
            staging: buffer("staged uploads", 1 << 16, wgpu::BufferUsages::COPY_SRC),
            parameters: Vec::new(),
            staged: Vec::new(),
        };
        let counts = Counts::default();
        counts.buffers.store(2, Ordering::Relaxed);
        Ok(Self {
            name,
            class: match adapter.get_info().device_type {
                wgpu::DeviceType::Cpu => Class::Software,
                _ => Class::Gpu,
            },
            binding_limit,
            state: Mutex::new(state),
            reads: Arc::default(),
            lost,
            counts,
            device,
            queue,
        })
    }

    fn failure(&self, operation: impl Into<String>, reason: impl ToString) -> Error {
        Error::Device {
            device: self.name.clone(),
            operation: operation.into(),
            reason: reason.to_string(),
        }
    }

    /// Runs `work` and turns what wgpu reports meanwhile, or has reported of a lost device, into an error.
    fn scoped<T>(&self, operation: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let filters = [
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Validation,
        ];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let result = work();
        // Scopes are a stack: the last pushed is popped first.
        let mut errors = Vec::new();
        for scope in scopes.into_iter().rev() {
            errors.extend(pollster::block_on(scope.pop()));
        }
        if let Some(error) = errors.first() {
            return Err(self.failure(operation, error));
        }
        if let Some(reason) = lock(&self.lost).as_ref() {
            return Err(self.failure(operation, reason));
        }
        result
    }

    fn create_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.counts.buffers.fetch_add(1, Ordering::Relaxed);
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// Makes room for the recording's parameters and staged uploads and writes them.
    fn write_host_data(&self, state: &mut State, recording: &Recording<'_>) {
        state.parameters.clear();
        state.staged.clear();
        let mut first = true;
        for command in recording.commands() {
            match command {
                Command::Upload(id, at, data) if first => {
                    self.queue
                        .write_buffer(&state.buffers[id], 4 * *at as u64, &bytes(*data));
                }
                Command::Upload(_, _, data) => state.staged.extend_from_slice(&bytes(*data)),
                Command::Dispatch(dispatch) => {
                    first = false;
                    let slot = state.parameters.len().next_multiple_of(UNIFORM_SLOT);
                    state.parameters.resize(slot, 0);
                    state.parameters.extend_from_slice(&dispatch.params);
                }
                Command::Read(..) | Command::Copy { .. } => first = false,
            }
        }
        // A bound slot is read to a multiple of 16 bytes.
        let slots = state.parameters.len().next_multiple_of(UNIFORM_SLOT);
        state.parameters.resize(slots, 0);
        if slots as u64 > state.uniforms.size() {
            let size = (slots as u64).next_power_of_two();
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            state.uniforms = self.create_buffer("parameters", size, usage);
            state.bind_groups.clear();
        }
        if state.staged.len() as u64 > state.staging.size() {
            let size = (state.staged.len() as u64).next_power_of_two();
            let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            state.staging = self.create_buffer("staged uploads", size, usage);
        }
        if slots > 0 {
            self.queue
                .write_buffer(&state.uniforms, 0, &state.parameters);
        }
        if !state.staged.is_empty() {
            self.queue.write_buffer(&state.staging, 0, &state.staged);
        }
    }

    /// The pipeline and the bind group of each dispatch, made where they do not exist yet.
    fn prepare(&self, state: &mut State, dispatch: &Dispatch) -> Result<()> {
        let kernel = dispatch.kernel;
        let key = (kernel.name, dispatch.variant);
        let pipeline = match state.pipelines.get(&key) {
            Some(pipeline) => Arc::clone(pipeline),
            None => {
                let label = kernel.label(dispatch.variant);
                let pipeline = self.scoped(&format!("compile {label}"), || {
                    Ok(Arc::new(Pipeline::new(
                        &self.device,
                        kernel,
                        dispatch.variant,
                    )))
                })?;
                self.counts.pipelines.fetch_add(1, Ordering::Relaxed);
                state.pipelines.insert(key, Arc::clone(&pipeline));
                pipeline
            }
        };
        let key = (kernel.name, dispatch.variant, dispatch.buffers.clone());
        if !state.bind_groups.contains_key(&key) {
            let buffers = dispatch.buffers.iter().map(|id| &state.buffers[id]);
            let group = pipeline.bind(&self.device, kernel, buffers, &state.uniforms);
            self.counts.bind_groups.fetch_add(1, Ordering::Relaxed);
            state.bind_groups.insert(key, group);
        }
        Ok(())
    }

    fn encode(
        &self,
        state: &State,
        recording: &Recording<'_>,
        reads: Option<&wgpu::Buffer>,
    ) -> wgpu::CommandBuffer {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        let (mut slot, mut staged, mut read) = (0, 0, 0);
        let mut first = true;
        let mut commands = recording.commands().iter().peekable();
        while let Some(command) = commands.next() {
            match command {
                Command::Upload(..) if first => {}
                Command::Upload(id, at, data) => {
                    let (at, size) = (4 * *at as u64, 4 * data.len() as u64);
                    let to = &state.buffers[id];
                    encoder.copy_buffer_to_buffer(&state.staging, staged, to, at, size);
                    staged += size;
                }
                Command::Copy {
                    from,
                    to,
                    first: at,
                    len,
                } => {
                    first = false;
                    let (from, to) = (&state.buffers[from], &state.buffers[to]);
                    let (at, size) = (4 * *at as u64, 4 * *len as u64);
                    encoder.copy_buffer_to_buffer(from, 0, to, at, size);
                }
                Command::Read(id, len) => {
                    first = false;
                    let size = 4 * *len as u64;
                    if let Some(to) = reads.filter(|_| size > 0) {
                        encoder.copy_buffer_to_buffer(&state.buffers[id], 0, to, read, size);
                    }
                    read += size;
                }
                Command::Dispatch(dispatch) => {
                    first = false;
                    let mut pass =
                        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    let mut next = Some(dispatch);
                    while let Some(dispatch) = next {
                        state.dispatch(&mut pass, dispatch, slot);
                        slot += UNIFORM_SLOT as u32;
                        next = next_dispatch(&mut commands);
                    }
                }
            }
        }
        encoder.finish()
    }
}

/// The next command if it is a dispatch, which then shares the compute pass of the one before.
fn next_dispatch<'a, 'd: 'a>(
    commands: &mut std::iter::Peekable<impl Iterator<Item = &'a Command<'d>>>,
) -> Option<&'a Dispatch> {
    match commands.next_if(|command| matches!(command, Command::Dispatch(_))) {
        Some(Command::Dispatch(dispatch)) => Some(dispatch),
        _ => None,
    }
}

impl State {
    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, dispatch: &Dispatch, slot: u32) {
        if dispatch.groups == 0 {
            return;
        }
        let (name, variant) = (dispatch.kernel.name, dispatch.variant);
        let group = &self.bind_groups[&(name, variant, dispatch.buffers.clone())];
        pass.set_pipeline(&self.pipelines[&(name, variant)].pipeline);
        pass.set_bind_group(0, group, &[slot]);
        let x = dispatch.groups.min(MAX_GROUPS);
        pass.dispatch_workgroups(x, dispatch.groups.div_ceil(x), 1);
    }
}

/// The bytes a GPU buffer holds for these values.
fn bytes(data: Data<'_>) -> std::borrow::Cow<'_, [u8]> {
    match data {
        Data::Floats(values) => bytemuck::cast_slice(values).into(),
        Data::Words(values) => bytemuck::cast_slice(values).into(),
        Data::Doubles(values) => {
            let rounded: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            bytemuck::cast_slice(&rounded).to_vec().into()
        }
    }
}

/// A poisoned lock only means that another thread panicked; the maps inside are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor for Gpu {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> Class {
        self.class
    }

    fn binding_limit(&self) -> u64 {
        self.binding_limit
    }

    fn allocate(&self, what: &str, element: Element, len: usize) -> Result<BufferId> {
        let size = 4 * len as u64;
        let operation = format!("allocate {size} bytes for {what}");
        let buffer = self.scoped(&operation, || {
            let usage = wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST;
            Ok(self.create_buffer(what, size, usage))
        })?;
        let id = BufferId::new();
        self.reads.know(id, element);
        lock(&self.state).buffers.insert(id, buffer);
        Ok(id)
    }

    fn free(&self, buffer: BufferId) {
        let mut state = lock(&self.state);
        state.buffers.remove(&buffer);
        state
            .bind_groups
            .retain(|(_, _, buffers), _| !buffers.contains(&buffer));
        self.reads.forget(buffer);
    }

    fn play(&self, recording: &Recording<'_>) -> Result<Pending> {
        let mut state = lock(&self.state);
        let pending = self.scoped("play a recording", || {
            // Buffers of a pool meet in ever new combinations: what was kept is let go before it grows without end.
            if state.bind_groups.len() >= MAX_BIND_GROUPS {
                state.bind_groups.clear();
            }
            self.write_host_data(&mut state, recording);
            for command in recording.commands() {
                if let Command::Dispatch(dispatch) = command
                    && dispatch.groups > 0
                {
                    self.prepare(&mut state, dispatch)?;
                }
            }
            let wanted = self.reads.wanted(recording);
            let reads = self.reads.take(&wanted, |size| {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.create_buffer("read back", size, usage)
            });
            let commands = self.encode(&state, recording, reads.as_ref());
            let submission = self.queue.submit([commands]);
            self.counts.submissions.fetch_add(1, Ordering::Relaxed);
            Ok(Pending::Gpu(Readback::new(
                &self.name,
                &self.device,
                submission,
                wanted,
                reads,
                &self.reads,
                &self.lost,
            )))
        });
        if pending.is_err() {
            // What failed may be among them.
            state.bind_groups.clear();
        }
        pending
    }

    fn objects(&self) -> Objects {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Objects {
            buffers: load(&self.counts.buffers),
            bind_groups: load(&self.counts.bind_groups),
            pipelines: load(&self.counts.pipelines),
            submissions: load(&self.counts.submissions),
        }
    }
}
