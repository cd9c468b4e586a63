//! Devices and their buffers. Three executors play the same recordings: `gpu` through wgpu, `cpu`
//! in f32 on threads, and `reference` in f64 by the kernels' twins.

mod buffer;
mod choice;
mod clock;
mod gpu;
mod host;
mod stream;
mod waiting;

pub use buffer::Buffer;
pub use choice::{AdapterIdentity, AdapterReport, adapters};
pub use clock::{Work, WorkTime};

use crate::engine::kernel::{Element, Params};
use crate::engine::recording::{BufferId, Data, Recording};
use crate::error::{Error, Result};
use clock::Clock;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use stream::Loan;
use stream::Stream;
pub use waiting::Readback;
use waiting::{Pending, block_on};
pub(crate) use waiting::{Wait, blocked};

/// Values read back from a buffer, in the executor's own precision.
#[derive(Clone, Debug, PartialEq)]
#[doc(hidden)]
pub enum Values {
    /// A float buffer of the CPU or a GPU.
    F32(Vec<f32>),
    /// A float buffer of the reference executor.
    F64(Vec<f64>),
    /// A word buffer.
    Words(Vec<u32>),
}

impl Values {
    /// As f32, which rounds the results of the reference executor. Words are converted by value.
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

/// A loop leaves the losses of at least this many steps unread, which keeps a device busy.
const LEAST_IN_FLIGHT: usize = 4;

/// [`Device::steps_in_flight`] for this number of recordings per submission.
fn steps_in_flight(recordings_per_submission: usize) -> usize {
    (2 * recordings_per_submission).max(LEAST_IN_FLIGHT)
}

/// What an executor must do. A GPU may still be at work when `play` returns, or may not have begun.
trait Executor: Send + Sync {
    /// Its name in messages: "cpu", "reference" or "vulkan:llvmpipe (LLVM 15.0.6)".
    fn name(&self) -> &str;
    /// The kind of hardware that runs the kernels.
    fn class(&self) -> Class;
    /// The adapter with its driver, if it has one.
    fn adapter(&self) -> Option<&AdapterIdentity> {
        None
    }
    /// The most bytes of a buffer that one kernel can see.
    fn binding_limit(&self) -> u64;
    /// Whether its shaders may pack floats of 16 bits in words.
    fn has_halves(&self) -> bool {
        true
    }
    /// Creates a buffer with undefined contents.
    fn allocate(&self, what: &str, element: Element, len: usize) -> Result<BufferId>;
    /// Gives a buffer back. Submitted work keeps it alive.
    fn free(&self, buffer: BufferId);
    /// Plays the commands in order.
    fn play(&self, recording: &Recording<'_>) -> Result<Pending>;
    /// Hands recordings that still wait to the device. Otherwise this happens when there are enough
    /// of them or when somebody waits for their values.
    fn submit(&self) -> Result<()> {
        Ok(())
    }
    /// The most recordings that it hands to the device together.
    fn recordings_per_submission(&self) -> usize {
        1
    }
    /// Sets that number, if it hands recordings to a device.
    fn set_recordings_per_submission(&self, _recordings: NonZeroUsize) {}
    /// The thread pool that it computes on, if it has one.
    fn threads(&self) -> Option<Arc<rayon::ThreadPool>> {
        None
    }
    /// The number of objects that the executor has created, if it creates any.
    fn objects(&self) -> Objects {
        Objects::default()
    }
    /// The time that the executor has spent copying uploads into memory that the adapter reads, if
    /// it does.
    fn staging(&self) -> Duration {
        Duration::ZERO
    }
    /// Loses the device of an adapter, for tests.
    fn lose(&self) {}
    /// The clock that collects the times of its commands, if it can measure them.
    fn clock(&self) -> Option<&Clock> {
        None
    }
}

/// The kind of hardware that runs a device's kernels. Some kernels have a variant for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Class {
    /// The CPU executor or the reference.
    Host,
    /// A GPU.
    Gpu,
    /// An adapter that runs shaders on the CPU.
    Software,
}

/// The number of objects that a GPU executor has created since it was opened. In a steady state
/// only submissions grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(hidden)]
pub struct Objects {
    /// Buffers, including the buffers for uploads and for reading back.
    pub buffers: u64,
    /// Bind groups.
    pub bind_groups: u64,
    /// Compute pipelines.
    pub pipelines: u64,
    /// Submissions to the queue.
    pub submissions: u64,
}

/// A device that plays recordings: a GPU adapter, the CPU, or the f64 reference. Clones are the
/// same device.
#[derive(Clone)]
pub struct Device {
    executor: Arc<dyn Executor>,
    stream: Arc<Stream>,
    reason: Arc<str>,
    binding_limit: u64,
}

/// Whether both have the same executor.
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
    /// Opens the requested device: `None` or `"auto"`, `"cpu"`, `"reference"`, or part of an
    /// adapter's name in upper or lower case. `vulkan:`, `metal:`, `dx12:` or `gl:` in front of the
    /// name picks the backend.
    ///
    /// Without a request the variables `WGPU_BACKEND` and `WGPU_ADAPTER_NAME` decide if they are
    /// set. Otherwise the first discrete, integrated or virtual GPU is taken, else the CPU. A
    /// software adapter is taken only by name. [`Device::reason`] says what was found and why this
    /// device was taken.
    ///
    /// # Errors
    /// [`Error::NoDevice`] lists the devices that were found if none of them matches.
    pub fn open(request: Option<&str>) -> Result<Self> {
        choice::open(request, None, 0)
    }

