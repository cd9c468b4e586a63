//! The executors on the host. `reference` runs the twins in f64; `cpu` runs the CPU implementations
//! in f32 on its own threads.

use super::clock::{Clock, WorkTime};
use super::{Class, Executor, Pending, Values};
use crate::engine::kernel::{Access, Call, Element, Kernel, Real, Slice};
use crate::engine::recording::{BufferId, Command, Data, Dispatch, Known, Recording};
use crate::error::{Error, Result};
use crate::files::memory::copied;
use crate::panics::caught;
use aligned_vec::{AVec, CACHELINE_ALIGN};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use web_time::Instant;

/// The CPU executor cuts a batch into micro-batches beyond this size, as a GPU does at its binding
/// limit. The bits of a run depend on it, so it is a constant and not a property of the machine.
const BINDING_LIMIT: u64 = 4 << 30;

/// What a read copies, as errors name it.
const READ: &str = "a copy of a buffer";

/// The words that one task copies.
const TASK_WORDS: usize = 1 << 15;

/// Whole cache lines: a vector of sixteen floats that crosses a line doubles the time of gathers.
#[derive(Debug)]
enum Storage<R> {
    Floats(AVec<R>),
    Words(AVec<u32>),
}

/// A buffer, under the name that it was allocated with.
#[derive(Debug)]
struct HostBuffer<R> {
    name: Box<str>,
    storage: Storage<R>,
}

impl<R> HostBuffer<R> {
    fn known(&self) -> Known<'_> {
        let (element, len) = match &self.storage {
            Storage::Floats(values) => (Element::Float, values.len()),
            Storage::Words(words) => (Element::Word, words.len()),
        };
        Known {
            name: &self.name,
            element,
            len,
        }
    }
}

/// The buffers of an executor.
type Buffers<R> = HashMap<BufferId, HostBuffer<R>>;

/// An executor over plain vectors.
pub(super) struct Host<R> {
    name: &'static str,
    pool: Option<Arc<rayon::ThreadPool>>,
    run: fn(&Kernel, Call<'_, R>),
    buffers: Mutex<Buffers<R>>,
    clock: Clock,
}

/// The number types that a host executor computes in.
pub(super) trait HostReal: Real {
    fn values(values: &[Self]) -> Result<Values>;
}

impl HostReal for f32 {
    fn values(values: &[Self]) -> Result<Values> {
        copied(READ, values).map(Values::F32)
    }
}

impl HostReal for f64 {
    fn values(values: &[Self]) -> Result<Values> {
        copied(READ, values).map(Values::F64)
    }
}

impl Host<f64> {
    pub(super) fn reference() -> Self {
        Self::new("reference", None, |kernel, call| (kernel.twin)(call))
    }
}

impl Host<f32> {
    pub(super) fn cpu(threads: usize) -> Result<Self> {
        let pool = match cfg!(target_arch = "wasm32") {
            // In a browser, rayon computes on the calling thread.
            true => None,
            false => Some(Self::pool(threads)?),
        };
        Ok(Self::new("cpu", pool, |kernel, call| match kernel.cpu {
            Some(body) => body(call),
            None => run_twin_rounded(kernel, call),
        }))
    }

    fn pool(threads: usize) -> Result<Arc<rayon::ThreadPool>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("wgrad-cpu-{index}"))
            .build()
            .map_err(|error| Error::Device {
                device: "cpu".to_owned(),
                operation: format!("start {threads} threads"),
                reason: error.to_string(),
            })?;
        Ok(pool.into())
    }
}

