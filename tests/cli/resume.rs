//! Trainings that are killed, interrupted or out of disk space, and continue to the same bits.

use crate::support::{
    WGRAD, assert_holds, command, cut, ended, names, scratch, wgrad, wgrad_command,
};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use wgrad::nnue::train::log::{Curve, Entry, read as read_log};

fn checkpoints(run: &Path) -> usize {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let whole = |path: PathBuf| path.extension() == Some(OsStr::new("safetensors"));
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| whole(entry.path())))
        .count()
}

fn checkpoint(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:08}.safetensors"))
}

/// Waits until a running training has written this many checkpoints.
#[track_caller]
fn wait_for_checkpoints(child: &mut Child, run: &Path, count: usize) {
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

/// A training of 240 steps with 49 checkpoints.
const LONG: &str = "train --device cpu --hidden 48 --batch 512 --epochs 6 --save-every 5 --seed 7";

#[test]
fn what_is_killed_goes_on_to_the_same_bits() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 20_000);
    let (whole, killed) = (directory.join("whole"), directory.join("killed"));
    wgrad(LONG, &[("--data", &data), ("--out", &whole)]).success();
    let mut start = wgrad_command(LONG, &[("--data", &data), ("--out", &killed)]);
    for (attempt, count) in [1, 8, 20, 33].into_iter().enumerate() {
        let mut child = start
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_checkpoints(&mut child, &killed, count);
        // The kill falls anywhere in a step or in the writing of a file.
        std::thread::sleep(Duration::from_micros(
            700 * attempt as u64 + u64::from(child.id() % 7) * 300,
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        start = wgrad_command("train --device cpu", &[("--resume", &killed)]);
    }
    assert!(
        !killed.join("net.safetensors").exists(),
        "it was too fast to be killed"
    );
    ended(start).success();
    assert_eq!(names(&killed), names(&whole));
    assert_holds(&killed, &whole);
    let curve = |run: &Path| Curve::read(&run.join("log.jsonl")).unwrap();
    assert_eq!(curve(&killed), curve(&whole));

    // An option that would change the numbers is refused; an option that equals the run's is not.
    let resume: &[(&str, &Path)] = &[("--resume", &killed)];
    wgrad("train --device cpu --hidden 64", resume).refused(2, &["--hidden 64", "48"]);
    wgrad("train --device cpu --tied", resume).refused(2, &["--tied"]);
    wgrad(
        "train --device cpu --hidden 48 --epochs 6 --seed 7 --threads 1",
        resume,
    )
    .success();
    assert_holds(&killed, &whole);
    let other = cut(&directory, 19_999);
    wgrad(
        "train --device cpu",
        &[("--resume", &killed), ("--data", &other)],
    )
    .refused(1, &["data"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_says_how_to_go_on() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 20_000);
    let (whole, stopped) = (directory.join("whole"), directory.join("it's stopped"));
    wgrad(LONG, &[("--data", &data), ("--out", &whole)]).success();
    let mut start = wgrad_command(LONG, &[("--data", &data), ("--out", &stopped)]);
    let mut child = start
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_checkpoints(&mut child, &stopped, 6);
    let kill = command("kill", ["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stdout}");
    let log = read_log(&stopped.join("log.jsonl")).unwrap();
    let Some(Entry::End { step, reason, .. }) = log.last() else {
        panic!("no end in the log: {:?}", log.last());
    };
    assert_eq!(reason, "interrupted");
    assert!((1..240).contains(step), "stopped at {step}");
    assert!(checkpoint(&stopped, *step).exists());

    let again = stdout
        .lines()
        .find_map(|line| line.split_once("wgrad train --resume"));
    let (_, arguments) = again.unwrap_or_else(|| panic!("no command to go on in: {stdout}"));
    let script = format!("exec \"$0\" train --resume{arguments}");
    ended(command("sh", ["-c", &script, WGRAD])).success();
    assert_holds(&stopped, &whole);
}

/// To a program, a limit on file sizes looks like a full disk: a write fails half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoints_before() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 100);
    let line =
        |hidden: usize| format!("train --device cpu --epochs 2 --batch 50 --hidden {hidden}");
    let size = |run: &Path, step| fs::metadata(checkpoint(run, step)).unwrap().len();
    // Later checkpoints are a few bytes longer than the first one. The limit counts blocks of 512
    // bytes, so for some size it falls between the two.
    let found = (1..=64).find_map(|hidden| {
        let run = directory.join(format!("hidden{hidden}"));
        wgrad(&line(hidden), &[("--data", &data), ("--out", &run)]).success();
        let (first, later) = (size(&run, 0), size(&run, 2));
        let blocks = first.div_ceil(512);
        (later > 512 * blocks).then_some((hidden, blocks, run))
    });
    let (hidden, blocks, whole) = found.expect("a network whose first checkpoint alone fits");
    let full = directory.join("full");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut limited = command("sh", ["-c", &script, "sh", WGRAD]);
    limited
        .args(line(hidden).split(' '))
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(&full);
    ended(limited).refused(
        1,
        &[
            "checkpoints/step-00000002.safetensors",
            "could not write",
            "too large",
        ],
    );
    let left: Vec<_> = fs::read_dir(full.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["step-00000000.safetensors"]);
    wgrad("train --device cpu", &[("--resume", &full)]).success();
    assert_holds(&full, &whole);
}
