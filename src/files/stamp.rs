//! What tells a file from another one that takes its place.

use std::fs::Metadata;
use std::time::SystemTime;

/// The size, the time of the last change and, where the system has it, the number of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The size in bytes.
    pub(crate) bytes: u64,
    modified: Option<SystemTime>,
    number: Option<[u64; 2]>,
}

impl Stamp {
    pub(crate) fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.len(),
            modified: file.modified().ok(),
            number: number(file),
        }
    }

    /// The stamp of bytes that never change.
    pub(crate) fn of_memory(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            modified: None,
            number: None,
        }
    }

    /// Whether `later`, the stamp of the same path, may be the same file: unchanged, or longer,
    /// because something was appended.
    pub(crate) fn may_become(&self, later: &Self) -> bool {
        self == later || (self.number == later.number && self.bytes < later.bytes)
    }
}

/// The numbers of a file's device and of the file on it.
#[cfg(unix)]
#[allow(
    clippy::unnecessary_wraps,
    reason = "other systems have no such numbers"
)]
fn number(file: &Metadata) -> Option<[u64; 2]> {
    use std::os::unix::fs::MetadataExt;
    Some([file.dev(), file.ino()])
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Option<[u64; 2]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn another_file_is_noticed_and_a_longer_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let stamp = || Stamp::of(&fs::metadata(&path).unwrap());
        fs::write(&path, "abc").unwrap();
        let first = stamp();
        assert!(first.may_become(&stamp()));
        fs::write(&path, "abcd").unwrap();
        let longer = stamp();
        assert!(first.may_become(&longer));
        assert!(!longer.may_become(&first));
        let other = directory.path().join("other");
        fs::write(&other, "ABCD").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!longer.may_become(&stamp()));
    }
}
