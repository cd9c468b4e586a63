//! Network files: their documented form, reading them back, and damage to them.

use crate::support::{architecture, changed, parameters, refused, replace, scratch, untied, zeros};
use safetensors::{Dtype, SafeTensors};
use std::fs;
use wgrad::files::safetensors::{Metadata, TensorData, TensorFile};
use wgrad::nnue::activation::Activation;
use wgrad::nnue::file::network_file;
use wgrad::nnue::{ParameterName, Parameters, read_network, write_network};

#[test]
fn networks_come_back() {
    let (_directory, path) = scratch();
    for tied in [false, true] {
        for activation in Activation::ALL {
            for (hidden, buckets) in [(1, 1), (3, 1), (4, 3), (7, 3)] {
                let architecture = architecture(tied, activation, hidden, buckets);
                let written = parameters(architecture, -2.0);
                let extra = Metadata::from([("note".to_string(), "é \"quoted\"".to_string())]);
                write_network(&path, &written, extra).unwrap();
                let (read, metadata) = read_network(&path).unwrap();
                assert_eq!(read, written);
                assert_eq!(metadata["note"], "é \"quoted\"");
                assert_eq!(metadata["clip"], "0.7");
            }
        }
    }
}

#[test]
fn files_have_the_documented_form() {
    let (_directory, path) = scratch();
    let shape = architecture(false, Activation::SCRelu, 2, 1);
    let mut shape = shape;
    shape.inputs = 3;
    let mut written = Parameters::zeros(shape).unwrap();
    // On the device the K weights of a feature are contiguous: feature 0 has 1 and 2.
    written.values_mut()[0].copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    write_network(&path, &written, Metadata::new()).unwrap();

    let bytes = fs::read(&path).unwrap();
    let (header, layout) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    let metadata = layout.metadata().as_ref().unwrap();
    assert_eq!(metadata.len(), 4);
    assert_eq!(metadata["clip"], written.architecture().clip.to_string());
    assert_eq!(metadata["checksum"].len(), 8);
    assert_eq!(metadata["activation"], "screlu");
    assert_eq!(metadata["tied"], "false");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shapes = [
        ("A1", vec![2, 3]),
        ("A2", vec![2, 3]),
        ("B1", vec![2]),
        ("B2", vec![2]),
        ("C", vec![4]),
        ("d", vec![1]),
    ];
    assert_eq!(file.len(), shapes.len());
    assert_eq!(layout.offset_keys(), shapes.clone().map(|(name, _)| name));
    for (name, shape) in shapes {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(
            (tensor.dtype(), tensor.shape()),
            (Dtype::F32, shape.as_slice())
        );
    }
    let rows = file.tensor("A1").unwrap().data().as_chunks().0.to_vec();
    let rows: Vec<f32> = rows.into_iter().map(f32::from_le_bytes).collect();
    assert_eq!(rows, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    // The same by index: (feature 2, lane 0) on the device is (row 0, feature 2) in the file.
    assert_eq!(rows[2], written.get(ParameterName::A1).unwrap()[2 * 2]);

    let tied = architecture(true, Activation::CRelu, 2, 3);
    write_network(&path, &parameters(tied, 0.0), Metadata::new()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 4);
    assert_eq!(file.tensor("C").unwrap().shape(), [3, 4]);
    assert_eq!(file.tensor("d").unwrap().shape(), [3]);
}

#[test]
fn damaged_networks_are_refused() {
    let (_directory, path) = scratch();
    let written = parameters(untied(), 0.0);
    let file = network_file(&path, &written, Metadata::new()).unwrap();
    let check = |change: &dyn Fn(&mut TensorFile), words: &[&str]| {
        changed(&path, &file, change);
        refused(read_network(&path), &path, words);
    };
    let set = |key: &'static str, value: &'static str| {
        move |file: &mut TensorFile| {
            file.metadata.insert(key.into(), value.into());
        }
    };
    check(
        &set("activation", "gelu"),
        &["`activation`", "crelu, screlu or relu", "\"gelu\""],
    );
    check(
        &set("tied", "True"),
        &["`tied`", "true or false", "\"True\""],
    );
    check(&set("tied", "true"), &["`A2`", "none in a tied network"]);
    check(&set("clip", "high"), &["`clip`", "\"high\""]);
    for clip in ["0", "-1", "NaN", "inf"] {
        check(&set("clip", clip), &["clip (T)", "above 0"]);
    }
    for key in ["activation", "clip", "tied"] {
        let words = [&format!("`{key}`"), "found none"];
        check(&|file| drop(file.metadata.remove(key)), &words);
    }
    for name in ["A1", "A2", "B1", "B2", "C", "d"] {
        let words = [&format!("`{name}`"), "only ["];
        check(&|file| file.tensors.retain(|t| t.name != name), &words);
    }
    check(
        &|f| replace(f, "A1", &[15], zeros(15)),
        &["`A1`", "[K, N]", "[15]"],
    );
    check(
        &|f| replace(f, "A1", &[0, 5], zeros(0)),
        &["hidden (K)", "at least 1"],
    );
    check(
        &|f| replace(f, "A2", &[5, 3], zeros(15)),
        &["`A2`", "[3, 5]", "[5, 3]"],
    );
    check(
        &|f| replace(f, "B2", &[4], zeros(4)),
        &["`B2`", "[3]", "[4]"],
    );
    check(&|f| replace(f, "C", &[3], zeros(3)), &["`C`", "[6]", "[3]"]);
    check(
        &|f| replace(f, "C", &[2, 6], zeros(12)),
        &["`d`", "[2]", "[1]"],
    );
    let integers = TensorData::I32(vec![0; 3]);
    check(
        &|f| replace(f, "B1", &[3], integers.clone()),
        &["`B1`", "F32", "I32"],
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let spoil = |file: &mut TensorFile| {
            let mut values = vec![0.0; 15];
            (values[2 * 5 + 4], values[14]) = (bad, bad);
            replace(file, "A2", &[3, 5], TensorData::F32(values));
        };
        check(
            &spoil,
            &["`A2`, element [2, 4]", "finite", &bad.to_string()],
        );
    }
}

#[test]
fn relu_ignores_the_clip() {
    let (_directory, path) = scratch();
    let relu = architecture(false, Activation::Relu, 3, 1);
    let file = network_file(&path, &parameters(relu.clone(), 0.0), Metadata::new()).unwrap();
    for clip in [None, Some("none"), Some("NaN"), Some("-3")] {
        changed(&path, &file, |file| {
            file.metadata.remove("clip");
            file.metadata
                .extend(clip.map(|clip| ("clip".into(), clip.into())));
        });
        let (read, _) = read_network(&path).unwrap();
        assert_eq!(read.architecture().clip, 1.0);
        assert_eq!(read.values(), parameters(relu.clone(), 0.0).values());
    }
}
