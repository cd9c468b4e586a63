//! A list of files as one long sequence of positions.

use super::filter::Filter;
use super::folder;
use super::format::{DataFile, Reader};
use super::game_starts::GameStarts;
use super::line::{Side, Sides};
use super::place::{Origin, Spot};
use super::record::RawRecord;
use super::sieve::{BadRecords, Chance, Dropped, Note, Sieve};
use super::source::Source;
use crate::error::{Error, Fault, Result};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use std::io::{Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of samples that a fingerprint takes from each file, and their size in bytes.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: u64 = 4096;

/// The number of positions from which [`Dataset::estimate`] takes the bytes of a position.
const SAMPLED: u64 = 1 << 20;

/// The most records that are read before the sieve takes them, so that they are still in a cache.
const AT_ONCE: usize = 4096;

/// Files of positions in a fixed order, as one sequence. Clones are cheap, and no file is kept
/// open.
#[derive(Clone, Debug)]
pub struct Dataset {
    files: Arc<[DataFile]>,
    sieve: Sieve,
}

/// The number of positions of an epoch, as far as it is known before the epoch is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// The number of positions, at least 1.
    pub positions: u64,
    /// Whether that is the exact number.
    pub exact: bool,
}

impl Dataset {
    /// Opens each file once to detect its format. Only compressed files (gzip, zstd) are
    /// read through, because their size does not tell that of the data.
    ///
    /// A directory stands for its files in the order of their names, without hidden files and
    /// subdirectories. The first bytes of a file tell its format: bulletformat, marlinformat,
    /// viriformat, text or, with the feature `binpack-gpl-3`, Stockfish binpack. Records and lines
    /// are checked later.
    ///
    /// # Errors
    /// No files, or a file that is missing, unreadable, not regular, empty, truncated, or in none
    /// of the formats. The error names other known formats.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::argument("data", "at least 1 file", "none"));
        }
        Self::of(folder::expand(paths)?.into_iter().map(Source::file))
    }

    /// The contents of a file, which are already in memory. `name` names them in errors. A browser
    /// has no files, and no zstd.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_memory(name: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self> {
        Self::of([Source::memory(name.as_ref(), bytes)])
    }

    fn of(sources: impl IntoIterator<Item = Source>) -> Result<Self> {
        let files = sources.into_iter().map(DataFile::open);
        Ok(Self {
            files: files.collect::<Result<_>>()?,
            sieve: Sieve::default(),
        })
    }

    /// The same files without the positions whose score is at least this number in size; 0 keeps
    /// all. Engines write mates and missing scores as such numbers. [`Self::positions`],
    /// [`Self::count`] and [`Self::estimate`] still count them.
    #[must_use]
    pub fn max_score(mut self, max_score: u16) -> Self {
        self.sieve = self.sieve.recounted();
        self.sieve.max_score = max_score;
        self
    }

    /// The same files without the positions that a filter leaves out. The seed decides where chance
    /// does: the same seed, epoch, file and record have the same chance.
    ///
    /// # Errors
    /// Wrong numbers of the filter, and a key that needs whole games beside a file that has none.
    pub fn filter(mut self, filter: Filter, seed: u64) -> Result<Self> {
        filter.check()?;
        let without = self.files.iter().find(|file| !file.has_games());
        if let (Some(key), Some(file)) = (filter.of_games(), without) {
            let expected = format!("whole games, as viriformat has, or {key}");
            return Err(Error::data(
                file.path(),
                Fault::new("filter", expected, "positions alone"),
            ));
        }
        self.sieve = self.sieve.recounted();
        (self.sieve.filter, self.sieve.seed) = (Some(Arc::new(filter)), seed);
        Ok(self)
    }

    /// The same files with or without an error at a damaged record.
    #[must_use]
    pub fn bad_records(mut self, bad: BadRecords) -> Self {
        self.sieve = self.sieve.recounted();
        self.sieve.bad = bad;
        self
    }

    /// The same files with the scores and results of these sides in their lines of text.
    #[must_use]
    pub fn text_sides(mut self, scores: Side, results: Side) -> Self {
        let sides = Sides { scores, results };
        let files = self.files.iter().map(|file| file.with_sides(sides));
        self.files = files.collect();
        self
    }

    /// The same files with all positions; `None` if damaged records are left out.
    pub(crate) fn unsieved(&self) -> Option<Self> {
        (self.sieve.bad == BadRecords::Error).then(|| Self {
            files: self.files.clone(),
            sieve: Sieve::default(),
        })
    }

    /// The number of positions that all clones of this dataset have left out since
    /// [`Self::max_score`], [`Self::filter`] or [`Self::bad_records`], whichever was called last.
    pub fn dropped(&self) -> Dropped {
        self.sieve.dropped()
    }

    /// The number of positions in all files, at least 1, if the sizes of the files say it. Those of
    /// files of text and of games do not.
    pub fn positions(&self) -> Option<u64> {
        self.files.iter().map(DataFile::positions).sum()
    }

    /// The number of positions in all files, at least 1. Files of text and of games are read
    /// through.
    ///
    /// # Errors
    /// A file that cannot be read, and a line that is too long.
    pub fn count(&self) -> Result<u64> {
        Ok(self.sample(u64::MAX)?.positions)
    }

    /// The number of positions in all files, from the sizes of the files and the mean length of the
    /// first 2²⁰ lines of text or positions of games. It is exact if there are no others. The same
    /// files give the same number.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn estimate(&self) -> Result<Estimate> {
        self.sample(SAMPLED)
    }

    /// Counts about `most` positions whose number the size of their file does not tell, and takes
    /// the number of others from the mean length.
    fn sample(&self, most: u64) -> Result<Estimate> {
        let (mut positions, mut counted, mut read, mut left) = (0, 0, 0, 0);
        for file in &*self.files {
            if let Some(records) = file.positions() {
                positions += records;
            } else if counted < most {
                let (found, to) = file.sample(most - counted)?;
                counted += found;
                read += to;
                left += file.bytes - to;
            } else {
                left += file.bytes;
            }
        }
        let others = u128::from(left) * u128::from(counted) / u128::from(read.max(1));
        Ok(Estimate {
            positions: positions + counted + u64::try_from(others).unwrap_or(u64::MAX),
            exact: left == 0,
        })
    }

    /// A text that identifies the dataset: the number of positions and a CRC-32, such as
    /// `200000-1c291ca3`. Text files are read through. [`Self::past`] is the cheaper way.
    ///
    /// The checksum covers the size and the contents of each file, but not its name or time. Of a
    /// file above 1 MiB it covers 256 evenly spaced samples of 4 KiB. So it detects other data,
    /// longer data and reordered data, but not every change of a few records in a large file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut checksum = crc32fast::Hasher::new();
        for file in &*self.files {
            sample(&file.source, &mut checksum).map_err(Error::io(file.path(), "read"))?;
        }
        Ok(format!("{}-{:08x}", self.count()?, checksum.finalize()))
    }

    pub(crate) fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// The fault of a record as an error that names the file and the record's number in the file.
    pub(crate) fn blame(&self, origin: Origin, fault: Fault) -> Error {
        let number = origin.number;
        let fault = fault.within(format_args!("record {number} (counted from 0)"));
        Error::data(self.files[origin.file].path(), fault)
    }

    /// A reader of all positions of an epoch from a spot on.
    ///
    /// # Errors
    /// A spot behind the last position, and a file that cannot be opened.
    pub(crate) fn reader(&self, from: Spot, epoch: u64) -> Result<DatasetReader> {
        let file = usize::try_from(from.file).unwrap_or(usize::MAX);
        let Some(found) = self.files.get(file) else {
            let expected = format!("one of {} files", self.files.len());
            return Err(Error::argument("start, file", expected, from.file));
        };
        if from.offset > found.bytes {
            let expected = format!("at least {} bytes, as when it was read", from.offset);
            let fault = Fault::new("size", expected, found.bytes);
            return Err(Error::data(found.path(), fault));
        }
        Ok(DatasetReader {
            reader: found.reader(from)?,
            file,
            files: self.files.clone(),
            chance: Chance::new(self.sieve.seed, epoch, file),
            sieve: self.sieve.clone(),
            epoch,
            notes: Vec::new(),
            games: None,
            ahead: None,
        })
    }
}

