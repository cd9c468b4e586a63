//! A list of files as one long sequence of positions.

use super::format::{DataFile, Reader};
use super::record::RawRecord;
use crate::error::{Error, Fault, Result};
use crate::files::atomic::open_regular;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of samples that a fingerprint takes from each file, and their size in bytes.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: u64 = 4096;

/// Files of positions in a fixed order, as one sequence. Clones are cheap, and no file is kept
/// open.
#[derive(Clone, Debug)]
pub struct Dataset {
    files: Arc<[DataFile]>,
    positions: u64,
}

impl Dataset {
    /// Opens each file once to detect its format and count its positions.
    ///
    /// A file is text if its name ends in .txt, .fen, .epd or .plain or if its first line is a
    /// position. Every other file is bulletformat. The lines of a text file are counted here and
    /// checked later.
    ///
    /// # Errors
    /// No files, or a file that is missing, unreadable, empty, truncated, or in neither format.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::argument("data", "at least 1 file", "none"));
        }
        let files = paths.iter().map(|path| DataFile::open(path));
        let files: Arc<[_]> = files.collect::<Result<_>>()?;
        let positions = files.iter().map(|file| file.positions).sum();
        Ok(Self { files, positions })
    }

    /// The number of positions in all files, at least 1.
    pub fn positions(&self) -> u64 {
        self.positions
    }

    /// The number of batches in an epoch, ⌈positions ÷ L⌉ for L = `batch_size`.
    pub fn batches(&self, batch_size: usize) -> u64 {
        self.positions.div_ceil(batch_size.max(1) as u64)
    }

    /// A text that identifies the dataset: the number of positions and a CRC-32, such as
    /// `200000-1c291ca3`.
    ///
    /// The checksum covers the size and the contents of each file, but not its name or time. Of a
    /// file above 1 MiB it covers 256 evenly spaced samples of 4 KiB. So it is cheap and detects
    /// other data, longer data and reordered data, but not every change of a few records in a large
    /// file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut checksum = crc32fast::Hasher::new();
        for file in &*self.files {
            sample(&file.path, &mut checksum).map_err(Error::io(&file.path, "read"))?;
        }
        Ok(format!("{}-{:08x}", self.positions, checksum.finalize()))
    }

    /// The fault of a record as an error that names the file and the record's number in the file.
    /// `position` counts the records of all files.
    pub(crate) fn blame(&self, position: u64, fault: Fault) -> Error {
        let (file, number) = self.find(position);
        let fault = fault.within(format_args!("record {number} (counted from 0)"));
        Error::data(&self.files[file].path, fault)
    }

    /// A reader of all positions from `first` on, which must be below [`Self::positions`].
    pub(crate) fn reader(&self, first: u64) -> Result<DatasetReader> {
        let (file, number) = self.find(first);
        Ok(DatasetReader {
            reader: self.files[file].reader(number)?,
            left: self.files[file].positions - number,
            file,
            files: self.files.clone(),
        })
    }

    /// The index of the file that holds a position, and the number of the position in that file.
    fn find(&self, position: u64) -> (usize, u64) {
        let (mut file, mut number) = (0, position);
        while number >= self.files[file].positions {
            number -= self.files[file].positions;
            file += 1;
        }
        (file, number)
    }
}

/// Adds a file's size and samples to a checksum.
fn sample(path: &Path, checksum: &mut crc32fast::Hasher) -> std::io::Result<()> {
    let mut file = open_regular(path)?;
    let bytes = file.metadata()?.len();
    checksum.update(&bytes.to_le_bytes());
    let mut buffer = Vec::new();
    // The samples cover a file of up to SAMPLES · SAMPLE_BYTES completely.
    let stride = (bytes / SAMPLES).max(SAMPLE_BYTES);
    for start in (0..bytes).step_by(stride as usize) {
        buffer.clear();
        file.seek(SeekFrom::Start(start))?;
        (&mut file).take(SAMPLE_BYTES).read_to_end(&mut buffer)?;
        checksum.update(&buffer);
    }
    Ok(())
}

/// Reads the positions of a [`Dataset`] in order. One file is open at a time.
pub(crate) struct DatasetReader {
    files: Arc<[DataFile]>,
    /// The index of the current file.
    file: usize,
    reader: Reader,
    /// The number of positions of the current file that are not read yet.
    left: u64,
}

impl DatasetReader {
    /// Fills `records` with the next positions. At least that many must be left.
    pub(crate) fn read(&mut self, mut records: &mut [RawRecord]) -> Result<()> {
        while !records.is_empty() {
            if self.left == 0 {
                self.file += 1;
                let file = &self.files[self.file];
                self.reader = file.reader(0)?;
                self.left = file.positions;
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
