//! The command line: parses options, opens devices and prints. The library does everything else.
//!
//! Exit status: 0, 1 for a failure (`error: …` on stderr), 2 for wrong usage, 130 for a training
//! that Ctrl-C, SIGTERM or SIGHUP stopped.

#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod adapters;
mod artist;
mod bench;
mod config;
mod data;
mod describe;
mod encoding;
mod eval;
mod export;
mod fallback;
mod gradients;
mod head;
mod import;
mod inspect;
mod job;
mod kernels;
mod net;
mod operations;
mod options;
mod picture;
mod plot;
mod progress;
mod recipe;
mod report;
mod settings;
mod sieve;
mod stop;
mod train;
mod tune;
mod tuning;
mod verify;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::Error;

/// Trains neural networks on any GPU, and on the CPU where there is no GPU. Each kernel is
/// hand-written WGSL and checked against an f64 reference.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0; 1 for a failure; 2 for wrong usage; 130 for a training that Ctrl-C,\n\
        SIGTERM or SIGHUP stopped.\n\
        RUST_LOG=info (or debug, trace) shows more log messages."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the CPU executor and every adapter, and which of them `auto` takes
    Adapters(adapters::Options),
    /// Run every case of the kernels and operations on a device, and compare the results with the
    /// f64 reference
    Verify(verify::Options),
    /// List every kernel and variant, or write their WGSL to files
    Kernels(kernels::Options),
    /// Train a two-perspective network; without arguments, on the shipped chess data
    Train(Box<train::Options>),
    /// Print the TOML file of a training, from options and another file
    Config(Box<config::Options>),
    /// Time the variants of a training step on an adapter, and keep the fastest ones for trainings
    Tune(Box<tune::Options>),
    /// Count, show, describe, shuffle, split, rescore or convert positions
    Data(data::Options),
    /// Time training steps on every device, and compare them with the limits of memory and
    /// arithmetic
    Bench(Box<bench::Options>),
    /// Compute the loss and the correlation of a network over data files, or evaluate positions
    Eval(eval::Options),
    /// Write a network as the file of an engine, with the evaluations that the engine must print
    Export(export::Options),
    /// Make a network file from the file of an engine or another trainer
    Import(import::Options),
    /// Print the architecture of a network and the ranges of its tensors; with data, also what its
    /// neurons and buckets do
    Inspect(inspect::Options),
    /// Draw losses, learning rate, lambda and speed of runs over their steps
    Plot(plot::Options),
    /// Write a page of HTML about a run: its course, its network, and what its neurons do
    Report(report::Options),
    /// Run one forward and backward pass on tensors from a file, as a cross-check with other
    /// frameworks
    Gradients(gradients::Options),
    /// Run operations, layers and losses on tensors from a file, forward and backward, or list them
    Operations(operations::Options),
}

/// Why a command did not succeed.
enum Failure {
    /// An error of the library: exit status 1.
    Error(Error),
    /// An error of the command itself: exit status 1.
    Message(String),
    /// Options that contradict each other: exit status 2, with the usage of this subcommand.
    Usage(&'static str, String),
    /// The reader of stdout is gone: exit status 1 without a message.
    Closed,
}

impl Failure {
    /// The message, without the usage of a subcommand.
    fn message(&self) -> String {
        match self {
            Self::Error(error) => error.to_string(),
            Self::Message(message) | Self::Usage(_, message) => message.clone(),
            Self::Closed => "the reader of stdout is gone".to_owned(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Outcome = Result<ExitCode, Failure>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // By default, the log leaves out the many warnings of the GPU libraries.
    let quiet = "warn,wgpu_hal=error,wgpu_core=error,naga=error";
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(quiet)).init();
    // Who gets the error of such a panic prints it.
    let print_panic = panic::take_hook();
    panic::set_hook(Box::new(move |info| match wgrad::panics::become_errors() {
        true => log::debug!("{info}"),
        false => print_panic(info),
    }));
    let outcome = match cli.command {
        Command::Adapters(options) => adapters::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Kernels(options) => kernels::run(&options),
        Command::Train(options) => train::run(&options),
        Command::Config(options) => config::run(&options),
        Command::Tune(options) => tune::run(&options),
        Command::Data(options) => data::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Eval(options) => eval::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Plot(options) => plot::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Gradients(options) => gradients::run(&options),
        Command::Operations(options) => operations::run(&options),
    };
    let message = match outcome {
        Ok(status) => return status,
        Err(Failure::Error(error)) => error.to_string(),
        Err(Failure::Message(message)) => message,
        Err(Failure::Usage(subcommand, message)) => usage(subcommand, message),
        Err(Failure::Closed) => return ExitCode::FAILURE,
    };
    warn(format_args!("error: {message}"));
    ExitCode::FAILURE
}

/// Ends the program as clap does for wrong usage.
fn usage(subcommand: &str, message: String) -> ! {
    let mut command = Cli::command();
    command.build();
    let command = match command.find_subcommand_mut(subcommand) {
        Some(subcommand) => subcommand,
        None => &mut command,
    };
    command.error(ErrorKind::ArgumentConflict, message).exit()
}

/// Prints a line on stdout.
fn print(line: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
        Err(error) => Err(Failure::Message(format!(
            "stdout: could not write: {error}"
        ))),
    }
}

/// Prints a value as one line of JSON on stdout.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Message(error.to_string()))?;
    print(text)
}

/// Prints a line on stderr. A closed stderr is not an error.
fn warn(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Refuses an output that is one of the inputs.
fn distinct(output: &Path, inputs: &[&Path]) -> Result<(), Error> {
    distinct_as("--out", output, inputs)
}

/// As [`distinct`], for an output of another option.
fn distinct_as(option: &str, output: &Path, inputs: &[&Path]) -> Result<(), Error> {
    let own = place(output);
    let same = |input: &&&Path| own.is_some() && own == place(input);
    match inputs.iter().find(same) {
        None => Ok(()),
        Some(input) => {
            let expected = "another file than the inputs";
            Err(Error::argument(option, expected, input.display()))
        }
    }
}

/// Where a file is or will be; `None` without its directory.
fn place(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|own| !own.as_os_str().is_empty());
    let missing = || {
        let parent = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(parent.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(missing)
}

/// A word in the syntax of a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A path in the syntax of a POSIX shell, without quotes if it needs none.
fn quoted_path(path: &Path) -> String {
    let Some(text) = path.to_str() else {
        return quoted_bytes(path);
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    quoted(text)
}

/// A shell expression for a path that is not Unicode. In it, `printf` writes the bytes that a
/// terminal cannot show.
#[cfg(unix)]
fn quoted_bytes(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let escaped = |&byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("\\{byte:03o}"),
    };
    let bytes = path.as_os_str().as_bytes();
    let format: String = bytes.iter().map(escaped).collect();
    format!("\"$(printf '{format}')\"")
}

/// No shell of this system accepts such a path.
#[cfg(not(unix))]
fn quoted_bytes(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// `1 step`, `2 steps`.
fn counted(count: usize, noun: &str) -> String {
    let plural: Cow<'_, str> = if count == 1 {
        noun.into()
    } else {
        format!("{noun}s").into()
    };
    format!("{} {plural}", indicatif::HumanCount(count as u64))
}
