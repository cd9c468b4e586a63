//! The layers after the first for a block of samples, as small matrix products.

use super::super::head::Layer;
use crate::engine::cpu::product::{Matrix, product_here};
use std::ops::Range;

/// The samples of a block that have the same bucket.
pub(super) type Run = (usize, Range<usize>);

/// A block of samples in the layers of the head. The matrices have a row per sample.
pub(super) struct Block<'a> {
    layers: &'a [Layer],
    /// The head buffer.
    values: &'a [f32],
    /// z of each layer.
    pub(super) z: Vec<Vec<f32>>,
    /// The input of each layer after the first, and then its gradient.
    x: Vec<Vec<f32>>,
    /// δ = ∂Loss/∂z of each layer.
    pub(super) delta: Vec<Vec<f32>>,
}

/// Rows of a row-major matrix.
fn rows(values: &[f32], width: usize, run: &Range<usize>) -> Range<usize> {
    debug_assert!(run.end * width <= values.len());
    run.start * width..run.end * width
}

/// A row-major matrix of this width.
fn matrix(values: &[f32], row: usize) -> Matrix<'_> {
    let column = 1;
    Matrix {
        values,
        row,
        column,
    }
}

/// The transpose of a row-major matrix of this width.
fn transposed(values: &[f32], column: usize) -> Matrix<'_> {
    let row = 1;
    Matrix {
        values,
        row,
        column,
    }
}

impl<'a> Block<'a> {
    /// Room for this many samples.
    pub(super) fn new(layers: &'a [Layer], values: &'a [f32], samples: usize) -> Self {
        let each = |floats: fn(&Layer) -> usize| -> Vec<Vec<f32>> {
            let sizes = layers.iter().map(|layer| samples * floats(layer));
            sizes.map(|size| vec![0.0; size]).collect()
        };
        let mut x = each(|layer| layer.inputs);
        x[0] = Vec::new();
        Self {
            layers,
            values,
            z: each(|layer| layer.width),
            x,
            delta: each(|layer| layer.width),
        }
    }

    /// z ← c of a layer.
    pub(super) fn begin(&mut self, number: usize, runs: &[Run]) {
        let layer = &self.layers[number];
        for (bucket, run) in runs {
            let biases = &self.values[layer.bias_of(*bucket)..][..layer.width];
            let place = rows(&self.z[number], layer.width, run);
            for row in self.z[number][place].chunks_exact_mut(layer.width) {
                row.copy_from_slice(biases);
            }
        }
    }

    /// z += x·W1ᵀ in columns `first` to `first + width` of the first layer's input. x has a row of
    /// `width` for each sample.
    pub(super) fn add_first(&mut self, runs: &[Run], x: &[f32], [first, width]: [usize; 2]) {
        let layer = &self.layers[0];
        for (bucket, run) in runs {
            let weights = &self.values[layer.weights_of(*bucket) + first..];
            let place = rows(&self.z[0], layer.width, run);
            product_here(
                [run.len(), layer.width, width],
                matrix(&x[rows(x, width, run)], width),
                transposed(weights, layer.inputs),
                &mut self.z[0][place],
                layer.width,
                true,
            );
        }
    }

    /// The layers after the first, from z of the first.
    pub(super) fn forward(&mut self, runs: &[Run], samples: usize) {
        for number in 1..self.layers.len() {
            let (layer, before) = (&self.layers[number], &self.layers[number - 1]);
            let skipped = layer.inputs - before.outputs();
            let x = &mut self.x[number];
            if skipped > 0 {
                activate(&self.layers[0], &self.z[0], x, (layer.inputs, 0), samples);
            }
            let place = (layer.inputs, skipped);
            activate(before, &self.z[number - 1], x, place, samples);
            self.begin(number, runs);
            let layer = &self.layers[number];
            for (bucket, run) in runs {
                let weights = &self.values[layer.weights_of(*bucket)..];
                let x = &self.x[number];
                let place = rows(&self.z[number], layer.width, run);
                product_here(
                    [run.len(), layer.width, layer.inputs],
                    matrix(&x[rows(x, layer.inputs, run)], layer.inputs),
                    transposed(weights, layer.inputs),
                    &mut self.z[number][place],
                    layer.width,
                    true,
                );
            }
        }
    }

