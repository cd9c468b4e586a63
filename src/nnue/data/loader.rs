//! Reads data files and returns their batches, epoch after epoch.
//!
//! A reader thread reads and shuffles a block while the previous block is cut into batches. The
//! cutter, a second thread, makes a ticket for each batch: the receiving end of a channel for one
//! reply. It sends the ticket to the consumer. It sends the raw batch and the other end of that
//! channel to a free worker thread. The consumer waits for its tickets one after the other. So the
//! cutter decides the order, and the number of tickets bounds the memory. If one end of a channel
//! is dropped, the thread that waits at the other end wakes up.
//!
//! If the consumer computes on threads of the host, those threads make the batches, and there is
//! neither a cutter nor a worker: see `turns`. Without threads the consumer reads and makes them.

use super::dataset::Dataset;
use super::features::FeatureSet;
use super::judge::Judge;
use super::maker::{BatchMaker, Contents, Form, LoadedBatch};
use super::output_buckets::OutputBuckets;
use super::place::Place;
use super::pool::Pool;
use super::record::Position;
use super::shards::Shards;
use super::shuffle::{Block, Blocks, Order, RawBatch, RawBatches, Supply};
use super::target::Target;
use super::turns::Turns;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::nnue::needs::Needs;
use crate::optim::schedule::Shares;
use crate::panics::{caught, message};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, Thread};

/// The batches that a [`Loader`] makes.
///
/// ```
/// use wgrad::nnue::data::LoaderSettings;
///
/// let settings = LoaderSettings::default().batch_size(4096).epochs(3);
/// assert_eq!(settings.shuffle_buffer, 1 << 20);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoaderSettings {
    /// L, the samples of a batch. The last batch of an epoch has the remaining samples.
    pub batch_size: usize,
    /// The number of records that are shuffled together, at 36 bytes each; 0 keeps the order of the
    /// files.
    pub shuffle_buffer: usize,
    /// The seed of the order. Each epoch has its own order.
    pub seed: u64,
    /// Where the batches begin.
    pub start: Place,
    /// The number of epochs, of which the first is that of `start`; `None` if the data start again
    /// for ever.
    pub epochs: Option<u64>,
    /// The targets of the samples.
    pub target: Target,
    /// The schedule of λ, which replaces that of the target.
    pub shares: Option<Shares>,
    /// The weight and the λ of each position. Without it the batches have no weights.
    pub judge: Option<Judge>,
    /// The shards of each batch that the loader makes, one [`LoadedBatch`] each; whole batches by
    /// default.
    pub shards: Shards,
    /// The output bucket of each sample. Batches of a single bucket name none.
    pub output_buckets: OutputBuckets,
    /// The number of threads that make batches, besides the two that read and cut. It has no
    /// influence on the batches. If the consumer computes on threads of the host, the number of
    /// those threads replaces it. With 0, as a browser needs it, the loader starts no thread: the
    /// call that takes a batch reads and makes it.
    pub threads: usize,
}

impl Default for LoaderSettings {
    /// Batches of 16,384 samples, 2²⁰ records shuffled together, epoch 0 alone, one output bucket,
    /// and one thread per core up to 8, but none in a browser.
    fn default() -> Self {
        Self {
            batch_size: 16384,
            shuffle_buffer: 1 << 20,
            seed: 0,
            start: Place::default(),
            epochs: Some(1),
            target: Target::default(),
            shares: None,
            judge: None,
            shards: Shards::default(),
            output_buckets: OutputBuckets::ONE,
            threads: match cfg!(target_family = "wasm") {
                true => 0,
                false => std::thread::available_parallelism()
                    .map_or(1, |cores| cores.get().min(BUSY_THREADS)),
            },
        }
    }
}

crate::setters! { LoaderSettings {
    batch_size: usize,
    shuffle_buffer: usize,
    seed: u64,
    start: Place,
    target: Target,
    shares: Option<Shares>,
    judge: Option<Judge>,
    shards: Shards,
    output_buckets: OutputBuckets,
    threads: usize,
} }

/// The reader needs an eighth of the time that a thread needs to make a batch, so it cannot keep
/// more threads busy than this.
const BUSY_THREADS: usize = 8;

/// Blocks in memory: one is read while the other is used.
const BLOCKS: usize = 2;

/// A bound on the memory: two batches wait for each thread.
const MOST_THREADS: usize = 1024;

impl LoaderSettings {
    /// Sets `epochs`; `None` if the data start again for ever.
    #[must_use]
    pub fn epochs(mut self, epochs: impl Into<Option<u64>>) -> Self {
        self.epochs = epochs.into();
        self
    }

