//! Network files, checkpoints and their directory: the bytes, the way back, and every kind of damage.

use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use wgrad::activation::Activation;
use wgrad::atomic::write_atomically;
use wgrad::interchange::{Metadata, TensorData, TensorFile};
use wgrad::loss::Loss;
use wgrad::optim::Optimizer;
use wgrad::perspective::{Architecture, Parameters, read_network, write_network};
use wgrad::train::checkpoint::{Checkpoint, Checkpoints, objective_of, write_result};
use wgrad::train::settings::Settings;

fn architecture(tied: bool, activation: Activation, hidden: usize, buckets: usize) -> Architecture {
    Architecture {
        tied,
        activation,
        clip: 0.7,
        buckets,
        ..Architecture::new(5, hidden)
    }
}

fn untied() -> Architecture {
    architecture(false, Activation::CRelu, 3, 1)
}

/// Parameters whose values all differ: `first`, then each 1/64 more.
fn parameters(architecture: Architecture, first: f32) -> Parameters {
    let mut parameters = Parameters::zeros(architecture).unwrap();
    let mut next = first;
    for value in parameters.values_mut().iter_mut().flatten() {
        (*value, next) = (next, next + 1.0 / 64.0);
    }
    parameters
}

/// Step 7 of a training with 3 steps an epoch.
fn checkpoint(architecture: Architecture) -> Checkpoint {
    Checkpoint {
        settings: Settings {
            architecture,
            batch: 4,
            ..Settings::new(5)
        },
        step: 7,
        epoch: 2,
        batch: 1,
        data: "00ff".into(),
        positions: 10,
        parameters: parameters(architecture, -1.0),
        moments: vec![parameters(architecture, 3.0), parameters(architecture, 9.0)],
        running_loss: Some(0.1 + 0.2),
    }
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net.safetensors");
    (directory, path)
}

