//! Evaluates the integer networks that [wgrad](https://docs.rs/wgrad) exports.
//!
//! The crate needs neither `std` nor another crate, only an allocator. An engine may depend on it,
//! or copy the folder `src` as a module of its own: the files refer to each other by `super` alone.
//!
//! A [`Network`] is read once. [`Accumulators`] belong to one position. An engine keeps them on the
//! stack of its search, updates a copy with the pieces of each move, and asks for the evaluation:
//!
//! ```
//! # fn start(bytes: &[u8]) -> Result<i32, wgrad_inference::Damage> {
//! use wgrad_inference::{Accumulators, Color, Network, Piece, pieces_of};
//!
//! let network = Network::from_bytes(bytes)?;
//! let board = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR";
//! let mut pieces: Vec<Piece> = pieces_of(board).collect();
//! let mut accumulators = Accumulators::new(&network, pieces.iter().copied());
//!
//! // 1. e4: a pawn leaves e2 (square 12) and appears on e4 (square 28).
//! let (before, after) = (Piece::new('P', 12).unwrap(), Piece::new('P', 28).unwrap());
//! pieces.retain(|&piece| piece != before);
//! pieces.push(after);
//! accumulators.update(&network, &[before], &[after], pieces.iter().copied());
//!
//! Ok(network.evaluate(&accumulators, Color::Black, pieces.len()))
//! # }
//! ```
//!
//! The arithmetic is that of the engines that load such networks, in the same integers: 16 bits in
//! the accumulators, 32 bits in sums, divisions that round towards 0 and shifts that round down.
//! [`Network::evaluate_checked`] computes the same and reports a number that its type cannot hold.

#![no_std]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

extern crate alloc;

mod accumulator;
mod board;
mod file;
mod head;
mod inputs;
mod network;
mod sums;
mod tail;

pub use accumulator::Accumulators;
pub use board::{Color, Kind, Piece, pieces_of};
pub use file::{Damage, MAGIC, VERSION};
pub use head::{
    Activation, FirstInputs, FloatTail, Head, IntegerTail, Layer, Layered, Plain, Square, Tail,
};
pub use inputs::Inputs;
pub use network::{Mismatch, Network};
pub use sums::Overflow;
