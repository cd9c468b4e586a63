//! Trainings from files: stages, lengths, schedules, initial networks, and the checkpoints that
//! stay.

use crate::support::{assert_holds, checkpoint, cut, names, scratch, wgrad, wgrad_command};
use std::fs;
use std::path::{Path, PathBuf};
use wgrad::nnue::train::log::{self, Entry};

/// A file in a directory.
fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn net(run: &Path) -> Vec<u8> {
    fs::read(run.join("net.safetensors")).unwrap()
}

/// The learning rates of a log.
fn rates(run: &Path) -> Vec<f32> {
    let entries = log::read(&run.join("log.jsonl")).unwrap();
    let rate = |entry| match entry {
        Entry::Step { learning_rate, .. } => Some(learning_rate),
        _ => None,
    };
    entries.into_iter().filter_map(rate).collect()
}

const STAGES: &str = "
hidden = 16
batch_size = 500
superbatches = 3
batches_per_superbatch = 4
keep = 0
save_every = 1
seed = 3
threads = 2

[[stage]]
name = 'first'
learning_rate = 0.004
schedule = 'step:0.5,2'
warmup = 2
lambda_schedule = 'linear:1'
lambda_warmup = 'harmonic:3'

[[stage]]
name = 'second'
superbatches = 2
learning_rate = 0.0001
schedule = 'constant'
warmup = 0
lambda = 0.5
lambda_schedule = 'constant'
lambda_warmup = 0
";

#[test]
fn stages_follow_one_another_and_resume_to_the_same_bits() {
    let (_guard, directory) = scratch();
    // 5 batches an epoch, so that superbatches and epochs end at different steps.
    let data = cut(&directory, 2300);
    let recipe = write(&directory, "run.toml", STAGES);
    let train = |name: &str| {
        let run = directory.join(name);
        let line = format!("train {} --device cpu", recipe.display());
        let paths = [("--data", &*data), ("--out", &*run)];
        (wgrad(&line, &paths).success().stdout, run)
    };
    let (shown, whole) = train("whole");
    for words in [
        "stage 1/2   first",
        "stage 2/2   second",
        "superbatch 3/3",
        "superbatch 2/2",
        "finished after 20 of 20 steps",
    ] {
        assert!(shown.contains(words), "no {words} in {shown}");
    }
    let mut expected = vec![0.002, 0.004];
    expected.extend(
        [
            [0.004; 3].as_slice(),
            &[0.004; 3],
            &[0.002; 4],
            &[0.0001; 8],
        ]
        .concat(),
    );
    assert_eq!(rates(&whole), expected);
    assert_eq!(names(&whole).len(), 20 + 1 + 1);

    // As if killed after any step: within a stage, at its end, and in the next one.
    for step in [0, 3, 8, 12, 13, 19] {
        let run = directory.join(format!("killed-{step}"));
        fs::create_dir_all(run.join("checkpoints")).unwrap();
        for name in ["run.toml", "log.jsonl"] {
            fs::copy(whole.join(name), run.join(name)).unwrap();
        }
        fs::copy(checkpoint(&whole, step), checkpoint(&run, step)).unwrap();
        wgrad("train --device cpu", &[("--resume", &run)]).success();
        assert_holds(&whole, &run);
        assert_eq!(rates(&run), expected, "{step}");
    }
}

#[test]
fn a_file_and_options_are_the_same_training() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 1000);
    let options = "--hidden 12 --tied --activation screlu --batch 250 --superbatches 2 \
                   --batches-per-superbatch 3 --schedule cosine:0.0001 --warmup harmonic:2 \
                   --lambda 0.3 --optimizer radam --weight-range 0.9 --initial he:32 --seed 5 \
                   --set beta1=0.95";
    let printed = wgrad(&format!("config --from-flags {options}"), &[])
        .success()
        .stdout;
    for line in [
        "hidden = 12",
        "beta1 = 0.95",
        "warmup = \"harmonic:2\"",
        "superbatches = 2",
    ] {
        assert!(
            printed.lines().any(|own| own == line),
            "no {line} in {printed}"
        );
    }
    let recipe = write(&directory, "printed.toml", &printed);
    let again = wgrad(&format!("config {}", recipe.display()), &[])
        .success()
        .stdout;
    assert_eq!(again, printed);
    let [first, second, third] = ["first", "second", "third"].map(|name| directory.join(name));
    let train = |line: String, run: &Path| {
        let line = format!("train --device cpu {line}");
        wgrad(&line, &[("--data", &data), ("--out", run)]).success();
    };
    train(options.to_owned(), &first);
    train(recipe.display().to_string(), &second);
    assert_eq!(net(&first), net(&second));
    // An option replaces a value of the file.
    train(format!("{} --seed 6", recipe.display()), &third);
    assert_ne!(net(&first), net(&third));
    let written = fs::read_to_string(third.join("run.toml")).unwrap();
    assert!(written.contains("seed = 6\n") && written.contains("hidden = 12\n"));
}

