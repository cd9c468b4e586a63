//! Signals that ask a training to stop: it saves, says how to go on, and goes on to the same bits.

use crate::support::{
    LONG, WGRAD, assert_holds, checkpoint, command, cut, ended, scratch, wait_for_checkpoints,
    wgrad, wgrad_command,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};
use wgrad::nnue::train::log::{Entry, read as read_log};

/// A training that no test waits for to the end: 2 long steps and a checkpoint per epoch.
const ENDLESS: &str = "train --device cpu --hidden 256 --batch 16384 --epochs 1000";

/// A directory whose name needs quotes in a shell, or is not even Unicode where the file system
/// takes such a name.
fn difficult(directory: &Path, signal: &str) -> PathBuf {
    #[cfg(target_os = "linux")]
    if signal == "HUP" {
        use std::os::unix::ffi::OsStrExt;
        return directory.join(OsStr::from_bytes(b"it's Fran\xe7ois' 100%\\"));
    }
    directory.join(OsStr::new(&format!("it's stopped by {signal}")))
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    command("kill", [&format!("-{signal}"), &id])
        .status()
        .unwrap();
}

/// The step after which the run was interrupted, which has a checkpoint.
#[track_caller]
fn interrupted_at(run: &Path) -> u64 {
    let log = read_log(&run.join("log.jsonl")).unwrap();
    let Some(Entry::End { step, reason, .. }) = log.last() else {
        panic!("no end in the log: {:?}", log.last());
    };
    assert_eq!(reason, "interrupted");
    assert!(checkpoint(run, *step).exists());
    *step
}

fn start(line: &str, data: &Path, run: &Path) -> Child {
    wgrad_command(line, &[("--data", data), ("--out", run)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_signal_saves_and_says_how_to_go_on() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 20_000);
    let whole = directory.join("whole");
    wgrad(LONG, &[("--data", &data), ("--out", &whole)]).success();
    for signal in ["INT", "TERM", "HUP"] {
        let stopped = difficult(&directory, signal);
        let mut child = start(LONG, &data, &stopped);
        wait_for_checkpoints(&mut child, &stopped, 6);
        send(signal, &child);
        let Output { status, stdout, .. } = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(stdout).unwrap();
        assert_eq!(status.code(), Some(130), "SIG{signal}: {stdout}");
        let step = interrupted_at(&stopped);
        assert!((1..240).contains(&step), "SIG{signal} at {step}");

        let again = stdout
            .lines()
            .find_map(|line| line.split_once("wgrad train --resume"));
        let (_, arguments) = again.unwrap_or_else(|| panic!("no command to go on in: {stdout}"));
        let script = format!("exec \"$0\" train --resume{arguments}");
        ended(command("sh", ["-c", &script, WGRAD])).success();
        assert_holds(&stopped, &whole);
    }
}

#[test]
fn a_signal_that_arrives_twice_is_one_request() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 20_000), directory.join("run"));
    let mut child = start(ENDLESS, &data, &run);
    wait_for_checkpoints(&mut child, &run, 2);
    for signal in ["INT", "INT", "TERM"] {
        send(signal, &child);
    }
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(String::from_utf8_lossy(&stdout).contains("to go on:"));
    interrupted_at(&run);
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 20_000), directory.join("run"));
    let mut nohup = command("sh", ["-c", "trap '' HUP; exec \"$@\"", "sh", WGRAD]);
    nohup.args(LONG.split(' ')).stdout(Stdio::null());
    nohup.arg("--data").arg(&data).arg("--out").arg(&run);
    let mut child = nohup.spawn().unwrap();
    wait_for_checkpoints(&mut child, &run, 6);
    send("HUP", &child);
    assert!(child.wait().unwrap().success());
    assert!(run.join("net.safetensors").exists());
}

#[test]
fn nobody_who_reads_is_no_reason_not_to_save() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 20_000), directory.join("run"));
    let mut child = start(ENDLESS, &data, &run);
    wait_for_checkpoints(&mut child, &run, 2);
    drop((child.stdout.take(), child.stderr.take()));
    send("HUP", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    interrupted_at(&run);
}

/// `script` gives the training a terminal. When it dies, reading and writing there fail and the
/// system sends SIGHUP.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_saves() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 20_000), directory.join("run"));
    let line = format!(
        "exec {WGRAD} {ENDLESS} --data {} --out {}",
        data.display(),
        run.display()
    );
    let mut terminal = command("script", ["-q", "-c", &line, "/dev/null"]);
    let mut terminal = terminal.stdout(Stdio::null()).spawn().unwrap();
    wait_for_checkpoints(&mut terminal, &run, 2);
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let begun = Instant::now();
    while run.join("run.pid").exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not stop"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupted_at(&run);
}
