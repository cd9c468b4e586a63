//! Files that are never half-written, and none that would be waited for.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const UNFINISHED: &str = ".unfinished-";

/// Removes the new files that processes left in a directory when they were killed while [`write_atomically`] was at work.
/// Nobody else may be writing there.
pub fn remove_unfinished(directory: &Path) -> Result<()> {
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

/// Opens a file to read. What is not a regular file is refused: a pipe would be waited for until somebody writes.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("what stands there is not a regular file"));
    }
    File::open(path)
}

/// Writes a file so that at `path` stands what stood there before or the whole new contents, whatever happens: a new
/// file in the same directory is filled, brought to the disk and renamed.
///
/// # Errors
/// [`Error::Io`] with `path` when any of it fails; the new file is then gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    let attempt = || {
        // A rename would put a file in the place of a device or a link.
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("what stands there is not a regular file"));
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        // Temporary files are private otherwise; this one becomes a file like any other, as the umask has it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory)?;
        let mut out = BufWriter::with_capacity(1 << 16, file.as_file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The new file is in place by now: a file system that cannot sync a directory is no reason to fail.
        #[cfg(unix)]
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    };
    attempt().map_err(Error::io(path, "write"))
}
