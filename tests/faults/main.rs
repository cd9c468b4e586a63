//! What every failure of a file operation leaves behind.
//!
//! The programs of `programs.rs` run with a library (`shim.c`, built by the test with `cc`) that
//! makes one system call on a file fail: with an error, half done, interrupted, or with the death
//! of the process there. `sweep.rs` does this for every call of every program and every failure.
//! After each:
//!
//! - The process has exited with status 1 and a message that names the file, or was killed, or has
//!   done its work all the same: after an interruption or half a write, and where a failure does
//!   not matter.
//! - Every tensor file that has its final name reads back with its checksum, and every other output
//!   is absent or complete.
//! - The work goes on with what a user types next, `--resume DIR` if there is a checkpoint and the
//!   same command if there is none, to the bits of an undisturbed run. No temporary file remains.
//!
//! The normal test run takes a sample. This is the whole sweep, with a table at its end:
//!
//! ```sh
//! cargo test --release --features cli --test faults -- --ignored --nocapture
//! ```
//!
//! The library reads the registers of a system call that a seccomp filter of Linux has stopped, so
//! there is no such test elsewhere.
#![cfg(all(
    feature = "cli",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod injected;
mod programs;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod support;
mod sweep;

use sweep::Sweep;

/// A prime, so that the sample has every kind of call and every failure.
const EVERY: usize = 31;

#[test]
fn a_sample_of_faults_loses_nothing() {
    let sweep = Sweep::new(EVERY);
    sweep.run();
}

#[test]
#[ignore = "minutes; the sample above is every 31st of these faults"]
fn every_fault_loses_nothing() {
    let sweep = Sweep::new(1);
    println!("{}", sweep.run());
}
