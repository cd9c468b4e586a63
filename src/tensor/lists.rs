//! Index lists: for each sample, the indices of the inputs that are 1.

mod case;
mod chunks;
mod transposed;

#[doc(hidden)]
pub use chunks::CHUNK;
pub(crate) use chunks::{Chunks, blocks};

use crate::error::{Error, Result};
use crate::files::memory::reserve;
use std::ops::Range;
use std::sync::OnceLock;
use transposed::Transposed;

/// The index that fills unused positions of a padded list.
pub const PADDING: i32 = -1;

/// The check of the indices of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Indices out of range.
    Range,
    /// Indices out of range, and indices that occur twice in a list.
    Distinct,
    /// The same as `Distinct`, by building the transposed index.
    Transpose,
}

/// When the transposed index of [`SparseInputs`] is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transpose {
    /// Together with the check of the lists.
    Now,
    /// When it is first read.
    OnDemand,
}

/// The sparse inputs of one perspective: one index list per sample, over N inputs. Input i of a
/// sample is 1 if the sample's list contains i, and 0 otherwise.
///
/// The *transposed index* holds the samples of each input, in ascending order. It is built on
/// request, or when it is first read.
#[derive(Clone, Debug)]
pub struct SparseInputs {
    inputs: usize,
    starts: Vec<u32>,
    indices: Vec<u32>,
    /// The length of the longest list.
    longest: u32,
    /// Boxed, so that a batch is cheap to move.
    transposed: OnceLock<Box<Transposed>>,
    /// The transposed index of earlier lists, kept for its memory.
    memory: Box<Transposed>,
}

impl PartialEq for SparseInputs {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs && self.starts == other.starts && self.indices == other.indices
    }
}

impl Eq for SparseInputs {}

impl SparseInputs {
    /// Index lists over N = `inputs` inputs, `[L, max_indices]`. Each list has at most
    /// `max_indices` indices; [`PADDING`] in any position fills the rest.
    ///
    /// # Errors
    /// An index outside `0..inputs`, or an index that occurs twice in one list. The error names the
    /// sample.
    pub fn new(inputs: usize, max_indices: usize, indices: Vec<i32>) -> Result<Self> {
        if max_indices == 0 {
            let expected = "lists of at least 1 index (F)";
            return Err(Error::argument(LISTS, expected, max_indices));
        }
        if !indices.len().is_multiple_of(max_indices) {
            return Err(Error::argument(
                LISTS,
                format!("{max_indices} indices per list"),
                format!("{} in all", indices.len()),
            ));
        }
        let mut starts = Vec::with_capacity(indices.len() / max_indices + 1);
        let mut kept = Vec::with_capacity(indices.len());
        starts.push(0);
        for list in indices.chunks_exact(max_indices) {
            // Other negative indices become large here, and the check names them.
            kept.extend(
                list.iter()
                    .filter(|&&index| index != PADDING)
                    .map(|&index| index as u32),
            );
            starts.push(kept.len() as u32);
        }
        Self::from_lists(inputs, starts, kept)
    }

    /// Consecutive index lists over N = `inputs` inputs: the list of sample s is
    /// `indices[starts[s]..starts[s + 1]]`. `starts` is `[L + 1]` and `indices` is `[entries]`.
    ///
    /// # Errors
    /// As [`SparseInputs::new`], and starts that do not ascend from 0 to the number of indices.
    pub fn from_lists(inputs: usize, starts: Vec<u32>, indices: Vec<u32>) -> Result<Self> {
        let mut lists = Self {
            starts,
            indices,
            ..Self::default()
        };
        lists.check(inputs, Check::Distinct)?;
        Ok(lists)
    }

    /// As [`SparseInputs::from_lists`], for lists that are known to be sound.
    pub(crate) fn of_sound(inputs: usize, starts: Vec<u32>, indices: Vec<u32>) -> Self {
        let lengths = starts.windows(2).map(|list| list[1] - list[0]);
        Self {
            inputs,
            longest: lengths.max().unwrap_or(0),
            starts,
            indices,
            ..Self::default()
        }
    }

    /// As [`SparseInputs::from_lists`], in the memory of these lists. New memory for each batch
    /// would take longer than the check.
    ///
    /// # Errors
    /// As [`SparseInputs::from_lists`].
    pub fn refill(
        mut self,
        inputs: usize,
        starts: &[u32],
        indices: &[u32],
        transpose: Transpose,
    ) -> Result<Self> {
        self.starts.clear();
        self.starts.extend_from_slice(starts);
        self.indices.clear();
        self.indices.extend_from_slice(indices);
        let check = match transpose {
            Transpose::Now => Check::Transpose,
            Transpose::OnDemand => Check::Distinct,
        };
        self.check(inputs, check)?;
        Ok(self)
    }

