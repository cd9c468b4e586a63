//! `tune`, and the tunings that it keeps, in `train` and `bench`. No test depends on a time.

use crate::support::{
    Ended, assert_holds, checkpoint, cut, ended, names, results, scratch, wgrad, wgrad_command,
};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use wgrad::engine::device::Device;
use wgrad::nnue::train::checkpoint::Checkpoint;
use wgrad::nnue::train::{Run, Settings, Trainer};
use wgrad::nnue::tuning::{TunedShape, TuningFile};
use wgrad::nnue::{Architecture, Tuning};

const ADAPTER: &str = "vulkan:llvmpipe";
const LINE: &str =
    "train --device vulkan:llvmpipe --hidden 64 --batch 500 --epochs 2 --save-every 1 --keep 0";
const SHORT: &str = "--hidden 32 --batch-size 60 --seconds 0.01";

fn lanes(lanes: u32) -> Tuning {
    Tuning::default().lanes(Some(lanes))
}

/// A file with a tuning for the shape of [`LINE`].
fn keep(path: &Path, tuning: Tuning) {
    let device = Device::open(Some(ADAPTER)).unwrap();
    let shape = TunedShape::new(&Architecture::new(768, 64), 500);
    let mut file = TuningFile::default();
    file.keep(device.adapter().unwrap(), &shape, tuning);
    file.write(path).unwrap();
}

fn log(run: &Path) -> String {
    fs::read_to_string(run.join("log.jsonl")).unwrap()
}

fn bench(line: &str, paths: &[(&str, &Path)]) -> Value {
    let line = format!("bench --device {ADAPTER} --json {SHORT} {line}");
    wgrad(&line, paths).success().json()
}

