//! Runs of `wgrad`, their results, and the files that they read and write.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const WGRAD: &str = env!("CARGO_BIN_EXE_wgrad");
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The result of a run.
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn command<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .current_dir(ROOT);
    for variable in ["WGPU_BACKEND", "WGPU_ADAPTER_NAME", "RUST_LOG"] {
        command.env_remove(variable);
    }
    // What the user of this machine has tuned must not change a result, and the driver's cache of
    // shaders stays where it is.
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    if let Some(cache) = cache {
        command.env("MESA_SHADER_CACHE_DIR", cache);
    }
    command.env("XDG_CACHE_HOME", Path::new(ROOT).join("no-cache"));
    command
}

pub fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs `wgrad` with the words of `line`, then with `paths`: options with their values.
pub fn wgrad(line: &str, paths: &[(&str, &Path)]) -> Ended {
    ended(wgrad_command(line, paths))
}

pub fn wgrad_command(line: &str, paths: &[(&str, &Path)]) -> Command {
    let mut command = command(WGRAD, line.split_whitespace());
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    command
}

/// As [`wgrad`], with a limit on the size of a file in blocks of 512 bytes. To a program such a
/// limit looks like a full disk: a write fails half-way.
#[cfg(unix)]
pub fn wgrad_limited(blocks: u64, line: &str, paths: &[(&str, &Path)]) -> Ended {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut limited = command("sh", ["-c", &script, "sh", WGRAD]);
    limited.args(line.split_whitespace());
    for (option, path) in paths {
        limited.arg(option).arg(path);
    }
    ended(limited)
}

impl Ended {
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the run ended with `status` and printed one message with all of `words` on
    /// stderr.
    #[track_caller]
    pub fn refused(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in: {}",
                self.stderr
            );
        }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

pub fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    (directory, path)
}

pub fn shipped(name: &str) -> PathBuf {
    Path::new(ROOT).join("examples/data").join(name)
}

/// A file of the first `count` shipped records.
pub fn cut(directory: &Path, count: usize) -> PathBuf {
    let bytes = fs::read(shipped("chess_train.bin")).unwrap();
    let path = directory.join(format!("{count}.bin"));
    fs::write(&path, &bytes[..32 * count]).unwrap();
    path
}

/// The names and contents of the files of a training that must not depend on circumstances.
pub fn results(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("safetensors")))
        .collect();
    files.sort();
    files.push(run.join("net.safetensors"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|path| (name(path), fs::read(path).unwrap()))
        .collect()
}

pub fn names(run: &Path) -> Vec<String> {
    results(run).into_iter().map(|(name, _)| name).collect()
}

/// Asserts that every file of `expected` is in `found` with the same bytes.
#[track_caller]
pub fn assert_holds(found: &Path, expected: &Path) {
    let found = results(found);
    for (name, bytes) in results(expected) {
        let same = found.iter().find(|(other, _)| *other == name);
        let (_, other) = same.unwrap_or_else(|| panic!("no {name}"));
        assert!(*other == bytes, "{name} differs");
    }
}

/// A training of 240 steps with 49 checkpoints.
pub const LONG: &str =
    "train --device cpu --hidden 48 --batch 512 --epochs 6 --save-every 5 --keep 0 --seed 7";

fn checkpoints(run: &Path) -> usize {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let whole = |path: PathBuf| path.extension() == Some(OsStr::new("safetensors"));
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| whole(entry.path())))
        .count()
}

pub fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:08}.safetensors"))
}

/// Waits until a running training has written so many checkpoints.
#[track_caller]
pub fn wait_for_checkpoints(child: &mut Child, run: &Path, count: usize) {
    let begun = Instant::now();
    while checkpoints(run) < count {
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before {count} checkpoints"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no {count} checkpoints in time"
        );
        std::thread::sleep(Duration::from_micros(300));
    }
}
