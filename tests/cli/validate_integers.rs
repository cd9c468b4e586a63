//! `--validate-integers` of `wgrad train`: the loss of the integer network in each validation.

use crate::support::{assert_holds, cut, scratch, wgrad};
use std::fs;
use std::path::Path;
use wgrad::nnue::train::log::{Entry, read as read_log};

const LINE: &str = "train --device cpu --hidden 16 --tied --epochs 2 --batch 1000 --seed 3";

/// A format for the same networks, with this type and scale for C.
fn format(directory: &Path, kind: &str, scale: u32) -> String {
    let tensor = |name: &str, kind: &str, scale: u32| {
        format!("[[tensors]]\ntensor = \"{name}\"\ntype = \"{kind}\"\nscale = {scale}\n")
    };
    let text = [
        tensor("A1", "i16", 255),
        tensor("B1", "i16", 255),
        tensor("C", kind, scale),
        tensor("d", "i32", 255 * scale),
        "[evaluation]\nscale = 400\n".to_owned(),
    ];
    let path = directory.join(format!("{kind}-{scale}.toml"));
    fs::write(&path, text.concat()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The integer loss, or why there is none, of each validation in a log.
fn integers(run: &Path) -> Vec<(Option<f64>, Option<String>)> {
    let entries = read_log(&run.join("log.jsonl")).unwrap().into_iter();
    let found = entries.filter_map(|entry| match entry {
        Entry::Validation {
            integer_loss,
            integer_error,
            ..
        } => Some((integer_loss, integer_error)),
        _ => None,
    });
    found.collect()
}

#[test]
fn validations_show_the_loss_that_an_export_has() {
    let (_guard, directory) = scratch();
    let (data, validation) = (cut(&directory, 3000), cut(&directory, 1000));
    let train = |name: &str, options: &str| {
        let run = directory.join(name);
        let paths = [
            ("--data", &*data),
            ("--validation", &validation),
            ("--out", &run),
        ];
        let ended = wgrad(&format!("{LINE} --json {options}"), &paths).success();
        (run, ended)
    };
    let own = format(&directory, "i16", 64);
    for (name, choice) in [("preset", "bullet"), ("own", &own)] {
        let (run, ended) = train(name, &format!("--validate-integers {choice}"));
        assert!(ended.stderr.contains("  integers 0."), "{}", ended.stderr);
        let losses = integers(&run);
        assert_eq!(losses.len(), 2);
        let loss = losses[1].0.unwrap();
        let report = ended.json();
        assert_eq!(report["integer_validation"]["loss"].as_f64(), Some(loss));
        assert!(report["validation"]["loss"].as_f64() != Some(loss));

        let net = run.join("net.safetensors");
        let paths: [(&str, &Path); 2] = [("--net", &net), ("--data", &validation)];
        let found = wgrad(
            &format!("eval --device cpu --json --format {choice}"),
            &paths,
        );
        let found = found.success().json();
        assert_eq!(found["integer"]["loss"].as_f64(), Some(loss));
    }
    let (plain, ended) = train("plain", "");
    assert!(!ended.stderr.contains("integers"), "{}", ended.stderr);
    assert_eq!(integers(&plain), [(None, None), (None, None)]);
    assert!(ended.json()["integer_validation"].is_null());
    // The file of the format is no longer needed.
    fs::remove_file(&own).unwrap();
    let resumed = directory.join("own");
    let stored = fs::read_to_string(resumed.join("run.toml")).unwrap();
    assert!(stored.contains("validate_integers = {"), "{stored}");
    assert_holds(&resumed, &plain);
    wgrad("train", &[("--resume", &resumed)]).success();
}

#[test]
fn weights_that_do_not_fit_do_not_end_a_training() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 3000), directory.join("run"));
    // C is within ±0.004.
    let narrow = format(&directory, "i8", 32_000);
    let line = format!("{LINE} --validate-integers {narrow}");
    let paths: [(&str, &Path); 3] = [("--data", &data), ("--validation", &data), ("--out", &run)];
    let ended = wgrad(&line, &paths).success();
    assert!(
        ended.stdout.contains("integers do not fit"),
        "{}",
        ended.stdout
    );
    let warned = ended.stderr.matches("tensor C").count();
    assert_eq!(warned, 2, "{}", ended.stderr);
    for (loss, error) in integers(&run) {
        assert_eq!(loss, None);
        assert!(error.unwrap().contains("tensor C"));
    }
}

#[test]
fn networks_without_an_integer_form_and_unknown_formats_are_refused() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 500), directory.join("run"));
    for (options, status, words) in [
        (
            "--tied --clip 0.5 --validate-integers bullet",
            1,
            ["validate_integers, integer evaluation, clip", "found 0.5"],
        ),
        (
            "--tied --validate-integers raw",
            1,
            ["validate_integers", "[evaluation]"],
        ),
        (
            "--tied --validate-integers stockfish",
            2,
            ["--validate-integers", "publius"],
        ),
        (
            "--tied --validate-integers none.toml",
            2,
            ["--validate-integers", "none.toml"],
        ),
    ] {
        let line = format!("train --device cpu {options}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]);
        ended.refused(status, &words);
        assert!(!run.exists(), "{line}");
    }
}
