//! Data files: their format, and a reader that returns the positions in order.

use super::place::Spot;
use super::record::{Position, RawRecord};
use super::text::TextReader;
use crate::error::{Error, Fault, Result};
use crate::files::atomic::open_regular;
use aligned_vec::AVec;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The extensions of text files. The contents do not matter.
const TEXT_EXTENSIONS: [&str; 4] = ["txt", "fen", "epd", "plain"];

/// The number of bytes at the beginning of a file that decide its format.
const HEAD_BYTES: u64 = 4096;

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// bulletformat: records of 32 bytes.
    Records,
    /// Lines `FEN | score | result`.
    Text,
}

/// One file of a dataset, with at least 1 position. It is not kept open.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    /// The size when the file was opened. What is appended later is not read.
    pub(crate) bytes: u64,
    format: Format,
}

impl DataFile {
    /// Detects the format and checks that there is a position.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = open_regular(path).map_err(Error::io(path, "open"))?;
        let bytes = file
            .metadata()
            .map_err(Error::io(path, "read the size"))?
            .len();
        let mut head = Vec::new();
        (&mut file)
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(Error::io(path, "read"))?;
        let wrong = |place: &str, expected: &str, found: String| {
            Error::data(path, Fault::new(place, expected, found))
        };
        if head.is_empty() {
            return Err(wrong("size", "at least 1 position", "an empty file".into()));
        }
        let format = match is_text(path, &head) {
            true => Format::Text,
            false => Format::Records,
        };
        let file = Self {
            path: path.into(),
            bytes,
            format,
        };
        match format {
            Format::Records => {
                let left_over = bytes % Position::BYTES as u64;
                if let Some(first) = head.first_chunk()
                    && let Err(fault) = Position::from_bytes(first)
                {
                    return Err(wrong(
                        "format",
                        "bulletformat records of 32 bytes, or lines `FEN | score | result` \
                         (.txt, .fen, .epd, .plain)",
                        format!("a file of another format (as record 0, {fault})"),
                    ));
                }
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
            Format::Text => {
                if !file.lines(Spot::default())?.advance()? {
                    return Err(wrong(
                        "lines",
                        "at least 1 position",
                        "blank lines only".into(),
                    ));
                }
            }
        }
        Ok(file)
    }

    /// The number of positions, if the size says it.
    pub(crate) fn positions(&self) -> Option<u64> {
        match self.format {
            Format::Records => Some(self.bytes / Position::BYTES as u64),
            Format::Text => None,
        }
    }

    /// The record or the line at a byte, as errors name it.
    pub(crate) fn name_of(&self, offset: u64) -> Result<String> {
        match self.format {
            Format::Records => {
                let number = offset / Position::BYTES as u64;
                Ok(format!("record {number} (counted from 0)"))
            }
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
        Ok(TextReader::new(self.path.clone(), file, self.bytes, from))
    }

    /// A reader from a spot on.
    pub(crate) fn reader(&self, from: Spot) -> Result<Reader> {
        match self.format {
            Format::Records => Ok(Reader::Records {
                path: self.path.clone(),
                input: BufReader::new(self.seek(from.offset)?),
                next: from.offset / Position::BYTES as u64,
                end: self.bytes / Position::BYTES as u64,
            }),
            Format::Text => Ok(Reader::Text(self.lines(from)?)),
        }
    }

    fn seek(&self, offset: u64) -> Result<File> {
        let mut file = open_regular(&self.path).map_err(Error::io(&self.path, "open"))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(Error::io(&self.path, "seek"))?;
        Ok(file)
    }
}

/// Reads the positions of one file in order.
pub(crate) enum Reader {
    Records {
        path: PathBuf,
        input: BufReader<File>,
        /// The number of the next record.
        next: u64,
        /// The number of records.
        end: u64,
    },
    Text(TextReader),
}

impl Reader {
    /// Appends the next positions, at most `most`; fewer only at the end of the file. Records of
    /// bulletformat are not checked yet.
    ///
    /// # Errors
    /// A damaged line, and a file that ends early, because it has changed since it was opened.
    pub(crate) fn read(&mut self, records: &mut AVec<RawRecord>, most: usize) -> Result<()> {
        match self {
            Self::Records {
                path,
                input,
                next,
                end,
            } => {
                let first = records.len();
                let len = (most as u64).min(end.saturating_sub(*next)) as usize;
                records.resize(first + len, RawRecord::default());
                let bytes = records[first..].as_flattened_mut();
                input.read_exact(bytes).map_err(Error::io(
                    &*path,
                    "read as many records as it had when opened",
                ))?;
                *next += len as u64;
            }
            Self::Text(lines) => {
                for _ in 0..most {
                    let Some(position) = lines.position()? else {
                        break;
                    };
                    records.push(position.to_bytes());
                }
            }
        }
        Ok(())
    }

    /// Whether no position is left. An error is left for [`Self::read`].
    pub(crate) fn is_at_end(&mut self) -> bool {
        match self {
            Self::Records { next, end, .. } => next >= end,
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
            },
            Self::Text(lines) => lines.spot(),
        }
    }
}

/// Whether a file is text: by its extension, or because its first line is a position.
fn is_text(path: &Path, head: &[u8]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is = |extension: &str| {
        let mut texts = TEXT_EXTENSIONS.iter();
        texts.any(|text| text.eq_ignore_ascii_case(extension))
    };
    if extension.is_some_and(is) {
        return true;
    }
    head.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty())
        .and_then(|line| str::from_utf8(line).ok())
        .is_some_and(|line| line.parse::<Position>().is_ok())
}
