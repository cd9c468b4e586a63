//! The order of an epoch: blocks of the file order, each shuffled by itself, cut into batches.

use super::dataset::{Dataset, Stream};
use super::pool::Pool;
use super::record::RawRecord;
use crate::error::Result;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What an epoch's order depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    /// Records in a block, below 2³²; 0 for file order.
    pub(crate) shuffle: usize,
    pub(crate) batch_size: usize,
}

/// Unchecked records of one batch.
#[derive(Default)]
pub(crate) struct RawBatch {
    pub(crate) records: Vec<RawRecord>,
    /// The place of each record in the dataset, to name it in an error.
    pub(crate) positions: Vec<u64>,
}

/// The batches of one epoch after the other, in order. Holds one block.
pub(crate) struct RawBatches {
    dataset: Dataset,
    order: Order,
    /// Epochs after the one at hand.
    epochs: u64,
    stream: Stream,
    /// The number of the block after the one at hand.
    next_block: u64,
    /// Where the block at hand begins in the dataset.
    start: u64,
    block: Vec<RawRecord>,
    /// The order of the block, as indices into it.
    permutation: Vec<u32>,
    /// How much of `permutation` is used up.
    used: usize,
    /// Records of the epoch still to come out.
    left: u64,
    /// Memory that has been read and is free again.
    spares: Pool<RawBatch>,
}

impl RawBatches {
    /// The batches of `epochs` epochs, without the first `skip` of the first, of which there must be at least one more.
    pub(crate) fn new(
        dataset: &Dataset,
        order: Order,
        epochs: u64,
        skip: u64,
        spares: Pool<RawBatch>,
    ) -> Result<Self> {
        let first = skip * order.batch_size as u64;
        let block = first / order.block();
        let mut batches = Self {
            dataset: dataset.clone(),
            order,
            epochs: epochs - 1,
            stream: dataset.stream(block * order.block())?,
            next_block: block,
            start: 0,
            block: Vec::new(),
            permutation: Vec::new(),
            used: 0,
            left: dataset.positions() - first,
            spares,
        };
        batches.read_block()?;
        batches.used = (first % order.block()) as usize;
        Ok(batches)
    }

    /// Goes to the beginning of the next epoch, if there is one.
    fn next_epoch(&mut self) -> Result<bool> {
        if self.epochs == 0 {
            return Ok(false);
        }
        self.epochs -= 1;
        self.order.epoch += 1;
        self.stream = self.dataset.stream(0)?;
        self.next_block = 0;
        self.left = self.dataset.positions();
        self.read_block()?;
        Ok(true)
    }

    fn read_block(&mut self) -> Result<()> {
        self.start = self.next_block * self.order.block();
        let len = self
            .order
            .block()
            .min(self.dataset.positions() - self.start) as usize;
        self.block.resize(len, RawRecord::default());
        self.stream.read(&mut self.block)?;
        self.permutation.clear();
        self.permutation.extend(0..len as u32);
        if self.order.shuffle > 0 {
            self.permutation
                .shuffle(&mut self.order.random(self.next_block));
        }
        self.next_block += 1;
        self.used = 0;
        Ok(())
    }

    fn read_batch(&mut self) -> Result<RawBatch> {
        let len = self.left.min(self.order.batch_size as u64) as usize;
        let mut batch = self.spares.take().unwrap_or_default();
        batch.records.clear();
        batch.positions.clear();
        batch.records.reserve_exact(len);
        batch.positions.reserve_exact(len);
        while batch.records.len() < len {
            if self.used == self.permutation.len() {
                self.read_block()?;
            }
            let rest = &self.permutation[self.used..];
            let rest = &rest[..rest.len().min(len - batch.records.len())];
            let records = rest.iter().map(|&at| self.block[at as usize]);
            batch.records.extend(records);
            let positions = rest.iter().map(|&at| self.start + u64::from(at));
            batch.positions.extend(positions);
            self.used += rest.len();
        }
        self.left -= len as u64;
        Ok(batch)
    }
}

impl Iterator for RawBatches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            match self.next_epoch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        Some(self.read_batch())
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