impl<R: HostReal> Host<R> {
    fn new(
        name: &'static str,
        pool: Option<Arc<rayon::ThreadPool>>,
        run: fn(&Kernel, Call<'_, R>),
    ) -> Self {
        Self {
            name,
            pool,
            run,
            buffers: Mutex::default(),
            clock: Clock::default(),
        }
    }

    /// A poisoned lock only means that a kernel panicked; only the buffers that it wrote are
    /// incomplete.
    fn lock(&self) -> MutexGuard<'_, Buffers<R>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the buffers that a dispatch writes out of the map, so that the others can be borrowed
    /// beside them.
    fn dispatch(&self, buffers: &mut Buffers<R>, dispatch: &Dispatch) {
        if dispatch.groups == 0 {
            return;
        }
        let kernel = dispatch.kernel;
        let bound = || dispatch.buffers.iter().zip(kernel.bindings);
        // `Recording::check` has found every buffer, and each written one only once.
        let mut written: Vec<(BufferId, HostBuffer<R>)> = bound()
            .filter(|(_, binding)| binding.access != Access::Read)
            .filter_map(|(id, _)| buffers.remove_entry(id))
            .collect();
        let mut outputs = written.iter_mut();
        let slices = bound().map(|(id, binding)| match binding.access {
            Access::Read => match &buffers[id].storage {
                Storage::Floats(values) => Slice::Floats(values),
                Storage::Words(values) => Slice::Words(values),
            },
            Access::Write | Access::Update => {
                match outputs.next().map(|(_, buffer)| &mut buffer.storage) {
                    Some(Storage::Floats(values)) => Slice::FloatsMut(values),
                    Some(Storage::Words(values)) => Slice::WordsMut(values),
                    None => Slice::Taken,
                }
            }
        });
        let call = Call {
            params: &dispatch.params,
            variant: dispatch.variant,
            buffers: slices.collect(),
        };
        (self.run)(kernel, call);
        buffers.extend(written);
    }
}

/// Runs a kernel without a CPU implementation: its twin on widened copies, whose results are
/// rounded.
fn run_twin_rounded(kernel: &Kernel, call: Call<'_, f32>) {
    let widen = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let mut copies: Vec<Vec<f64>> = call
        .buffers
        .iter()
        .map(|slice| match slice {
            Slice::Floats(values) => widen(values),
            Slice::FloatsMut(values) => widen(values),
            Slice::Words(_) | Slice::WordsMut(_) | Slice::Taken => Vec::new(),
        })
        .collect();
    let mut outputs = Vec::new();
    let buffers = call.buffers.into_iter().zip(&mut copies).enumerate();
    let buffers = buffers.map(|(binding, (slice, copy))| match slice {
        Slice::Floats(_) => Slice::Floats(copy.as_slice()),
        Slice::FloatsMut(values) => {
            outputs.push((binding, values));
            Slice::FloatsMut(copy.as_mut_slice())
        }
        Slice::Words(words) => Slice::Words(words),
        Slice::WordsMut(words) => Slice::WordsMut(words),
        Slice::Taken => Slice::Taken,
    });
    (kernel.twin)(Call {
        params: call.params,
        variant: call.variant,
        buffers: buffers.collect(),
    });
    for (binding, values) in outputs {
        for (value, copy) in values.iter_mut().zip(&copies[binding]) {
            *value = f32::from_f64(*copy);
        }
    }
}

fn fill<R: Real>(to: &mut Storage<R>, first: usize, data: Data<'_>) {
    match (to, data) {
        (Storage::Floats(to), Data::Floats(from)) => {
            for (to, from) in to[first..][..from.len()].iter_mut().zip(from) {
                *to = R::from_f64(f64::from(*from));
            }
        }
        (Storage::Floats(to), Data::Doubles(from)) => {
            for (to, from) in to[first..][..from.len()].iter_mut().zip(from) {
                *to = R::from_f64(*from);
            }
        }
        (Storage::Words(to), Data::Words(from)) => {
            // A new batch is not in the caches, and two cores fetch it in half the time of one.
            let to = to[first..][..from.len()].par_chunks_mut(TASK_WORDS);
            to.zip(from.par_chunks(TASK_WORDS))
                .for_each(|(to, from)| to.copy_from_slice(from));
        }
        _ => unreachable!("`Recording::check` compares the element types"),
    }
}

fn copy<R: Real>(to: &mut Storage<R>, from: &Storage<R>, place: std::ops::Range<usize>) {
    match (to, from) {
        (Storage::Floats(to), Storage::Floats(from)) => {
            to[place.clone()].copy_from_slice(&from[..place.len()]);
        }
        (Storage::Words(to), Storage::Words(from)) => {
            to[place.clone()].copy_from_slice(&from[..place.len()]);
        }
        _ => unreachable!("`Recording::check` compares the element types"),
    }
}

/// `len` zeros, or nothing if memory does not suffice.
fn zeros<T: Copy>(len: usize, zero: T) -> Option<AVec<T>> {
    let mut values = AVec::new(CACHELINE_ALIGN);
    values.try_reserve_exact(len).ok()?;
    values.resize(len, zero);
    Some(values)
}

impl<R: HostReal> Executor for Host<R> {
    fn name(&self) -> &str {
        self.name
    }

