//! Inputs and output buckets from the command line: trainings, their files, and the options that
//! are refused.

use crate::support::{assert_holds, checkpoint, cut, names, scratch, shipped, wgrad};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use wgrad::files::safetensors::TensorFile;
use wgrad::nnue::train::log::Curve;

/// Four mirrored king buckets, 32 numbers.
fn king_buckets() -> String {
    let last = ",3".repeat(24);
    format!("0,0,1,1,2,2,2,2{last}")
}

/// The options of each form, N, the output buckets, the shape in the summary, and the inputs there.
fn forms() -> Vec<(String, usize, usize, &'static str, &'static str)> {
    let table = king_buckets();
    let board = ["0", "1"]
        .map(|bucket| vec![bucket; 32].join(","))
        .join(",");
    vec![
        (
            format!("--inputs king-buckets-mirrored --buckets {table} --output-buckets material:8"),
            3072,
            8,
            "(3072 -> 8) x 2 -> 1 x 8",
            "king-buckets-mirrored (4 buckets); output buckets material:8",
        ),
        (
            format!("--tied --inputs king-buckets --buckets {board}"),
            1536,
            1,
            "(1536 -> 8) x 2 -> 1, tied",
            "king-buckets (2 buckets); output buckets 1",
        ),
        (
            "--inputs chess768-mirrored --activation screlu".to_owned(),
            768,
            1,
            "(768 -> 8) x 2 -> 1, untied",
            "chess768-mirrored; output buckets 1",
        ),
        (
            "--output-buckets material:8".to_owned(),
            768,
            8,
            "(768 -> 8) x 2 -> 1 x 8",
            "chess768; output buckets material:8",
        ),
        (
            "--tied --pairwise --layers 4:dual,3:crelu --skip --output-buckets material:8"
                .to_owned(),
            768,
            8,
            "(768 -> 8) x 2, pairwise -> 4:dual -> 3:crelu -> 1 x 8, skip, tied",
            "chess768; output buckets material:8",
        ),
        (
            format!("--inputs king-buckets-mirrored --buckets {table} --factorise"),
            3072,
            1,
            "(3072 -> 8) x 2 -> 1, 768 shared inputs, untied",
            "king-buckets-mirrored (4 buckets); output buckets 1",
        ),
    ]
}

/// A copy of a run that ended at this step, as if it had been killed there.
fn killed(run: &Path, step: u64) -> PathBuf {
    let copy = run.with_extension(format!("killed-at-{step}"));
    fs::create_dir_all(copy.join("checkpoints")).unwrap();
    for name in ["run.toml", "log.jsonl"] {
        fs::copy(run.join(name), copy.join(name)).unwrap();
    }
    for step in 0..=step {
        let path = checkpoint(run, step);
        if path.exists() {
            fs::copy(path, checkpoint(&copy, step)).unwrap();
        }
    }
    copy
}

#[test]
fn every_form_trains_evaluates_and_resumes_without_flags() {
    let (_guard, directory) = scratch();
    let (data, validation) = (cut(&directory, 4000), cut(&directory, 1000));
    for (number, (options, inputs, buckets, shape, named)) in forms().into_iter().enumerate() {
        let run = directory.join(format!("run{number}"));
        let line = format!(
            "train --device cpu --hidden 8 --epochs 2 --batch 800 --save-every 3 --keep 0 {options}"
        );
        let paths: [(&str, &Path); 3] = [
            ("--data", &data),
            ("--validation", &validation),
            ("--out", &run),
        ];
        let ended = wgrad(&line, &paths).success();
        for words in [shape, named] {
            assert!(
                ended.stdout.contains(words),
                "no {words} in {}",
                ended.stdout
            );
        }

        let net = run.join("net.safetensors");
        let file = TensorFile::read(&net).unwrap();
        assert_eq!(file.tensor("A1").unwrap().shape, [8, inputs]);
        let bias = if file.has("d") { "d" } else { "c3" };
        assert_eq!(file.tensor(bias).unwrap().shape[0], buckets);
        assert_eq!(file.has("A1f"), options.contains("--factorise"));
        let text = wgrad(&format!("inspect {}", net.display()), &[])
            .success()
            .stdout;
        for words in [shape, named, "A1", bias] {
            assert!(text.contains(words), "no {words} in {text}");
        }
        assert_eq!(
            file.metadata.contains_key("inputs"),
            options.contains("--inputs")
        );
        assert_eq!(file.metadata.contains_key("output_buckets"), buckets > 1);

        let curve = Curve::read(&run.join("log.jsonl")).unwrap();
        let last = curve.validation[1].1;
        assert!(last < curve.training[0].1, "{curve:?}");
        for trained in [net, checkpoint(&run, 10)] {
            let paths: [(&str, &Path); 2] = [("--net", &trained), ("--data", &validation)];
            let found = wgrad("eval --device cpu --json", &paths).success().json();
            let loss = found["loss"].as_f64().unwrap();
            assert!((loss - last).abs() <= 1e-12 * last, "{loss} {last}");
        }
        for step in [3, 5] {
            let again = killed(&run, step);
            wgrad("train --device cpu", &[("--resume", &again)]).success();
            assert_holds(&again, &run);
        }
        // The same numbers on any number of threads.
        let other = directory.join(format!("threads{number}"));
        let paths: [(&str, &Path); 3] = [
            ("--data", &data),
            ("--validation", &validation),
            ("--out", &other),
        ];
        wgrad(&format!("{line} --threads 3"), &paths).success();
        assert_holds(&other, &run);
        assert_eq!(names(&other), names(&run));
    }
}

