//! Drivers that fail while `wgrad train` runs: a Vulkan layer in front of llvmpipe returns the
//! errors that drivers return.

use crate::support::{Ended, WGRAD, command, cut, ended, results, scratch, wgrad, wgrad_command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wgrad::nnue::train::log::{Entry, read as read_log};

const LAYER: &str = include_str!("faults/layer.c");
const MANIFEST: &str = r#"{"file_format_version": "1.1.2", "layer": {
    "name": "VK_LAYER_WGRAD_faults", "type": "GLOBAL", "library_path": "./liblayer.so",
    "api_version": "1.3.0", "implementation_version": "1", "description": "lets calls fail"}}"#;
const TRAIN: &str = "train --device vulkan:llvmpipe --hidden 8 --batch 100 --epochs 1 \
                     --save-every 8 --keep 0 --seed 7 --shuffle-buffer 0";

/// A directory with data and the layer.
struct Faulty {
    _guard: tempfile::TempDir,
    directory: PathBuf,
    data: PathBuf,
}

impl Faulty {
    fn new() -> Self {
        let (guard, directory) = scratch();
        fs::write(directory.join("layer.c"), LAYER).unwrap();
        fs::write(directory.join("layer.json"), MANIFEST).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o", "liblayer.so", "layer.c"]);
        let compiled = compiler.current_dir(&directory).status();
        assert!(compiled.expect("a C compiler").success());
        Self {
            _guard: guard,
            data: cut(&directory, 4000),
            directory,
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Trains, with this fault of the driver.
    fn train(&self, fault: &str, options: &str, out: &Path) -> Ended {
        let line = format!("{TRAIN} {options}");
        let mut command = wgrad_command(&line, &[("--data", &self.data), ("--out", out)]);
        command.env("VK_LAYER_PATH", &self.directory);
        command.env("VK_INSTANCE_LAYERS", "VK_LAYER_WGRAD_faults");
        command.env("WGRAD_FAULT", fault);
        ended(command)
    }
}

/// The steps of the checkpoints.
fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Each kind of failure ends the run with one message, which says how to go on. What it says works.
#[test]
fn a_driver_that_fails_ends_a_training_with_an_error_that_says_how_to_go_on() {
    let faulty = Faulty::new();
    for (index, (fault, words)) in [
        ("vkQueueSubmit:40", &["lost"][..]),
        ("vkWaitSemaphores:45", &["lost"]),
        ("vkCreateBuffer:60", &["allocate", "Out of Memory"]),
        ("vkCreateComputePipelines:2", &["compile masked_rows"]),
        ("vkAllocateMemory:1", &["open the adapter", "memory"]),
    ]
    .into_iter()
    .enumerate()
    {
        let out = faulty.out(&format!("run{index}"));
        let run = faulty.train(fault, "", &out);
        run.refused(1, words);
        run.refused(1, &["vulkan:llvmpipe"]);
        if fault == "vkAllocateMemory:1" {
            assert!(!out.exists());
            continue;
        }
        let said = format!("wgrad train --resume {} --device cpu", out.display());
        run.refused(1, &["after step", "the newest checkpoint is", &said]);
        assert!(!checkpoints(&out).is_empty(), "{fault}");
        wgrad("train --device cpu", &[("--resume", &out)]).success();
        assert!(out.join("net.safetensors").exists());
    }
}

#[test]
fn a_training_falls_back_on_the_cpu_and_the_log_tells() {
    let faulty = Faulty::new();
    let out = faulty.out("run");
    let run = faulty
        .train("vkQueueSubmit:40", "--fallback cpu --json", &out)
        .success();
    assert!(run.stderr.contains("warning: after step"), "{}", run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert_eq!(run.json()["finished"], true);
    let log = read_log(&out.join("log.jsonl")).unwrap();
    let fallbacks = log.iter().filter_map(|entry| match entry {
        Entry::Fallback {
            step,
            failed,
            from,
            device,
            ..
        } => Some((*step, *failed, from.as_str(), device.as_str())),
        _ => None,
    });
    let fallbacks: Vec<_> = fallbacks.collect();
    let [(step, failed, from, "cpu")] = fallbacks[..] else {
        panic!("{fallbacks:?}");
    };
    assert!(from.starts_with("vulkan:llvmpipe"), "{from}");
    assert!(step.is_multiple_of(8) && step <= failed && failed < 40);
    let steps = log
        .iter()
        .filter(|entry| matches!(entry, Entry::Step { .. }));
    assert!(steps.map(Entry::step).eq(1..=40));

    // An adapter that fails at once leaves a training on the CPU.
    let early = faulty.out("early");
    let run = faulty
        .train("vkAllocateMemory:1", "--fallback cpu", &early)
        .success();
    assert!(run.stderr.contains("open the adapter"), "{}", run.stderr);
    let cpu = faulty.out("cpu");
    let line = TRAIN.replace("vulkan:llvmpipe", "cpu");
    wgrad(&line, &[("--data", &faulty.data), ("--out", &cpu)]).success();
    assert_eq!(results(&early), results(&cpu));
    let half = faulty.train("", "--fallback cpu --half", &faulty.out("half"));
    half.refused(2, &["--fallback cpu", "--half"]);
}

/// The error names the tensor, the step and the batch, and prints a command that shows the same.
#[test]
fn a_number_that_is_not_finite_is_named_and_the_command_in_the_error_shows_it_again() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let kings = format!(
        "--inputs king-buckets-mirrored --buckets 0{} --factorise",
        ",1".repeat(31)
    );
    let deep = "--hidden 64 --pairwise --layers 8:dual";
    for (index, options) in [
        "--device cpu --hidden 8",
        "--device vulkan:llvmpipe --hidden 8",
        "--device cpu --hidden 8 --activation screlu --output-buckets material:4",
        &format!("--device vulkan:llvmpipe {deep} --output-buckets material:4"),
        &format!("--device cpu {deep} {kings}"),
        "--device gl: --hidden 24 --layers 8:crelu",
    ]
    .into_iter()
    .enumerate()
    {
        let out = directory.join(format!("run{index}"));
        let line =
            format!("train --batch 100 --epochs 1 --loss mse --learning-rate 1e30 {options}");
        let run = wgrad(&line, &[("--data", &data), ("--out", &out)]);
        run.refused(1, &["no longer finite at step", "of epoch 1", "tensor `"]);
        let again = run
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("to see it: wgrad "));
        let again = again.unwrap_or_else(|| panic!("{options}: {}", run.stderr));
        let script = format!("exec \"$0\" {again}");
        let shown = ended(command("sh", ["-c", &script, WGRAD]));
        let place = run.stderr.split("tensor `").nth(1).unwrap();
        let place = place.split(':').next().unwrap();
        shown.refused(1, &[&format!("tensor `{place}: expected a finite number")]);
    }
}
