//! `bench`: its output for one shape and for the grid, and the options that it refuses.

use crate::support::{cut, scratch, shipped, wgrad};
use serde_json::Value;
use std::fs;

/// A short run on the CPU executor.
const QUICK: &str = "bench --device cpu --threads 1 --seconds 0.01";

#[track_caller]
fn lines(stdout: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    stdout.lines().map(line).collect()
}

#[test]
fn one_shape_is_one_object_with_its_sizes_and_its_speed() {
    let line = "--json --hidden 5 --batch 40 --inputs 30 --indices 4 --activation screlu --tied";
    let stdout = wgrad(&format!("{QUICK} {line}"), &[]).success().stdout;
    let [one] = lines(&stdout).try_into().unwrap();
    for (key, value) in [
        ("device", Value::from("cpu")),
        ("hidden", 5.into()),
        ("batch", 40.into()),
        ("inputs", 30.into()),
        ("indices", 4.0.into()),
        ("activation", "screlu".into()),
        ("tied", true.into()),
        ("dense", false.into()),
        ("optimizer", "adamw".into()),
        ("source", "random".into()),
        ("submissions_per_step", 0.0.into()),
        ("host_seconds_per_step", Value::Null),
        ("staging_seconds_per_step", Value::Null),
    ] {
        assert_eq!(one[key], value, "{key}");
    }
    let number = |key: &str| {
        let value = one[key].as_f64();
        let value = value.unwrap_or_else(|| panic!("{key} is {}", one[key]));
        assert!(value > 0.0 && value.is_finite(), "{key} is {value}");
        value
    };
    for key in [
        "bytes_per_step",
        "gathered_bytes_per_step",
        "operations_per_step",
        "copy_bandwidth",
        "multiply_adds_per_second",
        "index_seconds_per_step",
    ] {
        number(key);
    }
    assert!(number("gradient_error") <= 1e-5);
    let seconds = number("seconds_per_step");
    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-9;
    assert!(near(number("positions_per_second"), 40.0 / seconds));
    let memory = number("bytes_per_step") / number("copy_bandwidth");
    let arithmetic = number("operations_per_step") / (2.0 * number("multiply_adds_per_second"));
    assert!(near(number("floor_seconds"), memory.max(arithmetic)));
    assert!(near(
        number("share_of_floor"),
        memory.max(arithmetic) / seconds
    ));
}

#[test]
fn positions_of_a_file_and_gradients_alone() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 300);
    let line = format!("{QUICK} --json --hidden 4 --batch 100 --optimizer none");
    let mut bytes = Vec::new();
    for form in ["", " --dense"] {
        let ended = wgrad(&format!("{line}{form}"), &[("--data", &data)]).success();
        let [one] = lines(&ended.stdout).try_into().unwrap();
        assert_eq!(one["source"], data.to_str().unwrap());
        assert_eq!(one["inputs"], 768);
        assert_eq!(one["optimizer"], "none");
        assert_eq!(one["dense"], form == " --dense");
        let pieces = one["indices"].as_f64().unwrap();
        assert!(
            (2.0..=32.0).contains(&pieces) && pieces.fract() > 0.0,
            "{pieces}"
        );
        assert!(one["positions_per_second"].as_f64() > Some(0.0));
        bytes.push(one["bytes_per_step"].as_u64().unwrap());
    }
    assert!(
        bytes[0] < bytes[1],
        "X is larger than its index lists: {bytes:?}"
    );
}

#[test]
fn the_grid_is_a_table_and_pictures() {
    let (_guard, directory) = scratch();
    let plots = directory.join("plots");
    let ended = wgrad(QUICK, &[("--plot", &plots)]).success();
    assert!(ended.stdout.contains("multiply-adds/s"), "{}", ended.stdout);
    let shapes = ended.stdout.lines().filter(|line| line.starts_with("K="));
    assert!(
        shapes.clone().all(|line| line.contains(" ms")),
        "{}",
        ended.stdout
    );
    assert!(shapes.count() >= 5, "{}", ended.stdout);
    for name in ["hidden.svg", "batch.svg"] {
        let svg = fs::read_to_string(plots.join(name)).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("positions a second"),
            "{name}"
        );
    }
}

