//! `adapters`, `verify`, `kernels`, and the rules for every command: usage and broken pipes.

use crate::support::{WGRAD, command, ended, scratch, wgrad};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn adapters_lists_the_cpu_and_marks_what_auto_takes() {
    let Value::Array(reports) = wgrad("adapters --json", &[]).success().json() else {
        panic!("no array");
    };
    assert_eq!(reports[0]["name"], "cpu");
    assert_eq!(
        reports
            .iter()
            .filter(|report| report["auto"] == true)
            .count(),
        1
    );
    for report in &reports {
        for key in [
            "name",
            "backend",
            "type",
            "driver",
            "max_binding_bytes",
            "features",
        ] {
            assert!(!report[key].is_null(), "{key} in {report}");
        }
    }
    let text = wgrad("adapters", &[]).success().stdout;
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("* ") && !line.contains('`'))
            .count(),
        1
    );
}

#[test]
fn verify_prints_the_cases_of_a_kernel_or_an_operation() {
    let matmul = wgrad("verify --device cpu --operation matmul", &[]).success();
    let lines = matmul.stdout.lines();
    let starts: Vec<_> = lines
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let [.., "matmul", "matmul_wide", "matmul", _] = starts[..] else {
        panic!("{}", matmul.stdout);
    };
    for words in [
        "no code of its own on cpu",
        "of 1 kernel and 1 operation on cpu: all within their bounds; 1 kernel without",
    ] {
        assert!(matmul.stdout.contains(words), "{}", matmul.stdout);
    }
    let json = wgrad("verify --device cpu --operation softmax --json", &[]).success();
    let mut passes = BTreeSet::new();
    for line in json.stdout.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        assert_eq!(case["ok"], true, "{line}");
        assert_eq!(case["operation"], "softmax");
        assert!(case["error"].as_f64() <= case["bound"].as_f64(), "{line}");
        assert!(
            case["kernel"].is_string() && case["case"].is_string(),
            "{line}"
        );
        passes.insert(case["pass"].as_str().unwrap().to_owned());
    }
    assert_eq!(passes, ["forward", "gradient"].map(str::to_owned).into());
    let listed = wgrad("operations", &[]).success().stdout;
    assert!(listed.lines().count() > 30 && listed.lines().any(|line| line == "softmax"));
    wgrad("verify --device cpu --kernel nonsense", &[]).refused(2, &["nonsense", "update"]);
    wgrad("verify --device cpu --operation nonsense", &[]).refused(2, &["nonsense", "softmax"]);
}

/// The cases of one name stand for all, which take half a minute and which `tests/verify.rs` runs.
#[test]
fn verify_without_a_name_selects_from_every_kernel_and_operation() {
    let text = wgrad("verify --device cpu --case [63]", &[])
        .success()
        .stdout;
    let names: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for name in ["unary", "unary_gradient", "abs", "tanh"] {
        assert!(names.contains(name), "{name}: {text}");
    }
    let last = text.lines().last().unwrap();
    assert!(
        last.contains(" of 2 kernels and 9 operations on cpu: all within"),
        "{last}"
    );
}

#[test]
fn verify_runs_one_case() {
    let json = wgrad("verify --device cpu --kernel update.adamw --json", &[])
        .success()
        .stdout;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let case = first["case"].as_str().unwrap();
    let again = ended(command(
        WGRAD,
        [
            "verify",
            "--device",
            "cpu",
            "--kernel",
            "update.adamw",
            "--json",
            "--case",
            case,
        ],
    ));
    assert_eq!(again.success().stdout.lines().next(), json.lines().next());
    wgrad("verify --device cpu --kernel update.adamw --case none", &[])
        .refused(2, &["update.adamw", "none"]);
}

#[test]
fn kernels_dump_a_file_for_each_variant() {
    let (_guard, directory) = scratch();
    let Value::Array(forms) = wgrad("kernels --json", &[("--dump", &directory)])
        .success()
        .json()
    else {
        panic!("no array");
    };
    assert!(forms.len() > 13);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), forms.len());
    for form in forms {
        let label = form["label"].as_str().unwrap();
        let text = fs::read_to_string(directory.join(format!("{label}.wgsl"))).unwrap();
        assert!(text.contains("@compute"), "{label}");
        assert!(
            form["bindings"]
                .as_array()
                .is_some_and(|bindings| !bindings.is_empty())
        );
        assert!(form["workgroup"][0].as_u64() > Some(0));
    }
    let list = wgrad("kernels", &[]).success().stdout;
    assert!(list.contains("output.screlu"), "{list}");
    wgrad("kernels", &[("--dump", Path::new("/proc/none"))]).refused(1, &["/proc/none"]);
}

#[test]
fn wrong_usage_is_exit_status_2() {
    for line in [
        "",
        "nonsense",
        "train --nonsense",
        "train --activation tanh",
        "train --hidden many",
        "train --threads 100000",
        "train --momentum 0.5",
        "train --optimizer sgd --weight-clip 1",
        "train --weight-clip 1..x",
        "train --out a --resume b",
        "eval --net x",
        "gradients",
    ] {
        let ended = wgrad(line, &[]);
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("Usage") || ended.stderr.contains("--help"),
            "{line}"
        );
    }
    for line in ["--help", "--version", "train --help"] {
        wgrad(line, &[]).success();
    }
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    let script = "\"$0\" kernels | true; \"$0\" kernels --json | true";
    let ended = ended(command("sh", ["-c", script, WGRAD]));
    assert_eq!(ended.stderr, "");
}