    /// Checks the lists, and builds the transposed index if `check` asks for it.
    fn check(&mut self, inputs: usize, check: Check) -> Result<()> {
        self.forget();
        let (starts, indices) = (&self.starts, &self.indices);
        if inputs == 0 {
            return Err(Error::argument(LISTS, "at least 1 input (N)", 0));
        }
        let ascending = starts.is_sorted();
        let ends = (starts.first().copied(), starts.last().copied());
        if !ascending || ends != (Some(0), Some(indices.len() as u32)) {
            return Err(Error::argument(
                LISTS,
                format!("ascending starts of lists from 0 to {}", indices.len()),
                format!("{} starts from {:?} to {:?}", starts.len(), ends.0, ends.1),
            ));
        }
        self.inputs = inputs;
        let lengths = starts.windows(2).map(|list| list[1] - list[0]);
        self.longest = lengths.max().unwrap_or(0);
        match check {
            Check::Range => transposed::check_range(inputs, starts, indices),
            Check::Distinct => transposed::check(inputs, starts, indices),
            Check::Transpose => {
                let mut made = std::mem::take(&mut self.memory);
                made.build(inputs, starts, indices)?;
                self.transposed = OnceLock::from(made);
                Ok(())
            }
        }
    }

    /// Drops the transposed index and keeps its memory.
    fn forget(&mut self) {
        if let Some(old) = self.transposed.take() {
            self.memory = old;
        }
    }

    fn transposed(&self) -> &Transposed {
        let of_lists = || Transposed::of(self.inputs, &self.starts, &self.indices).into();
        self.transposed.get_or_init(of_lists)
    }

    /// The same lists with each index f replaced by `names[f]`, `[N]`. A transposed index that is
    /// already built is permuted instead of sorted again, which takes a tenth of the time.
    ///
    /// # Errors
    /// Names that are not a permutation of 0..N.
    pub fn renamed(&self, names: &[u32]) -> Result<Self> {
        let sources = sources(self.inputs, names)?;
        let indices = self.indices.iter().map(|&index| names[index as usize]);
        let mut renamed = Self {
            starts: self.starts.clone(),
            indices: indices.collect(),
            ..Self::default()
        };
        renamed.follow(self, &sources);
        Ok(renamed)
    }

    /// Takes over the length of the longest list and the transposed index from `other`. Index f of
    /// these lists is `sources[f]` in `other`.
    fn follow(&mut self, other: &Self, sources: &[u32]) {
        self.inputs = other.inputs;
        self.longest = other.longest;
        self.forget();
        if let Some(other) = other.transposed.get() {
            let mut renamed = std::mem::take(&mut self.memory);
            renamed.rename(other, sources);
            self.transposed = OnceLock::from(renamed);
        }
    }

    /// A writer of new lists of at most `max_indices` indices, in the memory of these lists.
    pub(crate) fn rewrite(mut self, max_indices: usize) -> ListWriter {
        self.starts.clear();
        self.starts.push(0);
        ListWriter {
            lists: self,
            max_indices,
            used: 0,
        }
    }

    /// The lists of the samples `order[0]`, `order[1]`, …
    pub(crate) fn reordered(&self, order: &[u32]) -> Self {
        let mut starts = Vec::with_capacity(order.len() + 1);
        let mut indices = Vec::with_capacity(self.indices.len());
        starts.push(0);
        for &sample in order {
            indices.extend_from_slice(self.list(sample as usize));
            starts.push(indices.len() as u32);
        }
        Self {
            inputs: self.inputs,
            starts,
            indices,
            longest: self.longest,
            ..Self::default()
        }
    }

    /// The lists of consecutive samples.
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<Self> {
        let begin = self.starts[range.start];
        let starts = &self.starts[range.start..=range.end];
        let indices = &self.indices[begin as usize..starts[range.len()] as usize];
        let starts = starts.iter().map(|start| start - begin).collect();
        Self::from_lists(self.inputs, starts, indices.to_vec())
    }

    /// N, the number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// L, the number of samples.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the longest list.
    pub fn longest(&self) -> usize {
        self.longest as usize
    }

    /// The index list of a sample, in the order in which it was given.
    ///
    /// # Panics
    /// If `sample` is not below [`Self::len`].
    pub fn list(&self, sample: usize) -> &[u32] {
        &self.indices[self.starts[sample] as usize..self.starts[sample + 1] as usize]
    }

    /// The offset of each sample's list in [`Self::indices`], `[L + 1]`.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The index lists of all samples, one after the other, `[entries]`.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The offset of each input's list in [`Self::samples`], `[N + 1]`.
    #[doc(hidden)]
    pub fn offsets(&self) -> &[u32] {
        &self.transposed().offsets
    }

