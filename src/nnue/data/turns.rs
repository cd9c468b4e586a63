//! Batches made by the threads that the consumer computes on, in turns with it.
//!
//! Workers beside them would share their cores: while one has a core, the thread that computes there waits behind it, and what waits
//! for that thread's part leaves another core idle.

use super::loader::{Make, Reply};
use super::shuffle::RawBatches;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) struct Turns {
    threads: Arc<rayon::ThreadPool>,
    /// One for each thread.
    makers: Vec<Make>,
    batches: RawBatches,
    /// Those of the last turn that are still to be handed out.
    ready: VecDeque<Reply>,
}

impl Turns {
    pub(crate) fn new(
        threads: Arc<rayon::ThreadPool>,
        makers: Vec<Make>,
        batches: RawBatches,
    ) -> Self {
        Self {
            threads,
            makers,
            batches,
            ready: VecDeque::new(),
        }
    }

    /// The next batch, if need be after a turn; none after the last.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        if self.ready.is_empty() {
            self.turn();
        }
        self.ready.pop_front()
    }

    /// Makes a batch with each thread.
    fn turn(&mut self) {
        let mut raw = Vec::with_capacity(self.makers.len());
        let mut error = None;
        while raw.len() < self.makers.len()
            && let Some(batch) = self.batches.cut(&mut raw)
        {
            match batch {
                Ok(batch) => raw.push(batch),
                // There is nothing behind it.
                Err(found) => error = Some(found),
            }
        }
        let work = self.makers.par_iter_mut().zip(raw).with_max_len(1);
        let made = || work.map(|(make, raw)| make(raw)).collect::<Vec<_>>();
        self.ready.extend(self.threads.install(made));
        self.ready.extend(error.map(Err));
    }
}
