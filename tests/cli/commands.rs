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
fn verify_writes_a_report() {
    let (_guard, directory) = scratch();
    let path = directory.join("report.md");
    let line = "verify --device cpu --operation matmul";
    let first = wgrad(line, &[("--report", &path)]).success().stdout;
    assert!(first.contains("\nreport written: "), "{first}");
    let text = fs::read_to_string(&path).unwrap();
    let summary = first
        .lines()
        .find(|line| line.contains(" comparisons of "))
        .unwrap();
    assert!(
        text.starts_with(&format!("# wgrad verify: {summary}\n")),
        "{text}"
    );
    let json = wgrad(&format!("{line} --json"), &[]).success().stdout;
    for line in json.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let case = format!(" | {} | ", case["case"].as_str().unwrap());
        assert!(text.contains(&case), "{case}");
    }
    assert_eq!(text.matches(" | passed |\n").count(), json.lines().count());
    let version = format!("| wgrad | {} |", env!("CARGO_PKG_VERSION"));
    let command = "| command | `wgrad verify --device 'cpu' --operation 'matmul'` |";
    let left_out = "no code of its own for matmul_wide.";
    for words in [
        &*version,
        command,
        left_out,
        "| device | cpu |",
        "\nNone.\n",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains(directory.to_str().unwrap()), "{text}");

    let again = wgrad(line, &[("--report", &path)]).success().stdout;
    assert!(again.contains("\nreport replaced: "), "{again}");
    wgrad(line, &[("--report", Path::new("/proc/none"))]).refused(1, &["/proc/none"]);
    let missing = wgrad("verify --device nonsense", &[("--report", &path)]);
    missing.refused(1, &["nonsense"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("# wgrad verify: DID NOT FINISH: "),
        "{text}"
    );
}

/// The line of JSON that a file goes on with, and what follows it.
fn line(bytes: &[u8]) -> (Value, &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    (
        serde_json::from_slice(&bytes[..end]).unwrap(),
        &bytes[end + 1..],
    )
}

/// The elements that a part of a buffer describes, and what follows them.
fn part<'a>(part: &Value, bytes: &'a [u8]) -> (Vec<f64>, &'a [u8]) {
    let len = part["len"].as_u64().unwrap() as usize;
    let wide = part["type"] == "f64";
    let (own, rest) = bytes.split_at(if wide { 8 } else { 4 } * len);
    let values = match wide {
        true => own
            .chunks(8)
            .map(|own| f64::from_le_bytes(own.try_into().unwrap()))
            .collect(),
        false => {
            assert_eq!(part["type"], "f32");
            let float = |own: &[u8]| f32::from_le_bytes(own.try_into().unwrap()).into();
            own.chunks(4).map(float).collect()
        }
    };
    (values, rest)
}

/// Computes every case of the kernel `multiply_add` from its file alone.
#[test]
fn kernels_write_the_cases_of_verify() {
    let (_guard, directory) = scratch();
    let list = wgrad("kernels --kernel multiply_add", &[("--cases", &directory)]);
    let list = list.success().stdout;
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    let bytes = fs::read(directory.join("multiply_add.cases")).unwrap();
    let (head, mut rest) = line(&bytes);
    assert_eq!(head["kernel"], "multiply_add");
    assert!(head["wgsl"].as_str().unwrap().contains("@compute"));
    let mut cases = 0;
    while !rest.is_empty() {
        let (case, data) = line(rest);
        let [x, y, params] = case["buffers"].as_array().unwrap().as_slice() else {
            panic!("{case}");
        };
        let ((inputs, data), name) = (part(&x["before"], data), &case["case"]);
        let (before, data) = part(&y["before"], data);
        let (results, data) = part(&y["results"], data);
        let (bounds, data) = part(&y["bounds"], data);
        assert!(before.len() >= results.len() + 64 && before.iter().all(|own| own.is_nan()));
        assert_eq!(
            (&x["results"], &params["before"]["len"]),
            (&Value::Null, &16.into())
        );
        let (own, after) = data.split_at(16);
        let word = |at: usize| u32::from_le_bytes(own[4 * at..][..4].try_into().unwrap());
        let [a, b] = [2, 3].map(|at| f64::from(f32::from_bits(word(at))));
        assert_eq!(
            (inputs.len(), results.len()),
            (word(0) as usize, word(0) as usize),
            "{name}"
        );
        assert_eq!(
            case["groups"].as_u64(),
            Some(u64::from(word(0).div_ceil(64)))
        );
        for ((input, result), bound) in inputs.iter().zip(&results).zip(&bounds) {
            let chain = |j: usize| (0..word(1)).fold(input + j as f64 / 8.0, |v, _| a * v + b);
            let sum: f64 = (0..8).map(chain).sum();
            assert!(
                (sum - result).abs() < 1e-12 && *bound > 0.0,
                "{name}: {sum}, {result}"
            );
        }
        cases += 1;
        rest = after;
    }
    assert!(
        cases > 3 && list.contains(&format!("1 file with {cases} cases written")),
        "{list}"
    );
    wgrad("kernels --kernel nonsense", &[]).refused(2, &["nonsense"]);
    wgrad(
        "kernels --kernel copy",
        &[("--cases", Path::new("/proc/none"))],
    )
    .refused(1, &["/proc/none"]);
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
