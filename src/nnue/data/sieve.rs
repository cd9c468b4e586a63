//! Leaves out positions: those that a filter or their scores exclude, and damaged ones on request.

use super::dataset::Segment;
use super::filter::{Filter, InGame};
use super::place::Origin;
use super::record::{Position, RawRecord};
use crate::error::{Error, Fault, Result};
use aligned_vec::AVec;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most damaged records that the log lists.
const MOST_LISTED: u64 = 10;

/// What happens at a damaged record, line or game.
///
/// ```
/// use wgrad::nnue::data::BadRecords;
///
/// assert_eq!("skip".parse::<BadRecords>().unwrap(), BadRecords::Skip);
/// assert_eq!(BadRecords::default().name(), "error");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BadRecords {
    /// It ends the reading with an error.
    #[default]
    Error,
    /// It is left out and counted. The log lists the first ten. Of a damaged game or chunk, the
    /// positions before the damage stay.
    Skip,
}

impl BadRecords {
    /// The names in options.
    pub const NAMES: [&'static str; 2] = ["error", "skip"];

    /// The name in options.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl FromStr for BadRecords {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "error" => Ok(Self::Error),
            "skip" => Ok(Self::Skip),
            _ => Err(Error::argument("bad_records", "error or skip", text)),
        }
    }
}

/// The number of positions that were left out. A position counts as often as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Because of their scores.
    pub scores: u64,
    /// Because of the filter.
    pub filtered: u64,
    /// Damaged records, lines and games.
    pub bad: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.scores + self.filtered + self.bad
    }

    /// The error of a reader that found no position to keep, with the counts before it.
    pub(crate) fn nothing_left(self, before: Self) -> Error {
        let found = Self {
            scores: self.scores - before.scores,
            filtered: self.filtered - before.filtered,
            bad: self.bad - before.bad,
        };
        if found.total() == 0 {
            let expected = "a place before the end of the data";
            return Error::argument("start", expected, "no data from there on");
        }
        let expected = "a position that is not left out";
        Error::argument("data", expected, found)
    }
}

/// The numbers as words.
impl Display for Dropped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.scores, "positions with scores of max_score or more"),
            (self.filtered, "positions by the filter"),
            (self.bad, "damaged records"),
        ];
        let words = kinds.iter().filter(|(count, _)| *count > 0);
        let words: Vec<_> = words
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        f.write_str(&words.join(", "))
    }
}

/// The same numbers, which the clones of a dataset share.
#[derive(Debug, Default)]
struct Counters {
    scores: AtomicU64,
    filtered: AtomicU64,
    bad: AtomicU64,
}

/// What is left out of a dataset. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sieve {
    /// The least size of a score that is left out; 0 for none.
    pub(crate) max_score: u16,
    pub(crate) filter: Option<Arc<Filter>>,
    /// The seed of the filter's chance.
    pub(crate) seed: u64,
    pub(crate) bad: BadRecords,
    counters: Arc<Counters>,
}

/// What the reader of a file tells of a record beside it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Note {
    /// The records or lines of the file before it.
    pub(crate) number: u64,
    /// The number of the first record of its game; its own without a game.
    pub(crate) game: u64,
    pub(crate) in_game: InGame,
}

impl Note {
    /// Of a record that is not in a game.
    pub(crate) fn numbered(number: u64) -> Self {
        Self {
            number,
            game: number,
            in_game: InGame::default(),
        }
    }
}

impl Sieve {
    /// The same rules with counts of their own.
    pub(crate) fn recounted(&self) -> Self {
        Self {
            counters: Arc::default(),
            ..self.clone()
        }
    }

    /// Whether it may leave something out.
    pub(crate) fn is_on(&self) -> bool {
        self.max_score > 0 || self.filter.is_some() || self.bad == BadRecords::Skip
    }

    /// Whether it looks at the notes of records with consecutive numbers.
    pub(crate) fn needs_notes(&self) -> bool {
        self.filter.is_some() || self.bad == BadRecords::Skip
    }

    pub(crate) fn dropped(&self) -> Dropped {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Dropped {
            scores: read(&self.counters.scores),
            filtered: read(&self.counters.filtered),
            bad: read(&self.counters.bad),
        }
    }

