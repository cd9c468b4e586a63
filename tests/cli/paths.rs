//! Paths that are not Unicode: every command takes them, and what it prints of them says that it is
//! not exact.

use crate::support::{Ended, cut, scratch, wgrad};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wgrad::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile};
use wgrad::nnue::train::{Run, log};

/// A directory as a Latin-1 system names it, with files of the same kind in it.
struct Latin {
    _guard: tempfile::TempDir,
    directory: PathBuf,
}

impl Latin {
    fn new() -> Self {
        let (_guard, directory) = scratch();
        let directory = directory.join(OsStr::from_bytes(b"Fran\xe7ois"));
        fs::create_dir(&directory).unwrap();
        Self { _guard, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        let name = [b"\xe9t\xe9 ", name.as_bytes()].concat();
        self.directory.join(OsStr::from_bytes(&name))
    }

    /// A file of `count` positions.
    fn data(&self, count: usize) -> PathBuf {
        let path = self.path(&format!("{count}.bin"));
        fs::rename(cut(&self.directory, count), &path).unwrap();
        path
    }

    fn train(&self, options: &str, data: &Path, validation: &Path, run: &Path) -> Ended {
        let line = format!("train --device cpu --hidden 4 --batch 100 {options}");
        let paths = [
            ("--data", data),
            ("--validation", validation),
            ("--out", run),
        ];
        wgrad(&line, &paths)
    }
}

/// With U+FFFD for each byte that is not Unicode.
const SHOWN: &str = "Fran\u{fffd}ois/\u{fffd}t\u{fffd} ";

#[test]
fn a_training_works_resumes_and_is_evaluated() {
    let latin = Latin::new();
    let (data, validation, run) = (latin.data(500), latin.data(200), latin.path("run"));
    let ended = latin.train("--epochs 2 --json", &data, &validation, &run);
    let ended = ended.success();
    let summary = ended.json();
    assert_eq!(summary["paths_lossy"], true);
    assert!(
        ended
            .stderr
            .contains("run (with U+FFFD for what is not Unicode)")
    );
    for (field, file) in [
        ("net", "net.safetensors"),
        ("checkpoint", "checkpoints/step-00000010.safetensors"),
        ("log", "log.jsonl"),
        ("picture", "loss.svg"),
    ] {
        let shown = summary[field].as_str().unwrap();
        assert!(shown.ends_with(&format!("{SHOWN}run/{file}")), "{shown}");
    }

    let stored = Run::load(&run).unwrap();
    assert_eq!(stored.data, std::slice::from_ref(&data));
    assert_eq!(stored.validation.as_ref(), Some(&validation));
    let net = fs::read(run.join("net.safetensors")).unwrap();
    fs::remove_file(run.join("checkpoints/step-00000010.safetensors")).unwrap();
    let resumed = wgrad("train --device cpu", &[("--resume", &run)]).success();
    assert!(resumed.stdout.contains(&format!("{SHOWN}500.bin")));
    assert!(fs::read(run.join("net.safetensors")).unwrap() == net);
    let checkpoint = run.join("checkpoints/step-00000005.safetensors");
    let entries = log::read(&run.join("log.jsonl")).unwrap();
    assert!(entries.iter().any(|entry| matches!(
        entry,
        log::Entry::Resume { checkpoint: from, .. } if *from == checkpoint
    )));

    let net = run.join("net.safetensors");
    let paths: [(&str, &Path); 2] = [("--net", &net), ("--data", &validation)];
    let evaluation = wgrad("eval --device cpu --json", &paths).success().json();
    assert_eq!(evaluation["positions"], 200);
}

#[test]
fn unicode_paths_are_printed_exactly() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 100), directory.join("Fran\u{e7}ois"));
    let summary = wgrad(
        "train --device cpu --hidden 4 --batch 50 --epochs 1 --json",
        &[("--data", &data), ("--out", &run)],
    );
    let summary = summary.success().json();
    assert_eq!(summary["paths_lossy"], false);
    assert_eq!(summary["log"], run.join("log.jsonl").to_str().unwrap());
    let text = fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(
        text.contains(&format!("{:?}", data.to_str().unwrap())),
        "{text}"
    );
}

