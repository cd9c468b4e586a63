//! Times burn 0.22.1 on one Vulkan adapter, in f32: square products of two random matrices, and a training step (forward,
//! cross-entropy, backward, AdamW) of an MLP 64-128-64-10 with batch norm and ReLU on one batch of 64. For `step.py`: the sum
//! of 32 rows of an embedding of 768 x 256 for each of 4096 samples, with the gradient of its weight, and forward and
//! backward of (768 -> 256) x 2 -> 1 on a dense batch of 1024.
//!
//! On are what `burn` with its feature `wgpu` has by default: autotune, fusion, and WGSL as the language of the kernels
//! (SPIR-V is burn's feature `vulkan`). Off is its default `persistence`, a database that keeps autotune's choices on the
//! disk; here each run makes them anew in 10 runs that warm up, untimed. cubecl turns subgroups off on a CPU's adapter.
//! A time is that from the call until burn's `sync`; reading one value back instead gives the same.
//! Before timing, all of a product of 96 x 96 is held against f64, and after it 96 or so rows of each timed size;
//! the MLP's loss must fall; the embedding is held against f64, and the loss of the dense step must fall along its gradient
//! by what the gradient says. If not: exit status 1.
//!
//! From the root of the repository (the first build takes some 20 minutes of one core):
//!
//!     cargo run --release --manifest-path benches/peers/burn/Cargo.toml -- matmul 256 512 1024
//!     cargo run --release --manifest-path benches/peers/burn/Cargo.toml -- mlp
//!     cargo run --release --manifest-path benches/peers/burn/Cargo.toml -- embedding
//!     cargo run --release --manifest-path benches/peers/burn/Cargo.toml -- dense
//!
//! `--repeat N` is the number of timed runs (9), `--adapter WORD` a part of the adapter's name (llvmpipe, which is
//! Debian's `mesa-vulkan-drivers`). The Vulkan loader finds its drivers by itself; `VK_ICD_FILENAMES=FILE.json` narrows
//! them to one, which is needed where two are software, as burn opens only the first. Lines about XDG_RUNTIME_DIR are the driver's.
//!
//! Output on llvmpipe (Mesa 22.3.6) with 2 cores of an AMD EPYC, nothing else running, each list cut to 3 of its 9:
//!
//!     adapter: llvmpipe (LLVM 15.0.6, 256 bits)
//!     {"framework":"burn 0.22.1","adapter":"llvmpipe (LLVM 15.0.6, 256 bits)","op":"matmul","n":256,"seconds":[0.003422564, 0.003404967, 0.003468592, ...],"gflops_median":9.744}
//!     {"framework":"burn 0.22.1","adapter":"llvmpipe (LLVM 15.0.6, 256 bits)","op":"matmul","n":512,"seconds":[0.019990051, 0.020101226, 0.020915306, ...],"gflops_median":13.179}
//!     {"framework":"burn 0.22.1","adapter":"llvmpipe (LLVM 15.0.6, 256 bits)","op":"matmul","n":1024,"seconds":[0.163422773, 0.163457715, 0.161135085, ...],"gflops_median":13.138}
//!     {"framework":"burn 0.22.1","adapter":"llvmpipe (LLVM 15.0.6, 256 bits)","op":"mlp","batch":64,"seconds":[0.023830426, 0.01687211, 0.015969549, ...],"seconds_median":0.016004261}
//!
//! Medians of three such runs each: 9.7 to 10.0, 12.0 to 13.4 and 12.5 to 13.1 GFLOP/s; the MLP 12 to 20 ms a step. With
//! another program on the cores the products fell to a half or a third, and a step took up to 84 ms.

mod step;

use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor, activation::relu};

const USAGE: &str = "usage: burn-peer matmul N... | mlp | embedding | dense, with [--repeat 9] [--adapter llvmpipe]";
const WARM_UP: usize = 10;
const BATCH: usize = 64;

fn main() -> Result<()> {
    let (mut op, mut sizes, mut repeat) = (None, Vec::new(), 9);
    let mut adapter = "llvmpipe".to_string();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--repeat" => repeat = arguments.next().context(USAGE)?.parse().context(USAGE)?,
            "--adapter" => adapter = arguments.next().context(USAGE)?,
            "matmul" | "mlp" | "embedding" | "dense" if op.is_none() => op = Some(argument),
            size => sizes.push(size.parse::<NonZeroUsize>().context(USAGE)?.get()),
        }
    }
    let op = op.context(USAGE)?;
    ensure!(repeat > 0 && sizes.is_empty() == (op != "matmul"), USAGE);

    let (device, name) = open(&adapter)?;
    eprintln!("adapter: {name}");
    device.seed(1);
    match op.as_str() {
        "mlp" => return mlp(&device.autodiff(), &name, repeat),
        "embedding" => return step::embedding(&device.autodiff(), &name, repeat),
        "dense" => return step::dense(&device.autodiff(), &name, repeat),
        _ => {}
    }
    matmul(&device, 96, 1)?;
    for n in sizes {
        let seconds = matmul(&device, n, repeat)?;
        let gflops = 2.0 * (n as f64).powi(3) / median(&seconds) / 1e9;
        let head = head(&name, &op);
        println!("{{{head},\"n\":{n},\"seconds\":{seconds:?},\"gflops_median\":{gflops:.3}}}");
    }
    Ok(())
}

