//! What the ways for index lists share: all that a pass brings of a batch in one buffer, because a kernel may bind only eight and each
//! copy to a device costs the host.

use super::{Lists, grow_roomy};
use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::Element;
use crate::engine::recording::{BufferId, Recording};
use crate::error::Result;
use crate::nnue::batch::{Batch, Inputs};

/// Starts of both perspectives, their indices, and behind these what else a way puts there.
#[derive(Debug)]
pub(super) struct ListBuffer(Buffer);

impl ListBuffer {
    pub(super) fn new(device: &Device) -> Result<Self> {
        Ok(Self(device.allocate("index lists", Element::Word, 1)?))
    }

    pub(super) fn reserve(&mut self, device: &Device, parts: &[&[u32]]) -> Result<()> {
        let len = parts.iter().map(|part| part.len()).sum();
        grow_roomy(device, &mut self.0, "index lists", Element::Word, len)
    }

    /// The most words that the lists of a sample of a batch take.
    pub(super) fn sample_words(batch: &Batch) -> usize {
        match batch.inputs() {
            Inputs::Sparse(lists) => lists.iter().map(|lists| lists.longest() + 1).sum(),
            Inputs::Dense { .. } => 0,
        }
    }

    pub(super) fn id(&self) -> BufferId {
        self.0.id()
    }

    /// Uploads parts one after the other; says where each begins.
    pub(super) fn record<'a, const N: usize>(
        &self,
        recording: &mut Recording<'a>,
        parts: [&'a [u32]; N],
    ) -> [u32; N] {
        let mut end = 0;
        parts.map(|words| {
            let begin = end;
            recording.upload_at(self.id(), begin, words);
            end += words.len();
            begin as u32
        })
    }
}

/// The lists alone.
pub(super) fn parts<'a>([first, second]: Lists<'a>) -> [&'a [u32]; 4] {
    [
        first.starts(),
        second.starts(),
        first.indices(),
        second.indices(),
    ]
}
