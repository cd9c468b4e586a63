//! A list of files as one long sequence of positions.

use super::folder;
use super::format::{DataFile, Reader};
use super::place::{Origin, Spot};
use super::record::RawRecord;
use super::scores::ScoreFilter;
use crate::error::{Error, Fault, Result};
use crate::files::atomic::open_regular;
use aligned_vec::{AVec, CACHELINE_ALIGN};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of samples that a fingerprint takes from each file, and their size in bytes.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: u64 = 4096;

/// The number of lines from which [`Dataset::estimate`] takes the length of a line.
const SAMPLED_LINES: u64 = 1 << 20;

/// Files of positions in a fixed order, as one sequence. Clones are cheap, and no file is kept
/// open.
#[derive(Clone, Debug)]
pub struct Dataset {
    files: Arc<[DataFile]>,
    scores: ScoreFilter,
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
    /// subdirectories. The first bytes of a file tell its format: bulletformat, marlinformat or
    /// text. Records and lines are checked later.
    ///
    /// # Errors
    /// No files, or a file that is missing, unreadable, not regular, empty, truncated, or in none
    /// of the formats. The error names other known formats.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::argument("data", "at least 1 file", "none"));
        }
        let paths = folder::expand(paths)?;
        let files = paths.iter().map(|path| DataFile::open(path));
        let files = files.collect::<Result<_>>()?;
        Ok(Self {
            files,
            scores: ScoreFilter::default(),
        })
    }

    /// The same files without the positions whose score is at least this number in size; 0 keeps
    /// all. Engines write mates and missing scores as such numbers. [`Self::positions`],
    /// [`Self::count`] and [`Self::estimate`] still count them.
    #[must_use]
    pub fn max_score(self, max_score: u16) -> Self {
        Self {
            scores: ScoreFilter::new(max_score),
            ..self
        }
    }

    /// The number of positions that all clones of this dataset have left out because of their scores
    /// since [`Self::max_score`]. A position counts as often as it was read.
    pub fn dropped(&self) -> u64 {
        self.scores.dropped()
    }

    /// The number of positions in all files, at least 1, if the sizes of the files say it. Those of
    /// text files do not.
    pub fn positions(&self) -> Option<u64> {
        self.files.iter().map(DataFile::positions).sum()
    }

    /// The number of positions in all files, at least 1. Text files are read through.
    ///
    /// # Errors
    /// A file that cannot be read, and a line that is too long.
    pub fn count(&self) -> Result<u64> {
        Ok(self.sample_lines(u64::MAX)?.positions)
    }

    /// The number of positions in all files, from the sizes of the files and the mean length of the
    /// first 2²⁰ lines of text. It is exact if there are no other lines. The same files give the
    /// same number.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn estimate(&self) -> Result<Estimate> {
        self.sample_lines(SAMPLED_LINES)
    }

    /// Counts at most `most` lines, and takes the number of others from the mean length.
    fn sample_lines(&self, most: u64) -> Result<Estimate> {
        let (mut positions, mut lines, mut read, mut left) = (0, 0, 0, 0);
        for file in &*self.files {
            if let Some(records) = file.positions() {
                positions += records;
                continue;
            }
            if lines < most {
                let mut text = file.lines(Spot::default())?;
                while lines < most && text.advance()? {
                    lines += 1;
                }
                let to = if lines < most {
                    file.bytes
                } else {
                    text.spot().offset
                };
                read += to;
                left += file.bytes - to;
            } else {
                left += file.bytes;
            }
        }
        let others = u128::from(left) * u128::from(lines) / u128::from(read.max(1));
        Ok(Estimate {
            positions: positions + lines + u64::try_from(others).unwrap_or(u64::MAX),
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
            sample(&file.path, &mut checksum).map_err(Error::io(&file.path, "read"))?;
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
        Error::data(&self.files[origin.file].path, fault)
    }

    /// A reader of all positions from a spot on.
    ///
    /// # Errors
    /// A spot behind the last position, and a file that cannot be opened.
    pub(crate) fn reader(&self, from: Spot) -> Result<DatasetReader> {
        let file = usize::try_from(from.file).unwrap_or(usize::MAX);
        let Some(found) = self.files.get(file) else {
            let expected = format!("one of {} files", self.files.len());
            return Err(Error::argument("start, file", expected, from.file));
        };
        if from.offset > found.bytes {
            let expected = format!("at least {} bytes, as when it was read", from.offset);
            let fault = Fault::new("size", expected, found.bytes);
            return Err(Error::data(&found.path, fault));
        }
        Ok(DatasetReader {
            reader: found.reader(from)?,
            file,
            files: self.files.clone(),
            scores: self.scores.clone(),
            ahead: None,
        })
    }
}

/// Adds a file's size and samples to a checksum.
fn sample(path: &Path, checksum: &mut crc32fast::Hasher) -> std::io::Result<()> {
    let mut file = open_regular(path)?;
    let bytes = file.metadata()?.len();
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
    scores: ScoreFilter,
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
            let at = records.len();
            self.reader.read(records, most - at)?;
            self.scores.keep(records, segments, Segment { at, origin });
        }
        Ok(())
    }

    /// Where the next record of the files comes from, in the next file if this one has ended.
    fn next_origin(&mut self) -> Result<Option<Origin>> {
        if self.reader.is_at_end() {
            if self.file + 1 == self.files.len() {
                return Ok(None);
            }
            self.file += 1;
            self.reader = self.files[self.file].reader(Spot::default())?;
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
            self.reader.read(&mut records, 1)?;
            self.scores
                .keep(&mut records, &mut segments, Segment { at: 0, origin });
            if let Some(&record) = records.first() {
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
        if !self.scores.is_on() {
            return self.file + 1 == self.files.len() && self.reader.is_at_end();
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
