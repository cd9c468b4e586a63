//! The files that a list of paths means.

use crate::error::{Error, Fault, Result};
use crate::files::atomic;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

/// The paths, where a directory stands for its files in the order of their names, without hidden
/// files and subdirectories.
///
/// # Errors
/// A path that is missing or neither a regular file nor a directory, and a directory without files.
pub(crate) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let found = std::fs::metadata(path).map_err(Error::io(path, "open"))?;
        if found.is_dir() {
            files.extend(list(path)?);
        } else if found.is_file() {
            files.push(path.clone());
        } else {
            let expected = "a regular file, because the data are read again";
            let fault = Fault::new("type", expected, kind(&found));
            return Err(Error::data(path, fault));
        }
    }
    Ok(files)
}

/// The files of a directory.
fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = || Error::io(directory, "list the directory");
    let mut files = Vec::new();
    for entry in atomic::list(directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A symbolic link counts as what it leads to.
        if !hidden && std::fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let fault = Fault::new("directory", "at least 1 file", "none");
        return Err(Error::data(directory, fault));
    }
    files.sort();
    Ok(files)
}

/// What a path leads to that is neither a file nor a directory.
fn kind(found: &Metadata) -> &'static str {
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()) {
        return "a pipe";
    }
    let _ = found;
    "a device or a socket"
}
