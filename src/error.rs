//! The error type of the crate. Every error names a place, what was expected there and what was
//! found.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The result of every fallible call of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One wrong value: its place, what was expected there, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct Fault {
    /// The argument, option or tensor, or the position in a file: "line 3, score".
    pub place: String,
    /// A description of the values that are accepted.
    pub expected: String,
    /// The value that was refused.
    pub found: String,
}

impl Fault {
    /// A fault from anything printable.
    pub fn new(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self {
            place: place.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// The same fault in a larger place: `score` within `line 3` is `line 3, score`.
    #[must_use]
    pub fn within(self, outer: impl Display) -> Self {
        Self {
            place: format!("{outer}, {}", self.place),
            ..self
        }
    }
}

/// Everything that can go wrong because of input, files or devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("{}: could not {action}: {source}", path.display())]
    #[non_exhaustive]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operation, as a verb phrase: "open", "write".
        action: &'static str,
        /// The reason that the system gives.
        source: std::io::Error,
    },
    /// A data file, a log or a run file has contents that are not allowed.
    #[error("{}: {fault}", path.display())]
    #[non_exhaustive]
    Data {
        /// The file.
        path: PathBuf,
        /// The record or line, and the field in it.
        fault: Fault,
    },
    /// A file of tensors (a network, a checkpoint, a batch) is damaged or does not fit.
    #[error("{}: {fault}", path.display())]
    #[non_exhaustive]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The header, a tensor or a metadata key.
        fault: Fault,
    },
    /// The newest checkpoint of a run cannot be read.
    #[error("{error}; {}", match readable {
        Some(path) => format!(
            "the newest checkpoint that can be read is {}; to go on from there, remove the damaged \
             file",
            path.display()
        ),
        None => "no other checkpoint there can be read".to_owned(),
    })]
    #[non_exhaustive]
    Checkpoint {
        /// The reason.
        error: Box<Error>,
        /// The newest checkpoint of the run that can be read.
        readable: Option<PathBuf>,
    },
    /// Another run uses the directory of a run.
    #[error(
        "{}: expected a directory that no other run uses, found it in use by {}",
        directory.display(),
        process.map_or("another process".to_owned(), |process| format!("process {process}"))
    )]
    #[non_exhaustive]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process that uses it, if that process has written its number.
        process: Option<u32>,
    },
    /// An argument or an option is out of its range.
    #[error("{0}")]
    Argument(Fault),
    /// Tensors do not fit an operation.
    #[error(
        "{} of {}: expected {}, found {}", fault.place, listed(shapes), fault.expected, fault.found
    )]
    #[non_exhaustive]
    Operation {
        /// The shapes of the operands.
        shapes: Vec<Vec<usize>>,
        /// The operation, layer or loss as the place, and what it requires of its operands.
        fault: Fault,
    },
    /// No device matches the request.
    #[error("no device matches {asked}; found: {found}")]
    #[non_exhaustive]
    NoDevice {
        /// The request, and where it came from.
        asked: String,
        /// Every adapter that was found.
        found: String,
    },
    /// A buffer is larger than the device can bind.
    #[error(
        "{what} needs {needed} bytes, but {device} binds at most {limit} bytes at once{advice}"
    )]
    #[non_exhaustive]
    Limit {
        /// The buffer.
        what: String,
        /// The device.
        device: String,
        /// The size of the buffer in bytes.
        needed: u64,
        /// The largest size in bytes.
        limit: u64,
        /// A size that fits, after "; ", or nothing.
        advice: String,
    },
    /// The system has no memory of this size.
    #[error("{what} needs {needed} bytes of memory, more than the system has")]
    #[non_exhaustive]
    Memory {
        /// The tensor, the batch or the buffer.
        what: String,
        /// The size in bytes.
        needed: u64,
    },
    /// The device failed: it ran out of memory, was lost, or its driver refused an operation.
    #[error("{device}: {operation}: {reason}")]
    #[non_exhaustive]
    Device {
        /// The device.
        device: String,
        /// The operation that failed.
        operation: String,
        /// The reason that the driver gives.
        reason: String,
    },
    /// A thread of the crate, or code of the caller that it ran, panicked.
    #[error("thread `{thread}` panicked: {message}")]
    #[non_exhaustive]
    Panic {
        /// The name of the thread.
        thread: String,
        /// The message of the panic.
        message: String,
    },
    /// A training stopped because of an error.
    #[error("after step {step}: {error}; {}", match checkpoint {
        Some(path) => {
            let lost = match lost {
                0 => "no step is".to_owned(),
                1 => "1 step after it is".to_owned(),
                lost => format!("{lost} steps after it are"),
            };
            format!("the newest checkpoint is {}, and {lost} lost", path.display())
        }
        None => "there is no checkpoint".to_owned(),
    })]
    #[non_exhaustive]
    Training {
        /// The steps that were begun, in all stages.
        step: u64,
        /// The reason.
        error: Box<Error>,
        /// The newest checkpoint.
        checkpoint: Option<PathBuf>,
        /// The steps after the newest checkpoint.
        lost: u64,
    },
    /// A loss, a gradient, a parameter or a moment is not a finite number any more.
    #[error(
        "the training is no longer finite at step {step}: {place}: expected finite losses, \
         gradients and parameters, found {found}{}; {}",
        match file {
            Some(path) => format!("; {} has the state before the step and its batch", path.display()),
            None => String::new(),
        },
        match last_checkpoint {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "there is no checkpoint".to_owned(),
        }
    )]
    #[non_exhaustive]
    NotFinite {
        /// The step, counted from 1.
        step: u64,
        /// The batch, and the tensor and element: `A1.grad` is the gradient of A1, `A1.next` is A1
        /// after the step, and `A1.m.next` is its moment m then. Only "the loss" or "a parameter or
        /// a moment" if nothing more is known.
        place: String,
        /// NaN or an infinity.
        found: f32,
        /// The file with the state before the step and its batch, which `wgrad gradients` reads.
        file: Option<PathBuf>,
        /// The last good checkpoint.
        last_checkpoint: Option<PathBuf>,
    },
}

