//! The command line as a user and a program meet it: output, files, exit status, and what bad input gets.
#![cfg(feature = "cli")]

mod bad_input;
mod bench;
mod commands;
mod gradients;
#[cfg(target_os = "linux")]
mod paths;
mod resume;
mod runs;
#[cfg(unix)]
mod stopping;
mod support;
mod training;
