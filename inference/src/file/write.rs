//! Networks to bytes.

use super::super::alloc::vec::Vec;
use super::super::head::{Activation, FirstInputs, Head, Layer, Layered, Tail};
use super::super::network::Network;
use super::{ACTIVATIONS, ALIGNMENT, HEAD, MAGIC, VERSION, checksum};

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

fn number(activation: Activation) -> u32 {
    let place = ACTIVATIONS.iter().position(|&one| one == activation);
    place.unwrap_or(0) as u32
}
