//! The network of floats: its weights at the scales of a format, and its sums.

use super::super::quantized::{Quantized, merged};
use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use crate::nnue::architecture::{Architecture, ParameterName};
use crate::nnue::parameters::Parameters;

/// The weights of a tensor with what the format merges, times the scale of the format.
pub(super) fn scaled(
    quantized: &Quantized,
    parameters: &Parameters,
    name: &str,
) -> Result<Vec<f64>> {
    let (weights, scale) = joined(quantized, parameters, name)?;
    Ok(weights
        .into_iter()
        .map(|weight| f64::from(weight) * scale)
        .collect())
}

/// The weights of a tensor with what the format merges, and the scale of the format.
fn joined(quantized: &Quantized, parameters: &Parameters, name: &str) -> Result<(Vec<f32>, f64)> {
    let tensor = quantized.tensor(name);
    let tensor = tensor.ok_or_else(|| Error::argument(name, "a tensor of the format", "none"))?;
    let weights = merged(&tensor.entry, parameters, quantized.encoding())?;
    Ok((weights, tensor.entry.scale))
}

/// A tied network of floats with hidden layers, whose layers give their sums.
pub(super) struct Floats<'a> {
    architecture: &'a Architecture,
    parameters: &'a Parameters,
    /// A with everything that the format merges, `[N, K]`.
    weights: Vec<f32>,
}

impl<'a> Floats<'a> {
    pub(super) fn new(quantized: &Quantized, parameters: &'a Parameters) -> Result<Self> {
        Ok(Self {
            architecture: parameters.architecture(),
            parameters,
            weights: joined(quantized, parameters, "A1")?.0,
        })
    }

    /// The sums z of a layer, counted from 0, from the features of both perspectives.
    pub(super) fn sums(&self, lists: [&[u32]; 2], bucket: usize, layer: usize) -> Vec<f32> {
        let layers = &self.architecture.layers;
        let mut inputs = self.first_inputs(lists);
        let mut first = Vec::new();
        for (at, hidden) in layers.iter().enumerate().take(layer) {
            let z = self.layer(&inputs, bucket, at);
            inputs = vec![0.0; hidden.outputs()];
            hidden.activation.activate(&z, &mut inputs);
            if at == 0 {
                first.clone_from(&inputs);
            }
        }
        if self.architecture.skip && layer == layers.len() {
            inputs = [first, inputs].concat();
        }
        self.layer(&inputs, bucket, layer)
    }

    /// ∂Y/∂z of a layer, counted from 0.
    pub(super) fn slopes(&self, lists: [&[u32]; 2], bucket: usize, layer: usize) -> Vec<f32> {
        let layers = &self.architecture.layers;
        if layer == layers.len() {
            return vec![1.0];
        }
        let mut inputs = self.first_inputs(lists);
        let mut all = Vec::with_capacity(layers.len());
        let mut outputs: Vec<Vec<f32>> = Vec::with_capacity(layers.len());
        for (at, hidden) in layers.iter().enumerate() {
            let z = self.layer(&inputs, bucket, at);
            inputs = vec![0.0; hidden.outputs()];
            hidden.activation.activate(&z, &mut inputs);
            all.push(z);
            outputs.push(inputs.clone());
        }
        // The gradient of the inputs of the output layer, which may begin with those of a skip
        // connection.
        let mut gradient = self.weights_of(bucket, layers.len()).to_vec();
        let skipped = match self.architecture.skip {
            true => gradient.drain(..outputs[0].len()).collect(),
            false => vec![0.0; outputs[0].len()],
        };
        for at in (0..layers.len()).rev() {
            if at == 0 {
                for (gradient, skipped) in gradient.iter_mut().zip(&skipped) {
                    *gradient += skipped;
                }
            }
            let mut of_z = vec![0.0; all[at].len()];
            layers[at]
                .activation
                .backward(&all[at], &gradient, &mut of_z);
            if at == layer {
                return of_z;
            }
            let width = outputs[at - 1].len();
            gradient = vec![0.0; width];
            for (row, of_z) in self.weights_of(bucket, at).chunks_exact(width).zip(&of_z) {
                for (gradient, weight) in gradient.iter_mut().zip(row) {
                    *gradient += of_z * weight;
                }
            }
        }
        Vec::new()
    }

    /// The weights of a layer for one bucket, `[outputs, inputs]`.
    fn weights_of(&self, bucket: usize, layer: usize) -> &[f32] {
        let weights = self
            .parameters
            .get(ParameterName::W(layer))
            .unwrap_or_default();
        let each = weights.len() / self.architecture.buckets;
        &weights[bucket * each..][..each]
    }

    fn first_inputs(&self, lists: [&[u32]; 2]) -> Vec<f32> {
        let hidden = self.architecture.hidden;
        let biases = self.parameters.get(ParameterName::B1).unwrap_or_default();
        let clip = |z: f32| z.clamp(0.0, 1.0);
        let mut inputs = Vec::with_capacity(2 * hidden);
        for list in lists {
            let mut lanes = biases.to_vec();
            for &feature in list {
                let row = &self.weights[feature as usize * hidden..][..hidden];
                for (lane, weight) in lanes.iter_mut().zip(row) {
                    *lane += weight;
                }
            }
            match (self.architecture.pairwise, self.architecture.activation) {
                (true, _) => {
                    let (low, high) = lanes.split_at(hidden / 2);
                    inputs.extend(low.iter().zip(high).map(|(&a, &b)| clip(a) * clip(b)));
                }
                (false, Activation::SCRelu) => {
                    inputs.extend(lanes.iter().map(|&z| clip(z) * clip(z)));
                }
                (false, _) => inputs.extend(lanes.iter().map(|&z| clip(z))),
            }
        }
        inputs
    }

    fn layer(&self, inputs: &[f32], bucket: usize, layer: usize) -> Vec<f32> {
        let weights = self.weights_of(bucket, layer);
        let biases = self
            .parameters
            .get(ParameterName::Bias(layer))
            .unwrap_or_default();
        let (width, outputs) = (inputs.len(), biases.len() / self.architecture.buckets);
        let rows = weights.chunks_exact(width);
        rows.zip(&biases[bucket * outputs..])
            .map(|(row, bias)| {
                let terms = inputs.iter().zip(row).map(|(input, weight)| input * weight);
                bias + terms.sum::<f32>()
            })
            .collect()
    }
}
