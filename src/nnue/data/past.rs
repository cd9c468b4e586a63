//! The part of a dataset that a training has read, as a resume checks it.

use super::dataset::Dataset;
use super::format::DataFile;
use super::place::Place;
use crate::error::{Error, Fault, Result};
use serde::{Deserialize, Serialize};
use std::io::{Read, SeekFrom};

/// About the number of samples of a past, and their size in bytes.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: u64 = 4096;

/// What a training has read of its data: the sizes and sampled checksums of the files.
///
/// Up to 1 MiB the samples cover everything. Of more data they are about 256 evenly spaced samples
/// of 4 KiB, and the end of each file's past. So they detect other, shifted and reordered data, but
/// not every change of a few records in large files. The bytes are those of the file: of a
/// compressed one, all belong to the past once some of its positions were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// The bytes from one sample of a file to the next.
    stride: u64,
    files: Vec<PastFile>,
}

/// What was read of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PastFile {
    /// The bytes from its beginning.
    bytes: u64,
    /// The CRC-32 of each sample: those at multiples of the stride, and the last bytes.
    samples: Vec<u32>,
}

impl Dataset {
    /// What a training at this place has read. After the first epoch that is everything.
    ///
    /// # Errors
    /// A file that cannot be read, or is another one than when the dataset was opened.
    pub fn past(&self, place: &Place) -> Result<Past> {
        let parts: Vec<_> = self
            .files()
            .iter()
            .zip(0u64..)
            .map(|(file, index)| {
                // A place that counts batches does not tell what they have read.
                let all = place.epoch > 0 || place.batches > 0 || index < place.to.file;
                let bytes = match index == place.to.file {
                    _ if all => file.stamp.bytes,
                    // The whole compressed file is the past once some of it was read.
                    true if file.is_packed() => {
                        file.stamp.bytes * u64::from(place.to.offset > 0 || place.to.inside > 0)
                    }
                    true => file.bytes_before(&place.to)?.min(file.stamp.bytes),
                    false => 0,
                };
                Ok((file, bytes))
            })
            .take_while(|part| !matches!(part, Ok((_, 0))))
            .collect::<Result<_>>()?;
        let total: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
        let stride = (total / SAMPLES).max(SAMPLE_BYTES);
        let files = parts.iter().map(|(file, bytes)| {
            file.check_unchanged()?;
            Ok(PastFile {
                bytes: *bytes,
                samples: samples(file, *bytes, stride)?,
            })
        });
        let files = files.collect::<Result<_>>()?;
        Ok(Past { stride, files })
    }

    /// Checks that the data still begin with what was read. Other data may follow it.
    ///
    /// # Errors
    /// A past that has changed, with the file, the byte and the record or line.
    pub fn check_past(&self, past: &Past) -> Result<()> {
        if past.files.len() > self.files().len() {
            let expected = format!("at least the {} files read so far", past.files.len());
            return Err(Error::argument("data", expected, self.files().len()));
        }
        if past.stride < SAMPLE_BYTES && !past.files.is_empty() {
            let expected = format!("at least {SAMPLE_BYTES}");
            return Err(Error::argument("past, stride", expected, past.stride));
        }
        for (file, known) in self.files().iter().zip(&past.files) {
            if file.stamp.bytes < known.bytes {
                let expected = format!("at least the {} bytes read so far", known.bytes);
                let fault = Fault::new("size", expected, format!("{} bytes", file.stamp.bytes));
                return Err(Error::data(file.path(), fault));
            }
            let found = samples(file, known.bytes, past.stride)?;
            let mut starts = starts(known.bytes, past.stride);
            let pairs = found.iter().zip(&known.samples);
            let changed = pairs.zip(&mut starts).find(|((now, then), _)| now != then);
            let start = match changed {
                Some((_, start)) => start,
                None if found.len() == known.samples.len() => continue,
                None => 0,
            };
            let place = format!("from byte {start}, {}", file.name_of(start)?);
            let expected = "the data that the run has read so far";
            let fault = Fault::new(place, expected, "other data");
            return Err(Error::data(file.path(), fault));
        }
        Ok(())
    }
}

/// Where the samples of the first `bytes` bytes of a file begin.
fn starts(bytes: u64, stride: u64) -> impl Iterator<Item = u64> {
    let even = (0..bytes).step_by(usize::try_from(stride).unwrap_or(usize::MAX));
    even.chain([bytes.saturating_sub(SAMPLE_BYTES)])
}

/// The checksums of the samples of the first `bytes` bytes of a file.
fn samples(file: &DataFile, bytes: u64, stride: u64) -> Result<Vec<u32>> {
    let read = || {
        let (mut input, _) = file.source.open()?;
        let mut buffer = Vec::new();
        let sums = starts(bytes, stride).map(|start| {
            buffer.clear();
            input.seek(SeekFrom::Start(start))?;
            let len = SAMPLE_BYTES.min(bytes - start);
            (&mut input).take(len).read_to_end(&mut buffer)?;
            Ok(crc32fast::hash(&buffer))
        });
        sums.collect::<std::io::Result<_>>()
    };
    read().map_err(Error::io(file.path(), "read"))
}
