//! Data files: their format, and a reader that returns the positions in order.

use super::foreign;
use super::games::{self, Game};
use super::line::Sides;
use super::marlin;
use super::packed::{Input, Packing};
use super::place::Spot;
use super::record::{Position, RawRecord};
use super::replay::Replay;
use super::sieve::{Note, Sieve};
use super::source::Source;
use super::text::TextReader;
#[cfg(feature = "binpack-gpl-3")]
use super::{binpack, binpack_chunk::Chunk};
use crate::error::{Error, Fault, Result};
use crate::files::stamp::Stamp;
use aligned_vec::AVec;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The number of bytes at the beginning of a file that decide its format.
const HEAD_BYTES: u64 = 4096;

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// bulletformat: records of 32 bytes.
    Records,
    /// marlinformat: records of 32 bytes, converted while they are read.
    Marlin,
    /// viriformat: games.
    Games,
    /// Stockfish binpack: chunks of chains of positions.
    #[cfg(feature = "binpack-gpl-3")]
    Binpack,
    /// Lines `FEN | score | result`.
    Text,
}

/// One file of a dataset, with at least 1 position. It is not kept open.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) source: Source,
    /// The size of the decoded data when the file was opened. What is appended later is not read.
    pub(crate) bytes: u64,
    /// The file itself, whose size differs if it is compressed.
    pub(crate) stamp: Stamp,
    packing: Packing,
    format: Format,
    /// Of text.
    sides: Sides,
}

impl DataFile {
    /// Detects the format and checks that there is a position.
    pub(crate) fn open(source: Source) -> Result<Self> {
        let path = &source.path;
        let stamp = source.stamp().map_err(Error::io(path, "open"))?;
        let packing = Packing::detect(&source).map_err(Error::io(path, "read"))?;
        let decode = || Error::io(path, "read or decompress");
        let bytes = packing.measure(&source).map_err(decode())?;
        let mut head = Vec::new();
        packing
            .open(&source, 0)
            .and_then(|input| input.take(HEAD_BYTES).read_to_end(&mut head))
            .map_err(decode())?;
        let wrong = |place: &str, expected: &str, found: String| {
            Error::data(path, Fault::new(place, expected, found))
        };
        if head.is_empty() {
            return Err(wrong("size", "at least 1 position", "an empty file".into()));
        }
        let format = detect(&head).map_err(|found| wrong("format", KNOWN, found))?;
        let file = Self {
            source: source.clone(),
            bytes,
            stamp,
            packing,
            format,
            sides: Sides::default(),
        };
        match format {
            Format::Records | Format::Marlin => {
                let left_over = bytes % Position::BYTES as u64;
                if left_over != 0 {
                    return Err(wrong(
                        "size",
                        "a multiple of 32 bytes, the length of a record",
                        format!(
                            "{bytes} bytes, {left_over} left over: truncated, or of another format"
                        ),
                    ));
                }
            }
            Format::Games => {
                if file.games(1)?.0 == 0 {
                    let found = "games without moves only, or without an end";
                    return Err(wrong("games", "at least 1 position", found.into()));
                }
            }
            #[cfg(feature = "binpack-gpl-3")]
            Format::Binpack => {
                let found = binpack::check(file.seek(0)?, bytes);
                let found = found.map_err(Error::io(path, "read"))?;
                found.map_err(|fault| Error::data(path, fault))?;
            }
            Format::Text => {
                if !file.lines(Spot::default())?.advance()? {
                    let found = "blank lines only";
                    return Err(wrong("lines", "at least 1 position", found.into()));
                }
            }
        }
        Ok(file)
    }

    /// The file, or the name of bytes in memory.
    pub(crate) fn path(&self) -> &Path {
        &self.source.path
    }

    /// The same file with these sides of its text.
    pub(crate) fn with_sides(&self, sides: Sides) -> Self {
        Self {
            sides,
            ..self.clone()
        }
    }

    /// The number of positions, if the size says it.
    pub(crate) fn positions(&self) -> Option<u64> {
        match self.format {
            Format::Records | Format::Marlin => Some(self.bytes / Position::BYTES as u64),
            _ => None,
        }
    }

    /// The number of positions at the beginning of the file, at least `most` unless it has fewer,
    /// and the bytes that they take. Blank lines do not count.
    pub(crate) fn sample(&self, most: u64) -> Result<(u64, u64)> {
        match self.format {
            Format::Records | Format::Marlin => {
                let positions = self.bytes / Position::BYTES as u64;
                Ok((positions, self.bytes))
            }
            Format::Games => self.games(most),
            #[cfg(feature = "binpack-gpl-3")]
            Format::Binpack => binpack::count(self.path(), self.seek(0)?, self.bytes, most),
            Format::Text => {
                let (mut lines, mut text) = (0, self.lines(Spot::default())?);
                while lines < most && text.advance()? {
                    lines += 1;
                }
                let bytes = match lines < most {
                    true => self.bytes,
                    false => text.spot().offset,
                };
                Ok((lines, bytes))
            }
        }
    }

