//! Save formats: the bytes of files, reading them back, the integer network, and bad input.

mod bytes;
mod difference;
mod errors;
mod forms;
mod headers;
mod import;
mod kings;
mod model;
mod presets;
mod support;
mod weights;
