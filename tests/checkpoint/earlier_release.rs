//! Files of release 0.1.0: they open, and a run of that release resumes.

use crate::support::changed;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use wgrad::Device;
use wgrad::files::safetensors::TensorFile;
use wgrad::nnue::read_network;
use wgrad::nnue::train::checkpoint::{Checkpoint, objective_of};
use wgrad::nnue::train::log::{self, Entry};
use wgrad::nnue::train::{Run, Settings, Trainer};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/release-0.1.0")
        .join(name)
}

const CHECKPOINT: &str = "checkpoints/step-00000020.safetensors";

#[test]
fn a_checkpoint_opens_with_its_settings() {
    let checkpoint = Checkpoint::read(&fixture(CHECKPOINT)).unwrap();
    let settings = &checkpoint.settings;
    assert_eq!((checkpoint.step, checkpoint.epoch), (20, 2));
    assert_eq!((settings.batch_size, settings.lambda), (100, 0.25));
    assert_eq!((settings.scale, settings.loss.power), (350.0, 2.5));
    assert_eq!((settings.shuffle_buffer, settings.seed), (500, 5));
    assert_eq!(settings.architecture.hidden, 4);

    let log = log::read(&fixture("log.jsonl")).unwrap();
    assert!(matches!(&log[0], Entry::Start { settings: found, .. } if found == settings));
    assert_eq!(log.len(), 23);
    let net = fixture("net.safetensors");
    let (_, metadata) = read_network(&net).unwrap();
    let objective = objective_of(&net, &metadata).unwrap().unwrap();
    assert_eq!(objective, settings.objective());
}

#[test]
fn settings_that_a_checkpoint_lacks_take_their_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let file = TensorFile::read(fixture(CHECKPOINT)).unwrap();
    let bytes = fs::read(fixture(CHECKPOINT)).unwrap();
    fs::write(&path, bytes).unwrap();
    let whole = Checkpoint::read(&path).unwrap().settings;
    let mut copy = TensorFile::new(&path, file.metadata);
    copy.tensors = file.tensors;
    changed(&path, &copy, |file| {
        let training = file.metadata.get_mut("training").unwrap();
        for lost in [
            r#","shuffle_buffer":500"#,
            r#""scale":350.0,"#,
            r#","buckets":1"#,
        ] {
            assert!(training.contains(lost), "{training}");
            *training = training.replace(lost, "");
        }
    });
    let found = Checkpoint::read(&path).unwrap().settings;
    let default = Settings::default();
    let expected = whole
        .scale(default.scale)
        .shuffle_buffer(default.shuffle_buffer);
    assert_eq!(found, expected);
}

#[test]
fn a_run_resumes_to_the_network_of_its_own_release() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("positions.bin");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/chess_train.bin");
    fs::write(&data, &fs::read(shipped).unwrap()[..32 * 1000]).unwrap();
    let out = folder.path().join("run");
    fs::create_dir_all(out.join("checkpoints")).unwrap();
    for name in ["run.json", "log.jsonl", CHECKPOINT] {
        fs::copy(fixture(name), out.join(name)).unwrap();
    }
    let run = Run::load(&out).unwrap();
    assert_eq!(run.data, [Path::new("/positions.bin")]);
    let run = run.data(vec![data]).validation(None);
    let mut trainer = Trainer::resume(&Device::cpu().unwrap(), &run).unwrap();
    let summary = trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!((summary.finished, summary.step), (true, 30));

    let (found, _) = read_network(&run.net()).unwrap();
    let (expected, _) = read_network(&fixture("net.safetensors")).unwrap();
    assert_eq!(found.architecture(), expected.architecture());
    let pairs = found.values().iter().zip(expected.values());
    for (found, expected) in pairs.flat_map(|(found, expected)| found.iter().zip(expected)) {
        // Another platform's exponential function may change the last bits.
        assert!((found - expected).abs() <= 1e-5, "{found} {expected}");
    }
}
