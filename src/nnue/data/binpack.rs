//! Stockfish binpack: chunks of positions, each with a score, a result and the move after it.
//!
//! A file is a sequence of chunks: the bytes `BINP`, the length of the rest in 4 bytes,
//! little-endian, and the rest, which [`Chunk`] decodes. A chain of a chunk is a game, and so are
//! several chains in a row whose half moves go on and whose results agree, because tools that
//! remove positions break games into chains. No game is in two chunks.

use super::binpack_chunk::Chunk;
use super::packed::Input;
use super::place::Spot;
use super::record::RawRecord;
use super::replay::{self, Container, Told, buffered, name};
use crate::error::{Fault, Result};
use aligned_vec::AVec;
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::Path;

/// The bytes that begin a chunk.
pub(crate) const MAGIC: &[u8] = b"BINP";
/// The length of the magic and the size in bytes.
const HEADER: usize = 8;
/// The most bytes of a chunk without its header. Writers end a chunk after about 1 MiB.
const MOST_BYTES: u32 = 100 << 20;

impl Container for Chunk {
    const NAMES: [&'static str; 2] = ["chunk", "entry"];

    fn read(input: &mut impl BufRead, left: u64) -> io::Result<Result<Self, Fault>> {
        chunk(input, left)
    }

    fn bytes(&self) -> u64 {
        (HEADER + self.len()) as u64
    }

    fn has_next(&self) -> bool {
        self.has_next()
    }

    fn next(&mut self, records: &mut AVec<RawRecord>) -> Result<Told, Fault> {
        let (position, told) = self.next()?;
        records.push(position.to_bytes());
        Ok(told)
    }

    /// The entries after a damaged one cannot be found.
    fn left(&self) -> u64 {
        0
    }

    fn check_end(&self) -> Result<(), Fault> {
        self.check_end()
    }
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
    let mut input = buffered(input);
    let (mut at, mut first) = (Spot::default(), None);
    while at.offset < bytes {
        let fault = match chunk(&mut input, bytes - at.offset)? {
            Ok(mut chunk) => {
                let place = name::<Chunk>(at);
                at.offset += chunk.bytes();
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
                let fault = fault.within(name::<Chunk>(at));
                at.offset = bytes;
                fault
            }
        };
        first.get_or_insert(fault);
    }
    let empty = || Fault::new("chunks", "at least 1 position", "none");
    Ok(Err(first.unwrap_or_else(empty)))
}

/// The positions of the first chunks of a file, as [`replay::count`] counts them. What follows
/// damage in a chunk does not count.
pub(crate) fn count(path: &Path, input: Input, bytes: u64, most: u64) -> Result<(u64, u64)> {
    replay::count(path, input, bytes, most, |mut chunk: Chunk| {
        let mut positions = 0;
        while chunk.has_next() && chunk.next().is_ok() {
            positions += 1;
        }
        positions
    })
}