#[test]
fn a_finished_run_goes_on_where_its_schedule_allows_it() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2300);
    let train = |name: &str, options: &str| {
        let run = directory.join(name);
        let line = format!(
            "train --device cpu --hidden 8 --batch 500 --batches-per-superbatch 4 {options}"
        );
        wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
        run
    };
    let step = "--schedule step:0.5,2";
    let long = train("long", &format!("--superbatches 5 {step}"));
    let grown = train("grown", &format!("--superbatches 2 {step}"));
    let resume = |run: &Path, options: &str| {
        let line = format!("train --device cpu {options}");
        wgrad(&line, &[("--resume", run)])
    };
    resume(&grown, "--superbatches 5").success();
    assert_eq!(net(&grown), net(&long));
    assert_eq!(rates(&grown), rates(&long));
    let shorter = resume(&grown, "--superbatches 4");
    shorter.refused(1, &["superbatches: expected at least 5", "found 4"]);

    let epochs = train("epochs", "--epochs 2 --schedule constant");
    resume(&epochs, "--epochs 3").success();
    assert_eq!(rates(&epochs).len(), 15);
    let other = resume(&epochs, "--superbatches 9");
    other.refused(1, &["a length in epochs, as the run has"]);

    let cosine = train("cosine", "--epochs 2");
    let before = net(&cosine);
    let refused = resume(&cosine, "--epochs 4");
    refused.refused(
        1,
        &["epochs: expected 2, because", "`cosine`", "`--init` starts"],
    );
    assert_eq!(net(&cosine), before);
}

#[test]
fn a_run_starts_from_the_tensors_of_a_network_that_fit() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 1000);
    let [first, same, wider] = ["first", "same", "wider"].map(|name| directory.join(name));
    let line = "train --device cpu --hidden 8 --batch 500 --epochs 1 --keep 0";
    wgrad(line, &[("--data", &data), ("--out", &first)]).success();
    let init = first.join("net.safetensors");
    let paths = |out| [("--data", &*data), ("--init", &*init), ("--out", out)];
    let shown = wgrad(line, &paths(&same)).success().stdout;
    assert!(
        shown.contains("net.safetensors: A1, A2, B1, B2, C, d\n"),
        "{shown}"
    );
    let start = |run: &Path| wgrad::nnue::read_network(&checkpoint(run, 0)).unwrap().0;
    let trained = wgrad::nnue::read_network(&init).unwrap().0;
    assert_eq!(start(&same), trained);

    let buckets = format!("{line} --output-buckets material:2");
    let shown = wgrad(&buckets, &paths(&wider)).success().stdout;
    assert!(shown.contains("initial values for C, d"), "{shown}");
    assert_eq!(start(&wider).values()[0], trained.values()[0]);

    let none = directory.join("none");
    let other = wgrad(&line.replace("--hidden 8", "--hidden 9"), &paths(&none));
    other.refused(
        1,
        &["net.safetensors: expected a network that shares weights"],
    );
    assert!(!none.exists());
    wgrad("train --resume x --init y", &[]).refused(2, &["--init"]);
}

