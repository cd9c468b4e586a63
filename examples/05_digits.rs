//! A network that reads handwritten digits, with batch normalization, cross-entropy and AdamW. It
//! prints the loss on the training set and on the validation set after each epoch.
//!
//! ```text
//! cargo run --release --example 05_digits
//! cargo run --release --example 05_digits -- --device cpu --seeds 20
//! ```
//!
//! The first line names the device and the reason why it was taken. The other lines, after a second
//! (these are the CPU executor's; the last digits of a GPU differ):
//!
//! ```text
//! 1438 images to train on, 359 to test with
//! epoch  1: training loss 1.5308, validation loss 1.6761
//! epoch  2: training loss 0.8267, validation loss 0.7209
//! epoch  3: training loss 0.5156, validation loss 0.4283
//! …
//! epoch 59: training loss 0.0064, validation loss 0.0525
//! epoch 60: training loss 0.0074, validation loss 0.0372
//! seed 1: accuracy 98.33%
//! curves in digits.svg
//! ```
//!
//! Twenty seeds on the CPU end with "mean 98.33%, standard deviation 0.44 per seed".

#[path = "support/curves.rs"]
mod curves;
#[path = "support/digits.rs"]
mod digits;

use clap::Parser;
use digits::{Digits, PIXELS};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use wgrad::nn::{self, Descent, Layer, Mlp, Mode, Nonlinearity, Sequential, cross_entropy_classes};
use wgrad::tensor::{Classes, Tensor, no_gradient};
use wgrad::{Device, Optimizer};

const EPOCHS: usize = 60;
const BATCH: usize = 64;
const CLASSES: usize = 10;

#[derive(Parser)]
struct Options {
    /// The device, as `wgrad --device` takes it
    #[arg(long, default_value = "auto")]
    device: String,
    /// The number of trainings
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The seed of the first training
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// The file for the last network, with the tensor names of PyTorch's `Sequential`
    #[arg(long)]
    save: Option<PathBuf>,
    /// Test the network in this file instead of training
    #[arg(long)]
    load: Option<PathBuf>,
    /// The picture of the first training's loss curves
    #[arg(long, default_value = "digits.svg")]
    picture: String,
}

/// The result of a training.
struct Run {
    training: Vec<f32>,
    validation: Vec<f32>,
    network: Sequential,
    accuracy: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let device = Device::open(Some(&options.device))?;
    println!("{}", device.reason());
    let [training, test] = Digits::load()?.split();
    println!(
        "{} images to train on, {} to test with",
        training.len(),
        test.len()
    );

    if let Some(path) = &options.load {
        let network = network(&device, 0)?;
        nn::read(&network, path)?;
        let accuracy = accuracy(&device, &network, &test)?;
        println!("{}: accuracy {:.2}%", path.display(), 100.0 * accuracy);
        return Ok(());
    }
    let mut accuracies = Vec::new();
    for seed in options.first..options.first + options.seeds {
        let run = train(&device, &training, &test, seed)?;
        if seed == options.first {
            let losses = run.training.iter().zip(&run.validation);
            for (epoch, (training, validation)) in (1..).zip(losses) {
                println!(
                    "epoch {epoch:>2}: training loss {training:.4}, validation loss {validation:.4}"
                );
            }
            let curves = [
                ("training", &run.training[..]),
                ("validation", &run.validation),
            ];
            curves::draw(&options.picture, "Cross-entropy on the digits", &curves)?;
        }
        println!("seed {seed}: accuracy {:.2}%", 100.0 * run.accuracy);
        accuracies.push(run.accuracy);
        if let Some(path) = &options.save {
            nn::write(&run.network, path)?;
        }
    }
    let count = accuracies.len() as f64;
    let mean = accuracies.iter().sum::<f64>() / count;
    if accuracies.len() > 1 {
        let squares = accuracies
            .iter()
            .map(|one| (one - mean).powi(2))
            .sum::<f64>();
        let deviation = (squares / (count - 1.0)).sqrt();
        println!(
            "mean {:.2}%, standard deviation {:.2} a seed",
            100.0 * mean,
            100.0 * deviation
        );
    }
    println!("curves in {}", options.picture);
    Ok(())
}

fn network(device: &Device, seed: u64) -> wgrad::Result<Sequential> {
    let sizes = [PIXELS, 128, 64, CLASSES];
    Mlp::new(&sizes, Nonlinearity::Relu)
        .batch_norm()
        .build(device, seed)
}

fn train(device: &Device, training: &Digits, test: &Digits, seed: u64) -> wgrad::Result<Run> {
    let network = network(device, seed)?;
    let mut descent = Descent::new(Optimizer::ADAMW, network.parameters())?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..training.len()).collect();
    let (mut training_losses, mut validation_losses) = (Vec::new(), Vec::new());
    for _ in 0..EPOCHS {
        order.shuffle(&mut random);
        // The losses stay on the device until the epoch is done, because reading one waits for it.
        let mut losses = Vec::new();
        for rows in order.chunks(BATCH) {
            let [x, loss] = loss_of(device, &network, training, rows, Mode::Training)?;
            descent.step(&loss.backward()?, 1e-3)?;
            losses.push((x.shape()[0], loss.detach()));
        }
        let mut sum = 0.0;
        for (samples, loss) in losses {
            sum += samples as f32 * loss.item()?;
        }
        training_losses.push(sum / training.len() as f32);
        let all: Vec<usize> = (0..test.len()).collect();
        let loss = no_gradient(|| loss_of(device, &network, test, &all, Mode::Evaluation));
        validation_losses.push(loss?[1].item()?);
    }
    Ok(Run {
        training: training_losses,
        validation: validation_losses,
        accuracy: accuracy(device, &network, test)?,
        network,
    })
}

/// The network's input and its loss on these rows.
fn loss_of(
    device: &Device,
    network: &Sequential,
    digits: &Digits,
    rows: &[usize],
    mode: Mode,
) -> wgrad::Result<[Tensor; 2]> {
    let x = Tensor::new(device, &digits.batch(rows), &[rows.len(), PIXELS])?;
    let classes = Classes::new(device, &digits.labels(rows), CLASSES)?;
    let loss = cross_entropy_classes(&network.forward(&x, mode)?, &classes)?;
    Ok([x, loss])
}

/// The share of images whose largest logit belongs to their label.
fn accuracy(device: &Device, network: &Sequential, digits: &Digits) -> wgrad::Result<f64> {
    let all: Vec<usize> = (0..digits.len()).collect();
    let x = Tensor::new(device, &digits.batch(&all), &[all.len(), PIXELS])?;
    let logits = no_gradient(|| network.forward(&x, Mode::Evaluation))?.to_vec()?;
    let right = logits
        .chunks(CLASSES)
        .zip(&digits.labels)
        .filter(|(logits, label)| {
            let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            best == Some(**label as usize)
        });
    Ok(right.count() as f64 / digits.len() as f64)
}
