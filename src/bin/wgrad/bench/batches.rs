//! The batches of timed steps. They are built as in a training.

use super::positions::Positions;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};
use wgrad::engine::device::Device;
use wgrad::error::{Error, Result};
use wgrad::nnue::{Batch, Transpose};

/// The number of batches that each separate thread builds ahead.
const AHEAD: usize = 2;

/// Builds the batches of the next steps.
pub struct Maker<'a> {
    positions: &'a Positions,
    /// Whether the batches have the transposed index.
    transpose: Transpose,
    next: AtomicUsize,
    nanoseconds: AtomicU64,
}

impl<'a> Maker<'a> {
    pub fn new(positions: &'a Positions, transpose: Transpose) -> Self {
        Self {
            positions,
            transpose,
            next: AtomicUsize::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// The next batch, in the memory of one that is done.
    pub fn make(&self, spare: Option<Batch>) -> Result<Cow<'a, Batch>> {
        let start = Instant::now();
        let step = self.next.fetch_add(1, Ordering::Relaxed);
        let batch = self.positions.batch(step, spare, self.transpose)?;
        let taken = start.elapsed().as_nanos() as u64;
        self.nanoseconds.fetch_add(taken, Ordering::Relaxed);
        Ok(batch)
    }

    /// The time that building took since the last call.
    pub fn taken(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.swap(0, Ordering::Relaxed))
    }
}

/// The source of the batches.
pub enum Batches<'a> {
    /// Separate threads build the batches during the steps.
    Beside {
        batches: Receiver<Result<Cow<'a, Batch>>>,
        /// Batches whose memory the next ones may use.
        spares: Sender<Batch>,
    },
    /// The compute threads build the batches between the steps. Whenever no batch is left, two
    /// threads build one batch each, or one perspective each.
    InTurns {
        maker: &'a Maker<'a>,
        device: &'a Device,
        ready: VecDeque<Cow<'a, Batch>>,
        spares: Vec<Batch>,
    },
}

impl<'a> Batches<'a> {
    /// The same source as a loader uses: the compute threads if the device computes on threads of
    /// the host, else `threads` separate threads.
    pub fn new<'scope>(
        maker: &'a Maker<'a>,
        device: &'a Device,
        threads: usize,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Self {
        if device.threads() > 0 {
            return Self::InTurns {
                maker,
                device,
                ready: VecDeque::new(),
                spares: Vec::new(),
            };
        }
        let (to_runner, batches) = bounded(AHEAD * threads);
        let (spares, to_makers) = unbounded::<Batch>();
        for _ in 0..threads {
            let (to_runner, to_makers) = (to_runner.clone(), to_makers.clone());
            // The thread ends when nobody wants more batches.
            scope.spawn(move || {
                while to_runner
                    .send(maker.make(to_makers.try_recv().ok()))
                    .is_ok()
                {}
            });
        }
        Self::Beside { batches, spares }
    }

    /// The next batch.
    pub fn take(&mut self) -> Result<Cow<'a, Batch>> {
        let none = || Error::argument("batches of a bench", "threads that make them", "none");
        match self {
            Self::Beside { batches, .. } => batches.recv().map_err(|_| none())?,
            Self::InTurns {
                maker,
                device,
                ready,
                spares,
            } => {
                if ready.is_empty() {
                    let spares: Vec<_> = (0..device.threads().div_ceil(2))
                        .map(|_| spares.pop())
                        .collect();
                    let work = spares.into_par_iter().with_max_len(1);
                    let made = || {
                        work.map(|spare| maker.make(spare))
                            .collect::<Result<Vec<_>>>()
                    };
                    ready.extend(device.install(made)?);
                }
                ready.pop_front().ok_or_else(none)
            }
        }
    }

    /// Takes a batch back to reuse its memory.
    pub fn recycle(&mut self, batch: Batch) {
        match self {
            // After the last step no thread receives it.
            Self::Beside { spares, .. } => drop(spares.send(batch)),
            Self::InTurns { spares, .. } => spares.push(batch),
        }
    }
}