    /// As [`Device::open`], without blocking a thread. A browser needs it: there `auto` takes the
    /// GPU that WebGPU offers, or the CPU executor on the calling thread.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub async fn open_async(request: Option<&str>) -> Result<Self> {
        choice::open_async(request, None, 0).await
    }

    /// As [`Device::open`], with the number of threads of the CPU executor, or one thread per core.
    /// The bits do not depend on it.
    pub fn open_with_threads(request: Option<&str>, threads: Option<NonZeroUsize>) -> Result<Self> {
        Self::open_numbered(request, threads, 0)
    }

    /// As [`Device::open_with_threads`]. If the machine has several adapters with the backend and
    /// the name of the one that is taken, the numbers 0, 1, … take one after the other, and then the
    /// first one again.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn open_numbered(
        request: Option<&str>,
        threads: Option<NonZeroUsize>,
        number: usize,
    ) -> Result<Self> {
        choice::open(request, threads.map(NonZeroUsize::get), number)
    }

    /// Opens the device that [`Device::open`] takes without a request.
    pub fn auto() -> Result<Self> {
        Self::open(None)
    }

    /// The CPU executor on all cores.
    pub fn cpu() -> Result<Self> {
        Self::open(Some("cpu"))
    }

    /// The CPU executor on this number of threads. The bits do not depend on it.
    pub fn cpu_with_threads(threads: NonZeroUsize) -> Result<Self> {
        Self::open_with_threads(Some("cpu"), Some(threads))
    }

    /// The f64 reference, which runs the twins, for comparison and gradient checks.
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

    /// The same device with a lower binding limit, to imitate a smaller adapter or to leave memory
    /// to others: batches are cut into smaller micro-batches. A limit above the device's own
    /// changes nothing.
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

    /// The kind of hardware that runs its kernels.
    #[doc(hidden)]
    pub fn class(&self) -> Class {
        self.executor.class()
    }

    /// The adapter with its driver; `None` for the CPU and the reference.
    pub fn adapter(&self) -> Option<&AdapterIdentity> {
        self.executor.adapter()
    }

    /// Whether its shaders may pack floats of 16 bits in words. WebGPU has this everywhere, but a
    /// few drivers that wgpu opens nevertheless do not.
    #[doc(hidden)]
    pub fn has_halves(&self) -> bool {
        self.executor.has_halves()
    }

    /// One sentence: what was found, what was taken, and why.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The most bytes of a buffer that one kernel can see.
    pub fn binding_limit(&self) -> u64 {
        self.binding_limit
    }

    /// Creates a buffer of `len` elements, rounded up to whole vectors of four. `what` names it in
    /// errors and in the labels of graphics debuggers.
    ///
    /// # Errors
    /// [`Error::Limit`] past [`Device::binding_limit`]; [`Error::Device`] if memory runs out.
    #[doc(hidden)]
    pub fn allocate(&self, what: &str, element: Element, len: usize) -> Result<Buffer> {
        self.check_size(what, len)?;
        // Shaders read some buffers as vectors of four, and a shader that checks bounds needs the
        // last one to be whole.
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

    /// Creates a buffer with these values.
    #[doc(hidden)]
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

    /// Plays the commands in order, and returns the values that they read, which may still be in
    /// flight. On a GPU the recording may wait for others, to share their submission, until
    /// somebody waits for values or drops the device.
    ///
    /// # Errors
    /// A recording that does not fit its buffers, and [`Error::Device`], also if earlier recordings
    /// fail that were submitted with this one.
    #[doc(hidden)]
    pub fn play(&self, recording: &Recording<'_>) -> Result<Readback> {
        Ok(Readback(self.executor.play(recording)?))
    }

    /// Takes a buffer from the pool that the device's tensors share, with the errors of
    /// [`Device::allocate`].
    pub(crate) fn borrow(&self, what: &str, element: Element, len: usize) -> Result<Loan> {
        self.check_size(what, len)?;
        self.stream.borrow(what, element, len)
    }

    /// Gives a buffer back to the pool.
    pub(crate) fn give_back(&self, loan: Loan) {
        self.stream.give_back(loan);
    }

    /// Adds a dispatch to the tensors' next batch.
    pub(crate) fn dispatch<P: Params>(
        &self,
        variant: usize,
        params: P,
        buffers: P::Buffers,
    ) -> Result<()> {
        match params.groups() {
            0 => Ok(()),
            _ => self.record(|recording| recording.dispatch(variant, params, buffers)),
        }
    }

    /// Adds the commands that `record` records to the tensors' next batch.
    pub(crate) fn record(&self, record: impl FnOnce(&mut Recording<'static>)) -> Result<()> {
        self.stream.record(record)
    }

    /// Uploads values into a buffer of the pool, after all earlier batches.
    pub(crate) fn fill(&self, buffer: BufferId, data: Data<'_>) -> Result<()> {
        self.stream.upload(buffer, data)
    }

    /// Reads values of a buffer of the pool, after all earlier batches.
    pub(crate) fn fetch(&self, buffer: BufferId, len: usize) -> Result<Readback> {
        self.stream.read(buffer, len)
    }

    /// Plays every tensor operation so far, so that a recording that is played next comes after
    /// them.
    pub(crate) fn flush(&self) -> Result<()> {
        self.stream.flush()
    }

    /// Waits until every tensor operation so far is done.
    pub fn finish(&self) -> Result<()> {
        self.stream.finish()
    }

    /// The number of threads that the CPU executor computes on; 0 for other devices.
    pub fn threads(&self) -> usize {
        let pool = self.executor.threads();
        pool.map_or(0, |pool| pool.current_num_threads())
    }

    /// Runs work on the threads of the CPU executor, between the work of recordings. Other devices
    /// run it on the calling thread.
    #[doc(hidden)]
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.executor.threads() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// The most recordings that a GPU gets in one submission; 1 for other devices.
    #[doc(hidden)]
    pub fn recordings_per_submission(&self) -> usize {
        self.executor.recordings_per_submission()
    }

    /// Sets the most recordings that a GPU gets in one submission, for all clones of the device and
    /// from the next recording on. The bits do not depend on it. It changes nothing on other
    /// devices.
    #[doc(hidden)]
    pub fn set_recordings_per_submission(&self, recordings: NonZeroUsize) {
        self.executor.set_recordings_per_submission(recordings);
    }

    /// The number of steps whose losses a loop should leave unread to keep the device busy: those
    /// of the submission that it waits for, and those of another one.
    #[doc(hidden)]
    pub fn steps_in_flight(&self) -> usize {
        steps_in_flight(self.recordings_per_submission())
    }

    /// Loses the device of an adapter, for all clones, as a driver does that fails. It changes
    /// nothing on other devices.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.executor.lose();
    }

    /// The number of objects that the executor has created.
    #[doc(hidden)]
    pub fn objects(&self) -> Objects {
        self.executor.objects()
    }

    /// The time that the device has spent copying uploads into memory that the adapter reads, since
    /// it was opened. It is zero on the CPU and the reference, which have no such memory.
    #[doc(hidden)]
    pub fn staging(&self) -> Duration {
        self.executor.staging()
    }
}
