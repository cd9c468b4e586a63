//! What the ways for index lists share: both perspectives' lists in one buffer, and the small parameters in another, because a
//! kernel may bind only eight.

use super::{Lists, Roles, grow_roomy};
use crate::batch::{Batch, Inputs};
use crate::device::{Buffer, Device};
use crate::error::Result;
use crate::kernel::Element;
use crate::perspective::architecture::Architecture;
use crate::recording::{BufferId, Recording};

/// The buffers.
#[derive(Debug)]
pub(super) struct Joined {
    architecture: Architecture,
    /// Starts of both perspectives, then their indices.
    lists: Buffer,
    /// B of each accumulator, C and d.
    small: Buffer,
}

/// Where things begin in them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Each perspective's indices among the lists.
    pub(super) indices: [u32; 2],
    /// B of the second perspective among the parameters.
    pub(super) bias_2: u32,
    /// C.
    pub(super) output: u32,
}

impl Joined {
    pub(super) fn new(device: &Device, architecture: Architecture) -> Result<Self> {
        let accumulators = if architecture.tied { 1 } else { 2 };
        let small = (accumulators + 2) * architecture.hidden + 1;
        Ok(Self {
            architecture,
            lists: device.allocate("index lists", Element::Word, 1)?,
            small: device.allocate("B, C and d", Element::Float, small)?,
        })
    }

    pub(super) fn reserve(
        &mut self,
        device: &Device,
        samples: usize,
        lists: Lists<'_>,
    ) -> Result<()> {
        let entries = lists[0].indices().len() + lists[1].indices().len();
        let len = 2 * (samples + 1) + entries;
        grow_roomy(device, &mut self.lists, "index lists", Element::Word, len)
    }

    /// The most words that a sample of a batch takes among the lists.
    pub(super) fn sample_words(batch: &Batch) -> usize {
        match batch.inputs() {
            Inputs::Sparse(lists) => lists.iter().map(|lists| lists.longest() + 1).sum(),
            Inputs::Dense { .. } => 0,
        }
    }

    pub(super) fn lists(&self) -> BufferId {
        self.lists.id()
    }

    pub(super) fn small(&self) -> BufferId {
        self.small.id()
    }

    /// Uploads the lists and joins the parameters.
    pub(super) fn record<'a>(
        &self,
        recording: &mut Recording<'a>,
        lists: Lists<'a>,
        parameters: Roles<'_>,
    ) -> Places {
        let hidden = self.architecture.hidden;
        let mut at = 0;
        let mut upload = |words: &'a [u32]| {
            recording.upload_at(self.lists.id(), at, words);
            at += words.len();
            (at - words.len()) as u32
        };
        upload(lists[0].starts());
        upload(lists[1].starts());
        let indices = [upload(lists[0].indices()), upload(lists[1].indices())];
        let mut place = 0;
        let mut join = |from: BufferId, len: usize| {
            recording.copy(from, self.small.id(), place, len);
            place += len;
            (place - len) as u32
        };
        let mut bias_2 = join(parameters.bias(0), hidden);
        if !self.architecture.tied {
            bias_2 = join(parameters.bias(1), hidden);
        }
        let output = join(parameters.output_weights(), 2 * hidden);
        join(parameters.output_bias(), 1);
        Places {
            indices,
            bias_2,
            output,
        }
    }
}
