//! The command line as users and programs see it: output, files, exit status, and the response to
//! bad input.
#![cfg(feature = "cli")]

mod bad_input;
mod bench;
mod commands;
mod data;
mod events;
mod export;
#[cfg(target_os = "linux")]
mod faults;
mod gradients;
mod half;
mod import;
mod inputs;
mod integers;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod paths;
mod penalty;
mod quantization;
mod recipes;
mod rescore;
mod resume;
mod runs;
mod seeing;
mod split;
#[cfg(unix)]
mod stopping;
mod support;
mod training;
mod tuning;
mod validate_integers;