#[test]
fn the_last_checkpoints_and_the_best_stay() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let train = |name: &str, options: &str| {
        let run = directory.join(name);
        // The learning rate of the later steps spoils the network, so that an early one is best.
        let line = format!(
            "train --device cpu --hidden 8 --batch 500 --epochs 6 --learning-rate 0.02 \
             --schedule drop:100,3 {options}"
        );
        let paths = [
            ("--data", &*data),
            ("--validation", &*data),
            ("--out", &*run),
        ];
        (wgrad(&line, &paths).success().stdout, run)
    };
    let steps = |run: &Path| {
        let names = names(run);
        let names = names.iter().filter_map(|name| name.strip_prefix("step-"));
        let number = |name: &str| name.split('.').next().unwrap().parse().unwrap();
        names.map(number).collect::<Vec<u64>>()
    };
    let (shown, run) = train("default", "--schedule-per superbatch");
    assert_eq!(steps(&run), [12, 16, 20, 24]);
    assert!(
        shown.contains("best") && shown.contains("step-00000012.safetensors"),
        "{shown}"
    );
    let (_, run) = train(
        "one",
        "--schedule-per superbatch --keep 1 --keep-best false",
    );
    assert_eq!(steps(&run), [24]);
    let (_, run) = train("all", "--schedule-per superbatch --keep 0");
    assert_eq!(steps(&run), [0, 4, 8, 12, 16, 20, 24]);
    // Two validations without a lower loss end the run after epoch 5.
    let (shown, run) = train("patient", "--schedule-per superbatch --patience 2");
    assert_eq!(steps(&run), [12, 16, 20]);
    assert!(shown.contains("finished after 20 of"), "{shown}");
    wgrad("train --device cpu", &[("--resume", &run)]).success();
    assert_eq!(steps(&run), [12, 16, 20]);
}

#[test]
fn a_file_that_is_no_training_is_refused_with_its_line() {
    let (_guard, directory) = scratch();
    let out = directory.join("run");
    for (text, words) in [
        (
            "hidden = 8\nepcohs = 3",
            ["line 2: expected a known key, such as epochs", "epcohs"],
        ),
        ("hidden = 8\nclip = -1", ["line 2, clip", "found -1"]),
        (
            "superbatches = 3\nschedule = 'rise'",
            ["line 2, schedule", "\"rise\""],
        ),
        (
            "lambda = 0.5\nlambda_schedule = 'linear:2'",
            ["line 2, lambda_schedule", "0 to 1"],
        ),
        (
            "[[stage]]\n[[stage]]\ntied = true",
            ["stage 2, network", "stage 1"],
        ),
        ("hidden = ", ["line 1: expected TOML", ""]),
    ] {
        let recipe = write(&directory, "bad.toml", text);
        let line = format!("train {} --device cpu", recipe.display());
        let refused = wgrad(&line, &[("--out", &out)]);
        refused.refused(1, &["bad.toml: ", words[0], words[1]]);
        assert!(!out.exists(), "{text}");
    }
    wgrad("train nothing.toml", &[]).refused(1, &["nothing.toml: could not read"]);
    wgrad("train --set hiden=3", &[]).refused(1, &["--set hiden=3", "such as hidden"]);
    let recipe = write(&directory, "empty.toml", "hidden = 8");
    let line = format!("train {} --device cpu", recipe.display());
    wgrad(&line, &[("--out", &out)]).refused(1, &["data: expected at least 1 file"]);
}

