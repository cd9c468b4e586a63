//! Runs of a command with the library that makes a call fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// It fails with an error of the system.
    Error(&'static str, i32),
    /// It and all later ones of its kind fail, because the disk is full.
    Full,
    /// It is interrupted before it did anything, and is made again.
    Interrupted,
    /// It reads or writes half of the bytes.
    Short,
    /// The process dies before it.
    Kill,
    /// The process dies after half of a write.
    Torn,
}

const EIO: Failure = Failure::Error("EIO", 5);
const EACCES: Failure = Failure::Error("EACCES", 13);
const ENOSPC: Failure = Failure::Error("ENOSPC", 28);

impl Failure {
    /// The failures that a kind of call can have. Only slow calls are interrupted.
    pub fn of(kind: &str) -> &'static [Self] {
        match kind {
            "open" => &[EIO, EACCES, ENOSPC, Self::Interrupted, Self::Kill],
            "read" => &[EIO, Self::Interrupted, Self::Short, Self::Kill],
            "write" => &[
                EIO,
                ENOSPC,
                Self::Full,
                Self::Interrupted,
                Self::Short,
                Self::Kill,
                Self::Torn,
            ],
            "sync" | "truncate" => &[EIO, ENOSPC, Self::Interrupted, Self::Kill],
            "rename" | "mkdir" => &[EIO, EACCES, ENOSPC, Self::Kill],
            "unlink" => &[EIO, EACCES, Self::Kill],
            other => panic!("an unknown kind of call: {other}"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Error(name, _) => name,
            Self::Full => "ENOSPC from here on",
            Self::Interrupted => "EINTR",
            Self::Short => "short",
            Self::Kill => "kill",
            Self::Torn => "torn, kill",
        }
    }

    /// Whether the process must do its work all the same.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Interrupted | Self::Short)
    }

    pub fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::Torn)
    }

    fn text(self) -> String {
        match self {
            Self::Error(_, number) => number.to_string(),
            Self::Full => "full".to_owned(),
            Self::Interrupted => "4".to_owned(),
            Self::Short => "short".to_owned(),
            Self::Kill => "kill".to_owned(),
            Self::Torn => "torn".to_owned(),
        }
    }
}

/// A failure of one call of a command.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind of call.
    pub kind: String,
    /// Its number among the calls of the kind, counted from 1.
    pub number: usize,
    pub failure: Failure,
}

/// A call on a file.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: String,
    pub path: PathBuf,
    /// Whether it was made to fail.
    pub failed: bool,
}

/// Makes the calls of a command on files under `directory` be traced, and one of them fail.
pub fn inject(command: &mut Command, directory: &Path, fault: Option<&Fault>) {
    command
        .env("LD_PRELOAD", library())
        .env("FAULT_DIRECTORY", directory)
        .env("FAULT_TRACE", trace(directory));
    if let Some(fault) = fault {
        command
            .env("FAULT_KIND", &fault.kind)
            .env("FAULT_NUMBER", fault.number.to_string())
            .env("FAULT_WHAT", fault.failure.text());
    }
}

/// The calls of a command that [`inject`] has changed, in their order.
pub fn calls(directory: &Path) -> Vec<Call> {
    let text = fs::read(trace(directory)).unwrap();
    let text = String::from_utf8(text).unwrap();
    let call = |line: &str| {
        let (kind, path) = line.split_once(' ').unwrap();
        Call {
            kind: kind.trim_start_matches('!').to_owned(),
            path: path.into(),
            failed: kind.starts_with('!'),
        }
    };
    text.lines().map(call).collect()
}

fn trace(directory: &Path) -> PathBuf {
    directory.with_extension("trace")
}

/// The library, which is built once.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let name = format!("fault-shim-{}.so", std::process::id());
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library);
        let status = cc.arg(source).status();
        assert!(
            status.as_ref().is_ok_and(|status| status.success()),
            "cc, the linker of Rust programs, must build tests/faults/shim.c: {status:?}"
        );
        library
    })
}
