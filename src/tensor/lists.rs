//! Index lists: for each sample, the inputs that are 1.

mod case;
mod transposed;

pub use transposed::CHUNK;

use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::OnceLock;
use transposed::Transposed;

/// The number that means "no index" in a padded list.
pub const PADDING: i32 = -1;

/// The faults for which lists are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Indices out of range.
    Range,
    /// Indices out of range, and indices that occur twice in a list.
    Distinct,
    /// As [`Check::Distinct`], while the transposed index is built.
    Transpose,
}

/// Sparse inputs of one perspective: for each sample the features that are 1, and the transposed
/// index.
///
/// The transposed index holds, for each feature, the ascending list of samples that have it. It is
/// built on request or when it is first read.
#[derive(Clone, Debug)]
pub struct SparseInputs {
    features: usize,
    starts: Vec<u32>,
    indices: Vec<u32>,
    /// The length of the longest list.
    longest: u32,
    /// In a box, so that a batch is cheap to move.
    transposed: OnceLock<Box<Transposed>>,
    /// The transposed index of earlier lists, kept for its memory.
    memory: Box<Transposed>,
}

impl PartialEq for SparseInputs {
    fn eq(&self, other: &Self) -> bool {
        self.features == other.features
            && self.starts == other.starts
            && self.indices == other.indices
    }
}

impl Eq for SparseInputs {}

impl SparseInputs {
    /// From index lists `[L, width]` over N = `features` inputs, with −1 as padding anywhere.
    ///
    /// # Errors
    /// An index outside `0..features` or twice in one list; the error names the sample.
    pub fn new(name: &str, features: usize, width: usize, indices: Vec<i32>) -> Result<Self> {
        if width == 0 {
            return Err(Error::argument(
                name,
                "lists of at least 1 place (F)",
                width,
            ));
        }
        if !indices.len().is_multiple_of(width) {
            return Err(Error::argument(
                name,
                format!("lists of {width} places each"),
                format!("{} in all", indices.len()),
            ));
        }
        let mut starts = Vec::with_capacity(indices.len() / width + 1);
        let mut kept = Vec::with_capacity(indices.len());
        starts.push(0);
        for list in indices.chunks_exact(width) {
            // A number that is neither an index nor padding stays, for the check to name it.
            kept.extend(
                list.iter()
                    .filter(|&&index| index != PADDING)
                    .map(|&index| index as u32),
            );
            starts.push(kept.len() as u32);
        }
        Self::from_lists(name, features, starts, kept)
    }

    /// From lists one after the other: the list of sample s is `indices[starts[s]..starts[s + 1]]`.
    /// `starts` is `[L + 1]`, and `indices` has one element per entry.
    ///
    /// # Errors
    /// As [`SparseInputs::new`].
    pub fn from_lists(
        name: &str,
        features: usize,
        starts: Vec<u32>,
        indices: Vec<u32>,
    ) -> Result<Self> {
        let mut inputs = Self {
            starts,
            indices,
            ..Self::default()
        };
        inputs.check(name, features, Check::Distinct)?;
        Ok(inputs)
    }

    /// As [`SparseInputs::from_lists`], in the memory of these lists: the system takes longer to
    /// provide new memory for a batch than the check takes. With `transposed` it builds the
    /// transposed index too.
    pub fn refill(
        mut self,
        name: &str,
        features: usize,
        starts: &[u32],
        indices: &[u32],
        transposed: bool,
    ) -> Result<Self> {
        self.starts.clear();
        self.starts.extend_from_slice(starts);
        self.indices.clear();
        self.indices.extend_from_slice(indices);
        let check = match transposed {
            true => Check::Transpose,
            false => Check::Distinct,
        };
        self.check(name, features, check)?;
        Ok(self)
    }

