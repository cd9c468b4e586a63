//! The command line as a user and a program meet it: output, files, exit status, and what bad input gets.
#![cfg(feature = "cli")]

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wgrad::interchange::{Metadata, Tensor, TensorData, TensorFile};
use wgrad::train::log::{Curve, Entry, read as read_log};

const WGRAD: &str = env!("CARGO_BIN_EXE_wgrad");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How a call ended.
struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

fn command<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .current_dir(ROOT);
    for variable in ["WGPU_BACKEND", "WGPU_ADAPTER_NAME", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs `wgrad` with the words of `line` and then with `paths`, each an option and its value.
fn wgrad(line: &str, paths: &[(&str, &Path)]) -> Ended {
    ended(wgrad_command(line, paths))
}

fn wgrad_command(line: &str, paths: &[(&str, &Path)]) -> Command {
    let mut command = command(WGRAD, line.split_whitespace());
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    command
}

impl Ended {
    #[track_caller]
    fn success(self) -> Self {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Ended with `status`, and one message on stderr that holds all of `words`.
    #[track_caller]
    fn refused(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in: {}",
                self.stderr
            );
        }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    (directory, path)
}

fn shipped(name: &str) -> PathBuf {
    Path::new(ROOT).join("examples/data").join(name)
}

/// A file of the first `count` shipped records.
fn cut(directory: &Path, count: usize) -> PathBuf {
    let bytes = fs::read(shipped("chess_train.bin")).unwrap();
    let path = directory.join(format!("{count}.bin"));
    fs::write(&path, &bytes[..32 * count]).unwrap();
    path
}

/// Names and contents of what a training leaves that must not depend on circumstances.
fn results(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("safetensors")))
        .collect();
    files.sort();
    files.push(run.join("net.safetensors"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|path| (name(path), fs::read(path).unwrap()))
        .collect()
}

fn names(run: &Path) -> Vec<String> {
    results(run).into_iter().map(|(name, _)| name).collect()
}

/// Every file of `expected` stands in `found` with the same bytes.
#[track_caller]
fn assert_holds(found: &Path, expected: &Path) {
    let found = results(found);
    for (name, bytes) in results(expected) {
        let same = found.iter().find(|(other, _)| *other == name);
        let (_, other) = same.unwrap_or_else(|| panic!("no {name}"));
        assert!(*other == bytes, "{name} differs");
    }
}

fn checkpoints(run: &Path) -> usize {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let whole = |path: PathBuf| path.extension() == Some(OsStr::new("safetensors"));
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| whole(entry.path())))
        .count()
}

/// Waits until a running training has written so many checkpoints.
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
            "kind",
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
fn verify_passes_on_the_cpu() {
    let json = wgrad("verify --device cpu --json", &[]).success().stdout;
    let mut kernels = std::collections::BTreeSet::new();
    for line in json.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        assert_eq!(case["ok"], true, "{line}");
        assert!(case["error"].as_f64() <= case["bound"].as_f64(), "{line}");
        assert!(["forward", "gradient", "update"].contains(&case["pass"].as_str().unwrap()));
        assert!(
            case["operation"].is_string() && case["case"].is_string(),
            "{line}"
        );
        kernels.insert(case["kernel"].as_str().unwrap().to_owned());
    }
    let one = kernels.first().unwrap();
    let ended = wgrad(&format!("verify --device cpu --kernel {one}"), &[]).success();
    assert!(
        ended.stdout.contains("all within their bounds"),
        "{}",
        ended.stdout
    );
    wgrad("verify --device cpu --kernel nonsense", &[]).refused(2, &["nonsense", "adamw"]);
}

