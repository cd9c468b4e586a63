//! The layers of one sample, forward and backward, in f64.

use super::super::deep::{self, Shares};
use super::super::half;
use super::super::head::Layer;
use super::{Goal, Params, meaning};
use crate::engine::kernel::Call;

/// The layers of a sample's bucket.
#[derive(Clone, Copy)]
pub(in crate::nnue::kernels) struct Head<'a> {
    pub(in crate::nnue::kernels) layers: &'a [Layer],
    pub(in crate::nnue::kernels) bucket: usize,
    /// The head buffer.
    pub(in crate::nnue::kernels) values: &'a [f64],
}

/// The outputs of a layer.
fn activated(layer: &Layer, z: &[f64]) -> Vec<f64> {
    let mut outputs = vec![0.0; layer.outputs()];
    layer.activate(z, &mut outputs);
    outputs
}

impl Head<'_> {
    /// The number of inputs of a layer that come from the first layer past the layer before.
    fn skipped(&self, number: usize) -> usize {
        self.layers[number].inputs - self.layers[number - 1].outputs()
    }

    /// The inputs of a layer after the first.
    pub(in crate::nnue::kernels) fn input(&self, z: &[Vec<f64>], number: usize) -> Vec<f64> {
        let before = activated(&self.layers[number - 1], &z[number - 1]);
        match self.skipped(number) {
            0 => before,
            _ => [activated(&self.layers[0], &z[0]), before].concat(),
        }
    }

    /// W of a layer.
    fn weights(&self, number: usize) -> &[f64] {
        let layer = &self.layers[number];
        &self.values[layer.weights_of(self.bucket)..][..layer.width * layer.inputs]
    }

    /// z of every layer, from z of the first.
    pub(in crate::nnue::kernels) fn forward(&self, first: &[f64]) -> Vec<Vec<f64>> {
        let mut z = vec![first.to_vec()];
        for number in 1..self.layers.len() {
            let (layer, x) = (&self.layers[number], self.input(&z, number));
            let rows = self.weights(number).chunks(layer.inputs);
            let biases = &self.values[layer.bias_of(self.bucket)..];
            let sums = rows.zip(biases).map(|(row, c)| {
                let products = row.iter().zip(&x).map(|(w, x)| w * x);
                c + products.sum::<f64>()
            });
            z.push(sums.collect());
        }
        z
    }

    /// ∂Loss/∂z of every layer, from z of every layer and e.
    pub(in crate::nnue::kernels) fn backward(&self, z: &[Vec<f64>], e: f64) -> Vec<Vec<f64>> {
        self.backward_with(z, e, |delta| delta)
    }

    /// How far ∂Loss/∂z of every layer may be off if e is off by `error`. The head has the sizes of
    /// the weights. All that a slope multiplies is then at least 0, so the size of a product with a
    /// slope below 0 is that with the slope's size.
    pub(in crate::nnue::kernels) fn errors(&self, z: &[Vec<f64>], error: f64) -> Vec<Vec<f64>> {
        self.backward_with(z, error, f64::abs)
    }

    /// ∂Loss/∂z of every layer, each passed through `change` before it goes on.
    fn backward_with(&self, z: &[Vec<f64>], e: f64, change: impl Fn(f64) -> f64) -> Vec<Vec<f64>> {
        let last = self.layers.len() - 1;
        let outputs = self.layers.iter().map(|layer| vec![0.0; layer.outputs()]);
        let mut gradients: Vec<Vec<f64>> = outputs.collect();
        gradients[last] = vec![e];
        let mut deltas = vec![Vec::new(); last + 1];
        for number in (0..=last).rev() {
            let layer = &self.layers[number];
            deltas[number] = vec![0.0; layer.width];
            layer.backward(&z[number], &gradients[number], &mut deltas[number]);
            let of_layer = deltas[number].iter_mut();
            of_layer.for_each(|delta| *delta = change(*delta));
            if number == 0 {
                break;
            }
            let skipped = self.skipped(number);
            let rows = self.weights(number).chunks(layer.inputs);
            for (row, delta) in rows.zip(&deltas[number]) {
                for (gradient, w) in gradients[0].iter_mut().zip(&row[..skipped]) {
                    *gradient += w * delta;
                }
                for (gradient, w) in gradients[number - 1].iter_mut().zip(&row[skipped..]) {
                    *gradient += w * delta;
                }
            }
        }
        deltas
    }

    /// Adds what a sample adds to the gradients of W of the layers after the first, and of all c.
    pub(super) fn add_to(&self, share: &mut [f64], of: &Shares, z: &[Vec<f64>], d: &[Vec<f64>]) {
        for (number, layer) in self.layers.iter().enumerate() {
            let biases = share[of.place(layer.bias)..].iter_mut();
            biases.zip(&d[number]).for_each(|(c, delta)| *c += delta);
            if number > 0 {
                let x = self.input(z, number);
                let weights = &mut share[of.place(layer.weights)..];
                for (row, delta) in weights.chunks_mut(layer.inputs).zip(&d[number]) {
                    row.iter_mut().zip(&x).for_each(|(w, x)| *w += delta * x);
                }
            }
        }
    }

    /// Sets what [`Head::add_to`] adds to, and the loss, to 0.
    fn clear(&self, share: &mut [f64], of: &Shares) {
        for (number, layer) in self.layers.iter().enumerate() {
            share[of.place(layer.bias)..][..layer.width].fill(0.0);
            if number > 0 {
                share[of.place(layer.weights)..][..layer.width * layer.inputs].fill(0.0);
            }
        }
        share[share.len() - 1] = 0.0;
    }
}

impl Params {
    /// The weight of a sample.
    pub(super) fn weight(&self, index: &[u32], sample: usize) -> f64 {
        match self.loss.weighted {
            0 => 1.0,
            _ => f32::from_bits(index[self.sample_weights as usize + sample]).into(),
        }
    }
}

pub(super) fn twin(call: Call<'_, f64>) {
    let goal = meaning(call.variant);
    let (p, b) = call.open::<Params>();
    let layers = deep::layers(b.index, p.layers);
    let of = Shares::new(p.hidden as usize, &layers, p.buckets as usize);
    let len = p.share as usize;
    for split in 0..p.splits as usize {
        let (samples, bucket) = deep::split(b.index, p.starts, [p.buckets, p.bucket], split);
        let head = Head {
            layers: &layers,
            bucket,
            values: b.head,
        };
        if goal != Goal::Output {
            head.clear(&mut b.shares[split * len..][..len], &of);
        }
        for s in samples {
            let row = &mut b.delta[s * p.stride as usize..][..layers[0].width];
            let z = head.forward(row);
            b.y[s] = z[layers.len() - 1][0];
            let (e, term) = match goal {
                Goal::Output => continue,
                Goal::Given => (b.e[s], 0.0),
                Goal::Loss(link) => {
                    let target = f64::from(f32::from_bits(b.index[p.targets as usize + s]));
                    let scale = f64::from(p.loss.scale) * p.weight(b.index, s);
                    let term = p.loss.term(link, b.y[s], target, scale);
                    (term.gradient, term.value)
                }
            };
            let deltas = head.backward(&z, e);
            row.copy_from_slice(&deltas[0]);
            b.scales[s] = half::scale_of(row, p.penalty);
            let share = &mut b.shares[split * len..][..len];
            head.add_to(share, &of, &z, &deltas);
            share[len - 1] += term;
        }
    }
}