    fn check(&self, max_indices: usize) -> Result<()> {
        // Samples and offsets into index lists are 32-bit numbers on a device.
        let most = i32::MAX as usize / max_indices.max(1);
        if !(1..=most).contains(&self.batch_size) {
            let expected = format!("1 to {most}");
            return Err(Error::argument("batch_size", expected, self.batch_size));
        }
        if u32::try_from(self.shuffle_buffer).is_err() {
            let expected = format!("at most {} records", u32::MAX);
            return Err(Error::argument(
                "shuffle_buffer",
                expected,
                self.shuffle_buffer,
            ));
        }
        if self.threads > MOST_THREADS {
            let expected = format!("at most {MOST_THREADS}");
            return Err(Error::argument("threads", expected, self.threads));
        }
        self.shards.check(self.batch_size)?;
        self.target.check()
    }
}

/// A batch, or the error in its records.
pub(crate) type Reply = Result<Contents>;

/// Makes a batch.
pub(crate) type Make = Box<dyn FnMut(RawBatch) -> Reply + Send>;

/// A batch to make, and the channel for the result.
type BatchJob = (RawBatch, Sender<Reply>);

/// The batches of epochs of a [`Dataset`], in order.
///
/// **Order.** Positions in the order of the files are cut into blocks of
/// [`LoaderSettings::shuffle_buffer`] records. Each block is shuffled with a random generator. The
/// generator's seed comes from the seed, the epoch and the number of the block. Batches are cut
/// from consecutive blocks, so each position occurs once per epoch, and no batch has positions of
/// two epochs. Nothing else influences the order. A loader that starts at a [`Place`] gives the
/// rest of the same sequence. Positions of different blocks never mix, so files larger than a block
/// should be shuffled when they are made.
///
/// **Memory.** A loader holds two blocks of 36 bytes per record and at most 2·threads + 2 batches.
/// Each batch has up to 60 + 16·F bytes per sample (572 for [`Chess768`](super::Chess768)) and 8·N
/// bytes. The batches of the consumer are not counted. The size of the files does not matter.
///
/// **Errors.** An error replaces the first batch that it affects, and ends the iteration. This is
/// the batch with the damaged record, or, for text files, the first batch that needs the block with
/// the damaged line. A panic in a thread, which a custom [`FeatureSet`] or [`Judge`] can cause, is
/// such an error too, [`Error::Panic`]. Dropping a loader stops its threads and waits for them. The
/// wait is at most the time to read a block.
pub struct Loader {
    /// `None` after the last batch.
    source: Option<BatchSource>,
    threads: Vec<JoinHandle<()>>,
    spares: Pool<Contents>,
}

/// Where batches come from.
enum BatchSource {
    /// Worker threads.
    Workers {
        /// The tickets, in the order of the batches.
        tickets: Receiver<Receiver<Reply>>,
        /// The jobs that no worker has taken. [`Loader::stop`] empties it: the reader may be
        /// waiting for the memory of a block, and the workers may have panicked.
        work: Receiver<BatchJob>,
    },
    /// The consumer's own threads.
    Turns(Box<Turns>),
}

