//! The order of an epoch: blocks of the file order, each shuffled by itself, cut into batches.

use super::dataset::{Dataset, Stream};
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

/// What an epoch's order depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    /// Records in a block, below 2³²; 0 for file order.
    pub(crate) shuffle: usize,
    pub(crate) batch_size: usize,
}

/// Unchecked records of one batch, the last of them perhaps still in their block.
#[derive(Default)]
pub(crate) struct RawBatch {
    pub(crate) records: Vec<RawRecord>,
    /// The place of each record in the dataset, to name it in an error.
    pub(crate) positions: Vec<u64>,
    /// Those that [`RawBatch::gather`] will take: places in the order of a block.
    rest: Option<(Arc<Lent>, Range<usize>)>,
}

impl RawBatch {
    fn len(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |(_, places)| places.len());
        self.records.len() + rest
    }

    /// Takes the records that are still in a block, which is then free for another. They come from all over it, so that it
    /// takes as long as a third of making the batch.
    pub(crate) fn gather(&mut self) {
        let Some((lent, places)) = self.rest.take() else {
            return;
        };
        let block = &lent.block;
        let order = &block.permutation[places];
        let records = order.iter().map(|&at| block.records[at as usize]);
        self.records.extend(records);
        let positions = order.iter().map(|&at| block.start + u64::from(at));
        self.positions.extend(positions);
    }
}

/// Consecutive records of the file order, and the order in which they come out.
pub(crate) struct Block {
    /// Where it begins in the dataset.
    start: u64,
    /// On whole cache lines, so that none lies across two.
    records: AVec<RawRecord>,
    /// Indices into `records`.
    permutation: Vec<u32>,
    /// Whether the next block is of another epoch.
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

/// A block that batches are cut from. Its memory goes to the next when the last of them has what it needs.
struct Lent {
    block: Block,
    memory: Sender<Block>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // The reader may have read its last.
        let _ = self.memory.send(std::mem::take(&mut self.block));
    }
}

/// The blocks of one epoch after the other, in order.
pub(crate) struct Blocks {
    dataset: Dataset,
    order: Order,
    /// Epochs after the one at hand.
    epochs: u64,
    /// The number of the next block.
    next: u64,
    /// Where the next block is read from; none at the beginning of an epoch.
    stream: Option<Stream>,
}

impl Blocks {
    /// Those of `epochs` epochs, without those before the batch `skip` of the first, which must be there.
    pub(crate) fn new(dataset: &Dataset, order: Order, epochs: u64, skip: u64) -> Self {
        Self {
            dataset: dataset.clone(),
            order,
            epochs: epochs - 1,
            next: skip * order.batch_size as u64 / order.block(),
            stream: None,
        }
    }

    /// The next block in the memory of another; none after the last epoch.
    fn read(&mut self, mut block: Block) -> Result<Option<Block>> {
        let positions = self.dataset.positions();
        if self.next * self.order.block() >= positions {
            if self.epochs == 0 {
                return Ok(None);
            }
            self.epochs -= 1;
            self.order.epoch += 1;
            (self.next, self.stream) = (0, None);
        }
        block.start = self.next * self.order.block();
        let len = self.order.block().min(positions - block.start) as usize;
        block.ends_epoch = block.start + len as u64 == positions;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(self.dataset.stream(block.start)?),
        };
        block.records.resize(len, RawRecord::default());
        stream.read(&mut block.records)?;
        block.permutation.clear();
        block.permutation.extend(0..len as u32);
        if self.order.shuffle > 0 {
            let mut random = self.order.random(self.next);
            block.permutation.shuffle(&mut random);
        }
        self.next += 1;
        Ok(Some(block))
    }

    /// Reads as long as there is memory to read into and somebody to take it: ahead of who uses the blocks, because it takes longer
    /// than the batches on their way would last.
    pub(crate) fn serve(mut self, memory: &Receiver<Block>, blocks: &Sender<Result<Block>>) {
        for block in memory {
            let block = self.read(block).transpose();
            let Some(block) = block else { return };
            let is_last = block.is_err();
            // Nobody to take it is no fault: the loader was dropped.
            if blocks.send(block).is_err() || is_last {
                return;
            }
        }
    }
}

/// The batches that are cut from blocks, in order.
pub(crate) struct RawBatches {
    batch_size: usize,
    blocks: Receiver<Result<Block>>,
    /// Takes the memory of blocks that are used up.
    memory: Sender<Block>,
    /// What batches are cut from,
    block: Option<Arc<Lent>>,
    /// how much of it is used up,
    used: usize,
    /// and how much of the first to leave out.
    skip: usize,
    /// Memory of batches that are done.
    spares: Pool<RawBatch>,
}

impl RawBatches {
    /// Those from the batch `skip` of the first epoch on.
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

    /// Waits for the next block; none after the last, or when the reader is gone.
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
    /// The next batch. Before it waits for a block, for which the reader may need the memory of those before, it gathers `others`,
    /// the batches that nobody else will gather meanwhile.
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
    /// Records in a block. File order needs no more of them at once than a batch.
    fn block(&self) -> u64 {
        match self.shuffle {
            0 => self.batch_size as u64,
            records => records as u64,
        }
    }

    /// A generator of its own for each seed, epoch and block, so that any block can be reached alone.
    fn random(&self, block: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([self.seed, self.epoch, block]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}
