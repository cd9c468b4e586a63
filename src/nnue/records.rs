//! Chess records that a device decodes: 32 bytes per sample instead of index lists and their
//! transposed index.
//!
//! A record is a bulletformat record whose last eight bytes, the score, the result and the squares
//! of the kings, give way to the target and the start of the sample's lists. As words:
//!
//! | words | contents |
//! | --- | --- |
//! | 0, 1 | a bit per occupied square |
//! | 2 to 5 | a code of four bits per piece, by ascending square: 8 for the other side + the kind |
//! | 6 | the target t, as the bits of an f32 |
//! | 7 | the start of the sample's list, for both perspectives |

use crate::error::Result;
use crate::files::memory::reserve;
use crate::tensor::lists::SparseInputs;

/// Words of a record.
pub(crate) const RECORD: usize = 8;
/// Entries of [`Decoder::views`].
pub(crate) const VIEWS: usize = 64;
/// Entries of the table of output buckets, by the number of pieces.
pub(crate) const PIECE_COUNTS: usize = 33;
/// The words before the first record: both tables, padded to whole vectors.
pub(crate) const FIRST: usize = (VIEWS + PIECE_COUNTS).next_multiple_of(4);
/// The shift of the flip in a view.
pub(crate) const FLIP_SHIFT: u32 = 28;

/// How the features of a perspective follow from a record and the square of its king.
///
/// With the feature f of [`Chess768`](super::data::Chess768) and the king on square k, as the
/// perspective sees it, the feature is `first + (f ^ flip)` with `views[k] = first | flip << 28`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// N.
    pub(crate) inputs: usize,
    /// By the square of the king.
    pub(crate) views: [u32; VIEWS],
}

/// The features of both perspectives for each piece of a record, in the order of the lists.
pub(crate) fn features<'a>(
    record: &'a [u32],
    views: &'a [u32],
) -> impl Iterator<Item = [u32; 2]> + 'a {
    let kings = pieces(record).fold([0, 0], |kings, (code, square)| match code {
        5 => [square, kings[1]],
        13 => [kings[0], square ^ 56],
        _ => kings,
    });
    let [own, other] = kings.map(|king| views[king as usize]);
    let place = |feature: u32, view: u32| {
        (feature ^ (view >> FLIP_SHIFT)) + (view & ((1 << FLIP_SHIFT) - 1))
    };
    pieces(record).map(move |(code, square)| {
        let (side, kind) = (code >> 3, 64 * (code & 7));
        [
            place(384 * side + kind + square, own),
            place(384 * (1 - side) + kind + (square ^ 56), other),
        ]
    })
}

/// The code and the square of each piece, by ascending square.
fn pieces(record: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    let mut occupied = u64::from(record[0]) | u64::from(record[1]) << 32;
    let codes = &record[2..6];
    (0..count(record)).map(move |piece| {
        let square = occupied.trailing_zeros();
        occupied &= occupied - 1;
        let code = codes[piece as usize / 8] >> (4 * (piece % 8)) & 15;
        (code, square)
    })
}

/// The number of pieces.
#[inline(always)]
pub(crate) fn count(record: &[u32]) -> u32 {
    record[0].count_ones() + record[1].count_ones()
}

/// The samples of a batch as records.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Records {
    /// N.
    inputs: usize,
    /// The views, the output buckets by the number of pieces, and from [`FIRST`] on the records,
    /// `[L, 8]`.
    words: Vec<u32>,
    /// Indices of the lists of one perspective.
    entries: u32,
}

impl Records {
    /// No samples, in the memory of another batch. `buckets` is the output bucket of each number of
    /// pieces.
    pub(crate) fn new(
        decoder: &Decoder,
        buckets: [u32; PIECE_COUNTS],
        mut memory: Vec<u32>,
    ) -> Self {
        memory.clear();
        memory.extend(decoder.views);
        memory.extend(buckets);
        memory.resize(FIRST, 0);
        Self {
            inputs: decoder.inputs,
            words: memory,
            entries: 0,
        }
    }

    /// Makes room for `samples` records.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if the system has no memory for them.
    pub(crate) fn reserve(&mut self, samples: usize) -> Result<()> {
        reserve("a batch", &mut self.words, samples.saturating_mul(RECORD))
    }

    /// Adds a bulletformat record, which is sound, with its target.
    #[inline(always)]
    pub(crate) fn push(&mut self, record: &[u8; 4 * RECORD], target: f32) {
        let (words, _) = record.as_chunks::<4>();
        let words = words.iter().map(|&bytes| u32::from_le_bytes(bytes));
        let start = self.words.len();
        self.words.extend(words.take(RECORD - 2));
        let entries = count(&self.words[start..]);
        self.words.extend([target.to_bits(), self.entries]);
        self.entries += entries;
    }

    /// N.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// L.
    pub(crate) fn len(&self) -> usize {
        (self.words.len() - FIRST) / RECORD
    }

    /// Indices of the lists of one perspective.
    pub(crate) fn entries(&self) -> usize {
        self.entries as usize
    }

    /// The tables and the records.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    /// The memory for another batch.
    pub(crate) fn into_memory(self) -> Vec<u32> {
        self.words
    }

    /// The index lists of both perspectives.
    pub(crate) fn lists(&self) -> [SparseInputs; 2] {
        let (tables, records) = self.words.split_at(FIRST);
        let mut starts = Vec::with_capacity(self.len() + 1);
        let mut lists = [(); 2].map(|()| Vec::with_capacity(self.entries()));
        for record in records.chunks_exact(RECORD) {
            starts.push(lists[0].len() as u32);
            for features in features(record, tables) {
                for (list, feature) in lists.iter_mut().zip(features) {
                    list.push(feature);
                }
            }
        }
        starts.push(self.entries);
        lists.map(|list| SparseInputs::of_sound(self.inputs, starts.clone(), list))
    }
}