#[test]
fn files_that_are_refused_are_named() {
    let latin = Latin::new();
    let (data, missing, run) = (latin.data(100), latin.path("missing"), latin.path("run"));
    let shown = format!("{SHOWN}missing");
    let refused = |ended: Ended| ended.refused(1, &[&shown]);
    refused(latin.train("", &missing, &data, &run));
    refused(latin.train("", &data, &missing, &run));
    assert!(!run.exists());
    let (data, missing, out) = (data.as_path(), missing.as_path(), latin.path("out"));
    refused(wgrad("train", &[("--resume", missing)]));
    refused(wgrad("eval", &[("--net", missing), ("--data", data)]));
    let paths = [("--net", missing), ("--batch", data), ("--out", &out)];
    refused(wgrad("gradients", &paths));
    refused(wgrad("operations", &[("--in", missing), ("--out", &out)]));
    refused(wgrad(
        "bench --device cpu --hidden 4 --batch 50",
        &[("--data", missing)],
    ));
}

#[test]
fn tensors_and_shaders_are_read_and_written() {
    let latin = Latin::new();
    let tensor = |name: &str, shape: &[usize], values: &[f32]| StoredTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data: TensorData::F32(values.to_vec()),
    };
    let write = |name: &str, metadata: &[(&str, &str)], tensors: Vec<StoredTensor>| {
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let path = latin.path(name);
        let mut file = TensorFile::new(&path, metadata.iter().map(own).collect::<Metadata>());
        file.tensors = tensors;
        file.write().unwrap();
        path
    };
    let network = [("activation", "crelu"), ("clip", "1"), ("tied", "true")];
    let net = write(
        "net",
        &network,
        vec![
            tensor("A1", &[1, 2], &[0.5, -0.25]),
            tensor("B1", &[1], &[0.25]),
            tensor("C", &[2], &[2.0, -1.0]),
            tensor("d", &[1], &[0.5]),
        ],
    );
    let batch = write(
        "batch",
        &[("loss", "mse")],
        vec![
            tensor("X1", &[1, 2], &[1.0, 0.0]),
            tensor("X2", &[1, 2], &[0.0, 1.0]),
            tensor("Y_exp", &[1], &[1.0]),
        ],
    );
    let out = latin.path("out");
    let paths = [("--net", &*net), ("--batch", &*batch), ("--out", &*out)];
    wgrad("gradients --device cpu", &paths).success();
    // H = (0.75, 0), Y = 1.5 + 0.5.
    let y = TensorFile::read(&out)
        .unwrap()
        .floats("Y", &[1])
        .unwrap()
        .to_vec();
    assert_eq!(y, [2.0]);

    let cases = [("cases", r#"[{"op": "sum", "axes": [0], "keep": false}]"#)];
    let input = write(
        "in",
        &cases,
        vec![
            tensor("0.0", &[3], &[1.0, 2.0, 4.0]),
            tensor("0.upstream", &[], &[1.0]),
        ],
    );
    let paths = [("--in", &*input), ("--out", &*out)];
    wgrad("operations --device cpu", &paths).success();
    let y = TensorFile::read(&out)
        .unwrap()
        .floats("0.y", &[])
        .unwrap()
        .to_vec();
    assert_eq!(y, [7.0]);

    let dump = latin.path("shaders");
    wgrad("kernels", &[("--dump", &dump)]).success();
    assert!(fs::read_dir(&dump).unwrap().count() > 20);
    wgrad(
        "bench --device cpu --json --hidden 4 --batch 50 --seconds 0.01",
        &[("--data", &latin.data(100))],
    )
    .success();
}
