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
//! A plain head goes on with two u32: 0 for CReLU or 1 for SCReLU, and QB. A layered one goes on with
//! u32 numbers (i32 for Q): the first inputs (0 clipped, 1 squared, 2 pairwise) and their shift; the
//! outputs and the activation of the first hidden layer; 1 with a skip connection, else 0; the tail
//! (0 float, 1 integer). A float tail has its factor as f32 next. An integer tail has Q, the shift,
//! and 1 if the bias is added first, else 0. Both have the number of layers after the first one next,
//! and the outputs and the activation of each of them. Activations are 0 CReLU, 1 SCReLU, 2 ReLU, 3
//! dual with the square of the clipped value, 4 dual with the clipped square.
//!
//! Then come the tensors, each at the next multiple of 64 bytes after zeros: the weights and the
//! biases of the accumulator in i16, and the weights and the biases of each layer. A plain head has
//! i16 weights and i32 biases. A layered head has i8 weights in its first layer; everything else in
//! it is f32 with a float tail and i32 with an integer tail. Shapes are those of the fields of
//! [`Network`] and [`Head`]. The file ends at a multiple of 64 bytes.

use super::alloc::vec::Vec;
use super::head::{
    Activation, FirstInputs, FloatTail, Head, IntegerTail, Layer, Layered, Plain, Square, Tail,
};
use super::inputs::Inputs;
use super::network::{Mismatch, Network};

/// The first bytes of a file.
pub const MAGIC: &[u8; 8] = b"wgradnet";
/// The version of the format.
pub const VERSION: u32 = 1;
/// Tensors begin at multiples of this many bytes.
const ALIGNMENT: usize = 64;
/// The bytes before the part that the checksum covers.
const HEAD: usize = 16;
/// The most layers after the first one. No count of a file is trusted beyond it.
const MOST_LAYERS: u32 = 16;

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

