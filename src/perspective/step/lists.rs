//! What the ways for index lists share: both perspectives' lists in one buffer, because a kernel may bind only eight.

use super::{Lists, grow_roomy};
use crate::batch::{Batch, Inputs};
use crate::device::{Buffer, Device};
use crate::error::Result;
use crate::kernel::Element;
use crate::recording::{BufferId, Recording};

/// Starts of both perspectives, then their indices.
#[derive(Debug)]
pub(super) struct ListBuffer(Buffer);

impl ListBuffer {
    pub(super) fn new(device: &Device) -> Result<Self> {
        Ok(Self(device.allocate("index lists", Element::Word, 1)?))
    }

    pub(super) fn reserve(
        &mut self,
        device: &Device,
        samples: usize,
        lists: Lists<'_>,
    ) -> Result<()> {
        let entries = lists[0].indices().len() + lists[1].indices().len();
        let len = 2 * (samples + 1) + entries;
        grow_roomy(device, &mut self.0, "index lists", Element::Word, len)
    }

    /// The most words that a sample of a batch takes.
    pub(super) fn sample_words(batch: &Batch) -> usize {
        match batch.inputs() {
            Inputs::Sparse(lists) => lists.iter().map(|lists| lists.longest() + 1).sum(),
            Inputs::Dense { .. } => 0,
        }
    }

    pub(super) fn id(&self) -> BufferId {
        self.0.id()
    }

    /// Uploads the lists; says where each perspective's indices begin.
    pub(super) fn record<'a>(&self, recording: &mut Recording<'a>, lists: Lists<'a>) -> [u32; 2] {
        let [first, second] = lists;
        let parts = [
            first.starts(),
            second.starts(),
            first.indices(),
            second.indices(),
        ];
        let [_, _, indices_1, indices_2] = upload_joined(recording, self.id(), parts);
        [indices_1, indices_2]
    }
}

/// Uploads parts one after the other into a buffer of words; says where each begins.
pub(super) fn upload_joined<'a, const N: usize>(
    recording: &mut Recording<'a>,
    buffer: BufferId,
    parts: [&'a [u32]; N],
) -> [u32; N] {
    let mut end = 0;
    parts.map(|words| {
        let begin = end;
        recording.upload_at(buffer, begin, words);
        end += words.len();
        begin as u32
    })
}
