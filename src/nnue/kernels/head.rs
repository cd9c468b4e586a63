//! The layers of a head as the kernels read them: sizes, activations and places in the head buffer.
//!
//! The head buffer holds B of each accumulator, then W of every layer, `[buckets, outputs, inputs]`,
//! then c of every layer, `[buckets, outputs]`. A head without hidden layers has one layer: its W
//! is C and its c is d.

use crate::nnue::architecture::Architecture;
use crate::nnue::head::{HeadActivation, Number};
use crate::nnue::layout::HeadLayout;

/// A layer of the head: z = W·x + c, then the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The length of x.
    pub inputs: usize,
    /// The length of z.
    pub width: usize,
    /// The activation; `None` for the output layer.
    pub activation: Option<HeadActivation>,
    /// The offset of W in the head buffer.
    pub weights: usize,
    /// The offset of c in the head buffer.
    pub bias: usize,
}

/// Words of a layer.
pub const LAYER_WORDS: usize = 5;
/// The word for a layer without an activation.
const NO_ACTIVATION: u32 = u32::MAX;

impl Layer {
    /// The number of outputs after the activation.
    pub fn outputs(&self) -> usize {
        self.width * self.activation.map_or(1, HeadActivation::outputs)
    }

    /// Writes the outputs for z.
    #[inline]
    pub(super) fn activate<R: Number>(&self, z: &[R], to: &mut [R]) {
        match self.activation {
            None => to.copy_from_slice(z),
            Some(activation) => activation.activate(z, to),
        }
    }

    /// Writes ∂Loss/∂z, from z and the gradient of the outputs.
    #[inline]
    pub(super) fn backward<R: Number>(&self, z: &[R], gradient: &[R], to: &mut [R]) {
        match self.activation {
            None => to.copy_from_slice(gradient),
            Some(activation) => activation.backward(z, gradient, to),
        }
    }

    /// The offset of W of a bucket.
    pub fn weights_of(&self, bucket: usize) -> usize {
        self.weights + bucket * self.width * self.inputs
    }

    /// The offset of c of a bucket.
    pub fn bias_of(&self, bucket: usize) -> usize {
        self.bias + bucket * self.width
    }

    /// The words from which [`read`] makes the layer again.
    fn words(&self) -> [u32; LAYER_WORDS] {
        let activation = self.activation.map_or(NO_ACTIVATION, |one| one as u32);
        [
            self.inputs as u32,
            self.width as u32,
            activation,
            self.weights as u32,
            self.bias as u32,
        ]
    }
}

/// The layers of an architecture, the output layer last.
pub fn layers(architecture: &Architecture) -> Vec<Layer> {
    let place = HeadLayout::new(architecture);
    let (mut weights, mut bias) = (place.output as usize, place.output_bias as usize);
    let activations = architecture
        .layers
        .iter()
        .map(|layer| Some(layer.activation));
    let sizes = architecture.layer_sizes().into_iter();
    let layers = sizes
        .zip(activations.chain([None]))
        .map(|(size, activation)| {
            let layer = Layer {
                inputs: size.inputs,
                width: size.outputs,
                activation,
                weights,
                bias,
            };
            weights += architecture.buckets * size.inputs * size.outputs;
            bias += architecture.buckets * size.outputs;
            layer
        });
    layers.collect()
}

/// The layers as words: inputs, width, activation, and the offsets of W and c of each.
pub fn words(layers: &[Layer]) -> Vec<u32> {
    layers.iter().flat_map(Layer::words).collect()
}

/// The layers that [`words`] wrote.
pub fn read(words: &[u32]) -> Vec<Layer> {
    let layers = words.chunks_exact(LAYER_WORDS).map(|words| Layer {
        inputs: words[0] as usize,
        width: words[1] as usize,
        activation: HeadActivation::ALL.get(words[2] as usize).copied(),
        weights: words[3] as usize,
        bias: words[4] as usize,
    });
    layers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::architecture::ParameterName;
    use crate::nnue::head::HiddenLayer;
    use crate::nnue::layout;

    #[test]
    fn layers_have_the_places_of_their_tensors() {
        let hidden = [
            HiddenLayer::new(16, HeadActivation::Dual),
            HiddenLayer::new(32, HeadActivation::CRelu),
        ];
        let plain = Architecture::new(24, 64).pairwise(true).buckets(3);
        let deep = plain.clone().tied().layers(hidden.to_vec()).skip(true);
        for (architecture, names) in [
            (plain, vec![(ParameterName::C, ParameterName::D)]),
            (
                deep,
                (0..3)
                    .map(|layer| (ParameterName::W(layer), ParameterName::Bias(layer)))
                    .collect(),
            ),
        ] {
            let found = layers(&architecture);
            assert_eq!(found.len(), names.len());
            let tensors = architecture.tensors();
            let place = |name| {
                let index = tensors.iter().position(|tensor| tensor.name == name);
                layout::place(&architecture, index.unwrap()).1
            };
            for (layer, (weights, bias)) in found.iter().zip(names) {
                assert_eq!((layer.weights, layer.bias), (place(weights), place(bias)));
            }
            assert_eq!(read(&words(&found)), found);
        }
    }
}