#[test]
fn metadata_are_the_documented_json() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 500);
    let run = directory.join("run");
    let options = &forms()[0].0;
    let line = format!("train --device cpu --hidden 4 --epochs 1 --batch 500 {options}");
    wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
    for path in [run.join("net.safetensors"), checkpoint(&run, 1)] {
        let metadata = TensorFile::read(&path).unwrap().metadata;
        let inputs: Value = serde_json::from_str(&metadata["inputs"]).unwrap();
        let table: Value = serde_json::from_str(&format!("[{}]", king_buckets())).unwrap();
        let expected = serde_json::json!({
            "name": "king-buckets", "mirrored": true, "table": table
        });
        assert_eq!(inputs, expected);
        let buckets: Vec<usize> = serde_json::from_str(&metadata["output_buckets"]).unwrap();
        assert_eq!(buckets.len(), 33);
        assert_eq!(buckets[..8], [0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(buckets[29..], [6, 7, 7, 7]);
    }
    // A plain network has the metadata of earlier releases alone.
    let plain = directory.join("plain");
    let line = "train --device cpu --hidden 4 --epochs 1 --batch 500 --inputs chess768";
    wgrad(line, &[("--data", &data), ("--out", &plain)]).success();
    let keys = |path| TensorFile::read(path).unwrap().metadata.into_keys();
    let expected = ["activation", "clip", "tied", "training"];
    assert!(keys(plain.join("net.safetensors")).eq(expected));
    assert!(keys(checkpoint(&plain, 1)).eq(expected));
}

#[test]
fn inputs_that_cannot_be_trained_with_write_nothing() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 100), directory.join("run"));
    let table = king_buckets();
    let zeros = |count: usize| vec!["0"; count].join(",");
    for (options, status, words) in [
        (
            format!("--inputs king-buckets-mirrored --buckets {}", zeros(31)),
            1,
            ["expected 32 bucket numbers", "found 31"],
        ),
        (
            format!("--inputs king-buckets --buckets {table}"),
            1,
            ["expected 64 bucket numbers", "found 32"],
        ),
        (
            format!(
                "--inputs king-buckets-mirrored --buckets {}",
                table.replace('2', "3")
            ),
            1,
            ["without gaps", "found 3 but no 2"],
        ),
        (
            "--pairwise --hidden 7".into(),
            1,
            ["hidden (K)", "an even number"],
        ),
        (
            "--layers 16:tanh".into(),
            2,
            ["crelu, screlu, relu, dual or dual-square", "tanh"],
        ),
        (
            "--layers 16:crelu --skip".into(),
            1,
            ["layers", "at least 2 with `skip`"],
        ),
        (
            "--factorise".into(),
            2,
            ["--factorise goes with several king buckets", "N = 768"],
        ),
        (
            "--inputs king-buckets".into(),
            2,
            ["--inputs king-buckets", "--buckets"],
        ),
        (
            format!("--buckets {table}"),
            2,
            ["--buckets goes with", "king-buckets"],
        ),
        (
            format!("--inputs chess768-mirrored --buckets {table}"),
            2,
            ["--buckets goes with", "king-buckets"],
        ),
        (
            "--inputs halfkp".into(),
            2,
            ["halfkp", "king-buckets-mirrored"],
        ),
        (
            "--inputs king-buckets --buckets 0,x".into(),
            2,
            ["--buckets", "x"],
        ),
        (
            "--output-buckets material:9".into(),
            2,
            ["--output-buckets", "1 to 8, 11 or 16"],
        ),
        (
            "--output-buckets 0,1".into(),
            2,
            ["33 bucket numbers", "found 2"],
        ),
        ("--output-buckets".into(), 2, ["--output-buckets", "TABLE"]),
    ] {
        let line = format!("train --device cpu {options}");
        let ended = wgrad(&line, &[("--data", &data), ("--out", &run)]);
        ended.refused(status, &words);
        assert!(!run.exists(), "{options}");
    }
}