/// The error's text, which must name the file and hold every one of `words`.
#[track_caller]
fn refused<T>(result: wgrad::Result<T>, path: &Path, words: &[&str]) {
    let Err(error) = result else {
        panic!("nothing was refused; expected {words:?}");
    };
    let text = error.to_string();
    for word in words.iter().chain([&path.to_str().unwrap()]) {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

/// Writes `file` as it stands after `change`.
fn changed(path: &Path, file: &TensorFile, change: impl FnOnce(&mut TensorFile)) {
    let mut file = file.clone();
    change(&mut file);
    file.write().unwrap();
    assert!(path.exists());
}

fn replace(file: &mut TensorFile, name: &str, shape: &[usize], data: TensorData) {
    let tensor = file.tensors.iter_mut().find(|t| t.name == name).unwrap();
    (tensor.shape, tensor.data) = (shape.to_vec(), data);
}

fn zeros(count: usize) -> TensorData {
    TensorData::F32(vec![0.0; count])
}

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
    let shape = Architecture { inputs: 3, ..shape };
    let mut written = Parameters::zeros(shape).unwrap();
    // On the device a feature's K weights are contiguous: feature 0 has 1 and 2.
    written.values_mut()[0].copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    write_network(&path, &written, Metadata::new()).unwrap();

    let bytes = fs::read(&path).unwrap();
    let (header, layout) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    let metadata = layout.metadata().as_ref().unwrap();
    assert_eq!(metadata.len(), 3);
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
    // The same by index: (feature 2, row 0) on the device is (row 0, feature 2) in the file.
    assert_eq!(rows[2], written.get("A1").unwrap()[2 * 2]);

    let tied = architecture(true, Activation::CRelu, 2, 3);
    write_network(&path, &parameters(tied, 0.0), Metadata::new()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 4);
    assert_eq!(file.tensor("C").unwrap().shape(), [3, 4]);
    assert_eq!(file.tensor("d").unwrap().shape(), [3]);
}

#[test]
fn equal_states_are_equal_bytes() {
    let (directory, path) = scratch();
    let state = checkpoint(untied());
    state.write(&path).unwrap();
    let first = fs::read(&path).unwrap();
    for copy in 0..32 {
        let path = directory.path().join(format!("copy {copy}"));
        checkpoint(untied()).write(&path).unwrap();
        assert!(fs::read(&path).unwrap() == first, "copy {copy} differs");
        Checkpoint::read(&path).unwrap().write(&path).unwrap();
        assert!(
            fs::read(&path).unwrap() == first,
            "what was read back differs"
        );
    }
    let text = String::from_utf8_lossy(&first);
    let places = [
        "A1\"",
        "A1.m",
        "A1.v",
        "d.v",
        "__metadata__",
        "activation",
        "clip",
        "training",
    ];
    let places = places.map(|key| text.find(key).unwrap());
    assert!(places[0] < places[1] && places[1] < places[2]);
    assert!(places[4] < places[5] && places[5] < places[6] && places[6] < places[7]);
    assert!(
        text.contains(r#"\"step\":7,\"epoch\":2,\"batch\":1,\"data\":\"00ff\",\"positions\":10"#)
    );
}

#[test]
fn damaged_networks_are_refused() {
    let (_directory, path) = scratch();
    let written = parameters(untied(), 0.0);
    let file = TensorFile::network(&path, &written, Metadata::new());
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
    let file = TensorFile::network(&path, &parameters(relu, 0.0), Metadata::new());
    for clip in [None, Some("none"), Some("NaN"), Some("-3")] {
        changed(&path, &file, |file| {
            file.metadata.remove("clip");
            file.metadata
                .extend(clip.map(|clip| ("clip".into(), clip.into())));
        });
        let (read, _) = read_network(&path).unwrap();
        assert_eq!(read.architecture().clip, 1.0);
        assert_eq!(read.values(), parameters(relu, 0.0).values());
    }
}

#[test]
fn foreign_and_cut_files_are_refused() {
    let (directory, path) = scratch();
    checkpoint(untied()).write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
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
    refused(read_network(&path), &path, &["`A1`", "F32 or I32", "F16"]);
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
    ] {
        let name = name.to_string();
        file.tensors
            .push(wgrad::interchange::Tensor { name, shape, data });
    }
    file.write().unwrap();
    let read = TensorFile::read(&path).unwrap();
    assert_eq!(read.integers("indices1", &[1, 3]).unwrap(), [4, -1, 7]);
    assert_eq!(read.floats("X1", &[2, 2]).unwrap()[..2], [1.0, 2.0]);
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
fn checkpoints_come_back() {
    let (_directory, path) = scratch();
    for tied in [false, true] {
        for activation in Activation::ALL {
            let mut state = checkpoint(architecture(tied, activation, 3, 3));
            for loss in [
                None,
                Some(0.1 + 0.2),
                Some(1.0 / 3.0),
                Some(5e-324),
                Some(f64::MAX),
            ] {
                state.running_loss = loss;
                state.settings.seed = u64::MAX;
                state.write(&path).unwrap();
                assert_eq!(Checkpoint::read(&path).unwrap(), state);
            }
            assert_eq!(
                read_network(&path).unwrap().0.values(),
                state.parameters.values()
            );
        }
    }
    let mut state = checkpoint(untied());
    state.settings.optimizer = Optimizer::Sgd { momentum: 0.9 };
    state.settings.loss = Loss::MSE;
    state.moments.truncate(1);
    state.write(&path).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap(), state);
    assert!(
        TensorFile::read(&path)
            .unwrap()
            .tensor("A1.velocity")
            .is_ok()
    );
}

#[test]
fn results_say_what_they_were_trained_for() {
    let (_directory, path) = scratch();
    let state = checkpoint(untied());
    let mut objective = state.settings.objective();
    (objective.wdl, objective.scale, objective.loss.power) = (0.3, 213.7, 2.5);
    write_result(&path, &state.parameters, objective).unwrap();
    let (read, metadata) = read_network(&path).unwrap();
    assert_eq!(read, state.parameters);
    assert_eq!(objective_of(&path, &metadata).unwrap(), Some(objective));
    refused(
        Checkpoint::read(&path),
        &path,
        &["`training`", "missing field"],
    );

    state.write(&path).unwrap();
    let (_, metadata) = read_network(&path).unwrap();
    assert_eq!(
        objective_of(&path, &metadata).unwrap(),
        Some(state.settings.objective())
    );

    write_network(&path, &state.parameters, Metadata::new()).unwrap();
    let (_, mut metadata) = read_network(&path).unwrap();
    assert_eq!(objective_of(&path, &metadata).unwrap(), None);
    refused(
        Checkpoint::read(&path),
        &path,
        &["`training`", "found none"],
    );
    metadata.insert("training".into(), "by hand".into());
    refused(
        objective_of(&path, &metadata),
        &path,
        &["`training`", "loss, wdl and scale"],
    );
}

#[test]
fn damaged_checkpoints_are_refused() {
    let (_directory, path) = scratch();
    checkpoint(untied()).write(&path).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let check = |change: &dyn Fn(&mut TensorFile), words: &[&str]| {
        changed(&path, &file, change);
        refused(Checkpoint::read(&path), &path, words);
    };
    let edit = |from: &'static str, to: &'static str| {
        move |file: &mut TensorFile| {
            let training = file.metadata.get_mut("training").unwrap();
            assert!(training.contains(from), "{training}");
            *training = training.replacen(from, to, 1);
        }
    };
    for name in ["A1.m", "A2.v", "d.m"] {
        let words = [&format!("`{name}`"), "it in the file"];
        check(&|file| file.tensors.retain(|t| t.name != name), &words);
    }
    check(
        &edit(r#""hidden":3"#, r#""hidden":4"#),
        &["architecture", "hidden: 4", "hidden: 3"],
    );
    check(
        &edit(r#""clip":0.7"#, r#""clip":0.8"#),
        &["architecture", "0.8", "0.7"],
    );
    check(
        &edit(r#""tied":false"#, r#""tied":true"#),
        &["architecture", "as its own settings say"],
    );
    check(
        &|f| replace(f, "B1.m", &[4], zeros(4)),
        &["`B1.m`", "[3]", "[4]"],
    );
    let bad = TensorData::F32(vec![0.0, f32::NAN, 0.0]);
    check(
        &|f| replace(f, "B1", &[3], bad.clone()),
        &["`B1`, element [1]", "NaN"],
    );
    check(
        &|f| replace(f, "B2.v", &[3], bad.clone()),
        &["`B2.v`, element [1]", "NaN"],
    );
    check(
        &edit(r#""step":7"#, r#""step":8"#),
        &["epoch and batch", "step 8", "2 and 1"],
    );
    check(
        &edit(r#""epochs":20"#, r#""epochs":2"#),
        &["step", "at most 6", "found 7"],
    );
    check(
        &edit(r#""positions":10"#, r#""positions":0"#),
        &["positions", "at least 1"],
    );
    check(
        &edit(r#""learning_rate":0.002"#, r#""learning_rate":-1"#),
        &["lr", "above 0", "-1"],
    );
    check(
        &edit("0.30000000000000004", "NaN"),
        &["running_loss", "finite"],
    );
    check(
        &edit("0.30000000000000004", "small"),
        &["running_loss", "\"small\""],
    );
    check(
        &edit(r#""step":7"#, r#""step":-7"#),
        &["`training`", "state of a training", "-7"],
    );
}

#[test]
fn states_that_would_not_read_back_are_not_written() {
    let (directory, path) = scratch();
    let good = checkpoint(untied());
    good.write(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let spoil: [fn(&mut Checkpoint); 7] = [
        |c| c.parameters.values_mut()[0][3] = f32::NAN,
        |c| c.moments[1].values_mut()[5][0] = f32::INFINITY,
        |c| c.moments.truncate(1),
        |c| c.moments[0] = parameters(architecture(true, Activation::CRelu, 3, 1), 0.0),
        |c| c.settings.learning_rate = f32::NAN,
        |c| c.batch = 2,
        |c| c.running_loss = Some(f64::NAN),
    ];
    for (count, spoil) in spoil.into_iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(bad.write(&path).is_err(), "case {count}");
        assert!(fs::read(&path).unwrap() == before, "case {count}");
    }
    assert_eq!(names(directory.path()), ["net.safetensors"]);
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn the_latest_checkpoint_is_found() {
    let (directory, _) = scratch();
    let checkpoints = Checkpoints::new(directory.path());
    assert_eq!(checkpoints.list().unwrap(), []);
    assert!(checkpoints.latest().unwrap().is_none());
    checkpoints.create().unwrap();
    assert!(checkpoints.latest().unwrap().is_none());
    let at = |step| {
        let mut state = checkpoint(untied());
        (state.step, state.epoch, state.batch) = (step, step / 3, step % 3);
        state.settings.epochs = u64::MAX;
        state
    };
    for step in [99_999_999, 0, 100_000_000, 4] {
        let path = checkpoints.save(&at(step)).unwrap();
        assert_eq!(path, checkpoints.path(step));
    }
    for other in [
        "step-7.safetensors",
        "step-+0000007.safetensors",
        ".unfinished-x",
        "step-99999999999",
    ] {
        fs::write(checkpoints.directory().join(other), "not one").unwrap();
    }
    let steps: Vec<_> = checkpoints
        .list()
        .unwrap()
        .into_iter()
        .map(|(step, _)| step)
        .collect();
    assert_eq!(steps, [0, 4, 99_999_999, 100_000_000]);
    assert!(
        checkpoints
            .path(4)
            .ends_with("checkpoints/step-00000004.safetensors")
    );
    let (path, state) = checkpoints.latest().unwrap().unwrap();
    assert_eq!(
        (path, state),
        (checkpoints.path(100_000_000), at(100_000_000))
    );

    let newest = checkpoints.path(100_000_000);
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(checkpoints.path(99_999_999), "").unwrap();
    let good = checkpoints.path(4);
    let words = [
        "cut short",
        "the newest that reads well is",
        good.to_str().unwrap(),
    ];
    refused(checkpoints.latest(), &newest, &words);
    fs::remove_file(good).unwrap();
    fs::remove_file(checkpoints.path(0)).unwrap();
    refused(
        checkpoints.latest(),
        &newest,
        &["no other checkpoint there reads well"],
    );
}

#[test]
fn a_failed_write_leaves_what_was_there() {
    let (directory, path) = scratch();
    checkpoint(untied()).write(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let full = write_atomically(&path, |out| {
        out.write_all(&[1; 100_000])?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    refused(full, &path, &["could not write", "no storage space"]);
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(names(directory.path()), ["net.safetensors"]);

    let occupied = directory.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("inside"), "").unwrap();
    refused(
        checkpoint(untied()).write(&occupied),
        &occupied,
        &["could not write"],
    );
    assert_eq!(names(directory.path()), ["net.safetensors", "occupied"]);
    assert_eq!(names(&occupied), ["inside"]);

    let inside_a_file = path.join("net.safetensors");
    refused(
        checkpoint(untied()).write(&inside_a_file),
        &inside_a_file,
        &["could not write"],
    );

    let checkpoints = Checkpoints::new(directory.path());
    checkpoints.create().unwrap();
    checkpoints.save(&checkpoint(untied())).unwrap();
    fs::remove_dir_all(checkpoints.directory()).unwrap();
    refused(
        checkpoints.save(&checkpoint(untied())),
        &checkpoints.path(7),
        &["could not write"],
    );
    refused(
        Checkpoints::new(&path).create(),
        &path,
        &["could not create"],
    );
}

#[cfg(unix)]
#[test]
fn written_files_are_files_like_any_other() {
    use std::os::unix::fs::MetadataExt;
    let (directory, path) = scratch();
    checkpoint(untied()).write(&path).unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[cfg(unix)]
#[test]
fn a_directory_that_is_not_writable_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = scratch();
    checkpoint(untied()).write(&path).unwrap();
    let before = fs::read(&path).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    let result = checkpoint(architecture(true, Activation::CRelu, 3, 1)).write(&path);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    // The system's administrator may write there all the same.
    if result.is_err() {
        refused(result, &path, &["could not write", "ermission denied"]);
        assert!(fs::read(&path).unwrap() == before);
    }
    #[cfg(target_os = "linux")]
    {
        let path = Path::new("/proc/net.safetensors");
        refused(checkpoint(untied()).write(path), path, &["could not write"]);
    }
}
