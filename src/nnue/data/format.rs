//! Data files: their format, the number of their positions, and a reader that returns the positions
//! in order.

use super::record::{Position, RawRecord};
use super::text::TextReader;
use crate::error::{Error, Fault, Result};
use crate::files::atomic::open_regular;
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

/// One file of a dataset. It is not kept open.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    /// At least 1.
    pub(crate) positions: u64,
    format: Format,
}

impl DataFile {
    /// Detects the format and counts the positions. The size of the file gives the number of
    /// records; lines are read and counted.
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

        let format = if is_text(path, &head) {
            Format::Text
        } else {
            Format::Records
        };
        let positions = match format {
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
                bytes / Position::BYTES as u64
            }
            Format::Text => {
                file.rewind().map_err(Error::io(path, "rewind"))?;
                let mut lines = TextReader::new(path.into(), file);
                let mut count = 0;
                while lines.advance()? {
                    count += 1;
                }
                if count == 0 {
                    return Err(wrong(
                        "lines",
                        "at least 1 position",
                        "blank lines only".into(),
                    ));
                }
                count
            }
        };
        Ok(Self {
            path: path.into(),
            positions,
            format,
        })
    }

    /// A reader that starts at position `first`. In a file of records it seeks; in a text file it
    /// reads all lines before.
    pub(crate) fn reader(&self, first: u64) -> Result<Reader> {
        let mut file = open_regular(&self.path).map_err(Error::io(&self.path, "open"))?;
        let path = self.path.clone();
        match self.format {
            Format::Records => {
                file.seek(SeekFrom::Start(first * Position::BYTES as u64))
                    .map_err(Error::io(&path, "seek"))?;
                Ok(Reader::Records(path, BufReader::new(file)))
            }
            Format::Text => {
                let mut lines = TextReader::new(path, file);
                for _ in 0..first {
                    lines.advance()?;
                }
                Ok(Reader::Text(self.path.clone(), lines))
            }
        }
    }
}

/// Reads the positions of one file in order.
pub(crate) enum Reader {
    Records(PathBuf, BufReader<File>),
    Text(PathBuf, TextReader),
}

impl Reader {
    /// Fills `records` with the next positions. Records of bulletformat are not checked yet.
    ///
    /// # Errors
    /// A file that ends early, because it has changed since it was opened.
    pub(crate) fn read(&mut self, records: &mut [RawRecord]) -> Result<()> {
        match self {
            Self::Records(path, input) => {
                input
                    .read_exact(records.as_flattened_mut())
                    .map_err(Error::io(
                        &*path,
                        "read as many records as it had when opened",
                    ))
            }
            Self::Text(path, lines) => {
                for record in records {
                    let position = lines.position()?.ok_or_else(|| {
                        let expected = "as many lines as it had when opened";
                        Error::data(&*path, Fault::new("end of the file", expected, "fewer"))
                    })?;
                    *record = position.to_bytes();
                }
                Ok(())
            }
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
