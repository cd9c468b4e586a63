//! Stockfish binpack: chunks of positions, each with a score, a result and the move after it.
//!
//! A file is a sequence of chunks: the bytes `BINP`, the length of the rest in 4 bytes,
//! little-endian, and the rest, which [`Chunk`] decodes. A chain of a chunk is a game, and so are
//! several chains in a row whose half moves go on and whose results agree, because tools that
//! remove positions break games into chains. No game is in two chunks.

use super::binpack_chunk::{Chunk, Entry};
use super::packed::Input;
use super::place::Spot;
use super::record::RawRecord;
use super::sieve::{Note, Sieve};
use crate::error::{Error, Fault, Result};
use aligned_vec::AVec;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The bytes that begin a chunk.
pub(crate) const MAGIC: &[u8] = b"BINP";
/// The length of the magic and the size in bytes.
const HEADER: usize = 8;
/// The most bytes of a chunk without its header. Writers end a chunk after about 1 MiB.
const MOST_BYTES: u32 = 100 << 20;

/// Reads the positions of a file of chunks.
pub(crate) struct BinpackReader {
    path: PathBuf,
    input: BufReader<Input>,
    /// The size of the file. Bytes after it are not read.
    bytes: u64,
    /// Where the chunk begins, and its positions that were given.
    spot: Spot,
    chunk: Option<Chunk>,
    /// The number of the first position of the game.
    game: u64,
    /// An error that was found ahead of its turn.
    error: Option<Error>,
}

impl BinpackReader {
    /// Starts at a spot of a file that is open at the chunk of the spot.
    pub(crate) fn new(path: PathBuf, file: Input, bytes: u64, from: Spot) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(1 << 16, file),
            bytes,
            spot: Spot { file: 0, ..from },
            chunk: None,
            game: 0,
            error: None,
        }
    }

    /// The spot before the next position.
    pub(crate) fn spot(&self) -> Spot {
        self.spot
    }

    /// Whether no position is left. An error is left for [`Self::read`].
    pub(crate) fn is_at_end(&mut self, sieve: &Sieve) -> bool {
        match self.error.is_none().then(|| self.find(sieve)) {
            None => false,
            Some(Ok(found)) => !found,
            Some(Err(error)) => {
                self.error = Some(error);
                false
            }
        }
    }

    /// Appends the next positions, at most `most`; fewer only at the end of the file and where the
    /// sieve leaves out damaged ones.
    pub(crate) fn read(
        &mut self,
        records: &mut AVec<RawRecord>,
        notes: &mut Vec<Note>,
        most: usize,
        sieve: &Sieve,
    ) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let full = records.len() + most;
        while records.len() < full && self.find(sieve)? {
            let (at, number) = (self.spot, self.spot.number);
            match self.step() {
                Ok(Entry {
                    position, in_game, ..
                }) => {
                    records.push(position.to_bytes());
                    notes.push(Note {
                        number,
                        game: self.game,
                        in_game,
                    });
                }
                Err(fault) => {
                    // The entries after a damaged one cannot be found.
                    self.leave();
                    sieve.refuse(&self.path, name(at), fault)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a position is left, after it has gone to the next chunk that has one if necessary.
    fn find(&mut self, sieve: &Sieve) -> Result<bool> {
        loop {
            if let Some(chunk) = &self.chunk {
                if chunk.has_next() {
                    return Ok(true);
                }
                let (at, end) = (self.spot, chunk.check_end());
                self.leave();
                if let Err(fault) = end {
                    sieve.refuse(&self.path, name(at), fault)?;
                }
            }
            if self.spot.offset >= self.bytes {
                return Ok(false);
            }
            self.open(sieve)?;
        }
    }

    /// Goes to the end of the chunk.
    fn leave(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.spot.offset += (HEADER + chunk.len()) as u64;
            self.spot.inside = 0;
        }
    }

    /// Reads the chunk at the spot, and decodes it up to there.
    fn open(&mut self, sieve: &Sieve) -> Result<()> {
        let left = self.bytes - self.spot.offset;
        let found = chunk(&mut self.input, left).map_err(Error::io(&self.path, "read"))?;
        let Spot { inside, number, .. } = self.spot;
        match found {
            Ok(chunk) => self.chunk = Some(chunk),
            Err(fault) => {
                // Nothing tells where another chunk begins.
                sieve.refuse(&self.path, name(self.spot), fault)?;
                self.spot.offset = self.bytes;
                return Ok(());
            }
        }
        // The steps count the entries again that the spot has counted.
        self.spot.inside = 0;
        self.spot.number = number.saturating_sub(inside);
        for positions in 0..inside {
            if !self.chunk.as_ref().is_some_and(Chunk::has_next) {
                let expected = format!("at most the {positions} positions of the chunk");
                return Err(Error::argument("start, inside", expected, inside));
            }
            if let Err(fault) = self.step() {
                return Err(Error::data(&self.path, fault.within(name(self.spot))));
            }
        }
        Ok(())
    }

    /// The next entry of the chunk.
    fn step(&mut self) -> Result<Entry, Fault> {
        let chunk = self.chunk.as_mut().filter(|chunk| chunk.has_next());
        let missing = || Fault::new("chunk", "another entry", "its end");
        let entry = chunk.ok_or_else(missing)?.next()?;
        if entry.begins {
            self.game = self.spot.number;
        }
        self.spot.inside += 1;
        self.spot.number += 1;
        Ok(entry)
    }
}

/// The place of a position as errors name it.
fn name(spot: Spot) -> String {
    let Spot { offset, inside, .. } = spot;
    format!("chunk at byte {offset}, entry {inside} (counted from 0)")
}

/// The next chunk of a file that has `left` bytes left, or what is wrong with it.
fn chunk(input: &mut impl Read, left: u64) -> io::Result<Result<Chunk, Fault>> {
    let mut input = input.take(left);
    let mut header = [0; HEADER];
    match input.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let expected = format!("{HEADER} bytes");
            return Ok(Err(Fault::new("header", expected, "the end of the file")));
        }
        read => read?,
    }
    if !header.starts_with(MAGIC) {
        let found = header[..MAGIC.len()].escape_ascii();
        return Ok(Err(Fault::new("header", "BINP", found)));
    }
    let size = size(header);
    if size > MOST_BYTES {
        let expected = format!("at most {MOST_BYTES} bytes");
        return Ok(Err(Fault::new("size", expected, size)));
    }
    // The memory grows with what is read, so a wrong size costs nothing.
    let mut bytes = Vec::new();
    input.take(size.into()).read_to_end(&mut bytes)?;
    if bytes.len() < size as usize {
        let found = format!("{} and the end of the file", bytes.len());
        return Ok(Err(Fault::new("size", format!("{size} bytes"), found)));
    }
    Ok(Ok(Chunk::new(bytes)))
}