#[test]
fn the_shipped_files_are_trainings() {
    let root = Path::new(crate::support::ROOT).join("examples/configs");
    let mut count = 0;
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let printed = wgrad_command("config", &[]).arg(&path).output().unwrap();
        assert!(printed.status.success(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 5, "{count}");
}

/// The places of records or lines at which a run of 3 epochs with 5 steps each is stopped.
fn stopped_after(run: &Path, whole: &Path, step: u64) {
    fs::create_dir_all(run.join("checkpoints")).unwrap();
    for name in ["run.toml", "log.jsonl"] {
        fs::copy(whole.join(name), run.join(name)).unwrap();
    }
    fs::copy(checkpoint(whole, step), checkpoint(run, step)).unwrap();
}

#[test]
fn a_resume_accepts_new_data_and_refuses_a_changed_past() {
    let (_guard, directory) = scratch();
    let sample = fs::read_to_string(crate::support::shipped("chess_sample.txt")).unwrap();
    let lines: Vec<_> = sample.lines().take(2500).collect();
    let text = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let data = write(&directory, "data.txt", &text(&lines));
    let whole = directory.join("whole");
    let line = "train --device cpu --hidden 8 --batch 500 --epochs 3 --save-every 1 --keep 0 \
                --shuffle-buffer 500";
    wgrad(line, &[("--data", &data), ("--out", &whole)]).success();
    let resume = |name: &str, step, text: &str| {
        let run = directory.join(name);
        stopped_after(&run, &whole, step);
        fs::write(&data, text).unwrap();
        let ended = wgrad("train --device cpu", &[("--resume", &run)]);
        (ended, rates(&run).len())
    };
    // Unread lines may change, disappear or come: a line that was bad is fixed or taken out.
    let (ended, _) = resume("same", 2, &text(&lines));
    ended.success();
    assert_eq!(net(&directory.join("same")), net(&whole));
    let (ended, steps) = resume("shorter", 2, &text(&lines[..2000]));
    ended.success();
    assert_eq!(steps, 12);
    let longer = [&lines[..], &lines[..500]].concat();
    let (ended, steps) = resume("longer", 2, &text(&longer));
    ended.success();
    assert_eq!(steps, 18);
    // After the first epoch everything was read.
    let (ended, _) = resume("appended", 7, &text(&longer));
    ended.success();
    let (ended, _) = resume("cut", 7, &text(&lines[..2400]));
    ended.refused(
        1,
        &["data.txt: size: expected at least the", "bytes read so far"],
    );
    let mut changed = lines.clone();
    changed[30] = changed[31];
    let (ended, _) = resume("changed", 2, &text(&changed));
    let words = ["data.txt: from byte 0, line 1: expected the data that the run has read so far"];
    ended.refused(1, &words);
}

#[test]
fn missing_scores_are_left_out_and_counted() {
    let (_guard, directory) = scratch();
    let clean = cut(&directory, 1000);
    let bytes = fs::read(&clean).unwrap();
    let mut mixed = Vec::new();
    for (number, record) in bytes.chunks(32).enumerate() {
        mixed.extend(record);
        if number % 10 == 0 {
            mixed.extend(&record[..24]);
            mixed.extend(32002i16.to_le_bytes());
            mixed.extend(&record[26..]);
        }
    }
    let data = directory.join("mixed.bin");
    fs::write(&data, mixed).unwrap();
    let train = |name: &str, data: &Path, options: &str| {
        let run = directory.join(name);
        let line = format!(
            "train --device cpu --hidden 8 --batch 100 --superbatches 2 \
             --batches-per-superbatch 10 {options}"
        );
        let ended = wgrad(&line, &[("--data", data), ("--out", &run)]).success();
        (run, ended.stderr)
    };
    let (plain, quiet) = train("plain", &clean, "");
    let (filtered, told) = train("filtered", &data, "");
    assert_eq!(net(&plain), net(&filtered));
    assert!(quiet.is_empty(), "{quiet}");
    assert!(
        told.contains("positions with scores of max_score or more"),
        "{told}"
    );
    let log = fs::read_to_string(filtered.join("log.jsonl")).unwrap();
    assert!(
        log.contains(r#"{"kind":"dropped","step":20,"scores":"#),
        "{log}"
    );
    let (whole, _) = train("whole", &data, "--max-score 0");
    assert_ne!(net(&plain), net(&whole));
}

#[test]
fn a_resume_needs_no_data_of_stages_that_are_done() {
    let (_guard, directory) = scratch();
    let (first, second) = (cut(&directory, 600), cut(&directory, 500));
    let stage = |data: &Path| format!("[[stage]]\ndata = {:?}\n", data.display().to_string());
    let text = format!(
        "hidden = 8\nbatch_size = 100\nepochs = 1\nkeep = 0\nsave_every = 1\n{}{}",
        stage(&first),
        stage(&second)
    );
    let recipe = write(&directory, "run.toml", &text);
    let whole = directory.join("whole");
    let line = format!("train {} --device cpu", recipe.display());
    wgrad(&line, &[("--out", &whole)]).success();
    let run = directory.join("later");
    stopped_after(&run, &whole, 8);
    fs::remove_file(&first).unwrap();
    wgrad("train --device cpu", &[("--resume", &run)]).success();
    assert_eq!(net(&run), net(&whole));
}