    /// Counts and lists a damaged record, or returns its error.
    pub(crate) fn refuse(&self, path: &Path, place: impl Display, fault: Fault) -> Result<()> {
        let fault = fault.within(place);
        if self.bad == BadRecords::Error {
            return Err(Error::data(path, fault));
        }
        let before = self.counters.bad.fetch_add(1, Ordering::Relaxed);
        if before < MOST_LISTED {
            log::warn!("left out: {}: {fault}", path.display());
        }
        Ok(())
    }

    /// Removes records of `new`, the consecutive records from `new.at` on, and adds a segment for
    /// each run of the others.
    pub(crate) fn keep(
        &self,
        path: &Path,
        records: &mut AVec<RawRecord>,
        notes: &[Note],
        segments: &mut Vec<Segment>,
        new: Segment,
        chance: &mut Chance,
    ) -> Result<()> {
        if !self.is_on() && notes.is_empty() {
            segments.extend((new.at < records.len()).then_some(new));
            return Ok(());
        }
        let (mut to, mut in_run) = (new.at, false);
        for from in new.at..records.len() {
            let number = new.origin.number + (from - new.at) as u64;
            let note = notes.get(from - new.at).copied();
            let note = note.unwrap_or(Note::numbered(number));
            if self.drops(path, &records[from], note, chance)? {
                in_run = false;
                continue;
            }
            // Lines and damaged records between two records leave a gap in the numbers.
            let follows =
                |segment: &Segment| segment.origin.number + (to - segment.at) as u64 == note.number;
            if !(in_run && segments.last().is_some_and(follows)) {
                let origin = Origin {
                    number: note.number,
                    ..new.origin
                };
                segments.push(Segment { at: to, origin });
                in_run = true;
            }
            if to < from {
                records[to] = records[from];
            }
            to += 1;
        }
        records.truncate(to);
        Ok(())
    }

    /// Whether a record is left out. A damaged one is kept if it is to be an error, so that it is
    /// one where it is used.
    fn drops(
        &self,
        path: &Path,
        record: &RawRecord,
        note: Note,
        chance: &mut Chance,
    ) -> Result<bool> {
        let score = i16::from_le_bytes([record[24], record[25]]);
        let is_mate = self.max_score > 0 && score.unsigned_abs() >= self.max_score;
        if !is_mate && self.filter.is_none() && self.bad == BadRecords::Error {
            return Ok(false);
        }
        let position = match Position::from_bytes(record) {
            Ok(position) => position,
            Err(_) if self.bad == BadRecords::Error => return Ok(false),
            Err(fault) => {
                let place = format_args!("record {} (counted from 0)", note.number);
                return self.refuse(path, place, fault).map(|()| true);
            }
        };
        let counter = match &self.filter {
            _ if is_mate => &self.counters.scores,
            Some(filter) if !chance.keeps(filter.share(&position, note.in_game), note.number) => {
                &self.counters.filtered
            }
            _ => return Ok(false),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

/// The chance that decides about positions. Each record of a file has its own number of it, so that
/// a reader can begin anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    random: ChaCha8Rng,
    /// The record whose number is next.
    next: u64,
}

impl Chance {
    /// The numbers for a file of an epoch.
    pub(crate) fn new(seed: u64, epoch: u64, file: usize) -> Self {
        let mut key = [0; 32];
        // The last part differs from that of the order of a block.
        let parts = [seed, epoch, file as u64, u64::from_le_bytes(*b"filtered")];
        for (part, value) in key.chunks_exact_mut(8).zip(parts) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Self {
            random: ChaCha8Rng::from_seed(key),
            next: 0,
        }
    }

    /// Whether a record is kept that is kept with this probability.
    fn keeps(&mut self, share: f64, number: u64) -> bool {
        if share <= 0.0 || share >= 1.0 {
            return share >= 1.0;
        }
        // A jump costs as much as about 32 numbers, and a number is two words.
        match number.checked_sub(self.next) {
            Some(gap @ 0..32) => {
                for _ in 0..gap {
                    self.random.random::<f64>();
                }
            }
            _ => self.random.set_word_pos(2 * u128::from(number)),
        }
        self.next = number + 1;
        self.random.random::<f64>() < share
    }
}