/// burn's own device on the first Vulkan adapter whose name contains `word`, and that adapter's name.
///
/// burn numbers the adapters of each kind by themselves and knows one CPU; hence the name is checked again.
fn open(word: &str) -> Result<(Device, String)> {
    let descriptor = wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    let adapters: Vec<_> = adapters.iter().map(|adapter| adapter.get_info()).collect();
    let matches = |name: &str| name.to_lowercase().contains(&word.to_lowercase());
    let Some(at) = adapters.iter().position(|adapter| matches(&adapter.name)) else {
        let names: Vec<_> = adapters.iter().map(|adapter| &adapter.name).collect();
        bail!("no Vulkan adapter has {word:?} in its name, of {names:?}");
    };
    let kind = adapters[at].device_type;
    let same = |adapter: &&wgpu::AdapterInfo| adapter.device_type == kind;
    let index = adapters[..at].iter().filter(same).count();
    let kind = match kind {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(index),
        wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(index),
        wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(index),
        wgpu::DeviceType::Cpu => DeviceKind::Cpu,
        wgpu::DeviceType::Other => bail!("burn cannot name {:?}", adapters[at].name),
    };
    let options = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan);
    let (device, setup) = options.device_kind(kind).init_with_setup()?;
    let name = setup.adapter.get_info().name;
    ensure!(matches(&name), "burn opened {name:?} in its place");
    Ok((device, name))
}

/// Seconds of `repeat` products of two random n x n matrices, the last of which is checked in f64.
fn matmul(device: &Device, n: usize, repeat: usize) -> Result<Vec<f64>> {
    let random = || Tensor::<2>::random([n, n], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (random(), random());
    let mut c = None;
    let seconds = time(device, repeat, || c = Some(a.clone().matmul(b.clone())))?;
    let (a, b, c) = (values(a)?, values(b)?, values(c.context("no product")?)?);
    // Every row of a small product, 96 or so of a large one.
    for row in (0..n).step_by(n.div_ceil(96)) {
        for column in 0..n {
            let terms = (0..n).map(|k| f64::from(a[row * n + k]) * f64::from(b[k * n + column]));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, t), x| (s + x, t + x.abs()));
            let got = f64::from(c[row * n + column]);
            let right = (got - sum).abs() <= 1e-6 * size;
            ensure!(right, "matmul {n}: ({row}, {column}) is {got}, not {sum}");
        }
    }
    Ok(seconds)
}

fn values(tensor: Tensor<2>) -> Result<Vec<f32>> {
    Ok(tensor.try_into_data()?.try_into_vec()?)
}

#[derive(Module, Debug)]
struct Mlp {
    dense: [Linear; 3],
    norm: [BatchNorm; 2],
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = relu(self.norm[0].forward(self.dense[0].forward(x)));
        let x = relu(self.norm[1].forward(self.dense[1].forward(x)));
        self.dense[2].forward(x)
    }
}

/// Prints the seconds of `repeat` training steps on one random batch, whose loss must fall.
fn mlp(device: &Device, name: &str, repeat: usize) -> Result<()> {
    let dense = [(64, 128), (128, 64), (64, 10)];
    let dense = dense.map(|(from, to)| LinearConfig::new(from, to).init(device));
    let norm = [128, 64].map(|width| BatchNormConfig::new(width).init(device));
    let x = Tensor::<2>::random([BATCH, 64], Distribution::Normal(0.0, 1.0), device);
    let labels: Vec<i32> = (0..BATCH as i32).map(|row| row % 10).collect();
    let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), device);
    let criterion = CrossEntropyLossConfig::new().init(device);
    let mut optimizer = AdamWConfig::new().init();
    let (mut model, mut losses) = (Some(Mlp { dense, norm }), Vec::new());
    let seconds = time(device, repeat, || {
        let Some(network) = model.take() else { return };
        let loss = criterion.forward(network.forward(x.clone()), labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        model = Some(optimizer.step(1e-3, network, gradients));
        losses.push(loss.inner());
    })?;
    let losses: Vec<f32> = losses.into_iter().map(Tensor::into_scalar).collect();
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    ensure!(last < first, "the loss went from {first} to {last}");
    eprintln!("loss: {first} at step 1, {last} at step {}", losses.len());
    let (head, median) = (head(name, "mlp"), median(&seconds));
    println!("{{{head},\"batch\":{BATCH},\"seconds\":{seconds:?},\"seconds_median\":{median:?}}}");
    Ok(())
}

/// Seconds of `repeat` runs of `work`, each until the device is idle, after those that warm it up.
fn time(device: &Device, repeat: usize, mut work: impl FnMut()) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..WARM_UP + repeat {
        let start = Instant::now();
        work();
        device.sync()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    eprintln!("warm-up: {:.1} s", seconds[..WARM_UP].iter().sum::<f64>());
    Ok(seconds.split_off(WARM_UP))
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// The keys that every line of JSON begins with.
fn head(adapter: &str, op: &str) -> String {
    format!("\"framework\":\"burn 0.22.1\",\"adapter\":{adapter:?},\"op\":{op:?}")
}
