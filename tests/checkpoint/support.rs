//! States to write, changes to their files, and the words of a refusal.

use std::fs;
use std::path::{Path, PathBuf};
use wgrad::files::safetensors::{TensorData, TensorFile};
use wgrad::nnue::activation::Activation;
use wgrad::nnue::train::Settings;
use wgrad::nnue::train::checkpoint::Checkpoint;
use wgrad::nnue::{Architecture, Parameters};

pub fn architecture(
    tied: bool,
    activation: Activation,
    hidden: usize,
    buckets: usize,
) -> Architecture {
    let mut architecture = Architecture::new(5, hidden);
    architecture.tied = tied;
    architecture
        .activation(activation)
        .clip(0.7)
        .buckets(buckets)
}

pub fn untied() -> Architecture {
    architecture(false, Activation::CRelu, 3, 1)
}

/// Parameters whose values all differ: `first`, then 1/64 more each.
pub fn parameters(architecture: Architecture, first: f32) -> Parameters {
    let mut parameters = Parameters::zeros(architecture).unwrap();
    let mut next = first;
    for value in parameters.values_mut().into_iter().flatten() {
        (*value, next) = (next, next + 1.0 / 64.0);
    }
    parameters
}

/// Step 7 of a training with 3 steps per epoch.
pub fn checkpoint(architecture: Architecture) -> Checkpoint {
    let settings = Settings::new(5)
        .architecture(architecture.clone())
        .batch_size(4);
    let [first, second, third] = [-1.0, 3.0, 9.0].map(|x| parameters(architecture.clone(), x));
    let mut state = Checkpoint::new(settings, "00ff".into(), 10, first).unwrap();
    (state.step, state.epoch, state.batch) = (7, 2, 1);
    state.moments = vec![second, third];
    state.running_loss = Some(0.1 + 0.2);
    state
}

/// Writes a checkpoint of an untied network and returns its bytes.
pub fn written(path: &Path) -> Vec<u8> {
    checkpoint(untied()).write(path).unwrap();
    fs::read(path).unwrap()
}

pub fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net.safetensors");
    (directory, path)
}

/// The error's text, which must name the file and contain all of `words`.
#[track_caller]
pub fn refused<T>(result: wgrad::Result<T>, path: &Path, words: &[&str]) {
    let Err(error) = result else {
        panic!("nothing was refused; expected {words:?}");
    };
    let text = error.to_string();
    for word in words.iter().chain([&path.to_str().unwrap()]) {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

/// Writes `file` with a change.
pub fn changed(path: &Path, file: &TensorFile, change: impl FnOnce(&mut TensorFile)) {
    let mut file = file.clone();
    change(&mut file);
    file.write().unwrap();
    assert!(path.exists());
}

pub fn replace(file: &mut TensorFile, name: &str, shape: &[usize], data: TensorData) {
    let tensor = file.tensors.iter_mut().find(|t| t.name == name).unwrap();
    (tensor.shape, tensor.data) = (shape.to_vec(), data);
}

pub fn zeros(count: usize) -> TensorData {
    TensorData::F32(vec![0.0; count])
}

pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
