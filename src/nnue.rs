//! The two-perspective network (section 1): two accumulators, an activation, one output.
//!
//! ```text
//! Z[p] = A_p·X_p + B_p      H = activation(Z1 ‖ Z2)      Y = C·H + d
//! ```
//!
//! [`Network`] holds the parameters on a device and computes outputs and gradients; [`Learner`] adds an optimiser. Both
//! go through the step in `step`, which is the only place that knows which kernels a pass is made of.

pub mod activation;
mod architecture;
pub mod batch;
pub mod data;
mod file;
pub mod kernels;
mod layout;
mod learner;
pub mod loss;
mod network;
mod parameters;
mod pending;
mod slices;
mod step;
pub mod train;
mod upstream;
mod witness;

pub use crate::nnue::activation::Activation;
pub use crate::nnue::loss::{Link, Loss};
pub use architecture::{Architecture, TensorSpec};
pub use file::{read_network, write_network};
pub use learner::{Learner, ParameterGroups};
pub use network::{Gradients, Network};
pub use parameters::Parameters;
pub use pending::PendingLoss;
pub use upstream::Upstream;
pub use witness::gradient_error;
