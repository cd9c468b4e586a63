//! Checkpoints and results: equal bytes, reading them back, and states that are refused.

use crate::support::{
    architecture, changed, checkpoint, names, parameters, refused, replace, scratch, untied,
    written, zeros,
};
use std::fs;
use wgrad::files::safetensors::{Metadata, TensorData, TensorFile};
use wgrad::nnue::activation::Activation;
use wgrad::nnue::loss::Loss;
use wgrad::nnue::train::checkpoint::{Checkpoint, objective_of, write_result};
use wgrad::nnue::{read_network, write_network};
use wgrad::optim::{Optimizer, Sgd};

#[test]
fn equal_states_are_equal_bytes() {
    let (directory, path) = scratch();
    let first = written(&path);
    for copy in 0..32 {
        let path = directory.path().join(format!("copy {copy}"));
        assert!(written(&path) == first, "copy {copy} differs");
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
fn checkpoints_come_back() {
    let (_directory, path) = scratch();
    for tied in [false, true] {
        for activation in Activation::ALL {
            let mut state = checkpoint(architecture(tied, activation, 3, 1));
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
    state.settings.optimizer = Optimizer::Sgd(Sgd { momentum: 0.9 });
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
    let mut settings = state.settings.clone().lambda(0.3).scale(213.7);
    settings.loss.power = 2.5;
    let objective = settings.objective();
    write_result(&path, &state.parameters, &settings).unwrap();
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
        &["`training`", "loss, lambda and scale"],
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
        &["learning_rate", "above 0", "-1"],
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
