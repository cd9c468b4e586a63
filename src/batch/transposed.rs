//! Index lists turned around: for each feature the samples that have it.

use super::sparse::PADDING;
use crate::error::{Error, Result};

/// The most samples of a feature that are summed as one chunk: a longer list is several chunks, whose sums are added in
/// order. Part of what the bits of a run depend on.
pub const CHUNK: usize = 1024;

/// For each feature the ascending list of samples that have it, cut into chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transposed {
    /// Where each feature's list begins in `samples`, `[N + 1]`.
    pub(super) offsets: Vec<u32>,
    pub(super) samples: Vec<u32>,
    /// The first chunk of each feature, `[N + 1]`.
    pub(super) first_chunks: Vec<u32>,
    /// Where each chunk begins in `samples`, `[chunks + 1]`.
    pub(super) chunk_starts: Vec<u32>,
}

impl Transposed {
    /// Becomes that of these lists, by a stable counting sort of the entries by feature. The memory is used again.
    pub(super) fn build(
        &mut self,
        name: &str,
        features: usize,
        starts: &[u32],
        indices: &[u32],
    ) -> Result<()> {
        let Some(counts) = count(features, indices) else {
            return Err(out_of_range(name, features, starts, indices));
        };
        self.sort(counts.into_iter(), starts, indices);
        // Samples came in ascending order, so one that has a feature twice stands there twice in a row.
        if !self.lists().all(strictly_ascending) {
            return Err(twice(name, starts, indices));
        }
        Ok(())
    }

    /// That of lists that are checked.
    pub(super) fn of(features: usize, starts: &[u32], indices: &[u32]) -> Self {
        let mut counts = vec![0; features];
        for &feature in indices {
            counts[feature as usize] += 1;
        }
        let mut made = Self::default();
        made.sort(counts.into_iter(), starts, indices);
        made
    }

    /// The counting sort, with how often each feature occurs.
    fn sort(&mut self, counts: impl Iterator<Item = u32>, starts: &[u32], indices: &[u32]) {
        self.set_offsets(counts);
        let mut next = self.offsets.clone();
        // What an earlier batch has left here is written over.
        self.samples.resize(indices.len(), 0);
        let samples = self.samples.as_mut_slice();
        for (sample, list) in starts.windows(2).enumerate() {
            for &feature in &indices[list[0] as usize..list[1] as usize] {
                let next = &mut next[feature as usize];
                samples[*next as usize] = sample as u32;
                *next += 1;
            }
        }
    }

    /// Becomes that of the lists that `other` is of, where what is feature f here was `sources[f]` there.
    pub(super) fn rename(&mut self, other: &Self, sources: &[u32]) {
        let lists = || sources.iter().map(|&source| other.list(source as usize));
        self.set_offsets(lists().map(|list| list.len() as u32));
        self.samples.clear();
        self.samples.reserve_exact(other.samples.len());
        lists().for_each(|list| self.samples.extend_from_slice(list));
    }

    /// Lays out lists of these lengths, one a feature.
    fn set_offsets(&mut self, lengths: impl Iterator<Item = u32>) {
        self.offsets.clear();
        self.first_chunks.clear();
        self.chunk_starts.clear();
        let mut end = 0;
        for length in lengths {
            self.offsets.push(end);
            self.first_chunks.push(self.chunk_starts.len() as u32);
            let begin = end;
            end += length;
            self.chunk_starts.extend((begin..end).step_by(CHUNK));
        }
        self.offsets.push(end);
        self.first_chunks.push(self.chunk_starts.len() as u32);
        self.chunk_starts.push(end);
    }

    fn list(&self, feature: usize) -> &[u32] {
        &self.samples[self.offsets[feature] as usize..self.offsets[feature + 1] as usize]
    }

    fn lists(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.offsets.len() - 1).map(|feature| self.list(feature))
    }
}

/// Refuses an index that is none of a feature, and one that stands twice in a list.
pub(super) fn check(name: &str, features: usize, starts: &[u32], indices: &[u32]) -> Result<()> {
    // Of each feature the last sample that had it, counted from 1.
    let mut last = vec![0; features];
    let mut is_twice = false;
    for (sample, list) in (1..).zip(starts.windows(2)) {
        for &feature in &indices[list[0] as usize..list[1] as usize] {
            let Some(last) = last.get_mut(feature as usize) else {
                return Err(out_of_range(name, features, starts, indices));
            };
            is_twice |= *last == sample;
            *last = sample;
        }
    }
    match is_twice {
        true => Err(twice(name, starts, indices)),
        false => Ok(()),
    }
}

/// Names the first sample that has a feature twice.
#[cold]
fn twice(name: &str, starts: &[u32], indices: &[u32]) -> Error {
    let lists = starts.windows(2).enumerate();
    let mut again = lists.filter_map(|(sample, ends)| {
        let list = &indices[ends[0] as usize..ends[1] as usize];
        let mut places = list.iter().enumerate();
        let again = places.find(|&(place, index)| list[..place].contains(index));
        again.map(|(_, index)| (sample, *index))
    });
    let (sample, index) = again.next().unwrap_or_default();
    Error::argument(
        format!("{name}, sample {sample}"),
        "each index at most once",
        format!("{index} twice"),
    )
}

/// How often each feature occurs; none if an index is out of range.
fn count(features: usize, indices: &[u32]) -> Option<Vec<u32>> {
    // Two tables, so that an increment seldom waits for the one before.
    let [mut even, mut odd] = [vec![0u32; features], vec![0u32; features]];
    let (pairs, last) = indices.as_chunks();
    for &[first, second] in pairs {
        *even.get_mut(first as usize)? += 1;
        *odd.get_mut(second as usize)? += 1;
    }
    for &feature in last {
        *even.get_mut(feature as usize)? += 1;
    }
    for (even, odd) in even.iter_mut().zip(odd) {
        *even += odd;
    }
    Some(even)
}

fn strictly_ascending(list: &[u32]) -> bool {
    let pairs = list.iter().zip(list.iter().skip(1));
    // All are looked at, because that needs no branch for each.
    pairs.fold(true, |ascending, (first, second)| {
        ascending & (first < second)
    })
}

/// Names the first index that is none of a feature.
#[cold]
fn out_of_range(name: &str, features: usize, starts: &[u32], indices: &[u32]) -> Error {
    let wrong = |index: &u32| *index as usize >= features;
    let entry = indices.iter().position(wrong).unwrap_or(0);
    let sample = starts.partition_point(|&start| start as usize <= entry) - 1;
    Error::argument(
        format!("{name}, sample {sample}"),
        format!("an index from 0 to {} or {PADDING}", features - 1),
        indices[entry] as i32,
    )
}