/// Adds a file's size and samples to a checksum.
fn sample(source: &Source, checksum: &mut crc32fast::Hasher) -> std::io::Result<()> {
    let (mut file, bytes) = source.open()?;
    checksum.update(&bytes.to_le_bytes());
    let mut buffer = Vec::new();
    // The samples cover a file of up to SAMPLES · SAMPLE_BYTES completely.
    let stride = (bytes / SAMPLES).max(SAMPLE_BYTES);
    for start in (0..bytes).step_by(stride as usize) {
        buffer.clear();
        file.seek(SeekFrom::Start(start))?;
        (&mut file).take(SAMPLE_BYTES).read_to_end(&mut buffer)?;
        checksum.update(&buffer);
    }
    Ok(())
}

/// Reads the positions of a [`Dataset`] in order. One file is open at a time.
pub(crate) struct DatasetReader {
    files: Arc<[DataFile]>,
    /// The index of the current file.
    file: usize,
    reader: Reader,
    sieve: Sieve,
    epoch: u64,
    /// The chance of the current file.
    chance: Chance,
    /// The notes of the records that were read last.
    notes: Vec<Note>,
    /// Where games begin, for a caller that wants to know it. The caller empties it.
    pub(crate) games: Option<GameStarts>,
    /// The next position that the filter keeps, read ahead of its turn, or the error in its place.
    ahead: Option<Result<Ahead>>,
}