#[test]
fn verify_runs_one_case() {
    let json = wgrad("verify --device cpu --kernel adamw --json", &[])
        .success()
        .stdout;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let case = first["case"].as_str().unwrap();
    let again = ended(command(
        WGRAD,
        [
            "verify", "--device", "cpu", "--kernel", "adamw", "--json", "--case", case,
        ],
    ));
    assert_eq!(again.success().stdout.lines().next(), json.lines().next());
    wgrad("verify --device cpu --kernel adamw --case none", &[]).refused(2, &["adamw", "none"]);
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
    // Another objective is another loss.
    let other = wgrad("eval --device cpu --json --power 2.5 --wdl 0.5", &paths)
        .success()
        .json();
    assert!((other["loss"].as_f64().unwrap() - last).abs() > 1e-4);

    // A second run in the same place is refused, and the first one stays.
    let before = results(&run);
    wgrad("train --device cpu", &[("--data", &data), ("--out", &run)])
        .refused(1, &[run.to_str().unwrap(), "resume"]);
    assert_eq!(results(&run), before);
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
            "train --device cpu --hidden 33 --epochs 2 --batch 700 --save-every 4 {options}"
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
        // Anywhere in a step or in the writing of a file.
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

    // What would change the numbers is refused, what they are already is not.
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
    assert!(
        stopped
            .join(format!("checkpoints/step-{step:08}.safetensors"))
            .exists()
    );

    let again = stdout
        .lines()
        .find_map(|line| line.split_once("wgrad train --resume"));
    let (_, arguments) = again.unwrap_or_else(|| panic!("no command to go on in: {stdout}"));
    let script = format!("exec \"$0\" train --resume{arguments}");
    ended(command("sh", ["-c", &script, WGRAD])).success();
    assert_holds(&stopped, &whole);
}

/// A file size limit is what a full disk looks like to a program: a write that ends in an error half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoints_before() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 100);
    let line =
        |hidden: usize| format!("train --device cpu --epochs 2 --batch 50 --hidden {hidden}");
    let size = |run: &Path, step: usize| {
        let path = run.join(format!("checkpoints/step-{step:08}.safetensors"));
        fs::metadata(path).unwrap().len()
    };
    // Later checkpoints are a few bytes longer than the first. The limit is in blocks of 512 bytes: there is a size for
    // which one falls between.
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

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 100);
    let file = directory.join("file");
    fs::write(&file, "").unwrap();
    for out in [Path::new("/proc/wgrad"), &file.join("run")] {
        wgrad(
            "train --device cpu --hidden 4",
            &[("--data", &data), ("--out", out)],
        )
        .refused(1, &[out.to_str().unwrap()]);
    }
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

#[test]
fn settings_that_cannot_be_trained_with_write_nothing() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 100), directory.join("run"));
    for (options, word) in [
        ("--hidden 0", "hidden (K)"),
        ("--clip 0", "clip (T)"),
        ("--clip -1", "clip (T)"),
        ("--clip nan", "clip (T)"),
        ("--lr inf", "lr"),
        ("--lr nan", "lr"),
        ("--lr -0.1", "lr"),
        ("--epochs 0", "epochs"),
        ("--batch 0", "batch"),
        ("--power 0.5", "power"),
        ("--wdl 2", "wdl"),
        ("--scale 0", "scale"),
        ("--weight-decay -1", "decay"),
        ("--weight-clip 1..-1", "weight clip"),
        ("--optimizer sgd --momentum 1", "momentum"),
    ] {
        let ended = wgrad(
            &format!("train --device cpu {options}"),
            &[("--data", &data), ("--out", &run)],
        );
        ended.refused(1, &[word]);
        assert!(!run.exists(), "{options}");
    }
}

#[test]
fn a_device_that_is_not_there_lists_what_is() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 100), directory.join("run"));
    let ended = wgrad(
        "train --device dx12:nonsense",
        &[("--data", &data), ("--out", &run)],
    );
    ended.refused(1, &["dx12:nonsense", "found: ", "cpu"]);
    assert!(!run.exists());
    wgrad("verify --device nonsense", &[]).refused(1, &["nonsense", "found: "]);
}

/// The record `number` of a file, changed.
fn spoil(bytes: &mut [u8], number: usize, change: impl FnOnce(&mut [u8])) {
    change(&mut bytes[32 * number..][..32]);
}

/// Replaces the code of the first own king among the pieces.
fn dethrone(record: &mut [u8], code: u8) {
    let byte = (8..24)
        .find(|&at| record[at] & 15 == 5 || record[at] >> 4 == 5)
        .unwrap();
    record[byte] = match record[byte] & 15 {
        5 => record[byte] & 0xf0 | code,
        low => low | code << 4,
    };
}

