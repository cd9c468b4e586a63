//! The checksum of a tensor file: the CRC-32 of all its bytes, where zeros replace the digits of
//! the checksum itself. It covers the header too: names, shapes, types and the settings in the
//! metadata.

use crc32fast::Hasher;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

/// The metadata key.
pub(super) const KEY: &str = "checksum";
/// The place of the digits while the checksum is computed.
pub(super) const ZEROS: &str = "00000000";
/// In a header these bytes are in front of the digits, and nowhere else: within texts the quotes
/// have a backslash, and the entry of a tensor is no text.
const BEFORE: &[u8] = br#""checksum":""#;

/// The checksum of what `write` writes.
pub(super) fn of(write: impl FnOnce(&mut BufWriter<Sum>) -> io::Result<()>) -> io::Result<String> {
    let mut out = BufWriter::with_capacity(1 << 16, Sum(Hasher::new()));
    write(&mut out)?;
    let Sum(hasher) = out.into_inner()?;
    Ok(text(hasher))
}

/// The checksum of a whole file, which need not hold it.
pub(super) fn of_file(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new();
    match digits(bytes) {
        Some(digits) => {
            hasher.update(&bytes[..digits.start]);
            hasher.update(ZEROS.as_bytes());
            hasher.update(&bytes[digits.end..]);
        }
        None => hasher.update(bytes),
    }
    text(hasher)
}

/// Replaces the zeros of a header.
pub(super) fn insert(header: &mut [u8], checksum: &str) {
    if let Some(digits) = digits(header) {
        header[digits].copy_from_slice(checksum.as_bytes());
    }
}

fn digits(bytes: &[u8]) -> Option<Range<usize>> {
    let mut places = bytes.windows(BEFORE.len());
    let start = places.position(|place| place == BEFORE)? + BEFORE.len();
    let end = start + ZEROS.len();
    (end <= bytes.len()).then_some(start..end)
}

fn text(hasher: Hasher) -> String {
    format!("{:08x}", hasher.finalize())
}

/// Sums what is written to it.
pub(super) struct Sum(Hasher);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
