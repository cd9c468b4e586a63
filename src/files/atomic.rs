//! Atomic replacement of files, opening without waiting, and listing without interruption.

use crate::error::{Error, Result};
use std::fs::{File, ReadDir, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// How the names of new files begin.
const UNFINISHED: &str = ".unfinished-";

/// Removes the new files that [`write_atomically`] leaves in a directory when its process is
/// killed. Files that another process is writing stay.
///
/// # Errors
/// [`Error::Io`] with the directory.
pub(crate) fn remove_unfinished(directory: &Path) -> Result<()> {
    remove_abandoned(directory, UNFINISHED).map_err(Error::io(directory, "remove unfinished files"))
}

/// Removes the files whose names begin so and which nobody has locked. Their writers hold a lock.
fn remove_abandoned(directory: &Path, prefix: &str) -> io::Result<()> {
    for entry in list(directory)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
            continue;
        }
        let attempt = || {
            // Some file systems lock only what is open for writing.
            let file = File::options().write(true).open(&path)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => Ok(()),
                _ => std::fs::remove_file(&path),
            }
        };
        match attempt() {
            // Its writer has just finished.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            tried => tried?,
        }
    }
    Ok(())
}

/// The entries of a directory. Unlike `read_dir` it goes on after an interruption, as `File::open`
/// does.
///
/// # Errors
/// The system's error.
pub(crate) fn list(directory: &Path) -> io::Result<ReadDir> {
    loop {
        match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            entries => return entries,
        }
    }
}

/// Opens a regular file for reading. A pipe is refused, because opening one waits for a writer.
///
/// # Errors
/// The system's error, or one that says that the path is not a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    File::open(path)
}

/// Replaces the file at `path`. At every moment `path` holds either its old or its complete new
/// contents: a new file in the same directory is written, synchronized to the disk and renamed. If
/// the process is killed before, the next write to `path` removes the new file.
///
/// # Errors
/// [`Error::Io`] with `path` if any of this fails. The new file is removed then.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    let attempt = || {
        // A rename would replace a device or a symbolic link by a file.
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(not_regular());
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        // The name of a file may be as long as names can be, so its hash takes its place.
        let name = path.file_name().unwrap_or_default();
        let name = crc32fast::hash(name.as_encoded_bytes());
        let prefix = format!("{UNFINISHED}{name:08x}-");
        // An abandoned file that cannot be removed is no reason to refuse this one.
        let _ = remove_abandoned(directory, &prefix);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // Temporary files are private by default. This one gets the permissions of any other new
        // file, as the umask says.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory).map_err(without_path)?;
        // Where a file system has no locks, it also has none that are held.
        let _ = file.as_file().try_lock();
        let mut out = BufWriter::with_capacity(1 << 16, file.as_file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The file is already replaced, so a file system that cannot sync a directory is no error.
        #[cfg(unix)]
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    };
    attempt().map_err(Error::io(path, "write"))
}

/// As [`write_atomically`], for a writer with errors of its own. They replace nothing and are
/// returned as they are.
///
/// # Errors
/// Those of `write`, which should name `path` if it cannot be written, and those of
/// [`write_atomically`].
pub fn try_write_atomically<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<T>,
) -> Result<T> {
    let (mut value, mut own) = (None, None);
    let wrote = write_atomically(path, |out| {
        match write(out) {
            Ok(written) => value = Some(written),
            Err(error) => own = Some(error),
        }
        match own {
            None => Ok(()),
            Some(_) => Err(io::Error::other("the writer failed")),
        }
    });
    match (value, own) {
        (_, Some(error)) => Err(error),
        (Some(value), None) => wrote.map(|()| value),
        (None, None) => wrote.and_then(|()| {
            let never = io::Error::other("the writer did not run");
            Err(Error::io(path, "write")(never))
        }),
    }
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

/// Removes the path of the temporary file from the text of an error, because [`Error::Io`] already
/// names the path of the file.
pub(crate) fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.rsplit_once(" at path ") {
        Some((reason, _)) => io::Error::new(error.kind(), reason),
        None => error,
    }
}