    /// The samples of each input in ascending order, one list after the other, `[entries]`.
    #[doc(hidden)]
    pub fn samples(&self) -> &[u32] {
        &self.transposed().samples
    }

    /// The first chunk of each input, `[N + 1]`. An input without samples has no chunk.
    #[doc(hidden)]
    pub fn first_chunks(&self) -> &[u32] {
        &self.transposed().first_chunks
    }

    /// The offset of each chunk of at most [`CHUNK`] samples in [`Self::samples`], `[chunks + 1]`.
    #[doc(hidden)]
    pub fn chunk_starts(&self) -> &[u32] {
        &self.transposed().chunk_starts
    }
}

/// Lists without samples and inputs: memory for [`SparseInputs::refill`].
impl Default for SparseInputs {
    fn default() -> Self {
        Self {
            inputs: 0,
            starts: vec![0],
            indices: Vec::new(),
            longest: 0,
            transposed: OnceLock::new(),
            memory: Box::default(),
        }
    }
}

/// The name of all lists in errors.
const LISTS: &str = "index lists";

/// Writes lists one after the other.
pub(crate) struct ListWriter {
    lists: SparseInputs,
    max_indices: usize,
    /// The number of indices that are written. The others are left over from an earlier batch.
    used: usize,
}

/// The indices grow by this many lists at a time. That many zeros stay in the first cache until
/// they are overwritten.
const GROWTH: usize = 64;

/// Room after a list, so that it can be written in whole vectors.
const BEHIND: usize = 16;

impl ListWriter {
    /// Adds a list to each of two writers. `write` gets the memory of both lists, `max_indices` and
    /// [`BEHIND`] more indices of any value, and returns the two lengths.
    ///
    /// # Panics
    /// If a length is above `max_indices`.
    #[inline(always)]
    pub(crate) fn push_both(
        [first, second]: [&mut Self; 2],
        write: impl FnOnce([&mut [u32]; 2]) -> [usize; 2],
    ) {
        let [one, two] = write([first.places(), second.places()]);
        first.end(one);
        second.end(two);
    }

    /// Makes room for `samples` lists.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system has no memory for them.
    pub(crate) fn reserve(&mut self, samples: usize) -> Result<()> {
        let SparseInputs {
            starts, indices, ..
        } = &mut self.lists;
        reserve(LISTS, starts, samples)?;
        let all = samples.saturating_mul(self.max_indices);
        reserve(LISTS, indices, all.saturating_sub(indices.len()))
    }

    /// The number of indices that are written.
    pub(crate) fn entries(&self) -> usize {
        self.used
    }

    /// The memory of the next list.
    #[inline(always)]
    fn places(&mut self) -> &mut [u32] {
        let indices = &mut self.lists.indices;
        let end = self.used + self.max_indices + BEHIND;
        if indices.len() < end {
            indices.resize(end + GROWTH * self.max_indices, 0);
        }
        &mut indices[self.used..end]
    }

    /// Ends the list that was just written.
    #[inline(always)]
    fn end(&mut self, count: usize) {
        assert!(
            count <= self.max_indices,
            "{count} indices in a list of at most {}",
            self.max_indices
        );
        self.used += count;
        self.lists.starts.push(self.used as u32);
    }

    /// The lists of `other` with other names: see [`SparseInputs::renamed`].
    pub(crate) fn finish_renamed(
        self,
        other: &SparseInputs,
        names: &[u32],
    ) -> Result<SparseInputs> {
        let sources = sources(other.inputs, names)?;
        let mut lists = self.lists;
        lists.indices.truncate(self.used);
        lists.follow(other, &sources);
        Ok(lists)
    }

    /// The lists over N = `inputs` inputs, after a check.
    pub(crate) fn finish(self, inputs: usize, check: Check) -> Result<SparseInputs> {
        let mut lists = self.lists;
        lists.indices.truncate(self.used);
        lists.check(inputs, check)?;
        Ok(lists)
    }
}

/// The inverse of a permutation of 0..N. It is an error if the names are not a permutation.
fn sources(inputs: usize, names: &[u32]) -> Result<Vec<u32>> {
    let mut sources = vec![u32::MAX; inputs];
    for (input, &name) in names.iter().enumerate() {
        if let Some(source) = sources.get_mut(name as usize) {
            *source = input as u32;
        }
    }
    if names.len() != inputs || sources.contains(&u32::MAX) {
        let expected = format!("a permutation of 0 to {}", inputs - 1);
        let found = format!("{} names, {:?}", names.len(), names);
        return Err(Error::argument("names of inputs", expected, found));
    }
    Ok(sources)
}
