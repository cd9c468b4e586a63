//! The state that the tensors of a device share: the dispatches that are not played yet, and the
//! idle buffers.
//!
//! Operations are collected and played in batches. A buffer that is given back may serve again at
//! once: commands take effect in their order, so earlier commands still read its old contents.

use super::{Executor, Pending, Readback};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Data, Recording};
use crate::error::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of dispatches that are played together.
const BATCH: usize = 64;
/// The batches that may be in flight before the stream waits for one.
const IN_FLIGHT: usize = 4;
/// The stream always keeps idle buffers up to this many bytes, and beyond that as many bytes as are
/// in use.
const KEPT: u64 = 64 << 20;

/// A buffer on loan from a stream, with its element type and its capacity in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan {
    pub(crate) id: BufferId,
    element: Element,
    capacity: usize,
}

impl Loan {
    fn bytes(&self) -> u64 {
        4 * self.capacity as u64
    }
}

#[derive(Default)]
struct State {
    pending: Recording<'static>,
    in_flight: VecDeque<Pending>,
    idle: HashMap<(Element, usize), Vec<Loan>>,
    idle_bytes: u64,
    live_bytes: u64,
    /// The reason why an earlier batch did not run. The tensors that it should have written hold
    /// nothing.
    failure: Option<String>,
}

pub(super) struct Stream {
    executor: Arc<dyn Executor>,
    state: Mutex<State>,
}

/// Rounds a length up, in four steps per octave, so that buffers serve again for other lengths.
fn capacity(len: usize) -> usize {
    let step = (len.max(64).next_power_of_two() / 8).max(16);
    len.max(64).next_multiple_of(step)
}

impl Stream {
    pub(super) fn new(executor: Arc<dyn Executor>) -> Self {
        Self {
            executor,
            state: Mutex::default(),
        }
    }

    /// A poisoned lock means that another thread panicked between two commands; the lists are
    /// whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of at least `len` elements with undefined contents. If memory runs out, the stream
    /// frees its idle buffers and tries again.
    pub(super) fn borrow(&self, what: &str, element: Element, len: usize) -> Result<Loan> {
        let mut state = self.lock();
        // A length at the binding limit cannot be rounded up.
        let limit = (self.executor.binding_limit() / 4) as usize;
        let capacity = capacity(len).min(limit.max(len));
        if let Some(loan) = state.idle.get_mut(&(element, capacity)).and_then(Vec::pop) {
            state.idle_bytes -= loan.bytes();
            state.live_bytes += loan.bytes();
            return Ok(loan);
        }
        let allocate = || self.executor.allocate(what, element, capacity);
        let id = match allocate() {
            Ok(id) => id,
            Err(first) if state.idle_bytes == 0 && state.in_flight.is_empty() => return Err(first),
            Err(_) => {
                self.play_pending(&mut state)?;
                self.settle(&mut state, 0)?;
                self.give_up_idle(&mut state);
                allocate()?
            }
        };
        let loan = Loan {
            id,
            element,
            capacity,
        };
        state.live_bytes += loan.bytes();
        Ok(loan)
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, loan: Loan) {
        let mut state = self.lock();
        state.live_bytes -= loan.bytes();
        state.idle_bytes += loan.bytes();
        let place = (loan.element, loan.capacity);
        state.idle.entry(place).or_default().push(loan);
        if state.idle_bytes > KEPT + state.live_bytes {
            // Pending commands may still use the buffers. An error stays in the state, and the next
            // operation returns it.
            if self.play_pending(&mut state).is_ok() {
                self.give_up_idle(&mut state);
            }
        }
    }

    fn give_up_idle(&self, state: &mut State) {
        for loan in state.idle.drain().flat_map(|(_, loans)| loans) {
            self.executor.free(loan.id);
        }
        state.idle_bytes = 0;
    }

