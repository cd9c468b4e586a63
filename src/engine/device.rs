//! Devices and their buffers. Three executors play the same recordings: `gpu` through wgpu, `cpu` in f32 on threads,
//! and `reference` in f64 by the kernels' twins.

mod choice;
mod gpu;
mod host;
mod stream;

pub use choice::{AdapterReport, adapters};

use crate::engine::kernel::{BufferList, Element, Params};
use crate::engine::recording::{BufferId, Data, Recording};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
pub(crate) use stream::Loan;
use stream::Stream;

/// Values read back from a buffer, in the executor's own precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// A float buffer of the CPU or a GPU.
    F32(Vec<f32>),
    /// A float buffer of the reference executor.
    F64(Vec<f64>),
    /// A word buffer.
    Words(Vec<u32>),
}

impl Values {
    /// As f32, rounding what the reference executor computed. Words are converted by value.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            Self::F64(values) => values.into_iter().map(|value| value as f32).collect(),
            Self::Words(values) => values.into_iter().map(|value| value as f32).collect(),
        }
    }

    /// As f64, exactly.
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.into_iter().map(f64::from).collect(),
            Self::F64(values) => values,
            Self::Words(values) => values.into_iter().map(f64::from).collect(),
        }
    }
}

/// What an executor does. One that is not the host's may still be at work when `play` returns.
trait Executor: Send + Sync {
    /// Its name in messages: "cpu", "reference" or "vulkan:llvmpipe (LLVM 15.0.6)".
    fn name(&self) -> &str;
    /// What runs the kernels.
    fn class(&self) -> Class;
    /// The most bytes one kernel can see of a buffer.
    fn binding_limit(&self) -> u64;
    /// A new buffer; its contents are undefined.
    fn allocate(&self, what: &str, element: Element, len: usize) -> Result<BufferId>;
    /// Gives a buffer back; work already submitted keeps it alive.
    fn free(&self, buffer: BufferId);
    /// Plays the commands in order.
    fn play(&self, recording: &Recording<'_>) -> Result<Pending>;
    /// Those it computes on, where it has some of its own.
    fn threads(&self) -> Option<Arc<rayon::ThreadPool>> {
        None
    }
    /// Counts of the objects it has made, where it makes any.
    fn objects(&self) -> Objects {
        Objects::default()
    }
    /// Time it has spent copying uploads into memory that the adapter reads, where it does.
    fn staging(&self) -> Duration {
        Duration::ZERO
    }
}

/// What runs a device's kernels, where a kernel has a variant for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The CPU executor or the reference.
    Host,
    /// A GPU.
    Gpu,
    /// An adapter that runs shaders on the CPU.
    Software,
}

/// How many objects a GPU executor has made since it was opened; a steady state makes no more of any but submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Buffers, those for uploads and for reading back included.
    pub buffers: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Compute pipelines.
    pub pipelines: u64,
    /// Submissions to the queue.
    pub submissions: u64,
}

enum Pending {
    Ready(Vec<Values>),
    Gpu(gpu::Readback),
}

/// Values on their way back, one [`Values`] for each read of the recording, in its order.
///
/// Dropping it drops the values; the work is done all the same.
#[must_use = "values are only read back by `wait` or `get`"]
pub struct Readback(Pending);

impl Readback {
    /// Blocks until the values are there.
    pub fn wait(self) -> Result<Vec<Values>> {
        match self.0 {
            Pending::Ready(values) => Ok(values),
            Pending::Gpu(readback) => readback.wait(),
        }
    }

    /// The values, without blocking a thread.
    pub async fn get(self) -> Result<Vec<Values>> {
        match self.0 {
            Pending::Ready(values) => Ok(values),
            Pending::Gpu(readback) => readback.get().await,
        }
    }
}

/// A device that plays recordings: a GPU adapter, the CPU, or the f64 reference. Clones are the same device.
#[derive(Clone)]
pub struct Device {
    executor: Arc<dyn Executor>,
    stream: Arc<Stream>,
    reason: Arc<str>,
    binding_limit: u64,
}

/// Whether it is the same executor.
impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stream, &other.stream)
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(&self.name()).finish()
    }
}

impl Device {
    /// The device for a request: `None` or `"auto"`, `"cpu"`, `"reference"`, or part of an adapter's name (upper and
    /// lower case alike) with `vulkan:`, `metal:`, `dx12:` or `gl:` before it to pick the backend.
    ///
    /// Without a request the variables `WGPU_BACKEND` and `WGPU_ADAPTER_NAME` decide if they are set; without them
    /// the first discrete, integrated or virtual GPU is taken, else the CPU. Software adapters are taken only by name.
    /// [`Device::reason`] says what was found and why this one was taken.
    ///
    /// # Errors
    /// [`Error::NoDevice`] lists what was found when nothing matches.
    pub fn open(request: Option<&str>) -> Result<Self> {
        choice::open(request, None)
    }

    /// As [`Device::open`], with the number of threads for the CPU executor; the bits do not depend on it.
    pub fn open_with_threads(request: Option<&str>, threads: usize) -> Result<Self> {
        choice::open(request, Some(threads))
    }

    /// What [`Device::open`] takes without a request.
    pub fn auto() -> Result<Self> {
        Self::open(None)
    }

    /// The CPU executor on all cores.
    pub fn cpu() -> Result<Self> {
        Self::cpu_with_threads(0)
    }

    /// The CPU executor on that many threads, 0 for all cores. The bits do not depend on it.
    pub fn cpu_with_threads(threads: usize) -> Result<Self> {
        let executor = host::Host::cpu(threads)?;
        Ok(Self::new(executor, "the CPU executor, asked for"))
    }

