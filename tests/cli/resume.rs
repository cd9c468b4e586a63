//! Trainings that are killed or out of disk space, and continue to the same bits.

#[cfg(unix)]
use crate::support::wgrad_limited;
use crate::support::{
    LONG, assert_holds, checkpoint, cut, ended, names, scratch, wait_for_checkpoints, wgrad,
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
