//! The positions of a dataset one after the other.

use super::dataset::{Dataset, DatasetReader, Segment};
use super::game_starts::GameStarts;
use super::place::{Origin, Spot};
use super::record::{Position, RawRecord};
use crate::error::Result;
use aligned_vec::{AVec, CACHELINE_ALIGN};

/// Records that are read at once.
const BLOCK: usize = 4096;

/// The positions of a [`Dataset`] in the order of its files. An error ends them.
pub struct Positions {
    dataset: Dataset,
    /// `None` before the first block.
    reader: Option<DatasetReader>,
    records: AVec<RawRecord>,
    segments: Vec<Segment>,
    /// The index of the next record in `records`.
    next: usize,
    ended: bool,
}

impl Dataset {
    /// The positions of all files, checked.
    pub fn iter(&self) -> Positions {
        Positions {
            dataset: self.clone(),
            reader: None,
            records: AVec::new(CACHELINE_ALIGN),
            segments: Vec::new(),
            next: 0,
            ended: false,
        }
    }
}

impl Positions {
    /// Reads the next block; false at the end.
    fn fill(&mut self) -> Result<bool> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(self.dataset.reader(Spot::default(), 0)?),
        };
        self.records.clear();
        self.segments.clear();
        self.next = 0;
        reader.games = Some(GameStarts::default());
        reader.read(&mut self.records, &mut self.segments, BLOCK)?;
        Ok(!self.records.is_empty())
    }

    fn read(&mut self) -> Result<Option<Position>> {
        if self.next == self.records.len() && !self.fill()? {
            return Ok(None);
        }
        let at = self.next;
        self.next += 1;
        let position = Position::from_bytes(&self.records[at]).map_err(|fault| {
            let origin = Segment::origin(&self.segments, at);
            self.dataset.blame(origin, fault)
        })?;
        Ok(Some(position))
    }

    /// The game of the position that was returned last: the origin of the game's first position.
    /// The positions of a game are consecutive. In a format without games each position is a game
    /// of its own.
    ///
    /// # Panics
    /// Before the first position, and after the end or an error.
    pub(crate) fn game(&self) -> Origin {
        let origin = Segment::origin(&self.segments, self.next - 1);
        let reader = self.reader.as_ref();
        let games = reader.and_then(|reader| reader.games.as_ref());
        games.map_or(origin, |games| games.of(origin))
    }
}

impl Iterator for Positions {
    type Item = Result<Position>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}

impl IntoIterator for &Dataset {
    type Item = Result<Position>;
    type IntoIter = Positions;

    fn into_iter(self) -> Positions {
        self.iter()
    }
}
