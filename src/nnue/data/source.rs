//! The bytes of a data file: on disk, or in memory.

use crate::files::atomic::open_regular;
use crate::files::stamp::Stamp;
use std::io::{self, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A source of bytes that can start anywhere.
pub(crate) trait Bytes: Read + Seek + Send {}

impl<T: Read + Seek + Send> Bytes for T {}

/// Where the bytes of a data file are.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The file. For bytes in memory it is the name in errors.
    pub(crate) path: PathBuf,
    memory: Option<Arc<[u8]>>,
}

impl Source {
    /// A file on disk.
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            memory: None,
        }
    }

    /// Bytes in memory.
    pub(crate) fn memory(name: &Path, bytes: Vec<u8>) -> Self {
        Self {
            path: name.into(),
            memory: Some(bytes.into()),
        }
    }

    /// What tells the file from another one. Bytes in memory never change.
    pub(crate) fn stamp(&self) -> io::Result<Stamp> {
        match &self.memory {
            Some(bytes) => Ok(Stamp::of_memory(bytes)),
            None => Ok(Stamp::of(&open_regular(&self.path)?.metadata()?)),
        }
    }

    /// The bytes from the first one on, and their number.
    pub(crate) fn open(&self) -> io::Result<(Box<dyn Bytes>, u64)> {
        Ok(match &self.memory {
            Some(bytes) => (Box::new(Cursor::new(Arc::clone(bytes))), bytes.len() as u64),
            None => {
                let file = open_regular(&self.path)?;
                let len = file.metadata()?.len();
                (Box::new(file), len)
            }
        })
    }
}
