//! The transposed index: for each feature, the samples that have it.

use super::PADDING;
use super::chunks::CHUNK;
use crate::error::{Error, Result};
use std::ops::Range;

/// For each feature the ascending list of samples that have it, cut into chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transposed {
    /// The start of each feature's list in `samples`, `[N + 1]`.
    pub(super) offsets: Vec<u32>,
    pub(super) samples: Vec<u32>,
    /// The first chunk of each feature, `[N + 1]`.
    pub(super) first_chunks: Vec<u32>,
    /// The start of each chunk in `samples`, `[chunks + 1]`.
    pub(super) chunk_starts: Vec<u32>,
}

/// The samples that are sorted together before they move to their final places, so that the sort
/// stays in the second cache.
const BLOCK: usize = 2048;
/// A tile has at least this many entries per feature. With fewer, the offsets would take longer
/// than the entries.
const USES: usize = 4;

impl Transposed {
    /// Becomes the index of these lists: a stable counting sort orders the entries by feature. The
    /// memory is reused.
    pub(super) fn build(&mut self, features: usize, starts: &[u32], indices: &[u32]) -> Result<()> {
        let Some(counts) = counts(features, starts, indices) else {
            return Err(out_of_range(features, starts, indices));
        };
        match self.sort(features, &counts, starts, indices) {
            true => Ok(()),
            false => Err(twice(starts, indices)),
        }
    }

    /// Builds the index of validated lists.
    pub(super) fn of(features: usize, starts: &[u32], indices: &[u32]) -> Self {
        let mut made = Self::default();
        if let Some(counts) = counts(features, starts, indices) {
            made.sort(features, &counts, starts, indices);
        }
        made
    }

    /// The counting sort, given how often each feature occurs in each block, `[blocks, N]`. Returns
    /// whether no sample has a feature twice.
    fn sort(&mut self, features: usize, counts: &[u32], starts: &[u32], indices: &[u32]) -> bool {
        let counts = || counts.chunks_exact(features);
        self.set_offsets((0..features).map(|feature| counts().map(|counts| counts[feature]).sum()));
        let mut next = self.offsets.clone();
        // The sort overwrites what an earlier batch left here.
        self.samples.resize(indices.len(), 0);
        let (mut places, mut sorted) = (vec![0; features], Vec::new());
        let mut is_ascending = true;
        for (block, counts) in blocks(features, starts).zip(counts()) {
            let entries = starts[block.start] as usize..starts[block.end] as usize;
            sorted.resize(entries.len().max(sorted.len()), 0);
            let mut end = 0;
            for (place, count) in places.iter_mut().zip(counts) {
                *place = end;
                end += count;
            }
            let lists = starts[block.start..=block.end].windows(2);
            for (sample, list) in (0u16..).zip(lists) {
                for &feature in &indices[list[0] as usize..list[1] as usize] {
                    let place = &mut places[feature as usize];
                    sorted[*place as usize] = sample;
                    *place += 1;
                }
            }
            let mut rest = sorted.as_slice();
            for (next, &count) in next.iter_mut().zip(counts) {
                let (own, others) = rest.split_at(count as usize);
                rest = others;
                // Samples arrive in ascending order, so a sample that has a feature twice occurs
                // twice in a row.
                is_ascending &= strictly_ascending(own);
                let to = &mut self.samples[*next as usize..][..own.len()];
                for (to, sample) in to.iter_mut().zip(own) {
                    *to = block.start as u32 + u32::from(*sample);
                }
                *next += count;
            }
        }
        is_ascending
    }

    /// Becomes the index of the lists of `other` with feature `sources[f]` renamed to f.
    pub(super) fn rename(&mut self, other: &Self, sources: &[u32]) {
        let lists = || sources.iter().map(|&source| other.list(source as usize));
        self.set_offsets(lists().map(|list| list.len() as u32));
        self.samples.clear();
        self.samples.reserve_exact(other.samples.len());
        lists().for_each(|list| self.samples.extend_from_slice(list));
    }

    /// Lays out lists of these lengths, one per feature.
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
}

