//! The order of an epoch. The files are cut into consecutive blocks, each block is shuffled alone,
//! and the blocks are cut into batches.

use super::dataset::{Dataset, DatasetReader, Segment};
use super::draft::BATCH;
use super::place::{Origin, Place, Spot};
use super::pool::Pool;
use super::record::RawRecord;
use super::shards::Shards;
use crate::error::{Error, Result};
use crate::files::memory::reserve;
use aligned_vec::{AVec, CACHELINE_ALIGN};
use crossbeam_channel::{Receiver, Sender};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Everything that determines the order of an epoch, besides its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    /// Records of a block, below 2³²; 0 keeps the order of the files.
    pub(crate) shuffle_buffer: usize,
    pub(crate) batch_size: usize,
    pub(crate) shards: Shards,
}

/// The unchecked records of one batch or of one of its shards. The last records may still be in
/// their block.
#[derive(Default)]
pub(crate) struct RawBatch {
    pub(crate) records: Vec<RawRecord>,
    /// Where each record comes from, which errors name.
    pub(crate) origins: Vec<Origin>,
    /// The number of the batch, counted from 0 at the start of the loader.
    pub(crate) number: u64,
    /// The samples of the batch.
    pub(crate) samples: usize,
    /// Where the batches after this one begin.
    pub(crate) next: Place,
    /// Whether this is the last batch of an epoch.
    pub(crate) ends_epoch: bool,
    /// The records that [`RawBatch::gather`] will copy: a range of a block's permutation.
    rest: Option<(Arc<Lent>, Range<usize>)>,
}

impl RawBatch {
    /// The epoch of its records.
    pub(crate) fn epoch(&self) -> u64 {
        self.next.epoch - u64::from(self.ends_epoch)
    }

    fn len(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |(_, range)| range.len());
        self.records.len() + rest
    }

    /// Moves to `to` those of its records that are in a range.
    fn shard(&self, range: Range<usize>, mut to: Self) -> Self {
        let here = self.records.len();
        let range = range.start.min(self.len())..range.end.min(self.len());
        let gathered = range.start.min(here)..range.end.min(here);
        to.records.clear();
        to.origins.clear();
        to.records
            .extend_from_slice(&self.records[gathered.clone()]);
        to.origins.extend_from_slice(&self.origins[gathered]);
        to.rest = self.rest.as_ref().and_then(|(lent, rest)| {
            let place = |at: usize| rest.start + at.saturating_sub(here);
            let rest = place(range.start)..place(range.end);
            (!rest.is_empty()).then(|| (lent.clone(), rest))
        });
        Self {
            number: self.number,
            samples: self.len(),
            next: self.next,
            ends_epoch: self.ends_epoch,
            ..to
        }
    }

    /// Copies the records that are still in a block, and releases the block. The records are spread
    /// over the whole block, so the copy takes a third of the time that making the batch takes.
    pub(crate) fn gather(&mut self) {
        let Some((lent, range)) = self.rest.take() else {
            return;
        };
        let block = &lent.block;
        let order = &block.permutation[range];
        let records = order.iter().map(|&at| block.records[at as usize]);
        self.records.extend(records);
        let origins = order.iter();
        let origins = origins.map(|&at| Segment::origin(&block.segments, at as usize));
        self.origins.extend(origins);
    }
}

/// Consecutive records of the dataset, and a permutation of them.
pub(crate) struct Block {
    /// The place before its first record.
    start: Place,
    /// The place after its last record.
    end: Place,
    /// Where its records come from, by ascending index; one segment for each file.
    segments: Vec<Segment>,
    /// Aligned to cache lines, so that no record lies in two of them.
    records: AVec<RawRecord>,
    /// Indices into `records`.
    permutation: Vec<u32>,
    /// Where its data end.
    end_of_data: Spot,
    /// Whether this is the last block of an epoch.
    ends_epoch: bool,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            start: Place::default(),
            end: Place::default(),
            segments: Vec::new(),
            records: AVec::new(CACHELINE_ALIGN),
            permutation: Vec::new(),
            end_of_data: Spot::default(),
            ends_epoch: false,
        }
    }
}

impl Block {
    /// The place after some of its records.
    fn place(&self, used: usize) -> Place {
        if used == self.records.len() {
            return self.end;
        }
        Place {
            used: used as u64,
            to: self.end_of_data,
            ..self.start
        }
    }
}

