//! Streams the batches of one epoch: a reader thread, worker threads, and the consumer in order.
//!
//! The reader makes a ticket for each batch: the receiving end of a channel for one reply. Tickets go to
//! the consumer, who waits on them one after the other, and the raw batch goes with the sending end to
//! whichever worker is free. So the order is the reader's, no batch can overtake another, the number of
//! tickets bounds what is in memory, and whoever drops an end wakes the other side.

use super::dataset::Dataset;
use super::features::FeatureSet;
use super::record::Position;
use super::shuffle::{Order, RawBatch, RawBatches};
use super::target::Target;
use crate::batch::{Batch, Inputs, PADDING, SparseInputs};
use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// A batch with what its targets were made of.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedBatch {
    /// Inputs and targets.
    pub batch: Batch,
    /// The score of each sample in centipawns, for the side to move, `[L]`.
    pub scores: Vec<i16>,
    /// The result of each sample's game for the side to move: 0, ½ or 1, `[L]`.
    pub results: Vec<f32>,
}

/// Which batches a [`Loader`] makes.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderSettings {
    /// L, samples in a batch; the last batch of an epoch has what is left.
    pub batch_size: usize,
    /// Records that are shuffled among each other, 32 bytes each; 0 keeps the order of the files.
    pub shuffle: usize,
    /// With the epoch, determines the order.
    pub seed: u64,
    /// The number of the epoch.
    pub epoch: u64,
    /// Batches of the epoch to leave out at its beginning, to resume within it.
    pub skip: u64,
    /// What the samples' targets are.
    pub target: Target,
    /// Threads that make batches, beside the one that reads. Has no influence on the batches.
    pub workers: usize,
}