    fn class(&self) -> Class {
        Class::Host
    }

    fn binding_limit(&self) -> u64 {
        BINDING_LIMIT
    }

    fn allocate(&self, what: &str, element: Element, len: usize) -> Result<BufferId> {
        let storage = match element {
            Element::Float => zeros(len, R::from_f64(0.0)).map(Storage::Floats),
            Element::Word => zeros(len, 0).map(Storage::Words),
        };
        let storage = storage.ok_or_else(|| Error::Device {
            device: self.name.to_owned(),
            operation: format!("allocate {} bytes for {what}", len * size_of::<R>()),
            reason: "out of memory".to_owned(),
        })?;
        let id = BufferId::new();
        let name = what.into();
        self.lock().insert(id, HostBuffer { name, storage });
        Ok(id)
    }

    fn free(&self, buffer: BufferId) {
        self.lock().remove(&buffer);
    }

    fn threads(&self) -> Option<Arc<rayon::ThreadPool>> {
        self.pool.clone()
    }

    fn play(&self, recording: &Recording<'_>) -> Result<Pending> {
        let mut guard = self.lock();
        let buffers = &mut *guard;
        recording.check(|id| buffers.get(&id).map(HostBuffer::known))?;
        let values = caught(|| match &self.pool {
            // Runs on a thread of the pool, so that the kernels' parallel loops stay in that pool.
            Some(pool) => pool.install(|| self.perform(buffers, recording)),
            None => self.perform(buffers, recording),
        });
        let values = values.map_err(|message| Error::Device {
            device: self.name.to_owned(),
            operation: "play a recording".to_owned(),
            reason: format!("a panic: {message}"),
        })?;
        values.map(Pending::Ready)
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.clock)
    }
}

impl<R: HostReal> Host<R> {
    /// Performs the commands of a checked recording, and times them if the clock is on.
    fn perform(&self, buffers: &mut Buffers<R>, recording: &Recording<'_>) -> Result<Vec<Values>> {
        let mut values = Vec::new();
        let commands = recording.commands();
        let timed = self.clock.is_on();
        for command in commands {
            let start = timed.then(Instant::now);
            self.command(buffers, command, &mut values)?;
            if let Some(start) = start {
                self.clock.add(WorkTime::of(command, start.elapsed()));
            }
        }
        Ok(values)
    }

    fn command(
        &self,
        buffers: &mut Buffers<R>,
        command: &Command<'_>,
        values: &mut Vec<Values>,
    ) -> Result<()> {
        match command {
            Command::Upload(id, first, data) => {
                if let Some(buffer) = buffers.get_mut(id) {
                    fill(&mut buffer.storage, *first, *data);
                }
            }
            Command::Copy {
                from,
                to,
                first,
                len,
            } => {
                if let Some((id, mut target)) = buffers.remove_entry(to) {
                    let place = *first..*first + *len;
                    copy(&mut target.storage, &buffers[from].storage, place);
                    buffers.insert(id, target);
                }
            }
            Command::Dispatch(dispatch) => self.dispatch(buffers, dispatch),
            Command::Read(id, len) => values.push(match &buffers[id].storage {
                Storage::Floats(floats) => R::values(&floats[..*len])?,
                Storage::Words(words) => Values::Words(copied(READ, &words[..*len])?),
            }),
        }
        Ok(())
    }
}
