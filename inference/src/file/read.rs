//! Bytes to networks.

use super::super::alloc::vec::Vec;
use super::super::head::{
    Activation, FirstInputs, FloatTail, Head, IntegerTail, Layer, Layered, Plain, Tail,
};
use super::super::inputs::Inputs;
use super::super::network::Network;
use super::{ACTIVATIONS, ALIGNMENT, Damage, HEAD, MAGIC, VERSION, checksum};

/// The most layers after the first one. No count of a file is trusted beyond it.
const MOST_LAYERS: u32 = 16;

impl Network {
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
        from.align()?;
        match from.at == bytes.len() {
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

    /// The zeros up to the next tensor. Other bytes would be lost when the network is written.
    fn align(&mut self) -> Result<(), Damage> {
        let zeros = self.take(self.at.next_multiple_of(ALIGNMENT) - self.at)?;
        match zeros.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(Damage::Padding),
        }
    }

    fn tensor<T, const N: usize>(
        &mut self,
        len: usize,
        value: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Damage> {
        self.align()?;
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
        let first_inputs = match (kind, shift) {
            (0, 0) => FirstInputs::Clipped,
            (0, _) => return Err(Damage::Field("shift", shift)),
            (1, _) => FirstInputs::Squared { shift },
            (2, _) => FirstInputs::Pairwise { shift },
            (other, _) => return Err(Damage::Field("first inputs", other)),
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

/// The product of sizes of a file. A product past the address space is past the end of any file.
fn product(sizes: &[usize]) -> Result<usize, Damage> {
    let product = sizes
        .iter()
        .try_fold(1usize, |all, &size| all.checked_mul(size));
    product.ok_or(Damage::Short)
}
