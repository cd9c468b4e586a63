//! Shuffles data that do not fit into memory.

use super::dataset::Dataset;
use super::record::{Position, RawRecord};
use crate::error::{Error, Result};
use crate::files::atomic::{without_path, write_atomically};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

/// The most parts, which are open at the same time.
const MOST_PARTS: u64 = 512;
/// The buffer of a part in bytes.
const BUFFER: usize = 1 << 14;

/// Writes the positions of a dataset to a bulletformat file in a random order that follows from the
/// seed, and returns their number. Every order is equally likely.
///
/// Each position goes to a random part. Each part is then shuffled in memory and appended to the
/// file. The parts are unnamed files in the directory of `path`, of about half of `memory` bytes
/// each, so the directory needs twice the size of the data. `seen` is called with the number of
/// positions read from time to time.
///
/// # Errors
/// Memory for less than 1/512 of the data, damaged data, and every error of the file system. An
/// existing file at `path` then stays as it was.
pub fn shuffle_to_file(
    dataset: &Dataset,
    path: &Path,
    seed: u64,
    memory: u64,
    mut seen: impl FnMut(u64),
) -> Result<u64> {
    let bytes = dataset.estimate()?.positions * Position::BYTES as u64;
    // The sizes of random parts differ a little, so each is planned for half of the memory.
    let parts = (2 * bytes).div_ceil(memory.max(1)).max(1);
    if parts > MOST_PARTS {
        let least = (2 * bytes).div_ceil(MOST_PARTS);
        let expected = format!("at least {least} bytes for {bytes} bytes of records");
        return Err(Error::argument("memory", expected, memory));
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let part = |_| {
        let file = tempfile::tempfile_in(directory).map_err(without_path)?;
        Ok(BufWriter::with_capacity(BUFFER, file))
    };
    let files: io::Result<Vec<_>> = (0..parts).map(part).collect();
    let mut files = files.map_err(Error::io(directory, "create a file in"))?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut read = 0u64;
    for position in dataset {
        let file = random.random_range(0..files.len());
        let bytes = position?.to_bytes();
        let written = files[file].write_all(&bytes);
        written.map_err(Error::io(directory, "write to a file in"))?;
        read += 1;
        if read.is_multiple_of(1 << 16) {
            seen(read);
        }
    }
    let mut records = Vec::new();
    write_atomically(path, |out| {
        for file in files {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            read_part(file, &mut records)?;
            records.shuffle(&mut random);
            out.write_all(records.as_flattened())?;
        }
        Ok(())
    })?;
    Ok(read)
}

/// The records of a part.
fn read_part(mut file: File, records: &mut Vec<RawRecord>) -> io::Result<()> {
    let bytes = file.stream_position()?;
    file.rewind()?;
    let count = usize::try_from(bytes).map_err(io::Error::other)? / Position::BYTES;
    records.resize(count, RawRecord::default());
    file.read_exact(records.as_flattened_mut())
}
