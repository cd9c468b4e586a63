//! The forward pass of one position on the host, which keeps what lies between input and output.

use super::first_layer::FirstLayer;
use super::lanes::Ends;
use crate::nnue::{Architecture, ParameterName, Parameters};

/// A network on the host.
pub(super) struct Forward<'a> {
    architecture: &'a Architecture,
    first: FirstLayer<'a>,
    /// B of both perspectives, `[K]` each.
    bias: [&'a [f32]; 2],
    /// The layers of the head, the output layer last.
    layers: Vec<Layer<'a>>,
}

/// W `[buckets, outputs, inputs]` and c `[buckets, outputs]` of a layer.
struct Layer<'a> {
    weights: &'a [f32],
    bias: &'a [f32],
    inputs: usize,
    outputs: usize,
}

/// The values of a position.
pub(super) struct Values {
    /// Z of both perspectives, `[K]` each.
    pub(super) accumulators: [Vec<f32>; 2],
    /// z of each hidden layer, `[width]`, before its activation.
    pub(super) layers: Vec<Vec<f32>>,
    /// What a layer reads.
    inputs: Vec<f32>,
    /// The outputs of the first hidden layer.
    first_outputs: Vec<f32>,
}

impl<'a> Forward<'a> {
    pub(super) fn new(parameters: &'a Parameters) -> Self {
        use ParameterName::{B1, B2, Bias, C, D, W};
        let architecture = parameters.architecture();
        // A checked architecture has every tensor that is named here.
        let get = |name| parameters.get(name).unwrap_or_default();
        let names = |layer: usize| match architecture.layers.is_empty() {
            true => (C, D),
            false => (W(layer), Bias(layer)),
        };
        let sizes = architecture.layer_sizes().into_iter().enumerate();
        let layers = sizes.map(|(layer, size)| Layer {
            weights: get(names(layer).0),
            bias: get(names(layer).1),
            inputs: size.inputs,
            outputs: size.outputs,
        });
        Self {
            architecture,
            first: FirstLayer::new(parameters),
            bias: [get(B1), parameters.get(B2).unwrap_or_else(|| get(B1))],
            layers: layers.collect(),
        }
    }

    pub(super) fn architecture(&self) -> &Architecture {
        self.architecture
    }

    /// The ends of the accumulators' lanes.
    pub(super) fn ends(&self) -> Ends {
        let limit = self.architecture.activation.limit(self.architecture.clip);
        Ends::rectified(limit)
    }

    /// The ends of a hidden layer's lanes.
    pub(super) fn layer_ends(&self, layer: usize) -> Ends {
        Ends::of(self.architecture.layers[layer].activation)
    }

    /// Memory for the values of a position.
    pub(super) fn values(&self) -> Values {
        let hidden = self.architecture.hidden;
        let widths = self.architecture.layers.iter().map(|layer| layer.width);
        Values {
            accumulators: [vec![0.0; hidden], vec![0.0; hidden]],
            layers: widths.map(|width| vec![0.0; width]).collect(),
            inputs: Vec::new(),
            first_outputs: Vec::new(),
        }
    }

    /// Y of a position, whose features in both perspectives are `lists`.
    pub(super) fn run(&self, lists: [&[u32]; 2], bucket: usize, values: &mut Values) -> f32 {
        values.inputs.clear();
        for (perspective, list) in lists.into_iter().enumerate() {
            let z = &mut values.accumulators[perspective];
            self.accumulate(perspective, list, z);
            self.activate(z, &mut values.inputs);
        }
        for (index, hidden) in self.architecture.layers.iter().enumerate() {
            let z = &mut values.layers[index];
            self.layers[index].apply(bucket, &values.inputs, z);
            values.inputs.clear();
            values.inputs.resize(hidden.outputs(), 0.0);
            hidden.activation.activate(z, &mut values.inputs);
            if index == 0 {
                values.first_outputs.clone_from(&values.inputs);
            }
        }
        if self.architecture.skip {
            // The output layer reads the first hidden layer, then the last one.
            values.first_outputs.extend_from_slice(&values.inputs);
            std::mem::swap(&mut values.first_outputs, &mut values.inputs);
        }
        let mut y = [0.0];
        let output = &self.layers[self.layers.len() - 1];
        output.apply(bucket, &values.inputs, &mut y);
        y[0]
    }

    /// Z = A·X + B.
    fn accumulate(&self, perspective: usize, list: &[u32], z: &mut [f32]) {
        z.copy_from_slice(self.bias[perspective]);
        let (weights, hidden) = (self.first.weights(perspective), z.len());
        for &feature in list {
            let row = &weights[feature as usize * hidden..][..hidden];
            z.iter_mut().zip(row).for_each(|(z, weight)| *z += weight);
        }
    }

    /// Adds what the head reads of a perspective.
    fn activate(&self, z: &[f32], inputs: &mut Vec<f32>) {
        let (activation, clip) = (self.architecture.activation, self.architecture.clip);
        let h = |z: &f32| activation.value(*z, clip);
        match self.architecture.pairwise {
            false => inputs.extend(z.iter().map(h)),
            true => {
                let (first, last) = z.split_at(z.len() / 2);
                inputs.extend(first.iter().zip(last).map(|(a, b)| h(a) * h(b)));
            }
        }
    }
}

impl Layer<'_> {
    /// z = W·x + c of a bucket.
    fn apply(&self, bucket: usize, x: &[f32], z: &mut [f32]) {
        let rows = bucket * self.outputs..;
        let weights = &self.weights[rows.start * self.inputs..];
        let rows = weights.chunks(self.inputs).zip(&self.bias[rows]);
        for (z, (row, bias)) in z.iter_mut().zip(rows) {
            *z = bias + dot(row, x);
        }
    }
}

/// The sum of w·x, in sixteen partial sums that a processor adds at once.
fn dot(w: &[f32], x: &[f32]) -> f32 {
    let (w, last_w) = w.as_chunks::<16>();
    let (x, last_x) = x.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (w, x) in w.iter().zip(x) {
        for ((sum, w), x) in sums.iter_mut().zip(w).zip(x) {
            *sum += w * x;
        }
    }
    let rest = last_w.iter().zip(last_x).map(|(w, x)| w * x);
    sums.into_iter().chain(rest).sum()
}
