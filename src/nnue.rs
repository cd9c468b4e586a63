//! The two-perspective network of chess engines, NNUE: two accumulators, an activation, one output.
//!
//! ```text
//! Z[p] = A_p·X_p + B_p      H = activation(Z1 ‖ Z2)      Y = C·H + d
//! ```
//!
//! [`Learner`] trains a network on a device; [`Network`] computes outputs and gradients. Both take
//! a [`Batch`] of index lists or matrices, which need not come from chess. [`data`] makes batches
//! from files of chess positions, and [`train`] is the whole training that `wgrad train` runs.
//!
//! ```no_run
//! use std::sync::Arc;
//! use wgrad::nnue::data::{Chess768, Dataset, FeatureSet, Loader, LoaderSettings};
//! use wgrad::nnue::{Architecture, Learner, Loss, Parameters, write_network};
//! use wgrad::{Device, Optimizer};
//!
//! let device = Device::auto()?;
//! let architecture = Architecture::new(Chess768.inputs(), 128);
//! let parameters = Parameters::initial(architecture, 1)?;
//! let mut learner = Learner::new(&device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW)?;
//!
//! let data = Dataset::open(&["examples/data/chess_train.bin".into()])?;
//! let settings = LoaderSettings::default().epochs(3);
//! for batch in Loader::new(&data, Arc::new(Chess768), &settings, learner.needs())? {
//!     let loss = learner.step(&batch?, 2e-3)?;
//!     println!("{}", loss.wait()?);
//! }
//! write_network("net.safetensors".as_ref(), &learner.parameters()?, Default::default())?;
//! # Ok::<(), wgrad::Error>(())
//! ```

pub mod activation;
mod architecture;
mod batch;
pub mod data;
pub mod export;
pub mod file;
mod finite;
mod gradient_error;
mod groups;
mod head;
mod initial;
#[doc(hidden)]
pub mod kernels;
mod layout;
mod learner;
pub mod loss;
mod model;
mod names;
mod needs;
mod network;
mod order;
mod parameters;
mod penalty;
mod pending;
mod quantization;
pub mod ranks;
mod records;
mod slices;
mod step;
pub mod train;
pub mod tuning;
mod upstream;

pub use crate::tensor::lists::{PADDING, SparseInputs, Transpose};
pub use activation::Activation;
pub use architecture::{Architecture, ParameterName, TensorSpec};
#[doc(hidden)]
pub use batch::random_lists;
pub use batch::{Batch, Inputs};
pub use file::{read_network, write_network};
pub use finite::PendingCheck;
pub use gradient_error::gradient_error;
#[doc(hidden)]
pub use gradient_error::gradient_error_of;
pub use groups::ParameterGroups;
pub use head::{HeadActivation, HiddenLayer};
pub use initial::Initial;
pub use learner::{Learner, ShardedLearner};
pub use loss::{Link, Loss, WinRate};
pub use model::{Model, Trainable};
pub use needs::Needs;
#[doc(hidden)]
pub use network::GradientValues;
pub use network::{Network, NetworkGradients};
pub use parameters::Parameters;
pub use pending::PendingLoss;
pub use quantization::FakeQuantization;
pub use tuning::{Tiles, Tuning};
pub use upstream::Upstream;