    /// δ of every layer from δ of the last, e. Adds to the gradients of all c, and of W of the
    /// layers after the first. `gradients` are those of the head buffer.
    pub(super) fn backward(&mut self, runs: &[Run], samples: usize, gradients: &mut [f32]) {
        for number in (0..self.layers.len()).rev() {
            let layer = &self.layers[number];
            let delta = &self.delta[number];
            for (bucket, run) in runs {
                let sums = &mut gradients[layer.bias_of(*bucket)..][..layer.width];
                for row in delta[rows(delta, layer.width, run)].chunks_exact(layer.width) {
                    sums.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
                }
            }
            if number == 0 {
                return;
            }
            for (bucket, run) in runs {
                let delta = &delta[rows(delta, layer.width, run)];
                let x = &mut self.x[number];
                let place = rows(x, layer.inputs, run);
                let x = &mut x[place];
                let weights = layer.weights_of(*bucket);
                product_here(
                    [layer.width, layer.inputs, run.len()],
                    transposed(delta, layer.width),
                    matrix(x, layer.inputs),
                    &mut gradients[weights..],
                    layer.inputs,
                    true,
                );
                product_here(
                    [run.len(), layer.inputs, layer.width],
                    matrix(delta, layer.width),
                    matrix(&self.values[weights..], layer.inputs),
                    x,
                    layer.inputs,
                    false,
                );
            }
            let before = &self.layers[number - 1];
            let skipped = layer.inputs - before.outputs();
            let place = (layer.inputs, skipped);
            let delta = &mut self.delta[number - 1];
            slope(
                before,
                &self.z[number - 1],
                &self.x[number],
                place,
                delta,
                samples,
            );
            let last = self.layers.len() - 1;
            let of_last = self.layers[last].inputs - self.layers[last - 1].outputs();
            if number == 1 && of_last > 0 {
                let (x, place) = (&self.x[last], (self.layers[last].inputs, 0));
                let mut beside = vec![0.0; samples * before.width];
                slope(before, &self.z[0], x, place, &mut beside, samples);
                let both = self.delta[0].iter_mut().zip(&beside);
                both.for_each(|(delta, beside)| *delta += beside);
            }
        }
    }

    /// ∂Loss/∂x = δ·W1 in columns `first` to `first + width` of the first layer's input.
    pub(super) fn first_input(&self, runs: &[Run], to: &mut [f32], [first, width]: [usize; 2]) {
        let (layer, delta) = (&self.layers[0], &self.delta[0]);
        for (bucket, run) in runs {
            let place = rows(to, width, run);
            product_here(
                [run.len(), width, layer.width],
                matrix(&delta[rows(delta, layer.width, run)], layer.width),
                matrix(
                    &self.values[layer.weights_of(*bucket) + first..],
                    layer.inputs,
                ),
                &mut to[place],
                width,
                false,
            );
        }
    }

    /// Adds δᵀ·x to the gradient of W1 in columns `first` to `first + width`.
    pub(super) fn first_weights(
        &self,
        runs: &[Run],
        x: &[f32],
        [first, width]: [usize; 2],
        gradients: &mut [f32],
    ) {
        let (layer, delta) = (&self.layers[0], &self.delta[0]);
        for (bucket, run) in runs {
            product_here(
                [layer.width, width, run.len()],
                transposed(&delta[rows(delta, layer.width, run)], layer.width),
                matrix(&x[rows(x, width, run)], width),
                &mut gradients[layer.weights_of(*bucket) + first..],
                layer.inputs,
                true,
            );
        }
    }
}

/// Writes the outputs of a layer for each sample to rows of `to`, from column `first` on.
fn activate(
    layer: &Layer,
    z: &[f32],
    to: &mut [f32],
    (width, first): (usize, usize),
    samples: usize,
) {
    let rows = z.chunks_exact(layer.width).zip(to.chunks_exact_mut(width));
    for (z, to) in rows.take(samples) {
        layer.activate(z, &mut to[first..][..layer.outputs()]);
    }
}

/// Writes ∂Loss/∂z of a layer for each sample, from rows of the gradients of its outputs, from
/// column `first` on.
fn slope(
    layer: &Layer,
    z: &[f32],
    gradient: &[f32],
    (width, first): (usize, usize),
    to: &mut [f32],
    samples: usize,
) {
    let rows = z
        .chunks_exact(layer.width)
        .zip(gradient.chunks_exact(width));
    let rows = rows.zip(to.chunks_exact_mut(layer.width));
    for ((z, gradient), to) in rows.take(samples) {
        layer.backward(z, &gradient[first..][..layer.outputs()], to);
    }
}
