//! `--l1` of `wgrad train`: the L1 penalty on the input of the head.

use crate::support::{assert_holds, cut, names, scratch, wgrad};
use std::fs;
use std::path::Path;

const LINE: &str = "train --device cpu --epochs 2 --batch 500 --hidden 64 --pairwise --seed 1";

fn read(run: &Path, name: &str) -> String {
    fs::read_to_string(run.join(name)).unwrap()
}

#[test]
fn a_run_with_a_penalty_keeps_its_setting_and_resumes_to_the_same_bits() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let train = |name: &str, option: &str| {
        let run = directory.join(name);
        let line = format!("{LINE} --save-every 1 --keep 0 {option}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
        (run, ended.stdout)
    };
    let (with, shown) = train("with", "--l1 0.5");
    assert!(shown.contains("L1 penalty 0.5"), "{shown}");
    assert!(read(&with, "run.toml").contains("\nl1 = 0.5\n"));
    assert!(read(&with, "log.jsonl").contains(r#""l1":0.5"#));
    let (without, shown) = train("without", "");
    assert!(!shown.contains("L1"), "{shown}");
    assert!(!read(&without, "log.jsonl").contains("l1"));
    let net = |run: &Path| fs::read(run.join("net.safetensors")).unwrap();
    assert!(net(&with) != net(&without), "the penalty has no effect");
    let (zero, _) = train("zero", "--l1 0");
    assert_eq!(net(&zero), net(&without));

    // As if killed after step 3.
    let (killed, _) = train("killed", "--l1 0.5");
    for name in names(&killed)
        .iter()
        .filter(|name| name.starts_with("step"))
    {
        if name.as_str() > "step-00000003.safetensors" {
            fs::remove_file(killed.join("checkpoints").join(name)).unwrap();
        }
    }
    fs::remove_file(killed.join("net.safetensors")).unwrap();
    let resume = |option: &str| wgrad(&format!("train {option}"), &[("--resume", &killed)]);
    resume("--l1 0.25").refused(2, &["--l1 0.25 (the run has 0.5)"]);
    resume("").success();
    assert_holds(&killed, &with);
}

#[test]
fn each_stage_has_its_penalty() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 1000), directory.join("run"));
    let recipe = directory.join("recipe.toml");
    let text = "hidden = 64\nlayers = ['4:dual']\nepochs = 1\n[[stage]]\n[[stage]]\nl1 = 0.25\n";
    fs::write(&recipe, text).unwrap();
    let line = format!("train --device cpu {}", recipe.display());
    wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
    let log = read(&run, "log.jsonl");
    let with = log.lines().filter(|line| line.contains(r#""l1":0.25"#));
    assert_eq!(with.count(), 1, "{log}");
}

#[test]
fn penalties_that_mean_nothing_are_refused() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 500), directory.join("run"));
    for (options, words) in [
        (
            "--hidden 64 --l1 0.005",
            "l1: expected 0, or a network with hidden layers",
        ),
        (
            "--pairwise --l1 -0.1",
            "l1: expected a finite number from 0, found -0.1",
        ),
        (
            "--pairwise --l1 inf",
            "l1: expected a finite number from 0, found inf",
        ),
    ] {
        let line = format!("train --device cpu {options}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]);
        ended.refused(1, &[words]);
        assert!(!run.exists(), "{line}");
    }
}