#[test]
fn bad_data_are_named_with_their_place() {
    let (_guard, directory) = scratch();
    let good = fs::read(cut(&directory, 50)).unwrap();
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = good.clone();
        spoil(&mut bytes, 7, change);
        bytes
    };
    let line = "4k3/8/8/8/8/8/8/4K2R w K - 0 1 | 500 | 1.0\n";
    let text = |bad: &str| format!("{line}{bad}\n{line}").into_bytes();
    // Of the first kind nothing at all is written; the second is found while records are read.
    let files: [(&str, Vec<u8>, &[&str]); 10] = [
        ("empty.bin", Vec::new(), &["empty"]),
        (
            "truncated.bin",
            good[..good.len() - 5].to_vec(),
            &["truncated"],
        ),
        ("foreign.bin", b"\x89PNG\r\n\x1a\n".repeat(40), &["foreign"]),
        (
            "pieces.bin",
            changed(&|record| record[..8].fill(0xff)),
            &["record 7", "32 pieces"],
        ),
        (
            "king.bin",
            changed(&|record| dethrone(record, 4)),
            &["record 7", "king"],
        ),
        (
            "code.bin",
            changed(&|record| dethrone(record, 7)),
            &["record 7", "piece code 7"],
        ),
        (
            "fields.txt",
            text("4k3/8/8/8/8/8/8/4K3 w - - 0 1 | 5"),
            &["line 2", "fields"],
        ),
        (
            "fen.txt",
            text("4k3/8/9/8/8/8/8/4K3 w - - 0 1 | 5 | 1.0"),
            &["line 2", "FEN"],
        ),
        (
            "score.txt",
            text("4k3/8/8/8/8/8/8/4K3 w - - 0 1 | 40000 | 1.0"),
            &["line 2", "score"],
        ),
        (
            "result.txt",
            text("4k3/8/8/8/8/8/8/4K3 w - - 0 1 | 5 | 0.7"),
            &["line 2", "result"],
        ),
    ];
    for (name, bytes, words) in files {
        let (path, run) = (
            directory.join(name),
            directory.join(format!("run of {name}")),
        );
        fs::write(&path, bytes).unwrap();
        let ended = wgrad(
            "train --device cpu --hidden 4 --batch 20",
            &[("--data", &path), ("--out", &run)],
        );
        ended.refused(1, &[words, &[path.to_str().unwrap()]].concat());
        assert!(!run.join("net.safetensors").exists());
        if ["empty.bin", "truncated.bin", "foreign.bin"].contains(&name) {
            assert!(!run.exists(), "{name}");
        }
    }
    let (missing, run) = (directory.join("missing.bin"), directory.join("run"));
    let none = wgrad(
        "train --device cpu",
        &[("--data", &missing), ("--out", &run)],
    );
    none.refused(1, &[missing.to_str().unwrap(), "No such file"]);
    let data = cut(&directory, 50);
    let none = wgrad(
        "train --device cpu",
        &[
            ("--data", &data),
            ("--validation", &missing),
            ("--out", &run),
        ],
    );
    none.refused(1, &[missing.to_str().unwrap()]);
    assert!(!run.exists());
}

#[test]
fn damaged_checkpoints_are_refused() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 100), directory.join("run"));
    wgrad(
        "train --device cpu --hidden 8 --batch 50 --epochs 1",
        &[("--data", &data), ("--out", &run)],
    )
    .success();
    let newest = run.join("checkpoints/step-00000002.safetensors");
    let good = fs::read(&newest).unwrap();
    let nan = |path: &Path| {
        let mut file = TensorFile::read(path).unwrap();
        let tensor = file
            .tensors
            .iter_mut()
            .find(|tensor| tensor.name == "B1")
            .unwrap();
        if let TensorData::F32(values) = &mut tensor.data {
            values[3] = f32::NAN;
        }
        file.write().unwrap();
    };
    let cut_short = |path: &Path| fs::write(path, &good[..good.len() / 2]).unwrap();
    let another = |path: &Path| {
        let mut file = TensorFile::read(path).unwrap();
        let training = file.metadata.get_mut("training").unwrap();
        *training = training.replace("\"hidden\":8", "\"hidden\":9");
        file.write().unwrap();
    };
    let foreign = |path: &Path| fs::copy(&data, path).map(drop).unwrap();
    type Damage<'a> = &'a dyn Fn(&Path);
    let damages: [(Damage, &[&str]); 4] = [
        (&nan, &["B1", "element [3]", "NaN"]),
        (&cut_short, &["cut short"]),
        (&another, &["architecture", "hidden: 9", "hidden: 8"]),
        (&foreign, &["another format"]),
    ];
    for (damage, words) in damages {
        fs::write(&newest, &good).unwrap();
        damage(&newest);
        let name = newest.to_str().unwrap();
        let ended = wgrad("train --device cpu", &[("--resume", &run)]);
        ended.refused(1, &[words, &[name, "step-00000000"]].concat());
        let ended = wgrad(
            "eval --device cpu",
            &[("--net", &newest), ("--data", &data)],
        );
        if words != ["architecture", "hidden: 9", "hidden: 8"] {
            ended.refused(1, &[name, words[0]]);
        }
    }
    let nowhere = directory.join("nowhere");
    wgrad("train --device cpu", &[("--resume", &nowhere)]).refused(1, &[nowhere.to_str().unwrap()]);
}