#[test]
fn a_training_uses_and_records_what_was_kept_and_a_resume_keeps_it() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let train = |name: &str, file: &Path| -> Ended {
        let run = directory.join(name);
        let paths = [("--data", &*data), ("--out", &*run), ("--tuning", file)];
        let mut command = wgrad_command(LINE, &paths);
        command.env("RUST_LOG", "wgrad=info");
        ended(command).success()
    };
    let file = |lanes: u32| directory.join(format!("{lanes}.json"));
    let mut settings = Settings::default().batch_size(500).epochs(2);
    settings.architecture.hidden = 64;
    for number in [16, 32] {
        keep(&file(number), lanes(number).recordings(2.try_into().ok()));
        let name = number.to_string();
        let ended = train(&name, &file(number));
        let said = format!("steps have {number} lanes, 2 recordings per submission");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);

        // The same training in the library.
        let library = directory.join(format!("library-{name}"));
        let run = Run::new(vec![data.clone()], library.clone())
            .save_every(1)
            .keep(0);
        let device = Device::open(Some(ADAPTER)).unwrap();
        let settings = settings.clone().tuning(lanes(number));
        let mut trainer = Trainer::new(&device, &settings, &run).unwrap();
        trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
        assert_holds(&directory.join(&name), &library);
    }
    let (sixteen, thirty_two) = (directory.join("16"), directory.join("32"));
    let net = |run: &Path| fs::read(run.join("net.safetensors")).unwrap();
    assert!(net(&sixteen) != net(&thirty_two), "the lanes change no bit");
    assert!(log(&sixteen).contains(r#""tuning":{"lanes":16}"#));
    let recorded = Checkpoint::read(&checkpoint(&sixteen, 8)).unwrap();
    assert_eq!(recorded.settings.tuning, lanes(16));
    // The choice by vendor is left out.
    let missing = train("missing", &directory.join("missing.json"));
    assert!(!missing.stderr.contains("steps have"), "{}", missing.stderr);
    assert!(!log(&thirty_two).contains("tuning"));
    assert!(results(&thirty_two) == results(&directory.join("missing")));

    // An option comes before what was kept.
    let given = directory.join("given");
    let paths = [
        ("--data", &*data),
        ("--out", &*given),
        ("--tuning", &*file(16)),
    ];
    wgrad(&format!("{LINE} --lanes 32"), &paths).success();
    assert!(results(&thirty_two) == results(&given));
    let text = |run: &Path| fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(text(&sixteen).contains("\nlanes = 16\n") && !text(&given).contains("lanes"));

    // As if killed after step 3. What is kept now does not matter.
    for name in names(&sixteen) {
        let path = sixteen.join("checkpoints").join(name);
        if path.is_file() && path > checkpoint(&sixteen, 3) {
            fs::remove_file(path).unwrap();
        }
    }
    fs::remove_file(sixteen.join("net.safetensors")).unwrap();
    let line = format!("train --device {ADAPTER}");
    wgrad(&line, &[("--resume", &sixteen), ("--tuning", &file(32))]).success();
    assert_holds(&sixteen, &directory.join("library-16"));
    // The CPU executor has no such variant.
    let resumed = wgrad("train --device cpu --no-tuning", &[("--resume", &sixteen)]).success();
    assert!(
        resumed.stderr.contains("16 lanes on cpu") && resumed.stderr.contains("bits will differ"),
        "{}",
        resumed.stderr
    );
    let kept = Checkpoint::read(&checkpoint(&sixteen, 8)).unwrap();
    assert_eq!(kept.settings, recorded.settings);
}

#[test]
fn a_tuning_that_cannot_be_used_is_a_warning_that_names_the_file() {
    let (_guard, directory) = scratch();
    let (data, file) = (cut(&directory, 500), directory.join("the tuning.json"));
    let train = |name: &str, option: &str| {
        let run = directory.join(name);
        let paths = [("--data", &*data), ("--out", &*run), (option, &*file)];
        let stderr = wgrad(LINE, &paths[..2 + usize::from(!option.is_empty())])
            .success()
            .stderr;
        (run, stderr)
    };
    let (plain, _) = train("plain", "");
    let shape = TunedShape::new(&Architecture::new(768, 64), 500);
    let device = Device::open(Some(ADAPTER)).unwrap();
    let mut wrong = TuningFile::default();
    wrong.keep(device.adapter().unwrap(), &shape, lanes(7));
    let wrong = serde_json::to_string(&wrong).unwrap();
    for (name, text) in [
        ("damaged", "{\"wgrad_tuning\":1"),
        ("foreign", "[]"),
        ("wrong", &*wrong),
    ] {
        fs::write(&file, text).unwrap();
        let (run, stderr) = train(name, "--tuning");
        assert!(
            stderr.contains("no tuning is used") && stderr.contains("the tuning.json"),
            "{stderr}"
        );
        assert_holds(&run, &plain);
    }
    let one = bench("", &[("--tuning", &file)]);
    assert_eq!((&one["tuned"], &one["lanes"]), (&false.into(), &32.into()));
    // An option that cannot be used is an error.
    for (device, option, words) in [
        ("cpu", "--lanes 16", "16 lanes on cpu"),
        ("cpu", "--tiles shared", "tiles in workgroup memory on cpu"),
        (ADAPTER, "--lanes 7", "7 with K = 128"),
    ] {
        let run = directory.join("refused");
        let line = format!("train --device {device} {option}");
        wgrad(&line, &[("--data", &data), ("--out", &run)]).refused(1, &[words]);
        assert!(!run.exists(), "{line}");
    }
    let both = wgrad("train --no-tuning", &[("--tuning", &file)]);
    both.refused(2, &["--no-tuning", "--tuning"]);
}

#[test]
fn what_is_tuned_is_kept_in_the_cache_and_timed_steps_use_it() {
    let (_guard, directory) = scratch();
    let in_cache = |line: &str| {
        let mut command = wgrad_command(line, &[]);
        command.env("XDG_CACHE_HOME", &directory);
        ended(command)
    };
    let path = directory.join("wgrad/tuning.json");
    let line =
        format!("tune --device {ADAPTER} {SHORT} --activation screlu --output-buckets material:2");
    let text = in_cache(&line).success().stdout;
    for words in [
        "32 lanes, tiles in registers",
        "16 lanes, tiles in workgroup memory",
        "by vendor",
        "kept",
        "tuning.json",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let report = in_cache(&format!("{line} --json")).success().json();
    let choices = report["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    let kept = choices.iter().filter(|choice| choice["kept"] == true);
    assert_eq!(kept.count(), 1);
    assert_eq!(choices[0]["ratio"], 1.0);
    assert!(
        choices
            .iter()
            .all(|choice| choice["seconds_per_step"].as_f64() > Some(0.0))
    );
    assert_eq!(report["file"], path.to_str().unwrap());
    let device = Device::open(Some(ADAPTER)).unwrap();
    let adapter = device.adapter().unwrap();
    let architecture = Architecture::new(768, 32)
        .activation(wgrad::nnue::Activation::SCRelu)
        .buckets(2);
    let shape = TunedShape::new(&architecture, 60);
    let file = TuningFile::read(&path).unwrap();
    let found = file.find(adapter, &shape).unwrap();
    assert_eq!(serde_json::to_value(found).unwrap(), report["tuning"]);

    // Steps of the same shape use it, and steps of other shapes do not.
    let mut file = file;
    file.keep(adapter, &shape, lanes(16));
    file.write(&path).unwrap();
    let line = line.replace("tune", "bench");
    let used = in_cache(&format!("{line} --json")).success().json();
    assert_eq!((&used["tuned"], &used["lanes"]), (&true.into(), &16.into()));
    assert_eq!(used["tiles"], "registers");
    let text = in_cache(&line).success().stdout;
    assert!(text.contains("   tuned: 16 lanes"), "{text}");
    for (option, lanes) in [("--no-tuning", 32), ("--tied", 32)] {
        let other = in_cache(&format!("{line} --json {option}"))
            .success()
            .json();
        assert_eq!(
            (&other["tuned"], &other["lanes"]),
            (&false.into(), &lanes.into())
        );
    }
    let given = in_cache(&format!("{line} --json --lanes 32"))
        .success()
        .json();
    assert_eq!(
        (&given["tuned"], &given["lanes"]),
        (&true.into(), &32.into())
    );

    // A damaged file in the cache is replaced.
    fs::write(&path, "{").unwrap();
    let ended = in_cache(&format!("tune --device {ADAPTER} {SHORT}")).success();
    assert!(ended.stderr.contains("tuning.json"), "{}", ended.stderr);
    let shape = TunedShape::new(&Architecture::new(768, 32), 60);
    assert!(
        TuningFile::read(&path)
            .unwrap()
            .find(adapter, &shape)
            .is_some()
    );
}

#[test]
fn tune_refuses_what_it_cannot_keep_and_says_when_there_is_nothing_to_choose() {
    let (_guard, directory) = scratch();
    let network = directory.join("net.safetensors");
    fs::write(&network, "a network").unwrap();
    let line = format!("tune --device {ADAPTER} {SHORT}");
    wgrad(&line, &[("--file", &network)]).refused(1, &["net.safetensors", "a tuning file"]);
    assert_eq!(fs::read(&network).unwrap(), b"a network");

    let mut homeless = wgrad_command(&line, &[]);
    homeless
        .env_remove("XDG_CACHE_HOME")
        .env_remove("HOME")
        .env_remove("LOCALAPPDATA");
    ended(homeless).refused(1, &["no cache directory", "--file"]);
    let mut homeless = wgrad_command(&format!("bench --device {ADAPTER} --json {SHORT}"), &[]);
    homeless
        .env_remove("XDG_CACHE_HOME")
        .env_remove("HOME")
        .env_remove("LOCALAPPDATA");
    assert_eq!(ended(homeless).success().json()["tuned"], false);

    let file = directory.join("tuning.json");
    // Networks from tensor operations have no variants either.
    for network in [
        "--device cpu",
        "--device vulkan:llvmpipe --hidden 48 --pairwise",
    ] {
        let ended = wgrad(&format!("tune {network}"), &[("--file", &file)]).success();
        assert!(
            ended.stdout.contains("nothing to choose"),
            "{}",
            ended.stdout
        );
        assert!(!file.exists());
    }
    let report = wgrad("tune --device cpu --json", &[]).success().json();
    assert_eq!(report["choices"], Value::Array(Vec::new()));
    wgrad("tune --half --dense", &[]).refused(2, &["--half goes with index lists"]);
    wgrad("tune --seconds 0", &[]).refused(1, &["--seconds"]);
}

#[test]
fn the_lanes_of_a_timed_step_are_shown_or_refused() {
    for lanes in [16, 32] {
        let one = bench(&format!("--lanes {lanes}"), &[]);
        assert_eq!(one["lanes"], lanes);
        let line = format!("bench --device {ADAPTER} {SHORT} --lanes {lanes}");
        let text = wgrad(&line, &[]).success().stdout;
        let shown = text.lines().find(|line| line.starts_with("K=32"));
        assert!(
            shown.unwrap().contains(&format!("adamw {lanes} lanes")),
            "{text}"
        );
    }
    let cpu = format!("bench --device cpu --json {SHORT}");
    assert_eq!(wgrad(&cpu, &[]).success().json()["lanes"], Value::Null);
    assert_eq!(bench("--dense", &[])["lanes"], Value::Null);
    for (options, words) in [
        (
            "--dense --half-weights",
            "--half-weights goes with index lists",
        ),
        ("--dense --half", "--half goes with index lists"),
        ("--dense --lanes 16", "--lanes goes with index lists"),
        ("--device cpu --lanes 16", "--lanes goes with an adapter"),
    ] {
        wgrad(&format!("bench {options}"), &[]).refused(2, &[words]);
    }
}