/// The size that a header tells.
fn size(header: [u8; HEADER]) -> u32 {
    let [.., a, b, c, d] = header;
    u32::from_le_bytes([a, b, c, d])
}

/// The bytes of the chunk, with its header, that a file begins with.
pub(crate) fn len_of(mut input: Input) -> io::Result<u64> {
    let mut header = [0; HEADER];
    input.read_exact(&mut header)?;
    Ok(HEADER as u64 + u64::from(size(header)))
}

/// Checks that a file of this size has a position.
///
/// # Errors
/// The first fault in the file if there is no position, and errors of reading.
pub(crate) fn check(input: Input, bytes: u64) -> io::Result<Result<(), Fault>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let (mut at, mut first) = (Spot::default(), None);
    while at.offset < bytes {
        let fault = match chunk(&mut input, bytes - at.offset)? {
            Ok(mut chunk) => {
                let place = name(at);
                at.offset += (HEADER + chunk.len()) as u64;
                let found = match chunk.has_next() {
                    true => chunk.next().map(|_| true),
                    false => chunk.check_end().map(|()| false),
                };
                match found {
                    Ok(true) => return Ok(Ok(())),
                    Ok(false) => continue,
                    Err(fault) => fault.within(place),
                }
            }
            Err(fault) => {
                let fault = fault.within(name(at));
                at.offset = bytes;
                fault
            }
        };
        first.get_or_insert(fault);
    }
    let empty = || Fault::new("chunks", "at least 1 position", "none");
    Ok(Err(first.unwrap_or_else(empty)))
}

/// The positions of the first chunks of a file of this size, at least `most` if there are as many,
/// and the bytes of those chunks. What follows damage in a chunk does not count.
pub(crate) fn count(path: &Path, input: Input, bytes: u64, most: u64) -> Result<(u64, u64)> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let (mut positions, mut read) = (0, 0);
    while positions < most && read < bytes {
        let found = chunk(&mut input, bytes - read).map_err(Error::io(path, "read"))?;
        let Ok(mut chunk) = found else {
            break;
        };
        read += (HEADER + chunk.len()) as u64;
        while chunk.has_next() && chunk.next().is_ok() {
            positions += 1;
        }
    }
    Ok((positions, read))
}
