//! `gradients`: values computed by hand, and batches that are refused.

use crate::support::{Ended, scratch, wgrad};
use std::fs;
use std::path::{Path, PathBuf};
use wgrad::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile};

fn tensor(name: &str, shape: &[usize], data: TensorData) -> StoredTensor {
    StoredTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data,
    }
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> StoredTensor {
    tensor(name, shape, TensorData::F32(values.to_vec()))
}

fn integers(name: &str, shape: &[usize], values: &[i32]) -> StoredTensor {
    tensor(name, shape, TensorData::I32(values.to_vec()))
}

fn write(path: &Path, metadata: &[(&str, &str)], tensors: Vec<StoredTensor>) {
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

    fn call(&self, loss: &[(&str, &str)], tensors: Vec<StoredTensor>) -> Ended {
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

    /// The tensors that both dense and sparse inputs must give exactly.
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
fn gradients_of_output_buckets_by_hand() {
    let tiny = Tiny::new(false);
    let net = tiny.directory.join("net");
    let file = TensorFile::read(&net).unwrap();
    let mut buckets = TensorFile::new(&net, file.metadata);
    let others = file.tensors.into_iter();
    buckets.tensors = others.filter(|t| t.name != "C" && t.name != "d").collect();
    buckets
        .tensors
        .push(floats("C", &[2, 2], &[2.0, -1.0, 1.0, 3.0]));
    buckets.tensors.push(floats("d", &[2], &[0.5, 0.25]));
    buckets.write().unwrap();
    let batch = |buckets: &[i32]| {
        let tensors = vec![
            floats("X1", &[2, 2], &[1.0, 0.0, 1.0, 1.0]),
            floats("X2", &[2, 2], &[0.0, 1.0, 1.0, 0.0]),
            floats("Y_exp", &[2], &[0.5, 0.5]),
            integers("buckets", &[buckets.len()], buckets),
        ];
        tiny.call(&[("loss", "mse")], tensors)
    };
    // Sample 0 has the second row of C and d, sample 1 the first: Y = 0.75 + 0.25, 1 − 0.5 + 0.5;
    // e = 0.5, 0.5.
    batch(&[1, 0]).success();
    let out = TensorFile::read(tiny.directory.join("out")).unwrap();
    let expected: [(&str, &[usize], &[f32]); 8] = [
        ("Y", &[2], &[1.0, 1.0]),
        ("loss", &[1], &[0.25]),
        ("A1.grad", &[1, 2], &[1.5, 1.0]),
        ("A2.grad", &[1, 2], &[-0.5, 0.0]),
        ("B1.grad", &[1], &[1.5]),
        ("B2.grad", &[1], &[-0.5]),
        ("C.grad", &[2, 2], &[0.25, 0.25, 0.375, 0.0]),
        ("d.grad", &[2], &[0.5, 0.5]),
    ];
    for (name, shape, values) in expected {
        assert_eq!(out.floats(name, shape).unwrap(), values, "{name}");
    }
    batch(&[1, 2]).refused(1, &["bucket of sample 1", "at most 1", "found 2"]);
    batch(&[-1, 0]).refused(1, &["`buckets`", "at least 0", "found -1"]);
    batch(&[0]).refused(1, &["`buckets`", "[2]", "[1]"]);
}

#[test]
fn bad_batches_are_named_and_nothing_is_written() {
    let tiny = Tiny::new(false);
    let targets = || floats("Y_exp", &[1], &[0.5]);
    let x = |name: &str| floats(name, &[1, 2], &[1.0, 0.0]);
    let indices = |name: &str, values: &[i32]| integers(name, &[1, values.len()], values);
    let mse: &[(&str, &str)] = &[("loss", "mse")];
    type Bad<'a> = (&'a [(&'a str, &'a str)], Vec<StoredTensor>, &'a [&'a str]);
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