fn tensor(name: &str, shape: &[usize], data: TensorData) -> Tensor {
    Tensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data,
    }
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    tensor(name, shape, TensorData::F32(values.to_vec()))
}

fn integers(name: &str, shape: &[usize], values: &[i32]) -> Tensor {
    tensor(name, shape, TensorData::I32(values.to_vec()))
}

fn write(path: &Path, metadata: &[(&str, &str)], tensors: Vec<Tensor>) {
    let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    let mut file = TensorFile::new(path, metadata.iter().map(own).collect::<Metadata>());
    file.tensors = tensors;
    file.write().unwrap();
}

/// N = 2, K = 1, two samples: X1 = (1, 0) and (1, 1), X2 = (0, 1) and (1, 0).
struct Tiny {
    _guard: tempfile::TempDir,
    directory: PathBuf,
}

impl Tiny {
    fn new(tied: bool) -> Self {
        let (guard, directory) = scratch();
        let mut tensors = vec![
            floats("A1", &[1, 2], &[0.5, -0.25]),
            floats("B1", &[1], &[0.25]),
            floats("C", &[2], &[2.0, -1.0]),
            floats("d", &[1], &[0.5]),
        ];
        if !tied {
            tensors.push(floats("A2", &[1, 2], &[1.0, 0.25]));
            tensors.push(floats("B2", &[1], &[-0.5]));
        }
        let metadata = [
            ("activation", "crelu"),
            ("clip", "1"),
            ("tied", if tied { "true" } else { "false" }),
        ];
        write(&directory.join("net"), &metadata, tensors);
        Self {
            _guard: guard,
            directory,
        }
    }

    fn call(&self, loss: &[(&str, &str)], tensors: Vec<Tensor>) -> Ended {
        write(&self.directory.join("batch"), loss, tensors);
        let path = |name| self.directory.join(name);
        wgrad(
            "gradients --device cpu",
            &[
                ("--net", &path("net")),
                ("--batch", &path("batch")),
                ("--out", &path("out")),
            ],
        )
    }

    /// Dense and sparse inputs give exactly these tensors.
    #[track_caller]
    fn gives(&self, targets: [f32; 2], expected: &[(&str, &[usize], &[f32])]) {
        let targets = floats("Y_exp", &[2], &targets);
        let dense = [
            floats("X1", &[2, 2], &[1.0, 0.0, 1.0, 1.0]),
            floats("X2", &[2, 2], &[0.0, 1.0, 1.0, 0.0]),
        ];
        let sparse = [
            integers("indices1", &[2, 3], &[0, -1, -1, 1, -1, 0]),
            integers("indices2", &[2, 3], &[-1, 1, -1, 0, -1, -1]),
        ];
        for inputs in [dense, sparse] {
            let tensors = inputs.into_iter().chain([targets.clone()]).collect();
            self.call(&[("loss", "mse")], tensors).success();
            let out = TensorFile::read(self.directory.join("out")).unwrap();
            assert_eq!(out.tensors.len(), expected.len());
            for (name, shape, values) in expected {
                assert_eq!(out.floats(name, shape).unwrap(), *values, "{name}");
            }
        }
    }
}