    /// Adds the commands that `record` records.
    pub(super) fn record(&self, record: impl FnOnce(&mut Recording<'static>)) -> Result<()> {
        let mut state = self.lock();
        self.check(&state)?;
        record(&mut state.pending);
        if state.pending.commands().len() >= BATCH {
            self.play_pending(&mut state)?;
        }
        Ok(())
    }

    /// Uploads values into a buffer, after all recorded commands.
    pub(super) fn upload(&self, buffer: BufferId, data: Data<'_>) -> Result<()> {
        let mut state = self.lock();
        self.check(&state)?;
        self.play_pending(&mut state)?;
        let mut recording = Recording::new();
        recording.upload(buffer, data);
        let playing = self.executor.play(&recording)?;
        state.in_flight.push_back(playing);
        self.settle(&mut state, IN_FLIGHT)
    }

    /// Plays all recorded commands, then reads elements back.
    pub(super) fn read(&self, buffer: BufferId, len: usize) -> Result<Readback> {
        let mut state = self.lock();
        self.check(&state)?;
        state.pending.read(buffer, len);
        let recording = std::mem::take(&mut state.pending);
        self.play_now(&recording)
            .map(Readback)
            .map_err(|error| fail(&mut state, error))
    }

    /// Plays all recorded commands.
    pub(super) fn flush(&self) -> Result<()> {
        let mut state = self.lock();
        self.check(&state)?;
        self.play_pending(&mut state)
    }

    /// Plays all recorded commands and waits for them.
    pub(super) fn finish(&self) -> Result<()> {
        let mut state = self.lock();
        self.check(&state)?;
        self.play_pending(&mut state)?;
        self.settle(&mut state, 0)
    }

    fn check(&self, state: &State) -> Result<()> {
        match &state.failure {
            None => Ok(()),
            Some(reason) => Err(Error::Device {
                device: self.executor.name().to_owned(),
                operation: "go on after a batch of operations that failed".to_owned(),
                reason: reason.clone(),
            }),
        }
    }

    fn play_pending(&self, state: &mut State) -> Result<()> {
        if state.pending.commands().is_empty() {
            return Ok(());
        }
        let recording = std::mem::take(&mut state.pending);
        let playing = self.play_now(&recording);
        // The list keeps its capacity for the next batch.
        state.pending = recording;
        state.pending.clear();
        let playing = playing.map_err(|error| fail(state, error))?;
        state.in_flight.push_back(playing);
        self.settle(state, IN_FLIGHT)
    }

    /// Plays commands without waiting for other recordings to share their submission: a batch is
    /// long, and the device begins with a value that is read later while the host goes on.
    fn play_now(&self, recording: &Recording<'_>) -> Result<Pending> {
        let playing = self.executor.play(recording)?;
        self.executor.submit()?;
        Ok(playing)
    }

    /// Waits until at most `most` batches are in flight.
    fn settle(&self, state: &mut State, most: usize) -> Result<()> {
        while state.in_flight.len() > most {
            if let Some(oldest) = state.in_flight.pop_front() {
                let done = Readback(oldest).wait();
                done.map_err(|error| fail(state, error))?;
            }
        }
        Ok(())
    }
}

/// Keeps the reason why a batch failed.
fn fail(state: &mut State, error: Error) -> Error {
    state.failure = Some(error.to_string());
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device::{Class, Values};

    #[test]
    fn capacities_have_room_and_waste_little() {
        for len in [0, 1, 64, 65, 100, 1000, 4097, 1 << 20, (1 << 20) + 1] {
            let room = capacity(len);
            assert!(
                room >= len.max(64) && room <= len + len / 4 + 64,
                "{len}: {room}"
            );
            assert_eq!(capacity(room), room);
        }
    }

    /// A device of 1000 elements.
    #[derive(Default)]
    struct Small {
        held: Mutex<HashMap<BufferId, usize>>,
    }

    impl Executor for Small {
        fn name(&self) -> &str {
            "small"
        }
        fn class(&self) -> Class {
            Class::Gpu
        }
        fn binding_limit(&self) -> u64 {
            4000
        }
        fn allocate(&self, what: &str, _: Element, len: usize) -> Result<BufferId> {
            let mut held = self.held.lock().unwrap();
            if held.values().sum::<usize>() + len > 1000 {
                return Err(Error::Device {
                    device: "small".to_owned(),
                    operation: format!("allocate {len} elements for {what}"),
                    reason: "out of memory".to_owned(),
                });
            }
            let id = BufferId::new();
            held.insert(id, len);
            Ok(id)
        }
        fn free(&self, buffer: BufferId) {
            self.held.lock().unwrap().remove(&buffer);
        }
        fn play(&self, recording: &Recording<'_>) -> Result<Pending> {
            let reads = recording
                .commands()
                .iter()
                .filter_map(|command| match command {
                    crate::engine::recording::Command::Read(_, len) => {
                        Some(Values::F32(vec![0.0; *len]))
                    }
                    _ => None,
                });
            Ok(Pending::Ready(reads.collect()))
        }
    }

    #[test]
    fn idle_buffers_are_given_up_before_memory_is_said_to_be_out() {
        let stream = Stream::new(Arc::new(Small::default()));
        let borrow = |len| stream.borrow("a tensor", Element::Float, len);
        let first = borrow(600).unwrap();
        stream.give_back(first);
        // Another length: the idle buffer is in the way.
        let second = borrow(800).unwrap();
        let error = borrow(700).unwrap_err().to_string();
        assert!(
            error.contains("a tensor") && error.contains("out of memory"),
            "{error}"
        );
        // The device goes on, and the buffer serves again.
        stream.give_back(second);
        let third = borrow(790).unwrap();
        assert_eq!(third.id, second.id);
        assert!(stream.read(third.id, 5).is_ok());
    }
}
