//! The forward pass in f64, as the mathematics defines it.

use super::{Beside, Forward, Variant};
use crate::nnue::kernels::{bucket_of, half, masked};

/// What a pass writes: see the buffers of `forward_sparse`.
pub(in crate::nnue::kernels) struct Outputs<'a> {
    pub(in crate::nnue::kernels) results: &'a mut [f64],
    pub(in crate::nnue::kernels) bits: &'a mut [u32],
    pub(in crate::nnue::kernels) slopes: &'a mut [f64],
    pub(in crate::nnue::kernels) short_slopes: &'a mut [u32],
}

/// Computes a pass. `weight` is A of a perspective at a feature and a lane.
pub(in crate::nnue::kernels) fn compute(
    p: &Forward,
    variant: Variant,
    lists: &[u32],
    weight: impl Fn(usize, usize, usize) -> f64,
    small: &[f64],
    to: Outputs<'_>,
) {
    let Variant { kind, beside, .. } = variant;
    let activation = kind.activation;
    let gradient = beside != Beside::Nothing;
    let (first, total, hidden) = (p.first as usize, p.total as usize, p.hidden as usize);
    let strip = first..first + p.samples as usize;
    let clip = f64::from(p.clip);
    let words = hidden / 32;
    for plane in 0..if gradient {
        2 * activation.conditions()
    } else {
        0
    } {
        let plane = plane * total;
        to.bits[(plane + strip.start) * words..(plane + strip.end) * words].fill(0);
    }
    let buckets = p.sample_buckets(lists);
    for s in strip {
        let bucket = bucket_of(p.buckets, buckets, s);
        let mut y = small[p.output_bias() + bucket];
        for perspective in 0..2 {
            let starts = &lists[perspective * (total + 1)..];
            let indices = [p.indices_1, p.indices_2][perspective] as usize;
            let bias = [0, p.bias_2][perspective] as usize;
            for r in 0..hidden {
                let mut z = small[bias + r];
                for i in starts[s]..starts[s + 1] {
                    z += weight(perspective, lists[indices + i as usize] as usize, r);
                }
                let output = small[p.output(bucket, perspective) + r];
                y += output * activation.value(z, clip);
                if !gradient {
                    continue;
                }
                let (word, bit) = masked::word_and_bit(r, p.interleave as usize);
                let word = (perspective * total + s) * words + word;
                let inside = (z >= 0.0) & (z <= activation.limit(clip));
                to.bits[word] |= u32::from(inside) << bit;
                if activation.has_clip() {
                    to.bits[2 * total * words + word] |= u32::from(z > clip) << bit;
                }
                let row = (perspective * p.samples as usize + s - first) * hidden;
                match variant.slopes() {
                    [true, _] => to.slopes[row + r] = activation.slope(z, clip),
                    [_, true] => {
                        let inner = if inside { z } else { 0.0 };
                        let units = (inner * f64::from(p.units)).round_ties_even();
                        let place = row + half::place(hidden, r, 2 * p.interleave as usize);
                        half::put_units(to.short_slopes, place, units as u16);
                    }
                    _ => {}
                }
            }
        }
        to.results[s] = y;
        if let Some(link) = beside.link() {
            let target = f64::from(f32::from_bits(lists[p.targets as usize + s]));
            let weight = match p.loss.weighted {
                0 => 1.0,
                _ => f32::from_bits(lists[p.sample_weights as usize + s]),
            };
            let scale = f64::from(p.loss.scale) * f64::from(weight);
            let term = p.loss.term(link, y, target, scale);
            (to.results[total + s], to.results[2 * total + s]) = (term.gradient, term.value);
        }
    }
}
