//! Times tensor operations on one device: matrix products, and a training step of a perceptron with
//! batch normalization.
//!
//! ```text
//! cargo bench -p benches --bench tensors -- --device cpu matmul 256 512 1024
//! cargo bench -p benches --bench tensors -- --device vulkan:llvmpipe mlp
//! ```
//!
//! Each line is one JSON object with the seconds of every repetition. `benches/peers/tensors.py`
//! and `benches/peers/burn` do the same work in other frameworks.

use clap::{Parser, Subcommand};
use std::num::NonZeroUsize;
use std::time::Instant;
use wgrad::engine::device::Device;
use wgrad::nn::{Descent, Layer, Mlp, Mode, Nonlinearity, cross_entropy_classes};
use wgrad::optim::Optimizer;
use wgrad::tensor::{Classes, Tensor};

#[derive(Parser)]
struct Options {
    /// The device, in the form that `wgrad --device` takes
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads of the CPU executor, 0 for one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Timed repetitions, after a warm-up
    #[arg(long, default_value_t = 9)]
    repeat: usize,
    /// Passed by `cargo bench` to every bench
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    work: Option<Work>,
}

#[derive(Subcommand)]
enum Work {
    /// Products of square matrices of these sizes
    Matmul { sizes: Vec<usize> },
    /// Training steps of a perceptron: forward, loss, gradients, AdamW
    Mlp {
        /// Sizes from the input to the output
        #[arg(long, value_delimiter = ',', default_value = "64,128,64,10")]
        sizes: Vec<usize>,
        /// Samples in a batch
        #[arg(long, default_value_t = 64)]
        batch: usize,
    },
}

fn main() -> wgrad::Result<()> {
    let options = Options::parse();
    let device =
        Device::open_with_threads(Some(&options.device), NonZeroUsize::new(options.threads))?;
    match &options.work {
        Some(Work::Matmul { sizes }) => matmul(&device, sizes, options.repeat),
        Some(Work::Mlp { sizes, batch }) => mlp(&device, sizes, *batch, options.repeat),
        None => {
            matmul(&device, &[256, 512, 1024], options.repeat)?;
            mlp(&device, &[64, 128, 64, 10], 64, options.repeat)
        }
    }
}

/// Numbers from −1 to 1.
fn numbers(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + 13) % 2003) as f32 / 1001.0 - 1.0)
        .collect()
}

/// The seconds of each repetition of `work`, which ends when the device is done.
fn times(
    device: &Device,
    repeat: usize,
    mut work: impl FnMut() -> wgrad::Result<()>,
) -> wgrad::Result<Vec<f64>> {
    let mut timed = || {
        let start = Instant::now();
        work()?;
        device.finish()?;
        Ok(start.elapsed().as_secs_f64())
    };
    for _ in 0..3 {
        timed()?;
    }
    (0..repeat).map(|_| timed()).collect()
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn matmul(device: &Device, sizes: &[usize], repeat: usize) -> wgrad::Result<()> {
    for &n in sizes {
        let a = Tensor::new(device, &numbers(n * n), &[n, n])?;
        let b = Tensor::new(device, &numbers(n * n), &[n, n])?
            .t()?
            .contiguous()?;
        let seconds = times(device, repeat, || a.matmul(&b).map(drop))?;
        let line = serde_json::json!({
            "framework": "wgrad", "device": device.name(), "op": "matmul", "n": n,
            "gflops_median": 2e-9 * (n as f64).powi(3) / median(&seconds), "seconds": seconds,
        });
        println!("{line}");
    }
    Ok(())
}

fn mlp(device: &Device, sizes: &[usize], batch: usize, repeat: usize) -> wgrad::Result<()> {
    let network = Mlp::new(sizes, Nonlinearity::Relu)
        .batch_norm()
        .build(device, 1)?;
    let mut descent = Descent::new(Optimizer::ADAMW, network.parameters())?;
    let outputs = sizes[sizes.len() - 1];
    let x = Tensor::new(device, &numbers(batch * sizes[0]), &[batch, sizes[0]])?;
    let labels: Vec<u32> = (0..batch).map(|row| (row % outputs) as u32).collect();
    let classes = Classes::new(device, &labels, outputs)?;
    let seconds = times(device, repeat, || {
        let logits = network.forward(&x, Mode::Training)?;
        let gradients = cross_entropy_classes(&logits, &classes)?.backward()?;
        descent.step(&gradients, 1e-3)
    })?;
    let line = serde_json::json!({
        "framework": "wgrad", "device": device.name(), "op": "mlp", "sizes": sizes, "batch": batch,
        "seconds_median": median(&seconds), "seconds": seconds,
    });
    println!("{line}");
    Ok(())
}
