//! Compressed data files: gzip and zstd.

use crate::files::atomic::open_regular;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// A source of the bytes of a data file.
pub(crate) type Input = Box<dyn Read + Send>;

/// How a data file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// The compression that the first bytes of a file tell.
    pub(crate) fn detect(path: &Path) -> io::Result<Self> {
        let mut magic = Vec::new();
        open_regular(path)?.take(4).read_to_end(&mut magic)?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::Plain,
        })
    }

    /// The decoded bytes of a file from an offset on. Those before it are decoded and discarded.
    pub(crate) fn open(self, path: &Path, offset: u64) -> io::Result<Input> {
        let mut file = open_regular(path)?;
        let mut input = match self {
            Self::Plain => {
                file.seek(SeekFrom::Start(offset))?;
                return Ok(Box::new(file));
            }
            packed => packed.decode(file)?,
        };
        io::copy(&mut (&mut input).take(offset), &mut io::sink())?;
        Ok(input)
    }

    /// The number of decoded bytes. A compressed file is decoded to its end, so that a truncated or
    /// damaged one is found before a training begins.
    pub(crate) fn measure(self, path: &Path) -> io::Result<u64> {
        let file = open_regular(path)?;
        match self {
            Self::Plain => Ok(file.metadata()?.len()),
            packed => io::copy(&mut packed.decode(file)?, &mut io::sink()),
        }
    }

    fn decode(self, file: File) -> io::Result<Input> {
        Ok(match self {
            Self::Plain => Box::new(file),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            Self::Zstd => Box::new(zstd::Decoder::new(file)?),
        })
    }
}