/// A block that batches are cut from. Its memory returns to the reader when the last of the batches
/// has copied its records.
struct Lent {
    block: Block,
    memory: Sender<Block>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // The reader has ended if it has read its last block.
        let _ = self.memory.send(std::mem::take(&mut self.block));
    }
}

/// The blocks of all epochs, in order.
pub(crate) struct Blocks {
    dataset: Dataset,
    order: Order,
    /// The number of epochs after the current one; `None` for no end.
    epochs: Option<u64>,
    /// The beginning of the next block.
    next: Place,
    /// Whether the epoch of `next` is another one than that of the last block.
    begins_epoch: bool,
    /// Reads the next block; `None` at the beginning of an epoch.
    reader: Option<DatasetReader>,
}

impl Blocks {
    /// The blocks of `epochs` epochs, at least 1, from that of a place on.
    pub(crate) fn new(dataset: &Dataset, order: Order, epochs: Option<u64>, start: Place) -> Self {
        Self {
            dataset: dataset.clone(),
            order,
            epochs: epochs.map(|epochs| epochs.saturating_sub(1)),
            next: Place {
                used: 0,
                batches: 0,
                to: start.from,
                ..start
            },
            begins_epoch: false,
            reader: None,
        }
    }

    /// The next block, in the memory of an earlier one; `None` after the last epoch.
    fn read(&mut self, mut block: Block) -> Result<Option<Block>> {
        if std::mem::take(&mut self.begins_epoch) {
            match &mut self.epochs {
                Some(0) => return Ok(None),
                Some(left) => *left -= 1,
                None => {}
            }
            self.reader = None;
        }
        block.start = self.next;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(self.dataset.reader(self.next.from, self.next.epoch)?),
        };
        block.records.clear();
        block.segments.clear();
        let (most, before) = (self.order.block(), self.dataset.dropped());
        reader.read(&mut block.records, &mut block.segments, most)?;
        let len = block.records.len();
        if len == 0 {
            return Err(self.dataset.dropped().nothing_left(before));
        }
        block.permutation.clear();
        reserve("the order of a block", &mut block.permutation, len)?;
        block.permutation.extend(0..len as u32);
        if self.order.shuffle_buffer > 0 {
            let mut random = self.order.random(self.next.epoch, self.next.block);
            block.permutation.shuffle(&mut random);
        }
        block.ends_epoch = reader.is_at_end();
        block.end_of_data = reader.spot();
        block.end = match block.ends_epoch {
            true => Place::after(self.next.epoch + 1, 0),
            false => Place {
                block: self.next.block + 1,
                from: block.end_of_data,
                to: block.end_of_data,
                ..self.next
            },
        };
        (self.next, self.begins_epoch) = (block.end, block.ends_epoch);
        Ok(Some(block))
    }

    /// The reader thread: reads a block whenever there is memory for one, until the consumer is
    /// gone. It reads ahead, because the finished batches would run out during a read.
    pub(crate) fn serve(mut self, memory: &Receiver<Block>, blocks: &Sender<Result<Block>>) {
        for block in memory {
            let block = self.read(block).transpose();
            let Some(block) = block else { return };
            let is_last = block.is_err();
            // A closed channel means that the loader was dropped.
            if blocks.send(block).is_err() || is_last {
                return;
            }
        }
    }
}

/// Where blocks come from.
pub(crate) enum Supply {
    /// The reader thread.
    Thread(Receiver<Result<Block>>),
    /// The thread that cuts batches. Used blocks come back through the channel.
    Own(Box<Blocks>, Receiver<Block>),
}

impl Supply {
    /// The next block; `None` after the last one, or if the reader thread is gone.
    fn next(&mut self) -> Option<Result<Block>> {
        match self {
            Self::Thread(blocks) => blocks.recv().ok(),
            Self::Own(blocks, used) => {
                let memory = used.try_recv().unwrap_or_default();
                blocks.read(memory).transpose()
            }
        }
    }
}

/// The raw batches, cut from blocks in order.
pub(crate) struct RawBatches {
    batch_size: usize,
    shards: Shards,
    /// The shards of the last batch that were not taken yet.
    rest: VecDeque<RawBatch>,
    blocks: Supply,
    /// Returns the memory of used blocks to the reader.
    memory: Sender<Block>,
    /// The block that batches are cut from.
    block: Option<Arc<Lent>>,
    /// The number of its records that are already in batches.
    used: usize,
    /// The number of records to leave out at the beginning of the first block.
    skip: u64,
    /// The number of batches to leave out then.
    skipped_batches: u64,
    /// The number of batches so far, without those that were left out.
    count: u64,
    /// The memory of earlier batches.
    spares: Pool<RawBatch>,
}