    /// Checks the lists, and builds the transposed index if it is wanted.
    fn check(&mut self, name: &str, features: usize, check: Check) -> Result<()> {
        self.forget();
        let (starts, indices) = (&self.starts, &self.indices);
        if features == 0 {
            return Err(no_features(name));
        }
        let ascending = starts.is_sorted();
        let ends = (starts.first().copied(), starts.last().copied());
        if !ascending || ends != (Some(0), Some(indices.len() as u32)) {
            return Err(Error::argument(
                name,
                format!("ascending starts of lists from 0 to {}", indices.len()),
                format!("{} starts from {:?} to {:?}", starts.len(), ends.0, ends.1),
            ));
        }
        self.features = features;
        let lengths = starts.windows(2).map(|list| list[1] - list[0]);
        self.longest = lengths.max().unwrap_or(0);
        match check {
            Check::Range => transposed::check_range(name, features, starts, indices),
            Check::Distinct => transposed::check(name, features, starts, indices),
            Check::Transpose => {
                let mut made = std::mem::take(&mut self.memory);
                made.build(name, features, starts, indices)?;
                self.transposed = OnceLock::from(made);
                Ok(())
            }
        }
    }

    /// Drops the transposed index but keeps its memory.
    fn forget(&mut self) {
        if let Some(old) = self.transposed.take() {
            self.memory = old;
        }
    }

    fn transposed(&self) -> &Transposed {
        let of_lists = || Transposed::of(self.features, &self.starts, &self.indices).into();
        self.transposed.get_or_init(of_lists)
    }

    /// The same lists with each feature f renamed to `names[f]`, where `names`, `[N]`, is a
    /// permutation of 0..N. An existing transposed index is moved and not sorted anew, which costs
    /// a tenth of sorting.
    pub fn renamed(&self, names: &[u32]) -> Result<Self> {
        let sources = sources(self.features, names)?;
        let indices = self.indices.iter().map(|&index| names[index as usize]);
        let mut renamed = Self {
            starts: self.starts.clone(),
            indices: indices.collect(),
            ..Self::default()
        };
        renamed.follow(self, &sources);
        Ok(renamed)
    }

    /// Turns these lists into the lists of `other`, with feature `sources[f]` renamed to f.
    fn follow(&mut self, other: &Self, sources: &[u32]) {
        self.features = other.features;
        self.longest = other.longest;
        self.forget();
        if let Some(other) = other.transposed.get() {
            let mut renamed = std::mem::take(&mut self.memory);
            renamed.rename(other, sources);
            self.transposed = OnceLock::from(renamed);
        }
    }

    /// Drops the lists and keeps their memory, for `samples` lists of at most `width` features.
    pub(crate) fn rewrite(mut self, samples: usize, width: usize) -> ListWriter {
        self.starts.clear();
        self.starts.reserve_exact(samples + 1);
        self.starts.push(0);
        let more = (samples * width).saturating_sub(self.indices.len());
        self.indices.reserve_exact(more);
        ListWriter {
            inputs: self,
            width,
            used: 0,
        }
    }

    /// The lists of a range of samples.
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<Self> {
        let begin = self.starts[range.start];
        let starts = &self.starts[range.start..=range.end];
        let indices = &self.indices[begin as usize..starts[range.len()] as usize];
        let starts = starts.iter().map(|start| start - begin).collect();
        Self::from_lists("slice", self.features, starts, indices.to_vec())
    }

    /// N, the number of inputs.
    pub fn features(&self) -> usize {
        self.features
    }

    /// L, the number of samples.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the longest list.
    pub fn longest(&self) -> usize {
        self.longest as usize
    }

    /// The features of a sample, in the order in which they were given.
    ///
    /// # Panics
    /// If the sample does not exist.
    pub fn list(&self, sample: usize) -> &[u32] {
        &self.indices[self.starts[sample] as usize..self.starts[sample + 1] as usize]
    }

    /// The start of each sample's list in [`Self::indices`], `[L + 1]`.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The features of each sample, one list after the other.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The start of each feature's list of samples in [`Self::samples`], `[N + 1]`.
    pub fn offsets(&self) -> &[u32] {
        &self.transposed().offsets
    }

    /// The samples of each feature, ascending, one list after the other.
    pub fn samples(&self) -> &[u32] {
        &self.transposed().samples
    }

