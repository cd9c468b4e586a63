//! Trainings that are killed or out of disk space, and continue to the same bits.

#[cfg(unix)]
use crate::support::wgrad_limited;
use crate::support::{
    LONG, ROOT, assert_holds, checkpoint, cut, ended, names, scratch, wait_for_checkpoints, wgrad,
    wgrad_command,
};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use wgrad::nnue::train::log::Curve;

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
    .refused(
        1,
        &["19999.bin: size: expected at least the 640000 bytes read so far"],
    );
}

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
    let paths = [("--data", &*data), ("--out", &*full)];
    wgrad_limited(blocks, &line(hidden), &paths).refused(
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

#[cfg(unix)]
#[test]
fn a_run_that_ended_before_its_first_checkpoint_begins_again_in_its_directory() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 200);
    let (whole, run) = (directory.join("whole"), directory.join("run"));
    let line = "train --device cpu --hidden 8 --batch 50 --epochs 1";
    let paths = [("--data", &*data), ("--out", &*run)];
    wgrad(line, &[("--data", &data), ("--out", &whole)]).success();
    let resume: &[(&str, &Path)] = &[("--resume", &run)];
    let ends_early = || {
        let first = "checkpoints/step-00000000.safetensors: could not write";
        wgrad_limited(8, line, &paths).refused(1, &[first]);
        assert!(run.join("log.jsonl").exists());
        fs::write(run.join(".unfinished-1"), "half a file").unwrap();
        fs::write(run.join("checkpoints/.unfinished-2"), "half a file").unwrap();
    };
    ends_early();
    let again = format!(
        "found none, because the run ended before its first; to begin it again: wgrad train \
         {run}/run.toml --out {run}",
        run = run.display()
    );
    wgrad("train --device cpu", resume).refused(1, &[&again]);
    let recipe = format!("train {}/run.toml --device cpu", run.display());
    wgrad(&recipe, &[("--out", &run)]).success();
    assert_holds(&run, &whole);
    let left = |folder: &Path| {
        let mut entries = fs::read_dir(folder).unwrap();
        entries.any(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with('.')
        })
    };
    assert!(!left(&run) && !left(&run.join("checkpoints")));

    fs::remove_dir_all(&run).unwrap();
    ends_early();
    wgrad(line, &paths).success();
    assert_holds(&run, &whole);
    // A log with steps is a result, also if somebody has moved the checkpoints.
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    fs::remove_file(run.join("net.safetensors")).unwrap();
    wgrad(line, &paths).refused(1, &["log.jsonl", "without the results of another run"]);
    // Somebody else's log is none of a run.
    fs::write(run.join("log.jsonl"), "{\"time\":1}\n").unwrap();
    wgrad(line, &paths).refused(1, &["log.jsonl", "without the results of another run"]);
}

#[test]
fn a_file_without_a_checksum_is_read_with_a_warning() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 200);
    let own = directory.join("own");
    let line = "train --device cpu --hidden 8 --batch 50 --epochs 1";
    wgrad(line, &[("--data", &data), ("--out", &own)]).success();
    let net = own.join("net.safetensors");
    let old = Path::new(ROOT).join("tests/fixtures/release-0.1.0/net.safetensors");
    for (net, warns) in [(net.as_path(), false), (&old, true)] {
        let shown = wgrad(&format!("inspect {}", net.display()), &[]).success();
        let warned = shown.stderr.contains("it has no checksum");
        assert_eq!(warned, warns, "{}", shown.stderr);
    }
}
