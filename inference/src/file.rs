//! Networks as bytes.
//!
//! All numbers are little-endian. A file has
//!
//! | bytes | contents |
//! | --- | --- |
//! | 0 to 7 | [`MAGIC`] |
//! | 8 to 11 | u32, [`VERSION`] |
//! | 12 to 15 | u32, the CRC-32 (as in zlib) of all bytes from 16 on |
//! | 16, 17 | u8 each: 1 for a mirrored board, 1 for merged kings, else 0 |
//! | 18 to 81 | u8 each: the king bucket of each square, a1, b1 to h8 |
//! | 82 to 114 | u8 each: the output bucket of each number of pieces, 0 to 32 |
//! | 115 | u8, the head: 0 plain, 1 layered |
//! | 116 to 127 | u32 K, i32 scale (centipawns), i32 QA |
//!
//! A plain head goes on with two u32: 0 for CReLU or 1 for SCReLU, and QB. A layered one goes on
//! with u32 numbers (i32 for Q): the first inputs (0 clipped, 1 squared, 2 pairwise) and their
//! shift (0 for clipped); the outputs and the activation of the first hidden layer; 1 with a skip
//! connection, else 0; the tail (0 float, 1 integer). A float tail has its factor as f32 next. An
//! integer tail has Q, the shift, and 1 if the bias is added first, else 0. Both have the number of
//! layers after the first one next, and the outputs and the activation of each of them. Activations
//! are 0 CReLU, 1 SCReLU, 2 ReLU, 3 dual with the square of the clipped value, 4 dual with the
//! clipped square.
//!
//! Then come the tensors, each at the next multiple of 64 bytes after zeros: the weights and the
//! biases of the accumulator in i16, and the weights and the biases of each layer. A plain head has
//! i16 weights and i32 biases. A layered head has i8 weights in its first layer; everything else in
//! it is f32 with a float tail and i32 with an integer tail. Shapes are those of the fields of
//! [`Network`] and [`Head`]. The file ends at a multiple of 64 bytes.

mod read;
mod write;

use super::head::{Activation, Square};
use super::network::Mismatch;
#[cfg(doc)]
use super::{Head, Network};

/// The first bytes of a file.
pub const MAGIC: &[u8; 8] = b"wgradnet";
/// The version of the format.
pub const VERSION: u32 = 1;
/// Tensors begin at multiples of this many bytes.
const ALIGNMENT: usize = 64;
/// The bytes before the part that the checksum covers.
const HEAD: usize = 16;

/// Why bytes are no network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The first bytes are not [`MAGIC`].
    Format,
    /// Another version than [`VERSION`].
    Version(u32),
    /// The bytes do not have the checksum that the file says.
    Checksum,
    /// The bytes end before the network does.
    Short,
    /// Bytes are left after the network.
    Long,
    /// Bytes other than zero between two tensors or after the last one.
    Padding,
    /// A field of this name has a value of no meaning.
    Field(&'static str, u32),
    /// Parts that do not fit together.
    Mismatch(Mismatch),
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Format => write!(f, "first bytes: expected \"wgradnet\", found others"),
            Self::Version(found) => write!(f, "version: expected {VERSION}, found {found}"),
            Self::Checksum => write!(f, "checksum: expected that of the contents, found another"),
            Self::Short => write!(
                f,
                "end: expected the whole network, found the end of the file"
            ),
            Self::Long => write!(f, "end: expected the end of the file, found more bytes"),
            Self::Padding => write!(f, "padding: expected zeros, found another byte"),
            Self::Field(field, found) => {
                write!(f, "{field}: expected a known value, found {found}")
            }
            Self::Mismatch(mismatch) => mismatch.fmt(f),
        }
    }
}

impl core::error::Error for Damage {}

impl From<Mismatch> for Damage {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// The activations in the order of their numbers.
const ACTIVATIONS: [Activation; 5] = [
    Activation::CRelu,
    Activation::SCRelu,
    Activation::Relu,
    Activation::Dual(Square::OfClipped),
    Activation::Dual(Square::Clipped),
];

/// CRC-32 with the polynomial of zlib.
fn checksum(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (byte, entry) in (0u32..).zip(&mut table) {
        *entry = (0..8).fold(byte, |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        });
    }
    let step = |crc: u32, byte: &u8| crc >> 8 ^ table[(crc as u8 ^ byte) as usize];
    !bytes.iter().fold(!0, step)
}
