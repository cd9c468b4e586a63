//! Chess positions: from files to batches.
//!
//! A [`Dataset`] is a list of files, bulletformat or text, in a fixed order. A [`Loader`] reads it
//! epoch by epoch. One thread reads and shuffles records. Other threads check each record
//! ([`Position`]), list its features ([`FeatureSet`]) and compute its target ([`Target`]). The
//! order of the batches depends only on the seed and the epoch.

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

pub use chess768::Chess768;
pub use dataset::Dataset;
pub use features::{FeatureSet, Perspective};
pub use loader::{Loader, LoaderSettings};
pub use maker::LoadedBatch;
pub use record::{Piece, Position};
pub use target::Target;