#[test]
fn gradients_by_hand() {
    // Z1 = 0.75, 0.5; Z2 = −0.25 (masked), 0.5; Y = 2·0.75 + 0.5, 2·0.5 − 0.5 + 0.5; e = Y − Y_exp = 1, 0.5.
    Tiny::new(false).gives(
        [1.0, 0.5],
        &[
            ("Y", &[2], &[2.0, 1.0]),
            ("loss", &[1], &[0.625]),
            ("A1.grad", &[1, 2], &[3.0, 1.0]),
            ("A2.grad", &[1, 2], &[-0.5, 0.0]),
            ("B1.grad", &[1], &[3.0]),
            ("B2.grad", &[1], &[-0.5]),
            ("C.grad", &[2], &[1.0, 0.25]),
            ("d.grad", &[1], &[1.5]),
        ],
    );
    // Tied: Z2 = 0, where the mask is 1, and 0.75; Y = 2, 0.75; e = 1, 0.5.
    Tiny::new(true).gives(
        [1.0, 0.25],
        &[
            ("Y", &[2], &[2.0, 0.75]),
            ("loss", &[1], &[0.625]),
            ("A1.grad", &[1, 2], &[2.5, 0.0]),
            ("B1.grad", &[1], &[1.5]),
            ("C.grad", &[2], &[1.0, 0.375]),
            ("d.grad", &[1], &[1.5]),
        ],
    );
}

#[test]
fn bad_batches_are_named_and_nothing_is_written() {
    let tiny = Tiny::new(false);
    let targets = || floats("Y_exp", &[1], &[0.5]);
    let x = |name: &str| floats(name, &[1, 2], &[1.0, 0.0]);
    let indices = |name: &str, values: &[i32]| integers(name, &[1, values.len()], values);
    let mse: &[(&str, &str)] = &[("loss", "mse")];
    type Bad<'a> = (&'a [(&'a str, &'a str)], Vec<Tensor>, &'a [&'a str]);
    let cases: [Bad; 12] = [
        (&[], vec![x("X1"), x("X2"), targets()], &["`loss`"]),
        (
            &[("loss", "huber")],
            vec![x("X1"), x("X2"), targets()],
            &["`loss`", "sigmoid_mse", "huber"],
        ),
        (mse, vec![x("X1"), x("X2")], &["`Y_exp`"]),
        (mse, vec![targets()], &["X1", "indices1", "neither"]),
        (
            mse,
            vec![x("X1"), x("X2"), indices("indices1", &[0]), targets()],
            &["both"],
        ),
        (mse, vec![x("X1"), targets()], &["`X2`"]),
        (
            mse,
            vec![x("X1"), floats("X2", &[1, 3], &[0.0; 3]), targets()],
            &["`X2`", "[1, 2]", "[1, 3]"],
        ),
        (
            mse,
            vec![x("X1"), floats("X2", &[1, 2], &[0.0, f32::NAN]), targets()],
            &["`X2`", "NaN"],
        ),
        (
            mse,
            vec![
                indices("indices1", &[0, 2]),
                indices("indices2", &[0, 1]),
                targets(),
            ],
            &["indices1", "sample 0", "found 2"],
        ),
        (
            mse,
            vec![
                indices("indices1", &[0, 1]),
                indices("indices2", &[1, 1]),
                targets(),
            ],
            &["indices2", "sample 0", "1 twice"],
        ),
        (
            mse,
            vec![
                indices("indices1", &[0, -2]),
                indices("indices2", &[0, 1]),
                targets(),
            ],
            &["indices1", "found -2"],
        ),
        (
            mse,
            vec![
                indices("indices1", &[0, 1]),
                indices("indices2", &[0]),
                targets(),
            ],
            &["`indices2`", "[1, 2]"],
        ),
    ];
    for (metadata, tensors, words) in cases {
        let batch = tiny.directory.join("batch");
        tiny.call(metadata, tensors)
            .refused(1, &[words, &[batch.to_str().unwrap()]].concat());
        assert!(!tiny.directory.join("out").exists());
    }
    let net = tiny.directory.join("net");
    let bytes = fs::read(&net).unwrap();
    fs::write(&net, &bytes[..bytes.len() - 4]).unwrap();
    tiny.call(mse, vec![x("X1"), x("X2"), targets()])
        .refused(1, &[net.to_str().unwrap(), "cut short"]);
}
