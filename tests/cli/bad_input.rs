//! Settings, devices, data, directories and checkpoints that are refused, and the words of each
//! message.

use crate::support::{cut, scratch, wgrad};
use std::fs;
use std::path::Path;
use wgrad::files::safetensors::{TensorData, TensorFile};

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
fn settings_that_cannot_be_trained_with_write_nothing() {
    let (_guard, directory) = scratch();
    let (data, run) = (cut(&directory, 100), directory.join("run"));
    for (options, word) in [
        ("--hidden 0", "hidden (K)"),
        ("--clip 0", "clip (T)"),
        ("--clip -1", "clip (T)"),
        ("--clip nan", "clip (T)"),
        ("--learning-rate inf", "learning_rate"),
        ("--lr nan", "learning_rate"),
        ("--lr -0.1", "learning_rate"),
        ("--epochs 0", "epochs"),
        ("--batch-size 0", "batch_size"),
        ("--power 0.5", "power"),
        ("--lambda 2", "lambda"),
        ("--scale 0", "scale"),
        ("--weight-decay -1", "decay"),
        ("--weight-clip 1..-1", "weight range"),
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

/// Record `number` of a file, changed.
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
        assert!(!run.exists(), "{name}");
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
