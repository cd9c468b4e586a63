//! Makes batches between the steps, on the threads that also compute the steps, or on the thread
//! that takes them.
//!
//! Separate threads would share the cores with the CPU executor. While one of them has a core, the
//! executor's thread there waits, and the other cores idle until that thread has finished.

use super::loader::{Make, Reply};
use super::shuffle::RawBatches;
use crate::engine::device::Device;
use rayon::prelude::*;
use std::collections::VecDeque;

/// Whenever no batch is left, this makes one batch for each thread of the device.
pub(crate) struct Turns {
    /// `None` if the thread that takes the batches makes them.
    device: Option<Device>,
    /// One per thread.
    makers: Vec<Make>,
    batches: RawBatches,
    /// The batches of the last turn that were not taken yet.
    ready: VecDeque<Reply>,
}

impl Turns {
    pub(crate) fn new(device: Option<&Device>, makers: Vec<Make>, batches: RawBatches) -> Self {
        Self {
            device: device.cloned(),
            makers,
            batches,
            ready: VecDeque::new(),
        }
    }

    /// The next batch; `None` after the last one. If no batch is ready, this makes some first.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        if self.ready.is_empty() {
            self.turn();
        }
        self.ready.pop_front()
    }

    /// Makes one batch per thread.
    fn turn(&mut self) {
        let mut raw = Vec::with_capacity(self.makers.len());
        let mut error = None;
        while raw.len() < self.makers.len()
            && let Some(batch) = self.batches.cut(&mut raw)
        {
            match batch {
                Ok(batch) => raw.push(batch),
                // No batch follows an error.
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
        match &self.device {
            Some(device) => {
                let work = self.makers.par_iter_mut().zip(raw).with_max_len(1);
                let made = || work.map(|(make, raw)| make(raw)).collect::<Vec<_>>();
                self.ready.extend(device.install(made));
            }
            None => {
                let work = self.makers.iter_mut().zip(raw);
                self.ready.extend(work.map(|(make, raw)| make(raw)));
            }
        }
        self.ready.extend(error.map(Err));
    }
}
