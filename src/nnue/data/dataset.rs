//! A list of files as one long sequence of positions.

use super::format::{Reader, Source};
use super::record::RawRecord;
use crate::error::{Error, Result};
use crate::files::atomic::open_regular;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples that a fingerprint takes from each file, and the bytes of each.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: u64 = 4096;

/// Files of positions, in the order given, as one sequence. Cheap to clone: the files are not held.
#[derive(Clone, Debug)]
pub struct Dataset {
    sources: Arc<[Source]>,
    positions: u64,
}

impl Dataset {
    /// Opens each file once, tells its format and counts its positions.
    ///
    /// A file is text if its ending is .txt, .fen, .epd or .plain or its first line is a position, and
    /// bulletformat otherwise. Text is read through to count its lines, which are not checked yet.
    ///
    /// # Errors
    /// No files; a file that is missing, unreadable, empty, truncated or of neither format.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::argument("data", "at least 1 file", "none"));
        }
        let sources: Arc<[_]> = paths
            .iter()
            .map(|path| Source::open(path))
            .collect::<Result<_>>()?;
        let positions = sources.iter().map(|source| source.positions).sum();
        Ok(Self { sources, positions })
    }

    /// The number of positions in all files together, at least 1.
    pub fn positions(&self) -> u64 {
        self.positions
    }

    /// The number of batches in an epoch, the last of them possibly partial. `batch_size` is at least 1.
    pub fn batches(&self, batch_size: usize) -> u64 {
        self.positions.div_ceil(batch_size.max(1) as u64)
    }

    /// What tells datasets apart: the number of positions and a CRC-32, as in `200000-1c291ca3`.
    ///
    /// The checksum covers each file's size and its content, of files above 1 MiB 256 evenly spaced samples
    /// of 4 KiB; neither names nor times. So it finds other, longer or reordered data at little cost, but not
    /// every change of a few records in a large file.
    pub fn fingerprint(&self) -> Result<String> {
        let mut checksum = crc32fast::Hasher::new();
        for source in &*self.sources {
            sample(&source.path, &mut checksum).map_err(Error::io(&source.path, "read"))?;
        }
        Ok(format!("{}-{:08x}", self.positions, checksum.finalize()))
    }

    /// The file of a position, counted over all files, and its number in that file, counted from 0.
    pub(crate) fn locate(&self, position: u64) -> (&Path, u64) {
        let (source, number) = self.find(position);
        (&self.sources[source].path, number)
    }

    /// Reads on from a position on, through all files behind it. `first` is below [`Self::positions`].
    pub(crate) fn stream(&self, first: u64) -> Result<Stream> {
        let (source, number) = self.find(first);
        Ok(Stream {
            reader: self.sources[source].reader(number)?,
            left: self.sources[source].positions - number,
            source,
            sources: self.sources.clone(),
        })
    }

    /// The index of the file that holds a position, and its number there.
    fn find(&self, position: u64) -> (usize, u64) {
        let (mut source, mut number) = (0, position);
        while number >= self.sources[source].positions {
            number -= self.sources[source].positions;
            source += 1;
        }
        (source, number)
    }
}

/// Adds a file's size and samples to a checksum.
fn sample(path: &Path, checksum: &mut crc32fast::Hasher) -> std::io::Result<()> {
    let mut file = open_regular(path)?;
    let bytes = file.metadata()?.len();
    checksum.update(&bytes.to_le_bytes());
    let mut buffer = Vec::new();
    // Up to SAMPLES · SAMPLE_BYTES the samples lie end to end and cover the file.
    let stride = (bytes / SAMPLES).max(SAMPLE_BYTES);
    for start in (0..bytes).step_by(stride as usize) {
        buffer.clear();
        file.seek(SeekFrom::Start(start))?;
        (&mut file).take(SAMPLE_BYTES).read_to_end(&mut buffer)?;
        checksum.update(&buffer);
    }
    Ok(())
}

/// Reads the positions of a [`Dataset`] in order, one file open at a time.
pub(crate) struct Stream {
    sources: Arc<[Source]>,
    source: usize,
    reader: Reader,
    /// Positions not yet read of the current file.
    left: u64,
}

impl Stream {
    /// Fills `records` with the next positions; there must be as many.
    pub(crate) fn read(&mut self, mut records: &mut [RawRecord]) -> Result<()> {
        while !records.is_empty() {
            if self.left == 0 {
                self.source += 1;
                let source = &self.sources[self.source];
                self.reader = source.reader(0)?;
                self.left = source.positions;
            }
            let here = records
                .len()
                .min(self.left.try_into().unwrap_or(usize::MAX));
            let (now, later) = records.split_at_mut(here);
            self.reader.read(now)?;
            self.left -= here as u64;
            records = later;
        }
        Ok(())
    }
}
