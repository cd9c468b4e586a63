//! Runs at the same time: each has a directory of its own, and a directory that a run uses is
//! refused.

use crate::support::{
    Ended, LONG, assert_holds, cut, ended, names, scratch, wait_for_checkpoints, wgrad,
    wgrad_command,
};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use wgrad::nnue::train::log::{Entry, read as read_log};

#[test]
fn runs_that_begin_at_the_same_time_get_directories_of_their_own() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 3000);
    let train = |seed: u64| {
        let line = format!(
            "train --device cpu --hidden 8 --epochs 2 --batch 500 --json --quiet --seed {seed}"
        );
        let mut command = wgrad_command(&line, &[("--data", &data)]);
        command.current_dir(&directory);
        command
    };
    // A number that is taken, though no run is there.
    fs::create_dir_all(directory.join("runs")).unwrap();
    fs::write(directory.join("runs/train-2"), "").unwrap();
    let runs: Vec<(u64, Ended)> = std::thread::scope(|scope| {
        let start = |seed| (seed, scope.spawn(move || ended(train(seed))));
        let started: Vec<_> = (1..=4).map(start).collect();
        let end = started.into_iter();
        end.map(|(seed, run)| (seed, run.join().unwrap())).collect()
    });
    for (seed, run) in runs {
        let log = run.success().json()["log"].as_str().unwrap().to_owned();
        let entries = read_log(&directory.join(&log)).unwrap();
        let Entry::Start { settings, .. } = &entries[0] else {
            panic!("{:?}", entries[0]);
        };
        assert_eq!(settings.seed, seed, "{log}");
        assert_eq!(entries.len(), 14, "a start, 12 steps and an end");
    }
    let mut made: Vec<_> = fs::read_dir(directory.join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    made.sort();
    assert_eq!(
        made,
        ["train-1", "train-2", "train-3", "train-4", "train-5"]
    );
}

#[test]
fn a_directory_in_use_is_refused_with_the_process_that_uses_it() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 20_000);
    let (whole, run) = (directory.join("whole"), directory.join("run"));
    wgrad(LONG, &[("--data", &data), ("--out", &whole)]).success();
    // A directory that is there already, and empty.
    fs::create_dir(&run).unwrap();
    let mut child = wgrad_command(
        &LONG.replace("--epochs 6", "--epochs 600"),
        &[("--data", &data), ("--out", &run)],
    )
    .stdout(Stdio::null())
    .spawn()
    .unwrap();
    wait_for_checkpoints(&mut child, &run, 3);
    let owner = format!("in use by process {}", child.id());
    let words = [run.to_str().unwrap(), &owner];
    wgrad("train --device cpu", &[("--resume", &run)]).refused(1, &words);
    wgrad(LONG, &[("--data", &data), ("--out", &run)]).refused(1, &words);
    assert!(
        child.try_wait().unwrap().is_none(),
        "it goes on undisturbed"
    );
    child.kill().unwrap();
    child.wait().unwrap();

    // What a dead process leaves of its lock keeps nobody out.
    let left = ["run.lock", "run.pid"];
    assert!(left.iter().all(|name| run.join(name).exists()));
    let fresh = directory.join("fresh");
    fs::create_dir(&fresh).unwrap();
    for name in left {
        fs::copy(run.join(name), fresh.join(name)).unwrap();
    }
    wgrad(LONG, &[("--data", &data), ("--out", &fresh)]).success();
    assert_holds(&fresh, &whole);
    assert!(!fresh.join("run.pid").exists());
    // Nor does the lock of a run that has ended.
    wgrad("train --device cpu", &[("--resume", &fresh)]).success();
    assert_eq!(names(&fresh), names(&whole));
    wgrad(LONG, &[("--data", &data), ("--out", &run)]).refused(1, &["a run at step", "--resume"]);
}

#[test]
fn what_is_refused_makes_no_directory() {
    let (_guard, directory) = scratch();
    let data = directory.join("empty.bin");
    fs::write(&data, "").unwrap();
    let mut command = wgrad_command("train --device cpu", &[("--data", &data)]);
    command.current_dir(&directory);
    ended(command).refused(1, &["empty.bin"]);
    assert!(!directory.join("runs").exists());
    let empty: &Path = &directory.join("not a run");
    fs::create_dir(empty).unwrap();
    wgrad("train --device cpu", &[("--resume", empty)]).refused(1, &["run.json"]);
    assert_eq!(fs::read_dir(empty).unwrap().count(), 0);
}
