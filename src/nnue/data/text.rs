//! Reads the lines of text files.

use super::line::{Sides, read_line};
use super::packed::Input;
use super::place::Spot;
use super::record::Position;
use super::sieve::Sieve;
use crate::error::{Error, Fault, Result};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// The largest number of bytes of a line, several times as many as the longest position needs. With
/// this limit, a file without line ends is refused and not read into memory.
const LONGEST_LINE: u64 = 4096;

/// Reads the lines of a file, except blank ones.
pub(crate) struct TextReader {
    path: PathBuf,
    input: BufReader<Input>,
    /// The size of the file. Bytes after it are not read.
    bytes: u64,
    sides: Sides,
    buffer: Vec<u8>,
    /// The spot after the line in `buffer`.
    after: Spot,
    /// The next line, read into `buffer` ahead of its turn, and the spot before it.
    ahead: Option<(Result<bool>, Spot)>,
}

impl TextReader {
    /// Starts at a spot of an open file, which must be there already.
    pub(crate) fn new(path: PathBuf, file: Input, bytes: u64, sides: Sides, from: Spot) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(1 << 16, file),
            bytes,
            sides,
            buffer: Vec::new(),
            after: Spot { file: 0, ..from },
            ahead: None,
        }
    }

    /// The spot after the last line that was given. Its number is that of the line, from 1.
    pub(crate) fn spot(&self) -> Spot {
        self.ahead
            .as_ref()
            .map_or(self.after, |(_, before)| *before)
    }

    /// Whether no line is left. An error is left for [`Self::advance`].
    pub(crate) fn is_at_end(&mut self) -> bool {
        if self.ahead.is_none() {
            let before = self.after;
            self.ahead = Some((self.read_line(), before));
        }
        matches!(self.ahead, Some((Ok(false), _)))
    }

    /// Moves to the next line that is not blank; false at the end of the file.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        match self.ahead.take() {
            Some((read, _)) => read,
            None => self.read_line(),
        }
    }

    fn read_line(&mut self) -> Result<bool> {
        loop {
            self.buffer.clear();
            let left = self.bytes.saturating_sub(self.after.offset);
            let read = (&mut self.input)
                .take(left.min(LONGEST_LINE + 1))
                .read_until(b'\n', &mut self.buffer)
                .map_err(Error::io(&self.path, "read"))?;
            if read == 0 {
                if left > 0 {
                    let expected = format!("the {} bytes that it had when opened", self.bytes);
                    let found = format!("{} bytes", self.after.offset);
                    let fault = Fault::new("size", expected, found);
                    return Err(Error::data(&self.path, fault));
                }
                return Ok(false);
            }
            self.after.offset += read as u64;
            self.after.number += 1;
            let line = self.after.number;
            // Some editors write a byte order mark at the beginning of a file.
            if line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if read as u64 > LONGEST_LINE {
                let place = format!("line {line}");
                let expected = format!("at most {LONGEST_LINE} bytes");
                return Err(Error::data(&self.path, Fault::new(place, expected, "more")));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The next position that the sieve does not leave out as damaged; `None` at the end of the
    /// file.
    pub(crate) fn position(&mut self, sieve: &Sieve) -> Result<Option<Position>> {
        while self.advance()? {
            let line = str::from_utf8(&self.buffer);
            let line = line.map_err(|error| Fault::new("text", "UTF-8", error));
            match line.and_then(|line| read_line(line, self.sides)) {
                Ok(position) => return Ok(Some(position)),
                Err(fault) => {
                    let place = format_args!("line {}", self.after.number);
                    sieve.refuse(&self.path, place, fault)?;
                }
            }
        }
        Ok(None)
    }
}
