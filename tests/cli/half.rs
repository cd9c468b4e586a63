//! `--half` and `--half-weights` of `wgrad train` and `wgrad bench`: trainings that store or read
//! numbers in 16 bits.

use crate::support::{assert_holds, checkpoint, cut, names, scratch, wgrad};
use std::fs;
use std::path::Path;

const HEAD: &str = "--hidden 64 --pairwise --layers 4:dual-square --output-buckets material:2";

#[test]
fn a_run_in_16_bits_repeats_resumes_and_keeps_its_setting() {
    check_run(HEAD, "--half", "half");
}

#[test]
fn a_run_with_weights_in_16_bits_repeats_resumes_and_keeps_its_setting() {
    check_run("--hidden 64 --tied", "--half-weights", "half_weights");
}

fn check_run(network: &str, option: &str, setting: &str) {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let line = format!(
        "train --device vulkan:llvmpipe --epochs 2 --batch 500 --save-every 1 --keep 0 {network}"
    );
    let train = |name: &str, option: &str| {
        let run = directory.join(name);
        let line = format!("{line} {option}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
        (run, ended.stdout)
    };
    let (first, shown) = train("first", option);
    assert!(shown.contains("16 bits"), "{shown}");
    let (second, _) = train("second", option);
    assert_holds(&second, &first);
    let (single, shown) = train("single", "");
    assert!(!shown.contains("16 bits"), "{shown}");
    let net = |run: &Path| fs::read(run.join("net.safetensors")).unwrap();
    assert!(net(&first) != net(&single), "nothing was stored in 16 bits");
    let log = |run: &Path| fs::read_to_string(run.join("log.jsonl")).unwrap();
    assert!(log(&first).contains(&format!(r#""{setting}":true"#)));
    assert!(!log(&single).contains("half"));

    // As if killed after step 3.
    for name in names(&second)
        .iter()
        .filter(|name| name.starts_with("step"))
    {
        let path = second.join("checkpoints").join(name);
        if path > checkpoint(&second, 3) {
            fs::remove_file(path).unwrap();
        }
    }
    fs::remove_file(second.join("net.safetensors")).unwrap();
    let resume = |run: &Path, option: &str| {
        let line = format!("train --device vulkan:llvmpipe {option}");
        wgrad(&line, &[("--resume", run)])
    };
    resume(&second, "").success();
    assert_holds(&second, &first);
    let refusal = format!("{option} true (the run has false)");
    resume(&single, option).refused(2, &[&refusal]);
}

#[test]
fn sixteen_bits_are_refused_where_they_mean_nothing() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 500), directory.join("run"));
    for line in [
        format!("--device cpu {HEAD}"),
        "--device vulkan:llvmpipe --hidden 64".to_owned(),
        "--device vulkan:llvmpipe --hidden 48 --pairwise".to_owned(),
    ] {
        let line = format!("train --half {line}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]);
        ended.refused(1, &["half", "an adapter", "a multiple of"]);
        assert!(!run.exists(), "{line}");
    }
    wgrad("bench --device cpu --half --pairwise", &[]).refused(1, &["half", "an adapter"]);
    let line = "bench --device cpu --half --optimizer none";
    wgrad(line, &[]).refused(2, &["--half goes with --optimizer adamw"]);
}

#[test]
fn a_timed_step_in_16_bits_moves_fewer_bytes() {
    let bytes = |option: &str| {
        let line = format!(
            "bench --device vulkan:llvmpipe --batch-size 256 --seconds 0.1 --json {HEAD} {option}"
        );
        let report = wgrad(&line, &[]).success().json();
        assert_eq!(report["submissions_per_step"], 1.0);
        report["bytes_per_step"].as_u64().unwrap()
    };
    let (single, half) = (bytes(""), bytes("--half"));
    // Z is written once and read twice, ∂Loss/∂Z written and read once: 5·2·64 lanes of a position.
    let fewer = 256 * 5 * 2 * 64 * 2;
    assert!(half < single && single - half <= fewer, "{single} {half}");
    assert!(single - half > 9 * fewer / 10, "{single} {half}");
}
