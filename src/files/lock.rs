//! A directory that one owner at a time writes to.

use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The file that carries the lock. It stays: whoever removed it could remove another owner's.
const LOCK: &str = "run.lock";
/// The file that names the process of the owner. It is not the locked one, which nobody else can
/// read on Windows.
const OWNER: &str = "run.pid";

/// Keeps every other lock, of this process or another, out of a directory until it is dropped or
/// the process dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    owner: PathBuf,
    _file: File,
}

impl DirectoryLock {
    /// Locks an existing directory. Where the file system has no locks, a warning says so.
    ///
    /// # Errors
    /// [`Error::InUse`] while another lock is held; [`Error::Io`] if the lock's files cannot be
    /// written.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        let path = directory.join(LOCK);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io(&path, "open"))?;
        judge(directory, file.try_lock())?;
        let owner = directory.join(OWNER);
        fs::write(&owner, std::process::id().to_string()).map_err(Error::io(&owner, "write"))?;
        Ok(Self { owner, _file: file })
    }

    /// Refuses a directory whose lock is held, and leaves everything as it is.
    pub(crate) fn check(directory: &Path) -> Result<()> {
        match File::options().write(true).open(directory.join(LOCK)) {
            Ok(file) => judge(directory, file.try_lock()),
            Err(_) => Ok(()),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // The next owner writes its own; one that stays names a process that is no longer there.
        let _ = fs::remove_file(&self.owner);
    }
}

/// What the system's answer means for a directory.
fn judge(directory: &Path, answer: Result<(), TryLockError>) -> Result<()> {
    match answer {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            directory: directory.to_owned(),
            process: process(directory),
        }),
        Err(TryLockError::Error(error)) => {
            log::warn!(
                "{}: could not lock it, so nothing keeps a second run out: {error}",
                directory.display()
            );
            Ok(())
        }
    }
}

/// The process that wrote that it holds the lock.
fn process(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(directory.join(OWNER)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_until_the_lock_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        DirectoryLock::check(path).unwrap();
        assert_eq!(fs::read_dir(path).unwrap().count(), 0);
        let lock = DirectoryLock::take(path).unwrap();
        let refusals = [
            DirectoryLock::check(path),
            DirectoryLock::take(path).map(drop),
        ];
        for refusal in refusals {
            let expected = format!(
                "{}: expected a directory that no other run uses, found it in use by process {}",
                path.display(),
                std::process::id()
            );
            assert_eq!(refusal.unwrap_err().to_string(), expected);
        }
        // Its owner may not have said yet who it is.
        fs::write(path.join(OWNER), "").unwrap();
        let refusal = DirectoryLock::check(path).unwrap_err().to_string();
        assert!(refusal.ends_with("in use by another process"), "{refusal}");
        drop(lock);
        DirectoryLock::check(path).unwrap();
        DirectoryLock::take(path).unwrap();
        assert!(!path.join(OWNER).exists());
    }

    #[test]
    fn a_file_system_without_locks_is_no_reason_to_refuse() {
        let unsupported = std::io::ErrorKind::Unsupported.into();
        judge(Path::new("run"), Err(TryLockError::Error(unsupported))).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none");
        DirectoryLock::check(&path).unwrap();
        let error = DirectoryLock::take(&path).unwrap_err().to_string();
        assert!(error.contains("none/run.lock: could not open"), "{error}");
    }
}