    /// The f64 reference: plays the twins, for comparison and gradient checks.
    pub fn reference() -> Self {
        Self::new(host::Host::reference(), "the reference, asked for")
    }

    fn new(executor: impl Executor + 'static, reason: &str) -> Self {
        let executor: Arc<dyn Executor> = Arc::new(executor);
        Self {
            binding_limit: executor.binding_limit(),
            stream: Arc::new(Stream::new(Arc::clone(&executor))),
            executor,
            reason: reason.into(),
        }
    }

    /// The same device with a lower binding limit, to see what a smaller adapter would do, or to leave memory to
    /// others: batches are cut into smaller slices. A limit above the device's own changes nothing.
    #[must_use]
    pub fn with_binding_limit(self, bytes: u64) -> Self {
        Self {
            binding_limit: self.binding_limit.min(bytes),
            ..self
        }
    }

    /// `cpu`, `reference`, or backend and adapter: `vulkan:llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub fn name(&self) -> &str {
        self.executor.name()
    }

    /// What runs its kernels.
    pub fn class(&self) -> Class {
        self.executor.class()
    }

    /// What was found, what was taken and why, in one sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The most bytes that one kernel can see of a buffer.
    pub fn binding_limit(&self) -> u64 {
        self.binding_limit
    }

    /// A new buffer of `len` elements (room for whole vectors of four is made). `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::Limit`] past [`Device::binding_limit`], [`Error::Device`] when memory runs out.
    pub fn allocate(&self, what: &str, element: Element, len: usize) -> Result<Buffer> {
        self.check_size(what, len)?;
        // Shaders read some as vectors of four, and where bounds are checked in the shader the last must be whole.
        let whole = len.max(1).next_multiple_of(4);
        let id = self.executor.allocate(what, element, whole)?;
        Ok(Buffer {
            device: self.clone(),
            id,
            len,
        })
    }

    fn check_size(&self, what: &str, len: usize) -> Result<()> {
        let needed = 4 * len as u64;
        let limit = self.binding_limit();
        if needed <= limit {
            return Ok(());
        }
        Err(Error::Limit {
            what: what.to_owned(),
            device: self.name().to_owned(),
            needed,
            limit,
            advice: String::new(),
        })
    }

    /// A new buffer with these values.
    pub fn upload<'a>(&self, what: &str, data: impl Into<Data<'a>>) -> Result<Buffer> {
        let data = data.into();
        let element = match data {
            Data::Floats(_) | Data::Doubles(_) => Element::Float,
            Data::Words(_) => Element::Word,
        };
        let buffer = self.allocate(what, element, data.len())?;
        let mut recording = Recording::new();
        recording.upload(buffer.id(), data);
        self.play(&recording)?.wait()?;
        Ok(buffer)
    }

    /// Plays the commands in order and returns what they read, which may still be on its way.
    pub fn play(&self, recording: &Recording<'_>) -> Result<Readback> {
        Ok(Readback(self.executor.play(recording)?))
    }

    /// A buffer from the pool that the device's tensors share, with the errors of [`Device::allocate`].
    pub(crate) fn borrow(&self, what: &str, element: Element, len: usize) -> Result<Loan> {
        self.check_size(what, len)?;
        self.stream.borrow(what, element, len)
    }

    /// Gives a buffer back to the pool.
    pub(crate) fn give_back(&self, loan: Loan) {
        self.stream.give_back(loan);
    }

    /// Adds a kernel's run to the tensors' next batch.
    pub(crate) fn dispatch<P: Params>(
        &self,
        variant: usize,
        params: P,
        buffers: impl BufferList,
    ) -> Result<()> {
        match params.groups() {
            0 => Ok(()),
            _ => self.record(|recording| recording.dispatch(variant, params, buffers)),
        }
    }

    /// Adds what `record` adds to the tensors' next batch.
    pub(crate) fn record(&self, record: impl FnOnce(&mut Recording<'static>)) -> Result<()> {
        self.stream.record(record)
    }

    /// Puts values into a buffer of the pool, after all the batches before.
    pub(crate) fn fill(&self, buffer: BufferId, data: Data<'_>) -> Result<()> {
        self.stream.upload(buffer, data)
    }

    /// Brings values of a buffer of the pool back, after all the batches before.
    pub(crate) fn fetch(&self, buffer: BufferId, len: usize) -> Result<Readback> {
        self.stream.read(buffer, len)
    }

    /// Waits until every tensor operation so far is done.
    pub fn finish(&self) -> Result<()> {
        self.stream.finish()
    }

    /// The threads that the CPU executor computes on, for other work in turns with it; none where a device has none of its own.
    pub fn threads(&self) -> Option<Arc<rayon::ThreadPool>> {
        self.executor.threads()
    }

    /// How many objects the executor has made.
    pub fn objects(&self) -> Objects {
        self.executor.objects()
    }

    /// How long it has copied uploads into memory that the adapter reads, since it was opened. Zero on the CPU and the reference, which
    /// have no such memory.
    pub fn staging(&self) -> Duration {
        self.executor.staging()
    }
}

/// A buffer of a device; dropping it gives the memory back.
#[derive(Debug)]
pub struct Buffer {
    device: Device,
    id: BufferId,
    len: usize,
}

impl Buffer {
    /// Its name in recordings.
    pub fn id(&self) -> BufferId {
        self.id
    }

    /// Elements asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no element was asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values, blocking.
    pub fn read(&self) -> Result<Values> {
        let mut recording = Recording::new();
        recording.read(self.id, self.len);
        let mut values = self.device.play(&recording)?.wait()?;
        values.pop().ok_or_else(|| Error::Device {
            device: self.device.name().to_owned(),
            operation: "read back".to_owned(),
            reason: "the executor returned no values for a read".to_owned(),
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device.executor.free(self.id);
    }
}
