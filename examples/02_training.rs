//! A training in Rust: opens a device and data, trains a network, and writes it to a file.
//!
//! ```text
//! cargo run --release --example 02_training
//! ```
//!
//! The first line names the device and the reason why it was taken. The other lines, after a few
//! seconds on two cores (these are the CPU executor's; the last digits of a GPU differ):
//!
//! ```text
//! epoch 0: mean loss 0.0324
//! epoch 1: mean loss 0.0135
//! epoch 2: mean loss 0.0084
//! C has 128 weights
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use wgrad::nnue::data::{Chess768, Dataset, FeatureSet, Loader, LoaderSettings, Place};
use wgrad::nnue::{Architecture, Learner, Loss, ParameterName, Parameters, write_network};
use wgrad::{Device, Optimizer};

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}", device.reason());

    let data = Dataset::open(&[PathBuf::from("examples/data/chess_train.bin")])?;
    let architecture = Architecture::new(Chess768.inputs(), 64);
    let parameters = Parameters::initial(architecture, 1)?;
    let mut learner = Learner::new(&device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW)?;

    for epoch in 0..3 {
        let settings = LoaderSettings::default()
            .batch_size(4096)
            .seed(1)
            .start(Place::after(epoch, 0));
        let (mut sum, mut steps) = (0.0, 0.0);
        for batch in Loader::new(&data, Arc::new(Chess768), &settings, learner.needs())? {
            sum += learner.step(&batch?, 2e-3)?.wait()?;
            steps += 1.0;
        }
        println!("epoch {epoch}: mean loss {:.4}", sum / steps);
    }

    let trained = learner.parameters()?;
    let weights = trained.get(ParameterName::C).map_or(0, <[f32]>::len);
    println!("C has {weights} weights");
    write_network(
        &std::env::temp_dir().join("02_training.safetensors"),
        &trained,
        Default::default(),
    )
}
