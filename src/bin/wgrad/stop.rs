//! Requests to stop a training: Ctrl-C, and on Unix SIGTERM and SIGHUP.

use crate::{Failure, warn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The exit status of a training that a request stopped.
pub const INTERRUPTED: u8 = 130;
/// GNU `timeout` signals the program and then its process group, so a request within this time
/// after the first counts as the same request.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// The effect of a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// To stop after the current step.
    Stop,
    /// Nothing: it repeats the first request.
    Nothing,
    /// To end at once.
    Abort,
}

/// The first request, if there was one.
#[derive(Default)]
struct Requests {
    first: Option<Instant>,
}

impl Requests {
    fn receive(&mut self, now: Instant) -> Answer {
        match self.first {
            None => {
                self.first = Some(now);
                Answer::Stop
            }
            Some(first) if now - first <= SAME_REQUEST => Answer::Nothing,
            Some(_) => Answer::Abort,
        }
    }
}

/// The first request sets the flag. A later one ends the program. Files are complete in both cases.
pub fn stop_on_request(stop: Arc<AtomicBool>) -> Result<(), Failure> {
    let mut requests = Requests::default();
    let handler = move || match requests.receive(Instant::now()) {
        Answer::Stop => {
            stop.store(true, Ordering::Relaxed);
            warn("\nstopping after this step, then saving; Ctrl-C again to abort at once");
        }
        Answer::Nothing => {}
        Answer::Abort => std::process::exit(INTERRUPTED.into()),
    };
    listen(handler).map_err(|error| Failure::Message(format!("signals cannot be caught: {error}")))
}

/// Calls `handler` for each signal, on a thread of its own.
#[cfg(unix)]
fn listen(mut handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let hangup = (!hangup_is_ignored()).then_some(SIGHUP);
    let signals = [SIGINT, SIGTERM].into_iter().chain(hangup);
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || signals.forever().for_each(|_| handler()))
        .map(drop)
}

/// Calls `handler` for each Ctrl-C, and when the console closes.
#[cfg(not(unix))]
fn listen(handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(handler).map_err(io::Error::other)
}

/// Whether the program was started under `nohup`, so that a closed terminal must not stop it. A
/// child process inherits ignored signals, so a shell that survives the signal shows this.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    use std::process::{Command, Stdio};
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -HUP $$"]).stdin(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_arrives_twice_is_one_and_a_later_one_aborts() {
        let mut requests = Requests::default();
        let begun = Instant::now();
        let after = |milliseconds| begun + Duration::from_millis(milliseconds);
        assert_eq!(requests.receive(begun), Answer::Stop);
        assert_eq!(requests.receive(begun), Answer::Nothing);
        assert_eq!(requests.receive(after(1000)), Answer::Nothing);
        assert_eq!(requests.receive(after(1001)), Answer::Abort);
    }
}
