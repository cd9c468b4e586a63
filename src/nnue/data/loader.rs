//! Streams the batches of epochs: a reader thread, one that cuts batches, worker threads, and the consumer in order.
//!
//! The reader reads and shuffles a block while the one before is cut into batches. The cutter makes a ticket for each
//! batch: the receiving end of a channel for one reply. Tickets go to the consumer, who waits on them one after the
//! other, and the raw batch goes with the sending end to whichever worker is free. So the order is the cutter's, no
//! batch can overtake another, the number of tickets bounds what is in memory, and whoever drops an end wakes the other
//! side.
//!
//! In turns with a consumer that computes on the same cores there are no workers and no cutter: see `turns`.

use super::dataset::Dataset;
use super::features::FeatureSet;
use super::maker::{BatchMaker, LoadedBatch};
use super::pool::Pool;
use super::shuffle::{Block, Blocks, Order, RawBatch, RawBatches};
use super::target::Target;
use super::turns::Turns;
use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Which batches a [`Loader`] makes.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderSettings {
    /// L, samples in a batch; the last batch of an epoch has what is left.
    pub batch_size: usize,
    /// Records that are shuffled among each other, 32 bytes each; 0 keeps the order of the files.
    pub shuffle: usize,
    /// With the epoch, determines the order.
    pub seed: u64,
    /// The number of the first epoch.
    pub epoch: u64,
    /// How many epochs, one after the other.
    pub epochs: u64,
    /// Batches of the first epoch to leave out at its beginning, to resume within it.
    pub skip: u64,
    /// What the samples' targets are.
    pub target: Target,
    /// Threads that make batches, beside the two that read and cut. Without influence on the batches.
    pub workers: usize,
    /// Whether the workers make the transposed index too; else who reads it first makes it. See
    /// [`Network::reads_transposed`](crate::nnue::Network::reads_transposed).
    pub transposed: bool,
}

impl Default for LoaderSettings {
    /// Batches of 16384, 2²⁰ records shuffled, the whole of epoch 0 alone, a worker for each core up to 8.
    fn default() -> Self {
        Self {
            batch_size: 16384,
            shuffle: 1 << 20,
            seed: 0,
            epoch: 0,
            epochs: 1,
            skip: 0,
            target: Target::default(),
            workers: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(BUSY_WORKERS)),
            transposed: true,
        }
    }
}

/// The reader takes an eighth of a worker's time for a batch, so it keeps no more workers than these busy.
const BUSY_WORKERS: usize = 8;

/// Blocks in memory: one is read while the other is used.
const BLOCKS: usize = 2;

/// Each worker has two batches waiting for it, so their number bounds the memory.
const MOST_WORKERS: usize = 1024;

impl LoaderSettings {
    fn check(&self, dataset: &Dataset, features: &(impl FeatureSet + ?Sized)) -> Result<()> {
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

/// A batch, or what is wrong with its records.
pub(crate) type Reply = Result<LoadedBatch>;

/// Makes a batch.
pub(crate) type Make = Box<dyn FnMut(RawBatch) -> Reply + Send>;

/// A batch to make, and where it goes.
type Work = (RawBatch, Sender<Reply>);

/// The batches of epochs of a [`Dataset`], in order.
///
/// The positions, in the order of the files, are cut into blocks of [`LoaderSettings::shuffle`] records. Each
/// block is shuffled with a generator seeded from (seed, epoch, number of the block), and batches are cut from
/// the blocks end to end, so that each position comes once an epoch. The sequence depends on nothing else:
/// not on the number of workers, and a loader that skips k batches gives the rest of the sequence. To skip costs
/// one block, in text files also the reading of the lines before. As positions of different blocks never
/// mix, files larger than a block should have been shuffled once when they were made. No batch has positions of two epochs.
///
/// Memory: two blocks of 36 bytes a record, and at most 2·workers + 2 batches (in turns two a thread), each of up to 56 + 16·width bytes
/// a sample (568 for [`Chess768`](super::Chess768)) and 8·N bytes, whatever the size of the files. Who gives batches back by
/// [`Loader::recycle`] spares the system the clearing of pages, which takes longer than to fill them.
///
/// An error takes the place of the first batch that it touches and ends the iteration: that with the bad
/// record in it, or in text files the first that needs the block with the bad line. A panic in a thread, which
/// only a [`FeatureSet`] from outside could cause, goes on in the consumer. Dropping the loader stops its
/// threads and waits for them, at the longest until a block is read.
pub struct Loader {
    /// None once it has stopped.
    source: Option<Source>,
    threads: Vec<JoinHandle<()>>,
    spares: Pool<LoadedBatch>,
}

/// Where batches come from.
enum Source {
    /// From workers.
    Workers {
        /// In the cutter's order.
        tickets: Receiver<Receiver<Reply>>,
        /// What they have yet to take, for the end: the reader may be waiting for the memory of a block, and they may have panicked.
        work: Receiver<Work>,
    },
    /// From the consumer's own threads.
    Turns(Turns),
}

impl Loader {
    /// Starts to read.
    ///
    /// # Errors
    /// A setting out of its range. What is wrong with the files comes out of the iteration.
    pub fn new<F: FeatureSet + ?Sized + 'static>(
        dataset: &Dataset,
        features: Arc<F>,
        settings: &LoaderSettings,
    ) -> Result<Self> {
        settings.check(dataset, &*features)?;
        // Declared before the channels, so that on an early return the channels are gone, and with them what the threads
        // wait for, before the loader's drop joins the threads.
        let mut loader = Self::empty();
        let raw_spares = Pool::new();
        let (to_consumer, tickets) = bounded(2 * settings.workers);
        let (to_workers, work) = bounded(2 * settings.workers);
        loader.source = Some(Source::Workers {
            tickets,
            work: work.clone(),
        });
        for _ in 0..settings.workers {
            let make = loader.make(dataset, features.clone(), settings, &raw_spares);
            let work = work.clone();
            loader.start("wgrad worker", move || serve(&work, make))?;
        }
        let batches = loader.read(dataset, settings, raw_spares)?;
        loader.start("wgrad batches", move || {
            cut(batches, &to_consumer, &to_workers);
        })?;
        Ok(loader)
    }

    /// Starts to read, for a consumer that computes on these threads: they make the batches, one each, whenever it has none left. So
    /// they never wait for a worker that has their core. [`LoaderSettings::workers`] has no influence. A panic while a batch is made takes the
    /// others of that turn with it.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn in_turns<F: FeatureSet + ?Sized + 'static>(
        dataset: &Dataset,
        features: Arc<F>,
        settings: &LoaderSettings,
        threads: Arc<rayon::ThreadPool>,
    ) -> Result<Self> {
        settings.check(dataset, &*features)?;
        let mut loader = Self::empty();
        let raw_spares = Pool::new();
        let batches = loader.read(dataset, settings, raw_spares.clone())?;
        let make = |_| loader.make(dataset, features.clone(), settings, &raw_spares);
        let makers = (0..threads.current_num_threads()).map(make).collect();
        loader.source = Some(Source::Turns(Turns::new(threads, makers, batches)));
        Ok(loader)
    }

