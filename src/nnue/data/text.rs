//! Reads the lines of text files.

use super::record::Position;
use crate::error::{Error, Fault, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// The largest number of bytes of a line, several times as many as the longest position needs. With
/// this limit, a file without line ends is refused and not read into memory.
const LONGEST_LINE: u64 = 4096;

/// Reads the lines of a file, except blank ones.
pub(crate) struct TextReader {
    path: PathBuf,
    input: BufReader<File>,
    buffer: Vec<u8>,
    /// The number of the line in `buffer`, counted from 1.
    line: u64,
}

impl TextReader {
    /// Starts at the first line of an open file.
    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(1 << 16, file),
            buffer: Vec::new(),
            line: 0,
        }
    }

    /// Moves to the next line that is not blank; false at the end of the file.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        loop {
            self.buffer.clear();
            let read = (&mut self.input)
                .take(LONGEST_LINE + 1)
                .read_until(b'\n', &mut self.buffer)
                .map_err(Error::io(&self.path, "read"))?;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            // Some editors write a byte order mark at the beginning of a file.
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if read as u64 > LONGEST_LINE {
                let place = format!("line {}", self.line);
                let expected = format!("at most {LONGEST_LINE} bytes");
                return Err(Error::data(&self.path, Fault::new(place, expected, "more")));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The next position; `None` at the end of the file.
    pub(crate) fn position(&mut self) -> Result<Option<Position>> {
        if !self.advance()? {
            return Ok(None);
        }
        let line = str::from_utf8(&self.buffer).map_err(|error| Fault::new("text", "UTF-8", error));
        line.and_then(str::parse).map(Some).map_err(|fault| {
            let fault = fault.within(format_args!("line {}", self.line));
            Error::data(&self.path, fault)
        })
    }
}