impl Network {
    /// The network as the bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        out.0.extend(MAGIC);
        out.u32(VERSION);
        out.u32(0);
        out.0.push(self.inputs.mirrored.into());
        out.0.push(self.inputs.merged_kings.into());
        out.0.extend(self.inputs.king_buckets);
        out.0.extend(self.output_buckets);
        out.0.push(matches!(self.head, Head::Layered(_)).into());
        out.u32(self.hidden() as u32);
        out.u32(self.scale as u32);
        match &self.head {
            Head::Plain(plain) => {
                out.u32(plain.qa as u32);
                out.u32(plain.squared.into());
                out.u32(plain.qb as u32);
                out.lanes(self);
                out.tensor(&plain.weights, |weight| weight.to_le_bytes());
                out.tensor(&plain.biases, |bias| bias.to_le_bytes());
            }
            Head::Layered(layered) => {
                out.u32(layered.qa as u32);
                out.layered(self, layered);
            }
        }
        out.align();
        let sum = checksum(&out.0[HEAD..]);
        out.0[HEAD - 4..HEAD].copy_from_slice(&sum.to_le_bytes());
        out.0
    }

    /// The network of a file's bytes.
    ///
    /// # Errors
    /// Bytes of another format or version, damaged bytes, and parts that do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        let mut from = Reader { bytes, at: 0 };
        if from.take(MAGIC.len()) != Ok(MAGIC) {
            return Err(Damage::Format);
        }
        match from.u32()? {
            VERSION => {}
            other => return Err(Damage::Version(other)),
        }
        if from.u32()? != checksum(&bytes[HEAD..]) {
            return Err(Damage::Checksum);
        }
        let mirrored = from.flag("mirrored")?;
        let merged_kings = from.flag("merged kings")?;
        let inputs = Inputs {
            mirrored,
            merged_kings,
            king_buckets: from.array()?,
        };
        let output_buckets = from.array()?;
        let is_layered = from.flag("head")?;
        let hidden = from.u32()? as usize;
        let scale = from.u32()? as i32;
        let qa = from.u32()? as i32;
        let buckets = usize::from(output_buckets.iter().copied().max().unwrap_or(0)) + 1;
        let (weights, biases, head) = if is_layered {
            from.layered(&inputs, hidden, buckets, qa)?
        } else {
            let squared = match from.u32()? {
                squared @ (0 | 1) => squared == 1,
                other => return Err(Damage::Field("activation", other)),
            };
            let qb = from.u32()? as i32;
            let (weights, biases) = from.lanes(&inputs, hidden)?;
            let plain = Plain {
                squared,
                qa,
                qb,
                weights: from.tensor(product(&[buckets, 2, hidden])?, i16::from_le_bytes)?,
                biases: from.tensor(buckets, i32::from_le_bytes)?,
            };
            (weights, biases, Head::Plain(plain))
        };
        from.align();
        match from.at >= bytes.len() {
            true => Ok(Self::new(
                inputs,
                weights,
                biases,
                output_buckets,
                scale,
                head,
            )?),
            false => Err(Damage::Long),
        }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn tensor<T: Copy, const N: usize>(&mut self, values: &[T], bytes: impl Fn(T) -> [u8; N]) {
        self.align();
        self.0.extend(values.iter().flat_map(|&value| bytes(value)));
    }

    fn lanes(&mut self, network: &Network) {
        self.tensor(&network.weights, i16::to_le_bytes);
        self.tensor(&network.biases, i16::to_le_bytes);
    }

    fn layered(&mut self, network: &Network, layered: &Layered) {
        let (inputs, shift) = match layered.inputs {
            FirstInputs::Clipped => (0, 0),
            FirstInputs::Squared { shift } => (1, shift),
            FirstInputs::Pairwise { shift } => (2, shift),
        };
        self.u32(inputs);
        self.u32(shift);
        self.u32(layered.outputs as u32);
        self.u32(number(layered.activation));
        self.u32(layered.skip.into());
        match &layered.tail {
            Tail::Float(tail) => {
                self.u32(0);
                self.u32(tail.factor.to_bits());
                let words = f32::to_le_bytes;
                self.tail(network, layered, &tail.biases, &tail.layers, words);
            }
            Tail::Integer(tail) => {
                self.u32(1);
                self.u32(tail.q as u32);
                self.u32(tail.shift);
                self.u32(tail.bias_first.into());
                let words = i32::to_le_bytes;
                self.tail(network, layered, &tail.biases, &tail.layers, words);
            }
        }
    }

    /// The sizes of the layers after the first one, and all tensors.
    fn tail<T: Copy>(
        &mut self,
        network: &Network,
        layered: &Layered,
        biases: &[T],
        layers: &[Layer<T>],
        bytes: impl Fn(T) -> [u8; 4] + Copy,
    ) {
        self.u32(layers.len() as u32);
        for layer in layers {
            self.u32(layer.outputs as u32);
            self.u32(number(layer.activation));
        }
        self.lanes(network);
        self.tensor(&layered.weights, i8::to_le_bytes);
        self.tensor(biases, bytes);
        for layer in layers {
            self.tensor(&layer.weights, bytes);
            self.tensor(&layer.biases, bytes);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let rest = self.bytes.get(self.at..).ok_or(Damage::Short)?;
        let taken = rest.get(..len).ok_or(Damage::Short)?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(bytes).map_err(|_| Damage::Short)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, Damage> {
        match self.array()? {
            [flag @ (0 | 1)] => Ok(flag == 1),
            [other] => Err(Damage::Field(name, other.into())),
        }
    }

    fn flag_u32(&mut self, name: &'static str) -> Result<bool, Damage> {
        match self.u32()? {
            flag @ (0 | 1) => Ok(flag == 1),
            other => Err(Damage::Field(name, other)),
        }
    }

    fn shift(&mut self) -> Result<u32, Damage> {
        match self.u32()? {
            shift @ 0..=31 => Ok(shift),
            other => Err(Damage::Field("shift", other)),
        }
    }

    fn activation(&mut self) -> Result<Activation, Damage> {
        let number = self.u32()?;
        let known = ACTIVATIONS.get(number as usize).copied();
        known.ok_or(Damage::Field("activation", number))
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(ALIGNMENT);
    }

    fn tensor<T, const N: usize>(
        &mut self,
        len: usize,
        value: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Damage> {
        self.align();
        let bytes = self.take(product(&[len, N])?)?;
        let (values, _) = bytes.as_chunks::<N>();
        Ok(values.iter().map(|&bytes| value(bytes)).collect())
    }

    fn lanes(&mut self, inputs: &Inputs, hidden: usize) -> Result<(Vec<i16>, Vec<i16>), Damage> {
        let len = product(&[inputs.count(), hidden])?;
        let weights = self.tensor(len, i16::from_le_bytes)?;
        Ok((weights, self.tensor(hidden, i16::from_le_bytes)?))
    }

    fn layered(
        &mut self,
        inputs: &Inputs,
        hidden: usize,
        buckets: usize,
        qa: i32,
    ) -> Result<(Vec<i16>, Vec<i16>, Head), Damage> {
        let kind = self.u32()?;
        let shift = self.shift()?;
        let first_inputs = match kind {
            0 => FirstInputs::Clipped,
            1 => FirstInputs::Squared { shift },
            2 => FirstInputs::Pairwise { shift },
            other => return Err(Damage::Field("first inputs", other)),
        };
        let width = match first_inputs {
            FirstInputs::Pairwise { .. } => hidden / 2 * 2,
            FirstInputs::Clipped | FirstInputs::Squared { .. } => product(&[2, hidden])?,
        };
        let first = Sizes {
            buckets,
            inputs: width,
            outputs: self.u32()? as usize,
            activation: self.activation()?,
            skip: self.flag_u32("skip connection")?,
        };
        let lanes;
        let (weights, tail) = if self.flag_u32("tail")? {
            let q = self.u32()? as i32;
            let shift = self.shift()?;
            let bias_first = self.flag_u32("bias before the shift")?;
            let weights;
            let (biases, layers);
            (lanes, weights, biases, layers) =
                self.tail(inputs, hidden, &first, i32::from_le_bytes)?;
            let tail = IntegerTail {
                q,
                shift,
                bias_first,
                biases,
                layers,
            };
            (weights, Tail::Integer(tail))
        } else {
            let factor = f32::from_bits(self.u32()?);
            let weights;
            let (biases, layers);
            (lanes, weights, biases, layers) =
                self.tail(inputs, hidden, &first, f32::from_le_bytes)?;
            let tail = FloatTail {
                factor,
                biases,
                layers,
            };
            (weights, Tail::Float(tail))
        };
        let layered = Layered {
            qa,
            inputs: first_inputs,
            weights,
            outputs: first.outputs,
            activation: first.activation,
            skip: first.skip,
            tail,
        };
        Ok((lanes.0, lanes.1, Head::Layered(layered)))
    }

    /// The sizes of the layers after the first one, and all tensors: those of the accumulator, the
    /// weights and biases of the first layer, and the layers after it.
    fn tail<T>(
        &mut self,
        inputs: &Inputs,
        hidden: usize,
        first: &Sizes,
        value: impl Fn([u8; 4]) -> T + Copy,
    ) -> Result<Tensors<T>, Damage> {
        let count = match self.u32()? {
            count @ 1..=MOST_LAYERS => count,
            other => return Err(Damage::Field("layers", other)),
        };
        let sizes = (0..count).map(|_| Ok((self.u32()? as usize, self.activation()?)));
        let sizes: Vec<_> = sizes.collect::<Result<_, Damage>>()?;
        let lanes = self.lanes(inputs, hidden)?;
        let first_outputs = product(&[first.buckets, first.outputs])?;
        let weights = self.tensor(product(&[first_outputs, first.inputs])?, i8::from_le_bytes)?;
        let biases = self.tensor(first_outputs, value)?;
        let skipped = product(&[first.outputs, first.activation.outputs()])?;
        let (mut inputs, mut layers) = (skipped, Vec::new());
        for (index, &(outputs, activation)) in sizes.iter().enumerate() {
            if first.skip && index + 1 == sizes.len() {
                inputs = inputs.checked_add(skipped).ok_or(Damage::Short)?;
            }
            let biases = product(&[first.buckets, outputs])?;
            layers.push(Layer {
                weights: self.tensor(product(&[biases, inputs])?, value)?,
                biases: self.tensor(biases, value)?,
                outputs,
                activation,
            });
            inputs = product(&[outputs, activation.outputs()])?;
        }
        Ok((lanes, weights, biases, layers))
    }
}

/// The sizes of the first layer.
struct Sizes {
    buckets: usize,
    inputs: usize,
    outputs: usize,
    activation: Activation,
    skip: bool,
}

/// The weights and biases of the accumulator, those of the first layer, and the layers after it.
type Tensors<T> = ((Vec<i16>, Vec<i16>), Vec<i8>, Vec<T>, Vec<Layer<T>>);

/// The activations in the order of their numbers.
const ACTIVATIONS: [Activation; 5] = [
    Activation::CRelu,
    Activation::SCRelu,
    Activation::Relu,
    Activation::Dual(Square::OfClipped),
    Activation::Dual(Square::Clipped),
];

fn number(activation: Activation) -> u32 {
    let place = ACTIVATIONS.iter().position(|&one| one == activation);
    place.unwrap_or(0) as u32
}

/// The product of sizes of a file. A product past the address space is past the end of any file.
fn product(sizes: &[usize]) -> Result<usize, Damage> {
    let product = sizes
        .iter()
        .try_fold(1usize, |all, &size| all.checked_mul(size));
    product.ok_or(Damage::Short)
}

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
