//! The one error type. Every variant names the thing at fault, what was expected and what was found.

use std::path::PathBuf;

/// What the library's fallible calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong on account of input, files or devices.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something about a file.
    #[error("{}: could not {action}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted, as a verb phrase: "open", "write the checkpoint".
        action: &'static str,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A data file holds something it must not.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Where in it: "record 17 (counted from 0), occupancy", "line 3, score".
        place: String,
        /// What would have been right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A file of tensors (network, checkpoint, batch) is damaged or does not fit.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The header, a tensor or a metadata key.
        place: String,
        /// What would have been right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A value handed to a call or an option is out of its range.
    #[error("{name}: expected {expected}, found {found}")]
    Argument {
        /// The argument, option or tensor, with the place in it where that helps.
        name: String,
        /// What would have been right.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Another run uses the directory of a run.
    #[error(
        "{}: expected a directory that no other run uses, found it in use by {}",
        directory.display(),
        process.map_or("another process".to_owned(), |process| format!("process {process}"))
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process that runs there, if it has said so.
        process: Option<u32>,
    },
    /// Tensors do not fit an operation.
    #[error("{operation} of {shapes}: expected {expected}, found {found}")]
    Operation {
        /// The operation, layer or loss.
        operation: String,
        /// The shapes of its operands: "[2, 3] and [4, 5]".
        shapes: String,
        /// What would have been right.
        expected: String,
        /// What was given.
        found: String,
    },
    /// No device matches what was asked for.
    #[error("no device matches {asked}; found: {found}")]
    NoDevice {
        /// The request, and where it came from.
        asked: String,
        /// Every adapter that was there.
        found: String,
    },
    /// A buffer does not fit what the device can bind.
    #[error(
        "{what} needs {needed} bytes, but {device} binds at most {limit} bytes at once{advice}"
    )]
    Limit {
        /// The buffer.
        what: String,
        /// The device.
        device: String,
        /// Bytes wanted.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
        /// What would fit, starting with "; ", or nothing.
        advice: String,
    },
    /// The device failed: out of memory, lost, or a driver's refusal.
    #[error("{device}: {operation}: {reason}")]
    Device {
        /// The device.
        device: String,
        /// What it was doing.
        operation: String,
        /// The driver's reason.
        reason: String,
    },
    /// Training met a loss or a parameter that is not a finite number.
    #[error(
        "the training is no longer finite at step {step}: found {found}, expected finite losses and parameters; {last_checkpoint}"
    )]
    NotFinite {
        /// The step, counted from 1.
        step: u64,
        /// NaN or an infinity.
        found: f32,
        /// The sentence that names the last good checkpoint, or says there is none.
        last_checkpoint: String,
    },
}

impl Error {
    /// An [`Error::Argument`], from anything printable.
    pub fn argument(
        name: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Argument {
            name: name.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// A closure for `map_err` that names the file and what was attempted.
    pub fn io(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
