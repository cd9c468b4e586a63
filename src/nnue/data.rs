//! Chess positions: from files to batches.
//!
//! A [`Dataset`] is a list of files, bulletformat, marlinformat or text, in a fixed order. A
//! [`Loader`] reads it epoch by epoch. One thread reads and shuffles records. Other threads check
//! each record ([`Position`]), list its features ([`FeatureSet`]) and compute its target
//! ([`Target`]) and its output bucket ([`OutputBuckets`]). The order of the batches depends only on
//! the seed and the epoch. [`ChessInputs`] chooses a feature set by its name.
//!
//! For another game or another reader, a [`BatchBuilder`] makes batches from the caller's
//! positions.

mod attacks;
#[cfg(feature = "binpack-gpl-3")]
mod binpack;
#[cfg(feature = "binpack-gpl-3")]
mod binpack_chunk;
mod buckets;
mod builder;
mod chess768;
mod chess_inputs;
mod codes;
mod convert;
mod dataset;
mod draft;
mod encoding;
mod features;
mod fen;
mod filter;
mod folder;
mod foreign;
mod format;
mod game_starts;
mod games;
mod judge;
mod king_buckets;
mod line;
mod loader;
mod maker;
mod marlin;
mod output_buckets;
mod packed;
mod past;
mod place;
mod played;
mod pool;
mod positions;
mod record;
mod replay;
mod shards;
mod shuffle;
mod shuffle_file;
mod sieve;
mod source;
mod split;
mod target;
mod text;
mod turns;
mod without;

pub use builder::BatchBuilder;
pub use chess_inputs::ChessInputs;
pub use chess768::Chess768;
pub use convert::{OutputFormat, convert};
pub use dataset::{Dataset, Estimate};
pub use encoding::Encoding;
pub use features::{FeatureSet, Perspective};
pub use filter::Filter;
pub use judge::{Judge, Judgement};
pub use king_buckets::KingBuckets;
pub use line::Side;
pub use loader::{Loader, LoaderSettings};
pub use maker::LoadedBatch;
pub use output_buckets::OutputBuckets;
pub use past::Past;
pub use place::{Place, Spot};
pub use positions::Positions;
pub use record::{Piece, Position};
pub use shards::Shards;
pub use shuffle_file::shuffle_to_file;
pub use sieve::{BadRecords, Dropped};
pub use split::split;
pub use target::Target;