/// A record that was read ahead of its turn.
struct Ahead {
    record: RawRecord,
    origin: Origin,
    /// The spot before it.
    before: Spot,
}

/// Consecutive records of one file in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// The index of the first of them in the block.
    pub(crate) at: usize,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

impl Segment {
    /// Where the record at an index of a block comes from. The segments of the block are in order.
    pub(crate) fn origin(segments: &[Self], at: usize) -> Origin {
        let after = segments.partition_point(|segment| segment.at <= at);
        let Self { at: first, origin } = segments[after - 1];
        Origin {
            number: origin.number + (at - first) as u64,
            ..origin
        }
    }
}

impl DatasetReader {
    /// Fills empty `records` with the next positions, at most `most` of them, and fewer only at the
    /// end. `segments` tell where they come from.
    pub(crate) fn read(
        &mut self,
        records: &mut AVec<RawRecord>,
        segments: &mut Vec<Segment>,
        most: usize,
    ) -> Result<()> {
        if let Some(ahead) = self.ahead.take() {
            let Ahead { record, origin, .. } = ahead?;
            records.push(record);
            segments.push(Segment { at: 0, origin });
        }
        while records.len() < most {
            let Some(origin) = self.next_origin()? else {
                return Ok(());
            };
            self.read_some(records, segments, most - records.len(), origin)?;
        }
        Ok(())
    }

    /// Appends the next records that the sieve keeps, at most `most`.
    fn read_some(
        &mut self,
        records: &mut AVec<RawRecord>,
        segments: &mut Vec<Segment>,
        most: usize,
        origin: Origin,
    ) -> Result<()> {
        let new = Segment {
            at: records.len(),
            origin,
        };
        let most = most.min(AT_ONCE);
        self.notes.clear();
        let in_games = self.games.is_some();
        self.reader
            .read(records, &mut self.notes, most, &self.sieve, in_games)?;
        if let Some(games) = &mut self.games {
            games.add(self.file, &self.notes);
        }
        let (path, notes) = (self.files[self.file].path(), &self.notes);
        self.sieve
            .keep(path, records, notes, segments, new, &mut self.chance)
    }

    /// Where the next record of the files comes from, in the next file if this one has ended.
    fn next_origin(&mut self) -> Result<Option<Origin>> {
        if self.reader.is_at_end(&self.sieve) {
            if self.file + 1 == self.files.len() {
                return Ok(None);
            }
            self.file += 1;
            self.reader = self.files[self.file].reader(Spot::default())?;
            self.chance = Chance::new(self.sieve.seed, self.epoch, self.file);
        }
        Ok(Some(Origin {
            file: self.file,
            number: self.reader.spot().number,
        }))
    }

    /// Reads until a position that the filter keeps; `None` at the end.
    fn read_ahead(&mut self) -> Result<Option<Ahead>> {
        let (mut records, mut segments) = (AVec::new(CACHELINE_ALIGN), Vec::new());
        while let Some(origin) = self.next_origin()? {
            let before = self.spot();
            self.read_some(&mut records, &mut segments, 1, origin)?;
            if let (Some(&record), Some(&Segment { origin, .. })) =
                (records.first(), segments.first())
            {
                return Ok(Some(Ahead {
                    record,
                    origin,
                    before,
                }));
            }
        }
        Ok(None)
    }

    /// Whether no position is left. Each file has at least 1. An error is left for [`Self::read`].
    pub(crate) fn is_at_end(&mut self) -> bool {
        if !self.sieve.is_on() {
            return self.file + 1 == self.files.len() && self.reader.is_at_end(&self.sieve);
        }
        if self.ahead.is_none() {
            self.ahead = self.read_ahead().transpose();
        }
        self.ahead.is_none()
    }

    /// The spot before the next position.
    pub(crate) fn spot(&self) -> Spot {
        match &self.ahead {
            Some(Ok(ahead)) => ahead.before,
            _ => Spot {
                file: self.file as u64,
                ..self.reader.spot()
            },
        }
    }
}
