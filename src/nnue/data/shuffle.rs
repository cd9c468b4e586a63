//! The order of an epoch. The files are cut into consecutive blocks, each block is shuffled alone,
//! and the blocks are cut into batches.

use super::dataset::{Dataset, DatasetReader};
use super::pool::Pool;
use super::record::RawRecord;
use crate::error::Result;
use aligned_vec::{AVec, CACHELINE_ALIGN};
use crossbeam_channel::{Receiver, Sender};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::sync::Arc;

/// Everything that determines the order of an epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    /// Records of a block, below 2³²; 0 keeps the order of the files.
    pub(crate) shuffle_buffer: usize,
    pub(crate) batch_size: usize,
}

/// The unchecked records of one batch. The last records may still be in their block.
#[derive(Default)]
pub(crate) struct RawBatch {
    pub(crate) records: Vec<RawRecord>,
    /// The number of each record in the dataset, which errors name.
    pub(crate) positions: Vec<u64>,
    /// The records that [`RawBatch::gather`] will copy: a range of a block's permutation.
    rest: Option<(Arc<Lent>, Range<usize>)>,
}

impl RawBatch {
    fn len(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |(_, range)| range.len());
        self.records.len() + rest
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
        let positions = order.iter().map(|&at| block.start + u64::from(at));
        self.positions.extend(positions);
    }
}

/// Consecutive records of the dataset, and a permutation of them.
pub(crate) struct Block {
    /// The number of the first record in the dataset.
    start: u64,
    /// Aligned to cache lines, so that no record lies in two of them.
    records: AVec<RawRecord>,
    /// Indices into `records`.
    permutation: Vec<u32>,
    /// Whether this is the last block of an epoch.
    ends_epoch: bool,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            start: 0,
            records: AVec::new(CACHELINE_ALIGN),
            permutation: Vec::new(),
            ends_epoch: false,
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
    /// The number of epochs after the current one.
    epochs: u64,
    /// The number of the next block.
    next: u64,
    /// Reads the next block; `None` at the beginning of an epoch.
    reader: Option<DatasetReader>,
}

impl Blocks {
    /// The blocks of `epochs` epochs from batch `skip` of the first epoch on. That batch must
    /// exist.
    pub(crate) fn new(dataset: &Dataset, order: Order, epochs: u64, skip: u64) -> Self {
        Self {
            dataset: dataset.clone(),
            order,
            epochs: epochs - 1,
            next: skip * order.batch_size as u64 / order.block(),
            reader: None,
        }
    }

    /// The next block, in the memory of an earlier one; `None` after the last epoch.
    fn read(&mut self, mut block: Block) -> Result<Option<Block>> {
        let positions = self.dataset.positions();
        if self.next * self.order.block() >= positions {
            if self.epochs == 0 {
                return Ok(None);
            }
            self.epochs -= 1;
            self.order.epoch += 1;
            (self.next, self.reader) = (0, None);
        }
        block.start = self.next * self.order.block();
        let len = self.order.block().min(positions - block.start) as usize;
        block.ends_epoch = block.start + len as u64 == positions;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(self.dataset.reader(block.start)?),
        };
        block.records.resize(len, RawRecord::default());
        reader.read(&mut block.records)?;
        block.permutation.clear();
        block.permutation.extend(0..len as u32);
        if self.order.shuffle_buffer > 0 {
            let mut random = self.order.random(self.next);
            block.permutation.shuffle(&mut random);
        }
        self.next += 1;
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

/// The raw batches, cut from blocks in order.
pub(crate) struct RawBatches {
    batch_size: usize,
    blocks: Receiver<Result<Block>>,
    /// Returns the memory of used blocks to the reader.
    memory: Sender<Block>,
    /// The block that batches are cut from.
    block: Option<Arc<Lent>>,
    /// The number of its records that are already in batches.
    used: usize,
    /// The number of records to leave out at the beginning of the first block.
    skip: usize,
    /// The memory of earlier batches.
    spares: Pool<RawBatch>,
}

impl RawBatches {
    /// The batches from batch `skip` of the first epoch on.
    pub(crate) fn new(
        order: Order,
        skip: u64,
        (blocks, memory): (Receiver<Result<Block>>, Sender<Block>),
        spares: Pool<RawBatch>,
    ) -> Self {
        Self {
            batch_size: order.batch_size,
            blocks,
            memory,
            block: None,
            used: 0,
            skip: (skip * order.batch_size as u64 % order.block()) as usize,
            spares,
        }
    }

    /// Waits for the next block; `None` after the last one, or if the reader is gone.
    fn next_block(&mut self) -> Option<Result<Arc<Lent>>> {
        self.used = std::mem::take(&mut self.skip);
        let block = self.blocks.recv().ok()?;
        let memory = self.memory.clone();
        Some(block.map(|block| Arc::new(Lent { block, memory })))
    }
}

impl Iterator for RawBatches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cut(&mut [])
    }
}

impl RawBatches {
    /// The next batch. Before it waits for a block, it gathers `others`, the batches that no other
    /// thread gathers meanwhile, because the reader may need the memory of their block.
    pub(crate) fn cut(&mut self, others: &mut [RawBatch]) -> Option<Result<RawBatch>> {
        let mut batch = self.spares.take().unwrap_or_default();
        batch.records.clear();
        batch.positions.clear();
        batch.records.reserve_exact(self.batch_size);
        batch.positions.reserve_exact(self.batch_size);
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
            let ends = end == len && lent.block.ends_epoch;
            if end < len {
                self.block = Some(lent);
            }
            if ends || batch.len() == self.batch_size {
                return Some(Ok(batch));
            }
        }
    }
}

impl Order {
    /// The number of records in a block. Without a shuffle it is the size of a batch.
    fn block(&self) -> u64 {
        match self.shuffle_buffer {
            0 => self.batch_size as u64,
            records => records as u64,
        }
    }

    /// The generator of one block. It depends only on the seed, the epoch and the block, so that an
    /// epoch can start at any block.
    fn random(&self, block: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([self.seed, self.epoch, block]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}
