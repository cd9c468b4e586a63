//! The data layer: records, text, features, the loader's order, and the text of every error.

#[cfg(feature = "binpack-gpl-3")]
mod binpack;
mod builder;
mod chess_inputs;
mod errors;
mod features;
mod filter;
mod forms;
mod games;
mod loader;
mod output_buckets;
mod packed;
mod places;
mod records;
mod scores;
mod sparse;
mod split;
mod support;