    fn games(&self, most: u64) -> Result<(u64, u64)> {
        games::count(self.path(), self.seek(0)?, self.bytes, most)
    }

    /// Whether it holds whole games, so that a position's move and its place in the game are known.
    pub(crate) fn has_games(&self) -> bool {
        !matches!(self.format, Format::Records | Format::Marlin | Format::Text)
    }

    /// The bytes of the decoded file that positions before a spot have come from.
    pub(crate) fn bytes_before(&self, spot: &Spot) -> Result<u64> {
        let inside = match self.format {
            #[cfg(feature = "binpack-gpl-3")]
            Format::Binpack if spot.inside > 0 => {
                let len = binpack::len_of(self.seek(spot.offset)?);
                len.map_err(Error::io(self.path(), "read"))?
            }
            _ => games::bytes_of(spot.inside),
        };
        Ok(spot.offset.saturating_add(inside))
    }

    /// Whether the file is compressed.
    pub(crate) fn is_packed(&self) -> bool {
        self.packing != Packing::Plain
    }

    /// The record or the line at a byte of the file, as errors name it.
    pub(crate) fn name_of(&self, offset: u64) -> Result<String> {
        if self.is_packed() {
            return Ok("in the compressed file".into());
        }
        match self.format {
            Format::Records | Format::Marlin => {
                let number = offset / Position::BYTES as u64;
                Ok(format!("record {number} (counted from 0)"))
            }
            Format::Games => Ok("in a game".into()),
            #[cfg(feature = "binpack-gpl-3")]
            Format::Binpack => Ok("in a chunk".into()),
            Format::Text => {
                let mut lines = self.lines(Spot::default())?;
                while lines.spot().offset <= offset && lines.advance()? {}
                Ok(format!("line {}", lines.spot().number))
            }
        }
    }

    /// The lines of a text file from a spot on.
    pub(crate) fn lines(&self, from: Spot) -> Result<TextReader> {
        let file = self.seek(from.offset)?;
        let path = self.path().into();
        Ok(TextReader::new(path, file, self.bytes, self.sides, from))
    }

    /// A reader from a spot on.
    pub(crate) fn reader(&self, from: Spot) -> Result<Reader> {
        match self.format {
            Format::Records | Format::Marlin => Ok(Reader::Records {
                marlin: self.format == Format::Marlin,
                path: self.path().into(),
                input: BufReader::new(self.seek(from.offset)?),
                next: from.offset / Position::BYTES as u64,
                end: self.bytes / Position::BYTES as u64,
            }),
            Format::Games => {
                let input = self.seek(from.offset)?;
                let reader = Replay::new(self.path().into(), input, self.bytes, from);
                Ok(Reader::Games(reader))
            }
            #[cfg(feature = "binpack-gpl-3")]
            Format::Binpack => {
                let input = self.seek(from.offset)?;
                let reader = Replay::new(self.path().into(), input, self.bytes, from);
                Ok(Reader::Binpack(reader))
            }
            Format::Text => Ok(Reader::Text(self.lines(from)?)),
        }
    }

    /// Checks that the path still has the file that was opened first.
    ///
    /// # Errors
    /// Another file, or one that has changed other than by what was appended.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let found = self
            .source
            .stamp()
            .map_err(Error::io(self.path(), "open"))?;
        if self.stamp.may_become(&found) {
            return Ok(());
        }
        let expected = "the file as it was at the start";
        let fault = Fault::new(
            "file",
            expected,
            "another one, or one that has changed since",
        );
        Err(Error::data(self.path(), fault))
    }

    fn seek(&self, offset: u64) -> Result<Input> {
        self.check_unchanged()?;
        let input = self.packing.open(&self.source, offset);
        input.map_err(Error::io(self.path(), "open"))
    }
}

/// Reads the positions of one file in order.
pub(crate) enum Reader {
    Records {
        /// Whether the records are marlinformat.
        marlin: bool,
        path: PathBuf,
        input: BufReader<Input>,
        /// The number of the next record.
        next: u64,
        /// The number of records.
        end: u64,
    },
    Games(Replay<Game>),
    #[cfg(feature = "binpack-gpl-3")]
    Binpack(Replay<Chunk>),
    Text(TextReader),
}