#[test]
fn a_resume_keeps_its_inputs() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 500), directory.join("run"));
    let options = &forms()[0].0;
    let line = format!("train --device cpu --hidden 4 --epochs 1 --batch 500 {options}");
    wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
    let resume: &[(&str, &Path)] = &[("--resume", &run)];
    let table = king_buckets();
    let other = table.replace("0,0,1,1", "0,1,0,1");
    for (options, words) in [
        (
            "--inputs chess768".to_owned(),
            ["--inputs chess768", "king-buckets-mirrored"],
        ),
        (
            format!("--buckets {other}"),
            ["--buckets 0,1,0,1", "the run has 0,0,1,1"],
        ),
        (
            "--output-buckets 1".to_owned(),
            ["--output-buckets 1", "material:8"],
        ),
    ] {
        wgrad(&format!("train --device cpu {options}"), resume).refused(2, &words);
    }
    for options in [
        "--inputs king-buckets-mirrored".to_owned(),
        format!("--buckets {table} --output-buckets material:8"),
    ] {
        wgrad(&format!("train --device cpu {options}"), resume).success();
    }
}

#[test]
fn networks_that_do_not_fit_their_inputs_are_refused() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 500), directory.join("run"));
    let options = &forms()[0].0;
    let line = format!("train --device cpu --hidden 4 --epochs 1 --batch 500 {options}");
    wgrad(&line, &[("--data", &data), ("--out", &run)]).success();
    let net = TensorFile::read(run.join("net.safetensors")).unwrap();
    let path = directory.join("changed.safetensors");
    for (key, value, words) in [
        (
            "inputs",
            None,
            vec!["inputs (N)", "768, as chess768 has", "found 3072"],
        ),
        (
            "output_buckets",
            None,
            vec!["buckets", "1, as output_buckets has", "found 8"],
        ),
        (
            "inputs",
            Some(r#"{"name":"ataxx"}"#),
            vec!["metadata `inputs`", "of chess", "ataxx"],
        ),
        (
            "inputs",
            Some(r#"{"name":"chess768","mirrored":true}"#),
            vec!["768, as chess768-mirrored has", "found 3072"],
        ),
        (
            "output_buckets",
            Some("[0,1]"),
            vec!["metadata `output_buckets`", "33", "found 2"],
        ),
    ] {
        let mut file = TensorFile::new(&path, net.metadata.clone());
        file.tensors.clone_from(&net.tensors);
        file.metadata.remove(key);
        file.metadata
            .extend(value.map(|value| (key.to_owned(), value.to_owned())));
        file.write().unwrap();
        let eval = wgrad("eval --device cpu", &[("--net", &path), ("--data", &data)]);
        let mut words = words;
        words.push("changed.safetensors");
        eval.refused(1, &words);
    }
    // A checkpoint whose metadata and settings differ.
    let last = checkpoint(&run, 1);
    let file = TensorFile::read(&last).unwrap();
    let mut changed = TensorFile::new(&last, file.metadata);
    changed.tensors = file.tensors;
    changed.metadata.remove("output_buckets");
    changed.write().unwrap();
    wgrad("train --device cpu", &[("--resume", &run)])
        .refused(1, &["output_buckets", "as its own settings say"]);
}

#[test]
fn bench_takes_inputs_and_output_buckets() {
    let data = shipped("chess_validation.bin");
    let quick = "bench --device cpu --threads 1 --seconds 0.01 --json --hidden 4 --batch 100";
    let (table, material) = (king_buckets(), "--output-buckets material:8");
    for (options, inputs, buckets) in [
        (
            format!("--inputs king-buckets-mirrored --buckets {table} {material}"),
            3072,
            8,
        ),
        ("--inputs chess768-mirrored".to_owned(), 768, 1),
        (material.to_owned(), 768, 8),
    ] {
        for paths in [&[][..], &[("--data", &*data)]] {
            let one = wgrad(&format!("{quick} {options}"), paths).success().json();
            assert_eq!(
                (&one["inputs"], &one["buckets"]),
                (&inputs.into(), &buckets.into())
            );
            assert!(one["gradient_error"].as_f64() <= Some(1e-5), "{one}");
            assert!(one["positions_per_second"].as_f64() > Some(0.0));
        }
    }
    let random = wgrad(&format!("{quick} --inputs 40 --indices 3 {material}"), &[]);
    assert_eq!(random.success().json()["buckets"], 8);
    let line = quick.replace(" --json", "");
    let shown = wgrad(&format!("{line} {material}"), &[]).success().stdout;
    assert!(
        shown.contains("K=4 L=100 N=768 F=32 buckets=8 crelu adamw"),
        "{shown}"
    );
    for (options, status, words) in [
        ("--inputs halfkp", 2, ["--inputs", "king-buckets"]),
        (
            "--inputs king-buckets",
            2,
            ["--inputs king-buckets", "--buckets"],
        ),
        (
            "--inputs 5 --buckets 0",
            2,
            ["--buckets goes with", "king-buckets"],
        ),
        (
            "--inputs king-buckets --buckets 0",
            1,
            ["expected 64 bucket numbers", "found 1"],
        ),
        (
            "--plot x --output-buckets 1",
            2,
            ["--plot", "--output-buckets"],
        ),
        ("--plot x --pairwise", 2, ["--plot", "--pairwise"]),
    ] {
        wgrad(&format!("bench --device cpu {options}"), &[]).refused(status, &words);
    }
}