impl Error {
    /// An [`Error::Argument`], from anything printable.
    pub fn argument(
        name: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Argument(Fault::new(name, expected, found))
    }

    /// An [`Error::Memory`] about `len` elements of a type.
    pub(crate) fn memory<T>(what: &str, len: usize) -> Self {
        Self::Memory {
            what: what.to_owned(),
            needed: (len as u64).saturating_mul(size_of::<T>() as u64),
        }
    }

    /// An [`Error::Data`] about a file.
    pub fn data(path: impl Into<PathBuf>, fault: Fault) -> Self {
        let path = path.into();
        Self::Data { path, fault }
    }

    /// An [`Error::Operation`] on operands of these shapes.
    pub fn operation<S: AsRef<[usize]>>(
        operation: impl Into<String>,
        shapes: impl IntoIterator<Item = S>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        let shapes = shapes.into_iter();
        Self::Operation {
            shapes: shapes.map(|shape| shape.as_ref().to_vec()).collect(),
            fault: Fault::new(operation, expected, found),
        }
    }

    /// A closure for `map_err` that adds the file and the operation to a system's error.
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

    /// The wrong value, if one value is to blame.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Data { fault, .. }
            | Self::Tensors { fault, .. }
            | Self::Argument(fault)
            | Self::Operation { fault, .. } => Some(fault),
            Self::Checkpoint { error, .. } | Self::Training { error, .. } => error.fault(),
            _ => None,
        }
    }

    /// Whether a device failed, so that the same work may succeed on another one.
    pub fn is_of_device(&self) -> bool {
        match self {
            Self::Device { .. } => true,
            Self::Training { error, .. } => error.is_of_device(),
            _ => false,
        }
    }

    /// The same error with the argument or the operation at fault in a larger place; see
    /// [`Fault::within`]. Other errors stay as they are.
    #[must_use]
    pub fn within(self, outer: impl Display) -> Self {
        match self {
            Self::Argument(fault) => Self::Argument(fault.within(outer)),
            Self::Operation { shapes, fault } => Self::Operation {
                shapes,
                fault: fault.within(outer),
            },
            other => other,
        }
    }

    /// An argument or operands that came from a file of tensors, as an error about that file.
    /// Other errors stay as they are.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        let path = path.to_owned();
        match self {
            Self::Argument(fault) => Self::Tensors { path, fault },
            Self::Operation { shapes, fault } => {
                let place = format!("{} of {}", fault.place, listed(shapes));
                let fault = Fault { place, ..fault };
                Self::Tensors { path, fault }
            }
            other => other,
        }
    }
}

/// Shapes as they read in messages: `[2, 3] and [4, 5]`.
pub(crate) fn listed<S: AsRef<[usize]>>(shapes: impl IntoIterator<Item = S>) -> String {
    let shapes = shapes.into_iter();
    let shapes: Vec<String> = shapes
        .map(|shape| format!("{:?}", shape.as_ref()))
        .collect();
    match shapes.is_empty() {
        true => "nothing".to_owned(),
        false => shapes.join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_kind_to_match_and_a_text_to_read() {
        let fault = || Fault::new("score", "a number", "\"x\"").within("line 3");
        let error = Error::argument("bias", "2 values", 3).within("layer 1");
        assert_eq!(
            error.to_string(),
            "layer 1, bias: expected 2 values, found 3"
        );
        let error = error.in_file(Path::new("net"));
        assert!(matches!(&error, Error::Tensors { fault, .. } if fault.found == "3"));
        let texts = [
            (
                Error::data("a.txt", fault()),
                "a.txt: line 3, score: expected a number, found \"x\"",
            ),
            (
                Error::operation("add", [&[2, 3][..], &[4]], "equal shapes", "these"),
                "add of [2, 3] and [4]: expected equal shapes, found these",
            ),
            (
                Error::operation("add", [&[2, 3][..], &[4]], "equal shapes", "these")
                    .within("case 3")
                    .in_file(Path::new("cases")),
                "cases: case 3, add of [2, 3] and [4]: expected equal shapes, found these",
            ),
            (
                Error::Checkpoint {
                    error: error.into(),
                    readable: Some("good".into()),
                },
                "net: layer 1, bias: expected 2 values, found 3; \
                 the newest checkpoint that can be read is good; to go on from there, remove the \
                 damaged file",
            ),
            (
                Error::Training {
                    step: 12,
                    error: Error::data("a.txt", fault()).into(),
                    checkpoint: Some("good".into()),
                    lost: 1,
                },
                "after step 12: a.txt: line 3, score: expected a number, found \"x\"; \
                 the newest checkpoint is good, and 1 step after it is lost",
            ),
            (
                Error::io("x", "open")(std::io::ErrorKind::NotFound.into()),
                "x: could not open: entity not found",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }
}
