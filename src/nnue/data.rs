//! From files of chess positions to batches: records on disk → [`Loader`] → [`Batch`]. Knows no device.
//!
//! A [`Dataset`] is a list of files, bulletformat or text, in the order given. A [`Loader`] streams
//! epochs of it: a reader thread takes records from the files and shuffles them, worker threads check each
//! record ([`Position`]), list its features ([`FeatureSet`]) and its target ([`Target`]), and the batches
//! come out in an order that depends on the seed and the epoch alone.

mod chess768;
mod dataset;
mod features;
mod format;
mod loader;
mod maker;
mod pool;
mod record;
mod shuffle;
mod target;
mod text;
mod turns;

pub use crate::nnue::batch::{Batch, Inputs};
pub use crate::tensor::lists::{PADDING, SparseInputs};
pub use chess768::Chess768;
pub use dataset::Dataset;
pub use features::{FeatureSet, Perspective};
pub use loader::{Loader, LoaderSettings};
pub use maker::LoadedBatch;
pub use record::{Fault, Piece, Position};
pub use target::Target;
