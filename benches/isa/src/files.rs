//! Reading and writing of the files that the program is told about.

use crate::Failure;
use std::fs;
use std::io::Write;
use std::path::Path;
use wgrad::files::atomic::write_atomically;

/// Replaces a file, whole or not at all.
pub fn write(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    write_atomically(path, |out| out.write_all(contents))
        .map_err(|error| Failure::Failed(error.to_string()))
}

/// Creates a directory if it is missing.
pub fn create_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path)
        .map_err(|error| Failure::Failed(format!("could not create {}: {error}", path.display())))
}

/// The text of a file, or `None` if it does not exist.
pub fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let path = path.display();
            Err(Failure::Failed(format!("could not read {path}: {error}")))
        }
    }
}
