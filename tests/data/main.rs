//! The data layer: records, text, features, the loader's order, and the text of every error.

mod errors;
mod features;
mod loader;
mod records;
mod sparse;
mod support;