impl Default for LoaderSettings {
    /// Batches of 16384, 2²⁰ records shuffled, the whole of epoch 0, a worker for each core.
    fn default() -> Self {
        Self {
            batch_size: 16384,
            shuffle: 1 << 20,
            seed: 0,
            epoch: 0,
            skip: 0,
            target: Target::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Each worker has two batches waiting for it, so their number bounds the memory.
const MOST_WORKERS: usize = 1024;

impl LoaderSettings {
    fn check(&self, dataset: &Dataset, features: &dyn FeatureSet) -> Result<()> {
        // Indices of samples and places in index lists are 32 bits wide on the device.
        let most = i32::MAX as usize / features.width().max(1);
        if !(1..=most).contains(&self.batch_size) {
            return Err(Error::argument(
                "batch size",
                format!("1 to {most}"),
                self.batch_size,
            ));
        }
        if u32::try_from(self.shuffle).is_err() {
            return Err(Error::argument(
                "shuffle",
                format!("at most {} records", u32::MAX),
                self.shuffle,
            ));
        }
        let batches = dataset.batches(self.batch_size);
        if self.skip > batches {
            return Err(Error::argument(
                "skip",
                format!("at most the {batches} batches of an epoch"),
                self.skip,
            ));
        }
        if !(1..=MOST_WORKERS).contains(&self.workers) {
            let expected = format!("1 to {MOST_WORKERS}");
            return Err(Error::argument("workers", expected, self.workers));
        }
        self.target.check()
    }
}

/// The reply to one ticket.
type Reply = Result<LoadedBatch>;

/// The batches of one epoch of a [`Dataset`], in order.
///
/// The positions, in the order of the files, are cut into blocks of [`LoaderSettings::shuffle`] records. Each
/// block is shuffled with a generator seeded from (seed, epoch, number of the block), and batches are cut from
/// the blocks end to end, so that each position comes once an epoch. The sequence depends on nothing else:
/// not on the number of workers, and a loader that skips k batches gives the rest of the sequence. To skip costs
/// one block, in text files also the reading of the lines before. As positions of different blocks never
/// mix, files larger than a block should have been shuffled once when they were made.
///
/// Memory: one block of 36 bytes a record, and at most 2·workers + 2 batches, each of up to 56 + 16·width bytes
/// a sample (568 for [`Chess768`](super::Chess768)) and 8·N bytes, whatever the size of the files.
///
/// An error takes the place of the first batch that it touches and ends the iteration: that with the bad
/// record in it, or in text files the first that needs the block with the bad line. A panic in a thread, which
/// only a [`FeatureSet`] from outside could cause, goes on in the consumer. Dropping the loader stops its
/// threads and waits for them, at the longest until a block is read.
pub struct Loader {
    tickets: Option<Receiver<Receiver<Reply>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Loader {
    /// Starts to read.
    ///
    /// # Errors
    /// A setting out of its range. What is wrong with the files comes out of the iteration.
    pub fn new(
        dataset: &Dataset,
        features: Arc<dyn FeatureSet>,
        settings: &LoaderSettings,
    ) -> Result<Self> {
        settings.check(dataset, &*features)?;
        // Declared before the channels, so that on an early return the channels are gone, and with them what the threads
        // wait for, before the loader's drop joins the threads.
        let mut loader = Self {
            tickets: None,
            threads: Vec::new(),
        };
        let (to_consumer, tickets) = bounded(2 * settings.workers);
        let (to_workers, work) = bounded(2 * settings.workers);
        loader.tickets = Some(tickets);
        for _ in 0..settings.workers {
            let (dataset, features) = (dataset.clone(), features.clone());
            let (target, work) = (settings.target, work.clone());
            loader.start("wgrad worker", move || {
                serve(&work, |raw| make_batch(&raw, &dataset, &*features, target));
            })?;
        }
        if settings.skip < dataset.batches(settings.batch_size) {
            let order = Order {
                seed: settings.seed,
                epoch: settings.epoch,
                shuffle: settings.shuffle,
                batch_size: settings.batch_size,
            };
            let (dataset, skip) = (dataset.clone(), settings.skip);
            loader.start("wgrad reader", move || {
                read(&dataset, order, skip, &to_consumer, &to_workers);
            })?;
        }
        Ok(loader)
    }

    fn start(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = Builder::new().name(name.into()).spawn(body);
        let thread = thread.map_err(|error| {
            Error::argument("workers", "threads that the system can start", error)
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all threads; a panic of one of them is the return value.
    fn stop(&mut self) -> std::thread::Result<()> {
        self.tickets = None;
        let ends = self.threads.drain(..).map(JoinHandle::join);
        ends.fold(Ok(()), std::thread::Result::and)
    }
}

impl Iterator for Loader {
    type Item = Result<LoadedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let ticket = self.tickets.as_ref()?.recv();
        match ticket.and_then(|ticket| ticket.recv()) {
            Ok(Ok(batch)) => return Some(Ok(batch)),
            Ok(Err(error)) => {
                // A later batch may have panicked meanwhile, but the error comes first.
                let _ = self.stop();
                return Some(Err(error));
            }
            Err(_) => {}
        }
        // The epoch is over, or a thread has left without an answer.
        if let Err(panic) = self.stop() {
            resume_unwind(panic);
        }
        None
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A panic here would abort; the thread has already printed its own.
        let _ = self.stop();
    }
}

/// The reader: until the epoch, the files or the consumer end it.
fn read(
    dataset: &Dataset,
    order: Order,
    skip: u64,
    to_consumer: &Sender<Receiver<Reply>>,
    to_workers: &Sender<(RawBatch, Sender<Reply>)>,
) {
    let hand_out = |raw: Result<RawBatch>| {
        let (reply, ticket) = bounded(1);
        if to_consumer.send(ticket).is_err() {
            return false;
        }
        match raw {
            Ok(raw) => to_workers.send((raw, reply)).is_ok(),
            Err(error) => {
                // Nobody to read it is no fault: the loader was dropped.
                let _ = reply.send(Err(error));
                false
            }
        }
    };
    match RawBatches::new(dataset, order, skip) {
        Ok(mut batches) => {
            batches.all(hand_out);
        }
        Err(error) => {
            hand_out(Err(error));
        }
    }
}

/// A worker: until the reader is gone and all is done.
fn serve(work: &Receiver<(RawBatch, Sender<Reply>)>, make: impl Fn(RawBatch) -> Reply) {
    for (raw, reply) in work {
        // As above: a dropped ticket is no fault.
        let _ = reply.send(make(raw));
    }
}

/// Checks the records and lists their features and targets.
fn make_batch(
    raw: &RawBatch,
    dataset: &Dataset,
    features: &dyn FeatureSet,
    target: Target,
) -> Result<LoadedBatch> {
    let (samples, width) = (raw.records.len(), features.width());
    let mut own = vec![PADDING; samples * width];
    let mut other = own.clone();
    let mut targets = Vec::with_capacity(samples);
    let mut scores = Vec::with_capacity(samples);
    let mut results = Vec::with_capacity(samples);
    for (sample, (record, &position)) in raw.records.iter().zip(&raw.positions).enumerate() {
        let position = Position::from_bytes(record).map_err(|fault| {
            let (path, number) = dataset.locate(position);
            fault.at(path, format_args!("record {number} (counted from 0)"))
        })?;
        let list = sample * width..(sample + 1) * width;
        features.write(&position, &mut own[list.clone()], &mut other[list]);
        targets.push(target.of(&position));
        scores.push(position.score());
        results.push(position.result());
    }
    let lists = |name, indices| SparseInputs::new(name, features.features(), width, indices);
    let inputs = [
        lists("features of the side to move", own)?,
        lists("features of the other side", other)?,
    ];
    Ok(LoadedBatch {
        batch: Batch::new(Inputs::Sparse(inputs), targets)?,
        scores,
        results,
    })
}