    /// The first chunk of each feature, `[N + 1]`. A feature that no sample has owns no chunk.
    pub fn first_chunks(&self) -> &[u32] {
        &self.transposed().first_chunks
    }

    /// The start of each chunk of at most [`CHUNK`] samples in [`Self::samples`], `[chunks + 1]`.
    pub fn chunk_starts(&self) -> &[u32] {
        &self.transposed().chunk_starts
    }
}

/// Lists of no samples over no features, which only carry memory.
impl Default for SparseInputs {
    fn default() -> Self {
        Self {
            features: 0,
            starts: vec![0],
            indices: Vec::new(),
            longest: 0,
            transposed: OnceLock::new(),
            memory: Box::default(),
        }
    }
}

/// Writes lists one after the other.
pub(crate) struct ListWriter {
    inputs: SparseInputs,
    width: usize,
    /// The number of indices written so far. Old indices of an earlier batch follow.
    used: usize,
}

/// The number of lists by which `indices` grows at a time: few enough for the zeros to stay in the
/// first cache until they are overwritten.
const GROWTH: usize = 64;

/// Extra elements after a list, so that it can be written in whole vectors.
const BEHIND: usize = 16;

impl ListWriter {
    /// Adds one list to each of two writers. `write` receives room for both lists, of `width`
    /// elements and [`BEHIND`] more with arbitrary contents, and returns how many elements it has
    /// filled.
    ///
    /// # Panics
    /// If `write` returns more than `width`.
    #[inline(always)]
    pub(crate) fn push_both(
        [first, second]: [&mut Self; 2],
        write: impl FnOnce([&mut [u32]; 2]) -> [usize; 2],
    ) {
        let [one, two] = write([first.places(), second.places()]);
        first.end(one);
        second.end(two);
    }

    /// The room for the next list.
    #[inline(always)]
    fn places(&mut self) -> &mut [u32] {
        let indices = &mut self.inputs.indices;
        let end = self.used + self.width + BEHIND;
        if indices.len() < end {
            indices.resize(end + GROWTH * self.width, 0);
        }
        &mut indices[self.used..end]
    }

    /// Ends the current list.
    #[inline(always)]
    fn end(&mut self, count: usize) {
        assert!(
            count <= self.width,
            "{count} features in a list of at most {}",
            self.width
        );
        self.used += count;
        self.inputs.starts.push(self.used as u32);
    }

    /// The lists of `other` under other names, as by [`SparseInputs::renamed`].
    pub(crate) fn finish_renamed(
        self,
        other: &SparseInputs,
        names: &[u32],
    ) -> Result<SparseInputs> {
        let sources = sources(other.features, names)?;
        let mut inputs = self.inputs;
        inputs.indices.truncate(self.used);
        inputs.follow(other, &sources);
        Ok(inputs)
    }

    /// The finished lists.
    ///
    /// # Errors
    /// The errors of [`SparseInputs::from_lists`] that `check` asks for.
    pub(crate) fn finish(self, name: &str, features: usize, check: Check) -> Result<SparseInputs> {
        let mut inputs = self.inputs;
        inputs.indices.truncate(self.used);
        inputs.check(name, features, check)?;
        Ok(inputs)
    }
}

/// The feature that each name belongs to.
///
/// # Errors
/// Names that are no permutation of the features.
fn sources(features: usize, names: &[u32]) -> Result<Vec<u32>> {
    let mut sources = vec![u32::MAX; features];
    for (feature, &name) in names.iter().enumerate() {
        if let Some(source) = sources.get_mut(name as usize) {
            *source = feature as u32;
        }
    }
    if names.len() != features || sources.contains(&u32::MAX) {
        let expected = format!("a permutation of 0 to {}", features - 1);
        let found = format!("{} names, {:?}", names.len(), names);
        return Err(Error::argument("names of features", expected, found));
    }
    Ok(sources)
}

fn no_features(name: &str) -> Error {
    Error::argument(name, "at least 1 feature", 0)
}
