//! Atomic replacement of files, and opening without waiting.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const UNFINISHED: &str = ".unfinished-";

/// Removes the new files that [`write_atomically`] leaves in a directory when its process is
/// killed. No other process may be writing there.
///
/// # Errors
/// [`Error::Io`] with the directory.
pub(crate) fn remove_unfinished(directory: &Path) -> Result<()> {
    let attempt = || {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    attempt().map_err(Error::io(directory, "remove unfinished files"))
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
/// contents: a new file in the same directory is written, synchronized to the disk and renamed.
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
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        // Temporary files are private by default. This one gets the permissions of any other new
        // file, as the umask says.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory).map_err(without_path)?;
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