/// Refuses an index outside the features, and an index that occurs twice in a list.
pub(super) fn check(features: usize, starts: &[u32], indices: &[u32]) -> Result<()> {
    // For each feature the last sample that had it, counted from 1.
    let mut last = vec![0; features];
    let mut is_twice = false;
    for (sample, list) in (1..).zip(starts.windows(2)) {
        for &feature in &indices[list[0] as usize..list[1] as usize] {
            let Some(last) = last.get_mut(feature as usize) else {
                return Err(out_of_range(features, starts, indices));
            };
            is_twice |= *last == sample;
            *last = sample;
        }
    }
    match is_twice {
        true => Err(twice(starts, indices)),
        false => Ok(()),
    }
}

/// Refuses an index outside the features.
pub(super) fn check_range(features: usize, starts: &[u32], indices: &[u32]) -> Result<()> {
    let largest = || indices.iter().copied().max();
    match pulp::Arch::new().dispatch(largest) {
        Some(largest) if largest as usize >= features => {
            Err(out_of_range(features, starts, indices))
        }
        _ => Ok(()),
    }
}

/// Names the first sample that has a feature twice.
#[cold]
fn twice(starts: &[u32], indices: &[u32]) -> Error {
    let lists = starts.windows(2).enumerate();
    let mut again = lists.filter_map(|(sample, ends)| {
        let list = &indices[ends[0] as usize..ends[1] as usize];
        let mut places = list.iter().enumerate();
        let again = places.find(|&(place, index)| list[..place].contains(index));
        again.map(|(_, index)| (sample, *index))
    });
    let (sample, index) = again.next().unwrap_or_default();
    Error::argument(
        format!("sample {sample}"),
        "each index at most once",
        format!("{index} twice"),
    )
}

/// The blocks of samples that a sort works through. A sample's number within its block has 16 bits.
fn blocks(features: usize, starts: &[u32]) -> impl Iterator<Item = Range<usize>> + Clone {
    let samples = starts.len() - 1;
    let entries = starts[samples] as usize;
    let size = (USES * features * samples).div_ceil(entries.max(1));
    let size = size.clamp(BLOCK, 1 << 16);
    (0..samples)
        .step_by(size)
        .map(move |first| first..samples.min(first + size))
}

/// How often each feature occurs in each block, `[blocks, N]`; `None` if an index is out of range.
fn counts(features: usize, starts: &[u32], indices: &[u32]) -> Option<Vec<u32>> {
    let blocks = blocks(features, starts);
    let mut counts = vec![0u32; features * blocks.clone().count()];
    let mut odd = vec![0u32; features];
    for (block, counts) in blocks.zip(counts.chunks_exact_mut(features)) {
        // With two tables, an increment seldom waits for the previous increment.
        odd.fill(0);
        let indices = &indices[starts[block.start] as usize..starts[block.end] as usize];
        let (pairs, last) = indices.as_chunks();
        for &[first, second] in pairs {
            *counts.get_mut(first as usize)? += 1;
            *odd.get_mut(second as usize)? += 1;
        }
        for &feature in last {
            *counts.get_mut(feature as usize)? += 1;
        }
        for (count, odd) in counts.iter_mut().zip(&odd) {
            *count += odd;
        }
    }
    Some(counts)
}

fn strictly_ascending(list: &[u16]) -> bool {
    let pairs = list.iter().zip(list.iter().skip(1));
    // The loop checks every index, because that needs no branch per index.
    pairs.fold(true, |ascending, (first, second)| {
        ascending & (first < second)
    })
}

/// Names the first index outside the features.
#[cold]
fn out_of_range(features: usize, starts: &[u32], indices: &[u32]) -> Error {
    let wrong = |index: &u32| *index as usize >= features;
    let entry = indices.iter().position(wrong).unwrap_or(0);
    let sample = starts.partition_point(|&start| start as usize <= entry) - 1;
    Error::argument(
        format!("sample {sample}"),
        format!("an index from 0 to {} or {PADDING}", features - 1),
        indices[entry] as i32,
    )
}
