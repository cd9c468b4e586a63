//! From a trained network to the file of an engine, and back.
//!
//! A [`SaveFormat`] says as data how a network becomes bytes: the tensors in order, their types,
//! scales and axes. [`Quantized`] holds the numbers of such a file. From there
//!
//! - [`Quantized::to_bytes`] lays them out as the format says,
//! - [`Quantized::network`] makes the integer network that an engine evaluates,
//!   [`wgrad_inference::Network`],
//! - and [`Quantized::from_bytes`] reads a file of the format back.
//!
//! ```no_run
//! use wgrad::nnue::data::Encoding;
//! use wgrad::nnue::export::{Quantized, SaveFormat};
//! use wgrad::nnue::read_network;
//!
//! let path = "runs/train-1/net.safetensors".as_ref();
//! let (parameters, metadata) = read_network(path)?;
//! let encoding = Encoding::from_metadata(path, &metadata)?;
//! let format = SaveFormat::preset("bullet", parameters.architecture())?;
//! let quantized = Quantized::new(&format, &parameters, Some(&encoding))?;
//! std::fs::write("quantised.bin", quantized.to_bytes()?).unwrap();
//! # Ok::<(), wgrad::Error>(())
//! ```

mod axes;
mod bytes;
mod calibrate;
mod check_list;
mod choice;
mod compare;
mod entry;
mod evaluation;
mod evaluator;
mod format;
mod header;
mod inference;
mod integers;
mod merge;
mod model;
mod positions;
mod presets;
mod quantized;
mod requirements;
mod room;
mod weights;

pub use calibrate::Calibration;
pub use check_list::{CheckList, CheckRow};
pub use choice::FormatChoice;
pub use compare::{Difference, Pair, compare};
pub use entry::{Axis, Entry, Merge, Number, Rounding};
pub use evaluation::{Evaluation, TailKind};
pub use evaluator::{Contribution, Evaluator};
pub use format::{Container, Padding, SaveFormat};
pub use header::Header;
pub use model::IntegerModel;
pub use quantized::{Quantized, QuantizedTensor, Values};
pub use requirements::Requirements;
pub use room::Room;
pub use weights::read_bullet_weights;
