//! wgrad trains neural networks on any GPU, with hand-written WGSL kernels through wgpu on Vulkan,
//! Metal and DX12, and on the CPU.
//!
//! # NNUE
//!
//! [`nnue`] trains the network with which chess engines evaluate positions: two accumulators over
//! sparse inputs, an activation, and one output.
//!
//! ```no_run
//! use std::sync::Arc;
//! use wgrad::nnue::data::{Chess768, Dataset, FeatureSet, Loader, LoaderSettings};
//! use wgrad::nnue::{Activation, Architecture, Learner, Loss, Parameters, write_network};
//! use wgrad::{Device, Optimizer};
//!
//! let device = Device::auto()?;
//! let network = Architecture::new(Chess768.inputs(), 256).activation(Activation::SCRelu);
//! let start = Parameters::initial(network, 1)?;
//! let mut learner = Learner::new(&device, &start, Loss::SIGMOID_MSE, Optimizer::ADAMW)?;
//!
//! let data = Dataset::open(&["positions.bin".into()])?;
//! let settings = LoaderSettings::default().epochs(3);
//! for batch in Loader::new(&data, Arc::new(Chess768), &settings, learner.needs())? {
//!     let loss = learner.step(&batch?, 2e-3)?;
//!     println!("{}", loss.wait()?);
//! }
//! write_network("net.safetensors".as_ref(), &learner.parameters()?, Default::default())?;
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! [`nnue::train`] adds validation, checkpoints and a log, as the program `wgrad train` does.
//!
//! # Tensors
//!
//! Every other network is built from a [`Tensor`]. You write the forward pass, and
//! [`backward`](Tensor::backward) computes the gradients.
//!
//! ```
//! use wgrad::nn::{Descent, Layer, Mlp, Mode, Nonlinearity, mse};
//! use wgrad::{Device, Optimizer, Tensor};
//!
//! let device = Device::cpu()?;
//! let network = Mlp::new(&[2, 16, 1], Nonlinearity::Tanh).build(&device, 1)?;
//! let mut descent = Descent::new(Optimizer::ADAMW, network.parameters())?;
//! let x = Tensor::new(&device, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[4, 2])?;
//! let exclusive_or = Tensor::new(&device, &[0.0, 1.0, 1.0, 0.0], &[4, 1])?;
//! for _ in 0..200 {
//!     let loss = mse(&network.forward(&x, Mode::Training)?, &exclusive_or)?;
//!     descent.step(&loss.backward()?, 0.05)?;
//! }
//! let y = network.forward(&x, Mode::Evaluation)?;
//! assert!(mse(&y, &exclusive_or)?.item()? < 0.01);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! # Modules
//!
//! Each module uses only the modules below it in this list:
//!
//! - [`verify`]: checks of every kernel and operation against an f64 reference
//! - [`nnue`]: the two-perspective network, its data and its training
//! - [`nn`]: layers, losses and an optimizer for tensors
//! - [`optim`]: optimizers and schedules of the learning rate
//! - [`tensor`]: tensors with gradients
//! - [`engine`]: devices, and the kernels that run on them
//! - [`files`], [`error`]: files and errors

#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

#[cfg(all(target_arch = "wasm32", not(feature = "web")))]
compile_error!("a build for browsers needs the feature `web`");

// `uniform!` names the crate in an attribute, where `$crate` is not allowed.
extern crate self as wgrad;

pub mod engine;
pub mod error;
pub mod files;
pub mod nn;
pub mod nnue;
pub mod optim;
#[doc(hidden)]
pub mod panics;
mod setters;
pub mod tensor;
pub mod verify;

pub use engine::device::Device;
pub use error::{Error, Fault, Result};
pub use optim::Optimizer;
pub(crate) use setters::setters;
pub use tensor::Tensor;

/// The examples of the README, which `cargo test` compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
