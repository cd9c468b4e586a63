//! The two-perspective network's training step, forward and backward without an optimizer: its sparse half and its dense form.

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData, module};

use crate::{head, median, time, values};

const INPUTS: usize = 768;
const HIDDEN: usize = 256;

/// Prints the seconds of `repeat` runs of one perspective's accumulator, 2000 sums of 32 rows of an embedding, and of
/// the gradient of its weight; the sums and all of the last gradient are checked in f64. Of 2048 sums and more, past
/// 65,535 rows, the gradient of burn 0.22.1 is wrong.
pub fn embedding(device: &Device, name: &str, repeat: usize) -> Result<()> {
    let (batch, count) = (2000, 32);
    let lists = lists(batch, count);
    let indices = TensorData::new(lists.clone(), [batch, count]);
    let indices = Tensor::<2, Int>::from_data(indices, device);
    let range = Distribution::Uniform(-1.0, 1.0);
    let random = |rows| Tensor::<2>::random([rows, HIDDEN], range, device);
    let (weight, slope) = (random(INPUTS).require_grad(), random(batch));
    let mut last = None;
    let seconds = time(device, repeat, || {
        let rows = module::embedding(weight.clone(), indices.clone());
        let sums = rows.sum_dim(1).reshape([batch, HIDDEN]);
        // What comes from the layers above differs from element to element, as in a network.
        let loss = (sums * slope.clone()).sum();
        let gradient = weight.grad(&loss.backward());
        last = gradient.map(|gradient| (loss.inner(), gradient));
    })?;
    let (loss, gradient) = last.context("no gradient")?;
    let (weight, slope) = (values(weight.inner())?, values(slope.inner())?);
    let mut sums = vec![(0.0, 0.0); INPUTS * HIDDEN];
    for (at, feature) in lists.iter().enumerate() {
        let from = &slope[at / count * HIDDEN..][..HIDDEN];
        let into = &mut sums[*feature as usize * HIDDEN..][..HIDDEN];
        for ((sum, size), x) in into.iter_mut().zip(from) {
            *sum += f64::from(*x);
            *size += f64::from(x.abs());
        }
    }
    // The loss is linear in the weight: it is the product of the weight and its gradient.
    let (mut product, mut whole) = (0.0, 0.0);
    for ((at, (sum, size)), got) in sums.iter().enumerate().zip(values(gradient)?) {
        let right = (f64::from(got) - sum).abs() <= 1e-5 * size;
        ensure!(right, "embedding: gradient {at} is {got}, not {sum}");
        product += f64::from(weight[at]) * sum;
        whole += f64::from(weight[at].abs()) * size;
    }
    let loss: f32 = loss.into_scalar();
    let right = (f64::from(loss) - product).abs() <= 1e-5 * whole;
    ensure!(right, "embedding: the loss is {loss}, not {product}");
    let shape = format!("\"batch\":{batch},\"indices\":{count},\"perspectives\":1");
    print(&head(name, "embedding"), &shape, batch, &seconds);
    Ok(())
}

/// Distinct features of each sample, one list after the other: the beginnings of random permutations.
fn lists(batch: usize, count: usize) -> Vec<i32> {
    let mut features: Vec<i32> = (0..INPUTS as i32).collect();
    let (mut state, mut lists) = (1u64, Vec::new());
    for _ in 0..batch {
        for place in 0..count {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let other = place + (state >> 33) as usize % (INPUTS - place);
            features.swap(place, other);
        }
        lists.extend(&features[..count]);
    }
    lists
}

#[derive(Module, Debug)]
struct Perspectives {
    accumulators: [Linear; 2],
    output: Linear,
}

impl Perspectives {
    fn loss(&self, [own, other]: [Tensor<2>; 2], target: Tensor<2>) -> Tensor<1> {
        let own = self.accumulators[0].forward(own);
        let other = self.accumulators[1].forward(other);
        let z = Tensor::cat(vec![own, other], 1);
        let error = sigmoid(self.output.forward(z.clamp(0.0, 1.0))) - target;
        (error.clone() * error).mean()
    }
}

/// Prints the seconds of `repeat` forward and backward passes on one dense batch of 1024, (768 -> 256) x 2 -> 1 with CReLU.
pub fn dense(device: &Device, name: &str, repeat: usize) -> Result<()> {
    let batch = 1024;
    let linear = |from, to| LinearConfig::new(from, to).init(device);
    let accumulators = [linear(INPUTS, HIDDEN), linear(INPUTS, HIDDEN)];
    let network = Perspectives {
        accumulators,
        output: linear(2 * HIDDEN, 1),
    };
    let random = |columns, from| {
        Tensor::<2>::random([batch, columns], Distribution::Uniform(from, 1.0), device)
    };
    // Targets on one side, so that the loss can fall far enough along its gradient for the check below.
    let (x, target) = ([random(INPUTS, 0.0), random(INPUTS, 0.0)], random(1, 0.7));
    let mut last = None;
    let seconds = time(device, repeat, || {
        let loss = network.loss(x.clone(), target.clone());
        let gradients = loss.backward();
        last = Some((loss.inner(), gradients));
    })?;
    let (loss, gradients) = last.context("no step")?;
    let before: f32 = loss.into_scalar();

    // A short step against all gradients together must lower the loss by its length times their squared norm.
    let mut norm = 0.0;
    for layer in network.accumulators.iter().chain([&network.output]) {
        let bias = layer.bias.as_ref().context("no bias")?;
        norm += square(layer.weight.val().grad(&gradients))?;
        norm += square(bias.val().grad(&gradients))?;
    }
    let rate = 1e-3 * f64::from(before) / norm;
    let gradients = GradientsParams::from_grads(gradients, &network);
    let network = SgdConfig::new().init().step(rate, network, gradients);
    let after: f32 = network.loss(x, target).inner().into_scalar();
    let fall = f64::from(before - after) / (rate * norm);
    let right = (fall - 1.0).abs() < 0.02;
    ensure!(
        right,
        "dense: the loss fell by {fall} of what its gradient says"
    );
    let shape = format!("\"batch\":{batch},\"perspectives\":2");
    print(&head(name, "dense"), &shape, batch, &seconds);
    Ok(())
}

fn square<const D: usize>(gradient: Option<Tensor<D>>) -> Result<f64> {
    let gradient = gradient.context("no gradient")?;
    let sum: f32 = (gradient.clone() * gradient).sum().into_scalar();
    Ok(f64::from(sum))
}

fn print(head: &str, shape: &str, batch: usize, seconds: &[f64]) {
    let median = median(seconds);
    let rate = batch as f64 / median;
    let shape = format!("\"inputs\":{INPUTS},\"hidden\":{HIDDEN},{shape}");
    let times = format!("\"seconds\":{seconds:?},\"seconds_median\":{median:?}");
    println!("{{{head},{shape},{times},\"positions_per_second\":{rate:.1}}}");
}
