//! Compressed data files: gzip and zstd.

use super::source::{Bytes, Source};
use flate2::read::MultiGzDecoder;
use std::io::{self, BufReader, Read, SeekFrom};

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
    pub(crate) fn detect(source: &Source) -> io::Result<Self> {
        let mut magic = Vec::new();
        source.open()?.0.take(4).read_to_end(&mut magic)?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::Plain,
        })
    }

    /// The decoded bytes of a file from an offset on. Those before it are decoded and discarded.
    pub(crate) fn open(self, source: &Source, offset: u64) -> io::Result<Input> {
        let (mut file, _) = source.open()?;
        let mut input = match self {
            Self::Plain => {
                file.seek(SeekFrom::Start(offset))?;
                return Ok(file);
            }
            packed => packed.decode(file)?,
        };
        io::copy(&mut (&mut input).take(offset), &mut io::sink())?;
        Ok(input)
    }

    /// The number of decoded bytes. A compressed file is decoded to its end, so that a truncated or
    /// damaged one is found before a training begins.
    pub(crate) fn measure(self, source: &Source) -> io::Result<u64> {
        let (file, len) = source.open()?;
        match self {
            Self::Plain => Ok(len),
            packed => io::copy(&mut packed.decode(file)?, &mut io::sink()),
        }
    }

    fn decode(self, file: Box<dyn Bytes>) -> io::Result<Input> {
        Ok(match self {
            Self::Plain => file,
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Zstd => Box::new(zstd::Decoder::new(file)?),
            // The library is in C, which a build for browsers does not compile.
            #[cfg(target_arch = "wasm32")]
            Self::Zstd => return Err(io::Error::other("a browser does not read zstd")),
        })
    }
}