impl RawBatches {
    /// The batches from a place on.
    pub(crate) fn new(
        order: Order,
        start: Place,
        (blocks, memory): (Supply, Sender<Block>),
        spares: Pool<RawBatch>,
    ) -> Self {
        Self {
            batch_size: order.batch_size,
            shards: order.shards,
            rest: VecDeque::new(),
            blocks,
            memory,
            block: None,
            used: 0,
            skip: start.used,
            skipped_batches: start.batches,
            count: 0,
            spares,
        }
    }

    /// Waits for the next block; `None` after the last one, or if the reader is gone.
    fn next_block(&mut self) -> Option<Result<Arc<Lent>>> {
        let skip = std::mem::take(&mut self.skip);
        let block = match self.blocks.next()? {
            Ok(block) => block,
            Err(error) => return Some(Err(error)),
        };
        let len = block.records.len();
        if skip > len as u64 {
            let expected = format!("at most the {len} records of the block");
            return Some(Err(Error::argument("start, used", expected, skip)));
        }
        self.used = skip as usize;
        let memory = self.memory.clone();
        Some(Ok(Arc::new(Lent { block, memory })))
    }
}

impl Iterator for RawBatches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cut(&mut [])
    }
}

impl RawBatches {
    /// The next batch, or its next shard. Before it waits for a block, it gathers `others`, the batches that no other
    /// thread gathers meanwhile, because the reader may need the memory of their block.
    pub(crate) fn cut(&mut self, others: &mut [RawBatch]) -> Option<Result<RawBatch>> {
        if let Some(shard) = self.rest.pop_front() {
            return Some(Ok(shard));
        }
        let all = self.skipped_batches;
        for left in (0..std::mem::take(&mut self.skipped_batches)).rev() {
            match self.cut_next(&mut [])? {
                Ok(batch) if batch.ends_epoch && left > 0 => {
                    let expected = format!("at most the {} batches of an epoch", all - left);
                    return Some(Err(Error::argument("start, batches", expected, all)));
                }
                Ok(mut batch) => {
                    batch.rest = None;
                    self.spares.give(batch);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        let mut batch = match self.cut_next(others)? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        batch.number = self.count;
        batch.samples = batch.len();
        self.count += 1;
        if self.shards.count == 1 {
            return Some(Ok(batch));
        }
        let size = self.batch_size / self.shards.count;
        for shard in self.shards.first..self.shards.end {
            let memory = self.spares.take().unwrap_or_default();
            let shard = batch.shard(shard * size..(shard + 1) * size, memory);
            self.rest.push_back(shard);
        }
        batch.rest = None;
        self.spares.give(batch);
        self.rest.pop_front().map(Ok)
    }

    fn cut_next(&mut self, others: &mut [RawBatch]) -> Option<Result<RawBatch>> {
        let mut batch = self.spares.take().unwrap_or_default();
        batch.records.clear();
        batch.origins.clear();
        let reserved = reserve(BATCH, &mut batch.records, self.batch_size)
            .and_then(|()| reserve(BATCH, &mut batch.origins, self.batch_size));
        if let Err(error) = reserved {
            return Some(Err(error));
        }
        loop {
            let lent = match self.block.take() {
                Some(lent) => lent,
                None => {
                    batch.gather();
                    others.iter_mut().for_each(RawBatch::gather);
                    match self.next_block()? {
                        Ok(lent) => lent,
                        Err(error) => return Some(Err(error)),
                    }
                }
            };
            let len = lent.block.permutation.len();
            let end = len.min(self.used + self.batch_size - batch.len());
            batch.rest = Some((lent.clone(), self.used..end));
            self.used = end;
            batch.next = lent.block.place(end);
            batch.ends_epoch = end == len && lent.block.ends_epoch;
            if end < len {
                self.block = Some(lent);
            }
            if batch.ends_epoch || batch.len() == self.batch_size {
                return Some(Ok(batch));
            }
        }
    }
}

impl Order {
    /// The number of records in a block. Without a shuffle it is the size of a batch.
    fn block(&self) -> usize {
        match self.shuffle_buffer {
            0 => self.batch_size,
            records => records,
        }
    }

    /// The generator of one block. It depends only on the seed, the epoch and the block, so that an
    /// epoch can start at any block.
    fn random(&self, epoch: u64, block: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([self.seed, epoch, block]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}