impl Loader {
    /// Starts to read. `needs` are the requirements of the network that will read the batches. With
    /// [`Needs::default`] the batches fit no particular network.
    /// [`ChessInputs::loader`](super::ChessInputs::loader) does the same with a feature set that is
    /// chosen by its name.
    ///
    /// If the network computes on threads of the host, those threads make one batch each whenever
    /// no batch is left.
    ///
    /// # Errors
    /// A setting that is out of its range. The iteration returns the errors of the files.
    pub fn new<F: FeatureSet<Position = Position> + ?Sized + 'static>(
        dataset: &Dataset,
        features: Arc<F>,
        settings: &LoaderSettings,
        needs: Needs<'_>,
    ) -> Result<Self> {
        settings.check(features.max_indices())?;
        // The loader is declared before the channels. On an early return the channels are dropped
        // first, which wakes the threads that the loader then joins.
        let mut loader = Self {
            source: None,
            threads: Vec::new(),
            spares: Pool::new(),
        };
        let samples = settings.batch_size / settings.shards.count;
        let entries = 2 * samples * features.max_indices();
        let form = Form {
            transpose: needs.transpose(samples, entries),
            by_group: needs.by_group(samples, entries),
            records: needs.records(samples, entries),
        };
        let raw_spares = Pool::new();
        let make = loader.maker(dataset, features, settings, form, raw_spares.clone());
        let device = needs.threads();
        if device.is_some() || settings.threads == 0 {
            let batches = loader.read(dataset, settings, raw_spares)?;
            let makers = (0..device.map_or(1, Device::threads)).map(|_| make());
            let turns = Turns::new(device, makers.collect(), batches);
            loader.source = Some(BatchSource::Turns(turns.into()));
            return Ok(loader);
        }
        let (to_consumer, tickets) = bounded(2 * settings.threads);
        let (to_workers, work) = bounded(2 * settings.threads);
        loader.source = Some(BatchSource::Workers {
            tickets,
            work: work.clone(),
        });
        for _ in 0..settings.threads {
            let (make, work) = (make(), work.clone());
            loader.start("wgrad worker", move || serve(&work, make))?;
        }
        let batches = loader.read(dataset, settings, raw_spares)?;
        loader.start("wgrad batches", move || {
            cut(batches, &to_consumer, &to_workers);
        })?;
        Ok(loader)
    }

    /// A function that gives each thread its own maker of batches. All makers share memory.
    fn maker<F: FeatureSet<Position = Position> + ?Sized + 'static>(
        &self,
        dataset: &Dataset,
        features: Arc<F>,
        settings: &LoaderSettings,
        form: Form,
        raw_spares: Pool<RawBatch>,
    ) -> impl Fn() -> Make + use<F> {
        let (dataset, spares) = (dataset.clone(), self.spares.clone());
        let (target, buckets) = (settings.target, settings.output_buckets);
        let (judge, shares) = (settings.judge.clone(), settings.shares.clone());
        move || {
            let mut maker = BatchMaker::new(&dataset, features.clone(), target, buckets, form);
            maker.set_judge(judge.clone());
            maker.set_shares(shares.clone());
            let (spares, raw_spares) = (spares.clone(), raw_spares.clone());
            Box::new(move |mut raw| {
                let made = caught(|| {
                    raw.gather();
                    let reply = maker.make(&raw, spares.take());
                    raw_spares.give(raw);
                    reply
                });
                made.unwrap_or_else(|message| Err(panic(&std::thread::current(), message)))
            })
        }
    }

    /// Starts to read and shuffle. Returns the raw batches that are cut from the blocks.
    fn read(
        &mut self,
        dataset: &Dataset,
        settings: &LoaderSettings,
        spares: Pool<RawBatch>,
    ) -> Result<RawBatches> {
        let order = Order {
            seed: settings.seed,
            shuffle_buffer: settings.shuffle_buffer,
            batch_size: settings.batch_size,
            shards: settings.shards,
        };
        let (to_reader, memory) = unbounded();
        let (to_cutter, blocks) = bounded(BLOCKS);
        let mut supply = Supply::Thread(blocks);
        if settings.epochs != Some(0) {
            let reader = Blocks::new(dataset, order, settings.epochs, settings.start);
            if settings.threads == 0 {
                supply = Supply::Own(reader.into(), memory);
            } else {
                // Sending cannot fail: the receiver is still here.
                (0..BLOCKS).for_each(|_| drop(to_reader.send(Block::default())));
                self.start("wgrad reader", move || reader.serve(&memory, &to_cutter))?;
            }
        }
        let supply = (supply, to_reader);
        Ok(RawBatches::new(order, settings.start, supply, spares))
    }

    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = Builder::new().name(name.into()).spawn(work);
        let thread = thread.map_err(|error| {
            Error::argument("threads", "threads that the system can start", error)
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all threads, and returns the panic of one of them.
    fn stop(&mut self) -> Result<()> {
        if let Some(BatchSource::Workers { tickets, work }) = self.source.take() {
            drop(tickets);
            // Without tickets the cutter adds at most one more job.
            work.try_iter().for_each(drop);
        }
        let ends = self.threads.drain(..).map(|thread| {
            let handle = thread.thread().clone();
            let ended = thread.join();
            ended.map_err(|payload| panic(&handle, message(&*payload)))
        });
        ends.fold(Ok(()), Result::and)
    }
}

impl Iterator for Loader {
    type Item = Result<LoadedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        // The source is taken, so that nothing is left after a panic.
        let mut source = self.source.take()?;
        let reply = match &mut source {
            BatchSource::Workers { tickets, .. } => {
                tickets.recv().and_then(|ticket| ticket.recv()).ok()
            }
            BatchSource::Turns(turns) => turns.next(),
        };
        self.source = Some(source);
        match reply {
            Some(Ok(contents)) => {
                return Some(Ok(LoadedBatch::new(contents, self.spares.clone())));
            }
            Some(Err(error)) => {
                // A later batch may have panicked meanwhile, but the error comes first.
                let _ = self.stop();
                return Some(Err(error));
            }
            None => {}
        }
        // The epochs are over, or a thread ended without a reply.
        self.stop().err().map(Err)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Nobody wants more batches, so nobody needs the reason why there are none.
        let _ = self.stop();
    }
}

/// The panic of a thread as an error.
fn panic(thread: &Thread, message: String) -> Error {
    Error::Panic {
        thread: thread.name().unwrap_or("without a name").to_owned(),
        message,
    }
}

/// Hands raw batches to the workers until the last epoch, an error or the consumer ends it.
fn cut(batches: RawBatches, to_consumer: &Sender<Receiver<Reply>>, to_workers: &Sender<BatchJob>) {
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
                // A closed channel means that the loader was dropped.
                let _ = reply.send(Err(error));
                return;
            }
        }
    }
}

/// A worker thread: makes batches until the cutter has ended and no job is left.
fn serve(work: &Receiver<BatchJob>, mut make: Make) {
    for (raw, reply) in work {
        // A closed channel means that the loader was dropped.
        let _ = reply.send(make(raw));
    }
}
