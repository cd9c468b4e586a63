//! A batch that is being made, for the positions of any game.

use super::features::FeatureSet;
use crate::error::{Error, Result};
use crate::files::memory::reserve;
use crate::nnue::batch::{Batch, Inputs};
use crate::tensor::lists::{Check, ListWriter, Transpose};

/// What runs out of memory, as errors name it.
pub(super) const BATCH: &str = "a batch";

/// The samples of a batch so far.
pub(super) struct Draft {
    own: ListWriter,
    other: ListWriter,
    pub(super) targets: Vec<f32>,
    /// Empty if the samples have no output buckets.
    pub(super) buckets: Vec<u32>,
}

impl Draft {
    /// No samples, in the memory of `spare`, for lists of at most `max_indices`.
    pub(super) fn new(max_indices: usize, spare: Batch) -> Self {
        let (inputs, targets, buckets) = spare.into_parts();
        let lists = match inputs {
            Inputs::Sparse(lists) => lists,
            Inputs::Dense { .. } => Default::default(),
        };
        let [own, other] = lists.map(|lists| lists.rewrite(max_indices));
        Self {
            own,
            other,
            targets: emptied(targets),
            buckets: emptied(buckets.unwrap_or_default()),
        }
    }

    /// Makes room for `samples` samples.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has no memory for them.
    pub(super) fn reserve(&mut self, samples: usize) -> Result<()> {
        self.own.reserve(samples)?;
        self.other.reserve(samples)?;
        reserve(BATCH, &mut self.targets, samples)
    }

    /// The writers of both perspectives, for [`ListWriter::push_both`].
    #[inline(always)]
    pub(super) fn lists(&mut self) -> [&mut ListWriter; 2] {
        [&mut self.own, &mut self.other]
    }

    /// The number of samples.
    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// The number of features in the lists of both perspectives.
    pub(super) fn entries(&self) -> usize {
        self.own.entries() + self.other.entries()
    }

    /// The batch, after a check of the lists.
    pub(super) fn finish<F: FeatureSet + ?Sized>(
        self,
        features: &F,
        names: Option<&[u32]>,
        transpose: Transpose,
    ) -> Result<Batch> {
        // Offsets into index lists are 32-bit numbers on a device.
        let entries = self.own.entries().max(self.other.entries());
        if entries > i32::MAX as usize {
            let expected = "at most 2147483647 features in the lists of a perspective";
            return Err(Error::argument("batch", expected, entries));
        }
        let inputs = features.inputs();
        let check = match transpose {
            Transpose::Now => Check::Transpose,
            Transpose::OnDemand if features.is_distinct() => Check::Range,
            Transpose::OnDemand => Check::Distinct,
        };
        let finish = |list: ListWriter, whose| {
            let lists = list.finish(inputs, check);
            lists.map_err(|error| error.within(format_args!("features of the {whose}")))
        };
        let own = finish(self.own, "side to move")?;
        let other = match names {
            Some(names) => self.other.finish_renamed(&own, names),
            None => finish(self.other, "other side"),
        };
        let batch = Batch::new(Inputs::Sparse([own, other?]), self.targets)?;
        match self.buckets.is_empty() {
            true => Ok(batch),
            false => batch.with_buckets(self.buckets),
        }
    }
}

/// The same memory without elements.
fn emptied<T>(mut memory: Vec<T>) -> Vec<T> {
    memory.clear();
    memory
}

/// The same memory without elements, with room for `samples`.
///
/// # Errors
/// [`Error::Memory`] if the system has no memory for them.
pub(super) fn emptied_for<T>(samples: usize, memory: Vec<T>) -> Result<Vec<T>> {
    let mut memory = emptied(memory);
    reserve(BATCH, &mut memory, samples)?;
    Ok(memory)
}
