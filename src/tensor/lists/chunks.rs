//! Chunks: parts of lists of samples, each of which is summed as one. The sums are added in order.

use super::SparseInputs;

/// The most samples that are summed as one chunk. A longer list has several chunks, whose sums are
/// added in order. The bits of a run depend on this number.
pub const CHUNK: usize = 1024;

/// The chunks of lists, one list after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// The first chunk of each list, `[lists + 1]`.
    pub(crate) first: Vec<u32>,
    /// The start of each chunk among the samples of all lists, `[chunks + 1]`.
    pub(crate) starts: Vec<u32>,
}

impl Chunks {
    /// The number of chunks.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }
}

impl SparseInputs {
    /// The chunks of the transposed index with a list for each pair of an input and a range of
    /// samples. Range b has the samples from `ends[b - 1]`, or 0, to `ends[b]`, which ascend to L.
    /// The list of input f and range b is number f·ranges + b. A pair without samples has no chunk.
    pub(crate) fn chunks(&self, ends: &[u32]) -> Chunks {
        let (offsets, samples) = (self.offsets(), self.samples());
        let (mut first, mut starts) = (Vec::new(), Vec::new());
        for list in offsets.windows(2) {
            let mut begin = list[0];
            for &end in ends {
                first.push(starts.len() as u32);
                let rest = &samples[begin as usize..list[1] as usize];
                let count = rest.partition_point(|&sample| sample < end);
                let next = begin + count as u32;
                starts.extend((begin..next).step_by(CHUNK));
                begin = next;
            }
        }
        first.push(starts.len() as u32);
        starts.push(samples.len() as u32);
        Chunks { first, starts }
    }
}

/// Chunks of all samples, with a list for each range of samples. The ranges are those of
/// [`SparseInputs::chunks`]. A chunk also ends at each multiple of `most`.
pub(crate) fn blocks(ends: &[u32], most: usize) -> Chunks {
    let most = most as u32;
    let (mut first, mut starts) = (Vec::new(), Vec::new());
    let mut begin = 0;
    for &end in ends {
        first.push(starts.len() as u32);
        while begin < end {
            starts.push(begin);
            begin = end.min((begin / most + 1) * most);
        }
    }
    first.push(starts.len() as u32);
    starts.push(begin);
    Chunks { first, starts }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input 0 has every sample, input 1 every third, input 2 none.
    fn lists(samples: u32) -> SparseInputs {
        let list = |sample| if sample % 3 == 0 { [0, 1] } else { [0, -1] };
        SparseInputs::new(3, 2, (0..samples).flat_map(list).collect()).unwrap()
    }

    #[test]
    fn chunks_are_the_naive_ones() {
        let lists = lists(5000);
        for ends in [vec![5000], vec![0, 7, 7, 2500, 5000], vec![5000, 5000]] {
            let chunks = lists.chunks(&ends);
            assert_eq!(chunks.first.len(), 3 * ends.len() + 1);
            assert_eq!(chunks.starts.len(), chunks.len() + 1);
            for (pair, own) in chunks.first.windows(2).enumerate() {
                let (input, range) = (pair / ends.len(), pair % ends.len());
                let begin = if range == 0 { 0 } else { ends[range - 1] };
                let all = begin..ends[range];
                let expected: Vec<u32> = match input {
                    0 => all.collect(),
                    1 => all.filter(|sample| sample % 3 == 0).collect(),
                    _ => Vec::new(),
                };
                let starts = &chunks.starts[own[0] as usize..=own[1] as usize];
                let parts = starts.windows(2);
                let parts = parts.map(|ends| &lists.samples()[ends[0] as usize..ends[1] as usize]);
                let parts: Vec<&[u32]> = parts.collect();
                let naive: Vec<&[u32]> = expected.chunks(CHUNK).collect();
                assert_eq!(parts, naive, "{ends:?} {pair}");
            }
        }
        let one = lists.chunks(&[5000]);
        assert_eq!(one.first, lists.first_chunks());
        assert_eq!(one.starts, lists.chunk_starts());
    }

    #[test]
    fn blocks_end_with_their_range_and_at_multiples() {
        assert_eq!(blocks(&[2049], CHUNK).starts, [0, 1024, 2048, 2049]);
        let found = blocks(&[0, 1500, 1500, 2048, 2100], CHUNK);
        assert_eq!(found.starts, [0, 1024, 1500, 2048, 2100]);
        assert_eq!(found.first, [0, 0, 2, 2, 3, 4]);
        assert_eq!(blocks(&[0, 0], CHUNK).len(), 0);
    }
}
