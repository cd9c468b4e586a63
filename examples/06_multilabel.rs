//! Several answers per image: whether a handwritten digit is even, whether it is at least 5, and
//! whether it has a closed loop. The network has one sigmoid per answer, binary cross-entropy from
//! logits, and dropout, and it is written to a file.
//!
//! ```text
//! cargo run --release --example 06_multilabel
//! ```
//!
//! The first line names the device and the reason why it was taken. The other lines (these are the
//! CPU executor's; the last digits of a GPU differ):
//!
//! ```text
//! loss on 359 images: 0.0896
//! even         96.4% right
//! at least 5   96.1% right
//! closed loop  98.1% right
//! ```

#[path = "support/digits.rs"]
mod digits;

use digits::{Digits, PIXELS};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use wgrad::nn::{self, Descent, Initial, Layer, Mlp, Mode, Nonlinearity, binary_cross_entropy};
use wgrad::optim::schedule::Schedule;
use wgrad::tensor::{Tensor, no_gradient};
use wgrad::{Device, Optimizer};

const ANSWERS: [&str; 3] = ["even", "at least 5", "closed loop"];
const EPOCHS: u64 = 30;
const BATCH: usize = 64;

/// The answers for a label, 1 for yes.
fn answers(label: u32) -> [f32; 3] {
    let loops = [0, 6, 8, 9].contains(&label);
    [label.is_multiple_of(2), label >= 5, loops].map(|yes| f32::from(u8::from(yes)))
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}", device.reason());
    let [training, test] = Digits::load()?.split();
    let tensors = |digits: &Digits, rows: &[usize]| {
        let labels = digits.labels(rows).into_iter();
        let targets: Vec<f32> = labels.flat_map(answers).collect();
        let images = digits.batch(rows);
        let x = Tensor::new(&device, &images, &[rows.len(), PIXELS])?;
        Ok::<_, wgrad::Error>((
            x,
            Tensor::new(&device, &targets, &[rows.len(), ANSWERS.len()])?,
        ))
    };

    let network = Mlp::new(&[PIXELS, 64, ANSWERS.len()], Nonlinearity::Relu)
        .initial(Initial::KaimingNormal)
        .dropout(0.1)
        .build(&device, 1)?;
    let mut descent = Descent::new(Optimizer::ADAMW, network.parameters())?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut order: Vec<usize> = (0..training.len()).collect();
    let total = EPOCHS * order.len().div_ceil(BATCH) as u64;
    for _ in 0..EPOCHS {
        order.shuffle(&mut random);
        for rows in order.chunks(BATCH) {
            let (x, targets) = tensors(&training, rows)?;
            let loss = binary_cross_entropy(&network.forward(&x, Mode::Training)?, &targets)?;
            let mut gradients = loss.backward()?;
            nn::clip_by_norm(&mut gradients, descent.parameters(), 1.0)?;
            let step = descent.steps() + 1;
            descent.step(&gradients, Schedule::COSINE.at_step(5e-3, step, total))?;
        }
    }

    let all: Vec<usize> = (0..test.len()).collect();
    let (x, targets) = tensors(&test, &all)?;
    let logits = no_gradient(|| network.forward(&x, Mode::Evaluation))?;
    let loss = binary_cross_entropy(&logits, &targets)?.item()?;
    println!("loss on {} images: {loss:.4}", test.len());
    let (logits, targets) = (logits.to_vec()?, targets.to_vec()?);
    for (answer, name) in ANSWERS.iter().enumerate() {
        // σ(x) is above ½ exactly if x is above 0.
        let right = (answer..logits.len())
            .step_by(ANSWERS.len())
            .filter(|&place| (logits[place] > 0.0) == (targets[place] == 1.0));
        let share = right.count() as f64 / test.len() as f64;
        println!("{name:<12} {:.1}% right", 100.0 * share);
    }
    Ok(())
}
