//! `train` and `eval`: the files of a training, its repeatability, and the end of a training that
//! diverges.

use crate::support::{assert_holds, cut, ended, names, results, scratch, wgrad, wgrad_command};
use std::fs;
use std::path::Path;
use wgrad::nnue::train::log::{Curve, Entry, read as read_log};

#[test]
fn a_training_leaves_everything_and_eval_agrees() {
    let (_guard, directory) = scratch();
    let (data, validation) = (cut(&directory, 5000), cut(&directory, 1000));
    let run = directory.join("run");
    let ended = wgrad(
        "train --device cpu --hidden 16 --epochs 2 --batch 2048",
        &[
            ("--data", &data),
            ("--validation", &validation),
            ("--out", &run),
        ],
    )
    .success();
    let files = ["step-00000000", "step-00000003", "step-00000006", "net"];
    assert_eq!(names(&run), files.map(|name| format!("{name}.safetensors")));
    assert!(
        !ended.stdout.contains('\x1b') && ended.stderr.is_empty(),
        "{}",
        ended.stderr
    );
    for words in [
        "epoch 1/2",
        "epoch 2/2",
        "cpu",
        "16) x 2",
        "net.safetensors",
        "step-00000006",
        "log.jsonl",
        "loss.svg",
    ] {
        assert!(
            ended.stdout.contains(words),
            "no {words:?} in {}",
            ended.stdout
        );
    }
    let curve = Curve::read(&run.join("log.jsonl")).unwrap();
    assert_eq!((curve.training.len(), curve.validation.len()), (6, 2));
    let svg = fs::read_to_string(run.join("loss.svg")).unwrap();
    assert!(svg.starts_with("<svg width=\"960\"") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("validation") && svg.contains("training"));

    let last = curve.validation[1].1;
    let net = run.join("net.safetensors");
    let paths: [(&str, &Path); 2] = [("--net", &net), ("--data", &validation)];
    let found = wgrad("eval --device cpu --json", &paths).success().json();
    assert_eq!(found["positions"], 1000);
    let loss = found["loss"].as_f64().unwrap();
    assert!((loss - last).abs() <= 1e-12 * last, "{loss} {last}");
    let Some(Entry::Validation { correlation, .. }) = read_log(&run.join("log.jsonl"))
        .unwrap()
        .into_iter()
        .rev()
        .find(|e| matches!(e, Entry::Validation { .. }))
    else {
        panic!("no validation in the log");
    };
    assert!((found["correlation"].as_f64().unwrap() - correlation).abs() < 1e-12);
    // Another objective gives another loss.
    let other = wgrad("eval --device cpu --json --power 2.5 --wdl 0.5", &paths)
        .success()
        .json();
    assert!((other["loss"].as_f64().unwrap() - last).abs() > 1e-4);

    // A second run in the same directory is refused, and the first one stays.
    let before = results(&run);
    wgrad("train --device cpu", &[("--data", &data), ("--out", &run)])
        .refused(1, &[run.to_str().unwrap(), "resume"]);
    assert_eq!(results(&run), before);
}

#[test]
fn an_evaluation_leaves_out_the_scores_that_a_training_leaves_out() {
    let (_guard, directory) = scratch();
    let path = cut(&directory, 300);
    let mut records = fs::read(&path).unwrap();
    for (at, score) in [(0, 20_000i16), (7, -32_001), (299, 25_000), (8, 19_999)] {
        records[32 * at + 24..32 * at + 26].copy_from_slice(&score.to_le_bytes());
    }
    fs::write(&path, records).unwrap();
    let run = directory.join("run");
    let data = [("--data", &*path), ("--out", &*run)];
    wgrad("train --device cpu --hidden 4 --epochs 1", &data).success();
    let net = run.join("net.safetensors");
    let paths = [("--net", &*net), ("--data", &*path)];
    let eval = |options: &str| wgrad(&format!("eval --device cpu --json {options}"), &paths);
    let found = eval("").success();
    assert_eq!(found.json()["positions"], 297);
    let told = "left out: 3 positions with scores of max_score or more";
    assert!(found.stderr.contains(told), "{}", found.stderr);
    let all = eval("--max-score 0").success();
    assert_eq!(all.json()["positions"], 300);
    assert!(all.stderr.is_empty(), "{}", all.stderr);
    assert_eq!(eval("--max-score 19999").success().json()["positions"], 296);
    // The data are to blame, and not the network.
    fs::write(&path, &fs::read(&path).unwrap()[..32]).unwrap();
    let none = eval("");
    none.refused(
        1,
        &["error: data: expected a position that is not left out"],
    );
    assert!(!none.stderr.contains("net.safetensors"), "{}", none.stderr);
}

#[test]
fn without_data_the_shipped_ones_are_taken() {
    let (_guard, directory) = scratch();
    let options = "train --device cpu --hidden 4 --epochs 1 --batch 16384 --json";
    for number in 1..=2 {
        let mut command = wgrad_command(options, &[]);
        command.current_dir(&directory);
        let summary = ended(command).success().json();
        assert_eq!(summary["finished"], true);
        assert_eq!(summary["step"], 13);
        assert_eq!(
            summary["net"],
            format!("runs/train-{number}/net.safetensors")
        );
        assert_eq!(summary["validation"]["positions"], 20000);
    }
    assert_holds(
        &directory.join("runs/train-1"),
        &directory.join("runs/train-2"),
    );
    let quiet = wgrad(
        &options.replace("--json", "--quiet"),
        &[("--out", &directory.join("quiet"))],
    )
    .success();
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));
}

#[test]
fn equal_trainings_are_equal_files_on_any_number_of_threads() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 6000);
    let train = |name: &str, options: &str| {
        let run = directory.join(name);
        let line = format!(
            "train --device cpu --hidden 33 --epochs 2 --batch 700 --save-every 4 --keep 0 {options}"
        );
        wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
        run
    };
    let first = train("first", "");
    assert_eq!(names(&first).len(), 1 + 2 * 3 + 1);
    for threads in 1..=3 {
        let run = train(
            &format!("threads{threads}"),
            &format!("--threads {threads}"),
        );
        assert_holds(&run, &first);
        assert_eq!(names(&run), names(&first));
    }
    let other = train("other", "--seed 1");
    assert_ne!(results(&other), results(&first));
}

#[test]
fn a_diverging_run_names_the_step_and_the_last_good_checkpoint() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 2000), directory.join("run"));
    let ended = wgrad(
        "train --device cpu --hidden 8 --batch 100 --loss mse --activation relu --optimizer sgd --lr 1e30",
        &[("--data", &data), ("--out", &run)],
    );
    ended.refused(
        1,
        &[
            "at step ",
            "the last good checkpoint is",
            "step-00000000.safetensors",
        ],
    );
    assert!(!run.join("net.safetensors").exists());
}