#[test]
fn kernels_are_listed_in_json_and_in_a_table_and_drawn() {
    let (_guard, directory) = scratch();
    let plots = directory.join("plots");
    let line = format!("{QUICK} --kernels --hidden 32 --batch 50 --inputs 30 --indices 4");
    let stdout = wgrad(&format!("{line} --json"), &[]).success().stdout;
    let [one] = lines(&stdout).try_into().unwrap();
    let rows = one["kernels"].as_array().unwrap();
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["kernel"].as_str().unwrap())
        .collect();
    let kernels: Vec<_> = names.iter().filter(|name| !name.starts_with('(')).collect();
    assert_eq!(kernels[0], &"forward_sparse");
    assert!(kernels.len() > 2, "{names:?}");
    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-9;
    let number = |value: &Value| {
        let number = value.as_f64().unwrap_or_else(|| panic!("{value}"));
        assert!(number > 0.0 && number.is_finite(), "{number}");
        number
    };
    let sum = |key: &str| -> f64 { rows.iter().filter_map(|row| row[key].as_f64()).sum() };
    let device = number(&one["device_seconds_per_step"]);
    assert!(near(sum("seconds_per_step"), device));
    assert!(near(sum("share_of_device"), 1.0));
    assert_eq!(sum("bytes_per_step"), number(&one["bytes_per_step"]));
    assert_eq!(
        sum("operations_per_step"),
        number(&one["operations_per_step"])
    );
    for row in rows {
        let seconds = number(&row["seconds_per_step"]);
        assert!(row["runs_per_step"].as_u64() > Some(0), "{row}");
        if row["kernel"].as_str().unwrap().starts_with('(') {
            assert_eq!(row["bytes_per_step"], Value::Null);
            continue;
        }
        let bytes = number(&row["bytes_per_step"]);
        let operations = row["operations_per_step"].as_f64().unwrap();
        assert!(near(number(&row["bytes_per_second"]), bytes / seconds));
        let memory = bytes / number(&one["copy_bandwidth"]);
        let arithmetic = operations / (2.0 * number(&one["multiply_adds_per_second"]));
        assert!(near(number(&row["floor_seconds"]), memory.max(arithmetic)));
        let share = number(&row["share_of_floor"]);
        assert!(near(share, memory.max(arithmetic) / seconds));
    }

    let ended = wgrad(&line, &[("--plot", &plots)]).success();
    let svg = fs::read_to_string(plots.join("kernels.svg")).unwrap();
    for name in names {
        let starts = |line: &&str| line.split_whitespace().next() == Some(name);
        assert_eq!(ended.stdout.lines().filter(starts).count(), 1, "{name}");
        assert!(svg.contains(&format!("{name}: ")), "{name}");
    }
    for words in ["of floor", "on cpu:", "wall time of the step"] {
        assert!(ended.stdout.contains(words), "{words}");
    }
    assert!(!plots.join("hidden.svg").exists());
}

#[test]
fn what_cannot_be_timed_is_named() {
    let data = shipped("chess_validation.bin");
    let file = data.to_str().unwrap();
    for (options, status, words) in [
        ("--hidden 0", 1, ["hidden (K)", "found 0"]),
        ("--batch 0", 1, ["--batch", "found 0"]),
        ("--inputs 0", 1, ["inputs (N)", "found 0"]),
        ("--indices 769", 1, ["--indices", "1 to 768"]),
        ("--indices 0", 1, ["--indices", "found 0"]),
        ("--seconds 0", 1, ["--seconds", "found 0"]),
        ("--seconds -1", 1, ["--seconds", "found -1"]),
        ("--seconds nan", 1, ["--seconds", "found NaN"]),
        ("--device nonsense", 1, ["nonsense", "found: "]),
        ("--data /proc/none", 1, ["/proc/none", "could not open"]),
        ("--optimizer sgd", 2, ["--optimizer", "adamw"]),
        ("--activation tanh", 2, ["--activation", "screlu"]),
        ("--data x --inputs 5", 2, ["--data", "--inputs"]),
        ("--data x --indices 5", 2, ["--data", "--indices"]),
        ("--plot x --hidden 5", 2, ["--plot", "--hidden"]),
    ] {
        let ended = wgrad(&format!("bench --device cpu {options}"), &[]);
        ended.refused(status, &words);
        assert_eq!(ended.stdout, "", "{options}");
    }
    let ended = wgrad(&format!("{QUICK} --batch 30000"), &[("--data", &data)]);
    ended.refused(1, &["--batch", "20000 positions", file, "found 30000"]);
}

#[test]
fn steps_share_submissions_as_asked() {
    let line = "bench --device vulkan:llvmpipe --hidden 32 --batch-size 64 --seconds 0.1 --json";
    for recordings in [1_u8, 2, 8] {
        let line = format!("{line} --submit {recordings}");
        let report = wgrad(&line, &[]).success().json();
        let share = 1.0 / f64::from(recordings);
        assert_eq!(report["submissions_per_step"], share);
        assert!(report["host_seconds_per_step"].as_f64().unwrap() > 0.0);
    }
    for wrong in ["0", "65", "many"] {
        let line = format!("{line} --submit {wrong}");
        wgrad(&line, &[]).refused(2, &["--submit", wrong]);
    }
}