impl Reader {
    /// Appends the next positions, at most `most`; fewer only at the end of the file and where the
    /// sieve leaves out damaged ones. Records of bulletformat are not checked yet. Formats whose
    /// records have no consecutive numbers add a note of each. Games do so if `in_games` says so or
    /// the sieve leaves some out.
    ///
    /// # Errors
    /// A damaged line, game or record of marlinformat that the sieve does not leave out, and a file
    /// that ends early, because it has changed since it was opened.
    pub(crate) fn read(
        &mut self,
        records: &mut AVec<RawRecord>,
        notes: &mut Vec<Note>,
        most: usize,
        sieve: &Sieve,
        in_games: bool,
    ) -> Result<()> {
        let in_games = in_games || sieve.needs_notes();
        match self {
            Self::Records {
                marlin,
                path,
                input,
                next,
                end,
            } => {
                let first = records.len();
                let len = (most as u64).min(end.saturating_sub(*next)) as usize;
                let reserved = records.try_reserve(len);
                reserved.map_err(|_| Error::memory::<RawRecord>("a block", first + len))?;
                records.resize(first + len, RawRecord::default());
                let bytes = records[first..].as_flattened_mut();
                input.read_exact(bytes).map_err(Error::io(
                    &*path,
                    "read as many records as it had when opened",
                ))?;
                if *marlin {
                    let mut to = first;
                    for (number, from) in (*next..).zip(first..first + len) {
                        match marlin::convert(&records[from]) {
                            Ok(position) => {
                                records[to] = position.to_bytes();
                                to += 1;
                                notes.push(Note::numbered(number));
                            }
                            Err(fault) => {
                                let place = format_args!("record {number} (counted from 0)");
                                sieve.refuse(path, place, fault)?;
                            }
                        }
                    }
                    records.truncate(to);
                }
                *next += len as u64;
            }
            Self::Games(games) => games.read(records, in_games.then_some(notes), most, sieve)?,
            #[cfg(feature = "binpack-gpl-3")]
            Self::Binpack(chunks) => {
                chunks.read(records, in_games.then_some(notes), most, sieve)?;
            }
            Self::Text(lines) => {
                for _ in 0..most {
                    let Some(position) = lines.position(sieve)? else {
                        break;
                    };
                    records.push(position.to_bytes());
                    notes.push(Note::numbered(lines.spot().number - 1));
                }
            }
        }
        Ok(())
    }

    /// Whether no position is left. An error is left for [`Self::read`].
    pub(crate) fn is_at_end(&mut self, sieve: &Sieve) -> bool {
        match self {
            Self::Records { next, end, .. } => next >= end,
            Self::Games(games) => games.is_at_end(sieve),
            #[cfg(feature = "binpack-gpl-3")]
            Self::Binpack(chunks) => chunks.is_at_end(sieve),
            Self::Text(lines) => lines.is_at_end(),
        }
    }

    /// The spot before the next position. Its file is 0.
    pub(crate) fn spot(&self) -> Spot {
        match self {
            Self::Records { next, .. } => Spot {
                file: 0,
                offset: next * Position::BYTES as u64,
                number: *next,
                inside: 0,
            },
            Self::Games(games) => games.spot(),
            #[cfg(feature = "binpack-gpl-3")]
            Self::Binpack(chunks) => chunks.spot(),
            Self::Text(lines) => lines.spot(),
        }
    }
}

/// The formats that are read, as errors name them.
const KNOWN: &str = match cfg!(feature = "binpack-gpl-3") {
    true => {
        "records of 32 bytes (bulletformat, marlinformat), games of viriformat, Stockfish binpack, \
         or lines `FEN | score | result`"
    }
    false => {
        "records of 32 bytes (bulletformat, marlinformat), games of viriformat, \
         or lines `FEN | score | result`"
    }
};

/// The format of a file by its first bytes, or what it is instead. A text is no record, because it
/// has no byte from 0 to 2 for the result.
fn detect(head: &[u8]) -> Result<Format, String> {
    #[cfg(feature = "binpack-gpl-3")]
    if head.starts_with(binpack::MAGIC) {
        return Ok(Format::Binpack);
    }
    // A file that is too short for a record is left to the check of its size.
    let as_record = head
        .first_chunk()
        .map_or(Ok(()), |first| Position::from_bytes(first).map(|_| ()));
    if head.len() >= Position::BYTES && as_record.is_ok() {
        return Ok(Format::Records);
    }
    if games::is_game(head) {
        return Ok(Format::Games);
    }
    if let Some(name) = foreign::name(head) {
        return Err(name.into());
    }
    if head
        .first_chunk()
        .map(marlin::convert)
        .is_some_and(|found| found.is_ok())
    {
        return Ok(Format::Marlin);
    }
    if is_text(head) {
        return Ok(Format::Text);
    }
    match as_record {
        Ok(()) => Ok(Format::Records),
        Err(fault) => Err(format!("a file of another format (as record 0, {fault})")),
    }
}

/// Whether a file is text: its first line is a position, or most of its bytes are printable, so
/// that the error of a damaged line can name it.
fn is_text(head: &[u8]) -> bool {
    let printable = |byte: &&u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let letters = head.iter().filter(printable).count();
    letters * 8 > head.len() * 7
        || foreign::first_line(head).is_some_and(|line| line.parse::<Position>().is_ok())
}
