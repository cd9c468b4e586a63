//! The reference of `scatter_deep`: one sample after the other, in f64.

use super::super::deep::Front;
use super::super::deep_layers::twin::Head;
use super::super::head::Layer;
use super::{Params, bucket_of, meaning};
use crate::engine::kernel::Call;
use crate::nnue::kernels::loss;
use crate::nnue::kernels::pieces::Pieces;

/// The relative error of e and of what follows from it in f32. A sum of n products is off by about
/// √n·ε/2 of the sum of their magnitudes: by 6 ε for the at most 129 samples of a stretch, and by 3
/// ε for each of up to four layers of at most 32 outputs. That is 18 ε, of which this is about
/// twice.
const ROUNDINGS: f64 = 40.0 * f32::EPSILON as f64;

/// The inputs of the reference.
pub(super) struct Sources<'a> {
    pub(super) lists: &'a [u32],
    pub(super) weights: [&'a [f64]; 2],
    pub(super) small: &'a [f64],
    pub(super) targets: &'a [f64],
}

/// What a sample adds to an element of the gradients, and how far f32 may be from it.
pub(super) struct Part {
    pub(super) place: usize,
    pub(super) value: f64,
    pub(super) error: f64,
}

/// Computes Y and the loss term of each sample, and passes each part of a gradient to `add`.
pub(super) fn reference(
    p: &Params,
    variant: usize,
    read: &Sources<'_>,
    (y, terms): (&mut [f64], &mut [f64]),
    mut add: impl FnMut(Part),
) {
    let (activation, link) = meaning(variant);
    let (pieces, hidden, layers) = (p.pieces(), p.hidden as usize, p.layers(read.lists));
    let front = Front {
        activation,
        clip: f64::from(p.clip),
        pairwise: p.pairwise == 1,
        hidden,
    };
    let sizes: Vec<f64> = read.small.iter().map(|value| value.abs()).collect();
    let buckets = p.sample_buckets(read.lists);
    for s in 0..p.samples as usize {
        let bucket = bucket_of(p.buckets, buckets, s);
        let [head, of_sizes] = [read.small, &sizes].map(|values| Head {
            layers: &layers,
            bucket,
            values,
        });
        let z = accumulators(p, read, s);
        let x: Vec<f64> = (0..layers[0].inputs).map(|j| front.x(&z, j)).collect();
        let of_layers = head.forward(&first(&layers[0], &head, &x));
        y[s] = of_layers[layers.len() - 1][0];
        let (e, error) = match link {
            None => (read.targets[s], ROUNDINGS * read.targets[s].abs()),
            Some(link) => {
                let weight = p.loss.weight(&read.targets[p.samples as usize..], s);
                let sample = loss::Sample {
                    y: y[s],
                    target: read.targets[s],
                    weight,
                };
                let scale = f64::from(p.loss.scale) * weight;
                let term = p.loss.term(link, sample.y, sample.target, scale);
                terms[s] = term.value;
                let error = loss::error(link, &p.loss, sample);
                (term.gradient, error + ROUNDINGS * term.gradient.abs())
            }
        };
        let deltas = head.backward(&of_layers, e);
        let errors = of_sizes.errors(&of_layers, error);
        let base = s / p.piece as usize * pieces.stride();
        let mut put = |place: usize, value: f64, error: f64| {
            let place = base + place;
            add(Part {
                place,
                value,
                error: error.abs(),
            });
        };
        for (number, layer) in layers.iter().enumerate() {
            let x = match number {
                0 => &x,
                _ => &head.input(&of_layers, number),
            };
            for (o, (delta, error)) in deltas[number].iter().zip(&errors[number]).enumerate() {
                put(pieces.head() + layer.bias_of(bucket) + o, *delta, *error);
                let row = pieces.head() + layer.weights_of(bucket) + o * layer.inputs;
                for (i, x) in x.iter().enumerate() {
                    put(row + i, delta * x, error * x);
                }
            }
        }
        let (mut d, mut d_errors) = (vec![0.0; 2 * hidden], vec![0.0; 2 * hidden]);
        for j in 0..layers[0].inputs {
            let by_x = column(&layers[0], &head, j, &deltas[0]) + f64::from(p.penalty);
            let by_x_error =
                column(&layers[0], &of_sizes, j, &errors[0]) + ROUNDINGS * f64::from(p.penalty);
            for (lane, slope) in front.slopes(&z, j) {
                d[lane] += by_x * slope;
                d_errors[lane] += by_x_error * slope.abs();
            }
        }
        scatter(p, read.lists, s, &pieces, |place, lane| {
            put(place, d[lane], d_errors[lane]);
        });
    }
}

/// Z of both perspectives of a sample, `[2K]`.
fn accumulators(p: &Params, read: &Sources<'_>, s: usize) -> Vec<f64> {
    let hidden = p.hidden as usize;
    let lane = |lane: usize| {
        let (perspective, r) = (lane / hidden, lane % hidden);
        let (starts, indices) = p.lists(read.lists, perspective);
        let list = &indices[starts[s] as usize..starts[s + 1] as usize];
        let terms = list
            .iter()
            .map(|&f| read.weights[perspective][f as usize * hidden + r]);
        read.small[p.bias(perspective) + r] + terms.sum::<f64>()
    };
    (0..2 * hidden).map(lane).collect()
}

/// z of the first layer.
fn first(layer: &Layer, head: &Head<'_>, x: &[f64]) -> Vec<f64> {
    let rows = head.values[layer.weights_of(head.bucket)..].chunks(layer.inputs);
    let biases = &head.values[layer.bias_of(head.bucket)..][..layer.width];
    let products = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    biases
        .iter()
        .zip(rows)
        .map(|(c, row)| c + products(row))
        .collect()
}

/// Σ δ·W1 in column `j`.
fn column(layer: &Layer, head: &Head<'_>, j: usize, delta: &[f64]) -> f64 {
    let weights = head.values[layer.weights_of(head.bucket) + j..].iter();
    let column = weights.step_by(layer.inputs);
    column.zip(delta).map(|(w, delta)| w * delta).sum()
}

/// Passes each element of the gradients of A and B that a sample adds to, with its lane of D.
fn scatter(
    p: &Params,
    lists: &[u32],
    s: usize,
    pieces: &Pieces,
    mut add: impl FnMut(usize, usize),
) {
    let hidden = p.hidden as usize;
    for perspective in 0..2 {
        let accumulator = perspective % pieces.accumulators;
        let (starts, indices) = p.lists(lists, perspective);
        for r in 0..hidden {
            let lane = perspective * hidden + r;
            add(pieces.bias(accumulator) + r, lane);
            for &f in &indices[starts[s] as usize..starts[s + 1] as usize] {
                let place = Pieces::place(pieces.inputs, hidden, f as usize, r);
                add(pieces.weights(accumulator) + place, lane);
            }
        }
    }
}

pub(super) fn twin(call: Call<'_, f64>) {
    let variant = call.variant;
    let (p, buffers) = call.open::<Params>();
    let read = Sources {
        lists: buffers.lists,
        weights: [buffers.weights_1, buffers.weights_2],
        small: buffers.small,
        targets: buffers.targets,
    };
    let (y, terms, gradients) = (buffers.y, buffers.terms, buffers.gradients);
    terms[..p.samples as usize].fill(0.0);
    gradients[..p.count() * p.pieces().stride()].fill(0.0);
    reference(&p, variant, &read, (y, terms), |part| {
        gradients[part.place] += part.value;
    });
}