    fn empty() -> Self {
        Self {
            source: None,
            threads: Vec::new(),
            spares: Pool::new(),
        }
    }

    /// What makes batches, in memory that goes round.
    fn make<F: FeatureSet + ?Sized + 'static>(
        &self,
        dataset: &Dataset,
        features: Arc<F>,
        settings: &LoaderSettings,
        raw_spares: &Pool<RawBatch>,
    ) -> Make {
        let (target, transposed) = (settings.target, settings.transposed);
        let mut maker = BatchMaker::new(dataset, features, target, transposed);
        let (spares, raw_spares) = (self.spares.clone(), raw_spares.clone());
        Box::new(move |mut raw| {
            raw.gather();
            let reply = maker.make(&raw, spares.take());
            raw_spares.give(raw);
            reply
        })
    }

    /// Starts to read and shuffle; gives what cuts batches from that.
    fn read(
        &mut self,
        dataset: &Dataset,
        settings: &LoaderSettings,
        spares: Pool<RawBatch>,
    ) -> Result<RawBatches> {
        let mut order = Order {
            seed: settings.seed,
            epoch: settings.epoch,
            shuffle: settings.shuffle,
            batch_size: settings.batch_size,
        };
        let (mut epochs, mut skip) = (settings.epochs, settings.skip);
        if skip == dataset.batches(settings.batch_size) {
            order.epoch += 1;
            epochs = epochs.saturating_sub(1);
            skip = 0;
        }
        let (to_reader, memory) = unbounded();
        let (to_cutter, blocks) = bounded(BLOCKS);
        if epochs > 0 {
            // The receiver is here.
            (0..BLOCKS).for_each(|_| drop(to_reader.send(Block::default())));
            let reader = Blocks::new(dataset, order, epochs, skip);
            self.start("wgrad reader", move || reader.serve(&memory, &to_cutter))?;
        }
        Ok(RawBatches::new(order, skip, (blocks, to_reader), spares))
    }

    /// Takes a batch back to use its memory for another.
    pub fn recycle(&self, batch: LoadedBatch) {
        self.spares.give(batch);
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
        if let Some(Source::Workers { tickets, work }) = self.source.take() {
            drop(tickets);
            // Without tickets the cutter adds at most one more.
            work.try_iter().for_each(drop);
        }
        let ends = self.threads.drain(..).map(JoinHandle::join);
        ends.fold(Ok(()), std::thread::Result::and)
    }
}

impl Iterator for Loader {
    type Item = Result<LoadedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        // Taken, so that there is none after a panic.
        let mut source = self.source.take()?;
        let reply = match &mut source {
            Source::Workers { tickets, .. } => tickets.recv().and_then(|ticket| ticket.recv()).ok(),
            Source::Turns(turns) => turns.next(),
        };
        self.source = Some(source);
        match reply {
            Some(Ok(batch)) => return Some(Ok(batch)),
            Some(Err(error)) => {
                // A later batch may have panicked meanwhile, but the error comes first.
                let _ = self.stop();
                return Some(Err(error));
            }
            None => {}
        }
        // The epochs are over, or a thread has left without an answer.
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

/// Hands batches out: until the last epoch, the files or the consumer end it.
fn cut(batches: RawBatches, to_consumer: &Sender<Receiver<Reply>>, to_workers: &Sender<Work>) {
    for raw in batches {
        let (reply, ticket) = bounded(1);
        if to_consumer.send(ticket).is_err() {
            return;
        }
        match raw {
            Ok(raw) => {
                if to_workers.send((raw, reply)).is_err() {
                    return;
                }
            }
            Err(error) => {
                // Nobody to read it is no fault: the loader was dropped.
                let _ = reply.send(Err(error));
                return;
            }
        }
    }
}

/// A worker: until the cutter is gone and all is done.
fn serve(work: &Receiver<Work>, mut make: Make) {
    for (raw, reply) in work {
        // As above: a dropped ticket is no fault.
        let _ = reply.send(make(raw));
    }
}
