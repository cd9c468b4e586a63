//! Tensor files of any kind: foreign files, cut files, and tensors that are checked when they are
//! used.

use crate::support::{refused, scratch, written};
use std::fs;
use wgrad::files::safetensors::{Metadata, TensorData, TensorFile};
use wgrad::nnue::read_network;
use wgrad::nnue::train::checkpoint::Checkpoint;

#[test]
fn foreign_and_cut_files_are_refused() {
    let (directory, path) = scratch();
    let whole = written(&path);
    for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        refused(
            Checkpoint::read(&path),
            &path,
            &["header", "cut short", &length.to_string()],
        );
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    refused(
        read_network(&path),
        &path,
        &["header", "a whole safetensors file"],
    );
    for foreign in [&b"a text file, and no tensors"[..], &[0; 64], &[255; 64]] {
        fs::write(&path, foreign).unwrap();
        refused(read_network(&path), &path, &["header", "of another format"]);
    }
    let mut half = b"\x40\0\0\0\0\0\0\0".to_vec();
    half.extend(
        format!(
            "{:64}",
            r#"{"A1":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#
        )
        .bytes(),
    );
    half.extend([0, 0]);
    fs::write(&path, half).unwrap();
    refused(
        read_network(&path),
        &path,
        &["`A1`", "F32, I32 or I64", "F16"],
    );
    refused(
        read_network(directory.path()),
        directory.path(),
        &["could not read"],
    );
    let missing = directory.path().join("missing");
    refused(read_network(&missing), &missing, &["could not read"]);
}

#[test]
fn tensors_are_checked_where_they_are_used() {
    let (_directory, path) = scratch();
    let mut file = TensorFile::new(&path, Metadata::new());
    for (name, shape, data) in [
        (
            "X1",
            vec![2, 2],
            TensorData::F32(vec![1.0, 2.0, f32::NAN, 4.0]),
        ),
        ("indices1", vec![1, 3], TensorData::I32(vec![4, -1, 7])),
        ("count", vec![], TensorData::I64(vec![-(1 << 40)])),
    ] {
        let name = name.to_string();
        file.tensors
            .push(wgrad::files::safetensors::StoredTensor { name, shape, data });
    }
    file.write().unwrap();
    let read = TensorFile::read(&path).unwrap();
    assert_eq!(read.integers("indices1", &[1, 3]).unwrap(), [4, -1, 7]);
    assert_eq!(read.floats("X1", &[2, 2]).unwrap()[..2], [1.0, 2.0]);
    let count = &read.tensor("count").unwrap().data;
    assert_eq!(*count, TensorData::I64(vec![-(1 << 40)]));
    refused(
        read.finite("X1", &[2, 2]),
        &path,
        &["`X1`, element [1, 0]", "NaN"],
    );
    refused(read.integers("X1", &[2, 2]), &path, &["`X1`", "I32", "F32"]);
    refused(read.tensor("X2"), &path, &["`X2`", "indices1"]);
    refused(file.write_finite(), &path, &["`X1`, element [1, 0]"]);
    file.tensors[1].shape = vec![2];
    refused(file.write(), &path, &["`indices1`", "[2]", "found 3"]);
    file.tensors[1] = file.tensors[0].clone();
    refused(file.write(), &path, &["`X1`", "twice"]);
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let (_directory, path) = scratch();
    let whole = written(&path);
    let contents = TensorFile::read(&path).unwrap();
    let key = b"checksum";
    let key = whole.windows(key.len()).position(|place| place == key);
    let key = key.unwrap()..key.unwrap() + "checksum".len();
    let data = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        match TensorFile::read(&path) {
            // What is not under the key any more is no checksum. The numbers are right.
            Ok(read) if key.contains(&at) => assert_eq!(read.tensors, contents.tensors),
            Ok(_) => panic!("byte {at} of {}", whole.len()),
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with(path.to_str().unwrap()), "{error}");
                // A changed header may be no header any more.
                let by_checksum = error.contains("checksum: expected ");
                assert!(at < data || by_checksum, "byte {at}: {error}");
            }
        }
    }

    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&path, &damaged).unwrap();
    let words = [
        "checksum: expected ",
        ", as its metadata say, found ",
        "is damaged",
    ];
    refused(read_network(&path), &path, &words);
}

#[test]
fn a_checksum_is_one_more_entry_of_plain_metadata() {
    let (_directory, path) = scratch();
    let whole = written(&path);
    let (_, header) = safetensors::SafeTensors::read_metadata(&whole).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let checksum = &metadata["checksum"];
    assert_eq!(checksum.len(), 8);
    assert!(
        !TensorFile::read(&path)
            .unwrap()
            .metadata
            .contains_key("checksum")
    );

    // As another program computes it.
    let at = whole
        .windows(8)
        .position(|place| place == checksum.as_bytes());
    let at = at.unwrap();
    let zeroed = [&whole[..at], b"00000000", &whole[at + 8..]].concat();
    assert_eq!(format!("{:08x}", crc32fast::hash(&zeroed)), *checksum);
}
