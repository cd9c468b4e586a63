//! The CPU implementation of `forward_sparse`. It computes Y, bits, slopes and the loss block by
//! block.

use crate::engine::cpu::simd::{Simd, Sixteen, Work, widest};
use crate::engine::cpu::tree;
use crate::engine::kernel::Call;
use crate::nnue::activation::Activation;
use crate::nnue::kernels::forward::{Beside, Forward, Variant};
use crate::nnue::kernels::forward_sparse::{KERNEL, Params};
use crate::nnue::kernels::grouped::{Grouped, powered};
use crate::nnue::kernels::{bucket_of, half, masked, runs};
use aligned_vec::avec;
use rayon::prelude::*;

/// Samples of a block. A block computes a lane group of all its samples before it takes the next
/// one, so the weights of the lane group stay in a cache.
const BLOCK: usize = 512;

/// A block of samples: the shared inputs, and its own part of the outputs.
struct Block<'a> {
    params: Forward,
    activation: Activation,
    beside: Beside,
    first: usize,
    lists: &'a [u32],
    /// The bucket of each sample; empty with 1 bucket.
    bucket: &'a [u32],
    weights: [&'a Grouped<'a>; 2],
    small: &'a [f32],
    y: &'a mut [f32],
    /// The words of 0 ≤ Z ≤ T. This field and the next two have one slice per perspective.
    inside: [&'a mut [u32]; 2],
    above: [&'a mut [u32]; 2],
    slopes: [&'a mut [f32]; 2],
    /// Z inside the mask in 16 bits, if it is stored in place of the slopes.
    short_slopes: [&'a mut [u32]; 2],
    /// e, and the terms of the loss.
    errors: [&'a mut [f32]; 2],
}

/// The CPU implementation.
pub(super) fn body(call: Call<'_, f32>) {
    let variant = Variant::new(&KERNEL, call.variant);
    let (Params { pass: params }, buffers) = call.open();
    let (activation, beside) = (variant.kind.activation, variant.beside);
    let gradient = beside != Beside::Nothing;
    let (lists, small) = (buffers.lists, buffers.small);
    let bucket = params.sample_buckets(lists);
    let units = params.hidden as usize / 16;
    let [first, second] =
        [buffers.weights_1, buffers.weights_2].map(|weights| weights.as_chunks().0);
    let is_tied = std::ptr::eq(first, second);
    let reads = params.entries as usize / if is_tied { 1 } else { 2 };
    let first = Grouped::new(first, units, reads);
    let second = (!is_tied).then(|| Grouped::new(second, units, reads));
    let weights = [&first, second.as_ref().unwrap_or(&first)];
    let (bits, slopes) = (buffers.bits, buffers.slopes);
    let (samples, hidden) = (params.samples as usize, params.hidden as usize);
    let (strip, total) = (params.first as usize, params.total as usize);
    let sizes = |used: bool, each: usize| if used { each } else { 0 };
    let inside_words = sizes(gradient, hidden / 32);
    let above_words = sizes(gradient && activation.has_clip(), hidden / 32);
    let [has_floats, has_shorts] = variant.slopes();
    let slope_lanes = sizes(has_floats, hidden);
    let short_words = sizes(has_shorts, hidden / 2);
    let of_loss = sizes(beside.link().is_some(), 1);
    let (inside, above) = bits.split_at_mut(2 * total * inside_words);
    let mut inside = sides(inside, total * inside_words, strip * inside_words);
    let mut above = sides(above, total * above_words, strip * above_words);
    let mut slopes = sides(slopes, samples * slope_lanes, 0);
    let mut short_slopes = sides(buffers.short_slopes, samples * short_words, 0);
    let (y, errors) = buffers.results.split_at_mut(total);
    let mut errors = sides(errors, total * of_loss, strip * of_loss);
    let blocks = y[strip..strip + samples].chunks_mut(BLOCK).enumerate();
    let blocks = blocks.map(|(index, y)| Block {
        params,
        activation,
        beside,
        first: strip + index * BLOCK,
        lists,
        bucket: bucket.get(strip + index * BLOCK..).unwrap_or_default(),
        weights,
        small,
        inside: take(&mut inside, y.len() * inside_words),
        above: take(&mut above, y.len() * above_words),
        slopes: take(&mut slopes, y.len() * slope_lanes),
        short_slopes: take(&mut short_slopes, y.len() * short_words),
        errors: take(&mut errors, y.len() * of_loss),
        y,
    });
    let blocks: Vec<_> = blocks.collect();
    let blocks = blocks.into_par_iter().with_max_len(1);
    blocks.for_each(|mut block| {
        widest(&mut block);
        block.put_errors();
    });
}

/// Each perspective's `length` elements, from `first` on.
fn sides<T>(all: &mut [T], length: usize, first: usize) -> [&mut [T]; 2] {
    let (one, two) = all.split_at_mut(length);
    [&mut one[first..], &mut two[first..]]
}

/// Splits the first `count` elements off both slices of `rest`.
fn take<'a, T>(rest: &mut [&'a mut [T]; 2], count: usize) -> [&'a mut [T]; 2] {
    rest.each_mut()
        .map(|rest| rest.split_off_mut(..count).unwrap_or_default())
}

impl Work for &mut Block<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(self, simd: S) {
        let units = self.params.hidden as usize / 16;
        // One sum for each lane of a sixteen, so that the order does not depend on the SIMD level.
        let mut sums = avec![[0.0; 16]; self.y.len()];
        for perspective in 0..2 {
            let mut unit = 0;
            while unit < units {
                unit += match (S::UNITS, units - unit) {
                    (8.., 8..) => self.lanes::<S, 8>(simd, perspective, unit, &mut sums),
                    (4.., 4..) => self.lanes::<S, 4>(simd, perspective, unit, &mut sums),
                    _ => self.lanes::<S, 2>(simd, perspective, unit, &mut sums),
                };
            }
        }
        let (hidden, interleave) = (self.params.hidden as usize, self.params.interleave as usize);
        for words in self.inside.iter_mut().chain(&mut self.above) {
            let samples = words.chunks_mut(hidden / 32);
            samples.for_each(|words| masked::interleave(words, interleave));
        }
        let bias = &self.small[self.params.output_bias()..];
        for (s, (y, sums)) in self.y.iter_mut().zip(sums.iter()).enumerate() {
            let bucket = bucket_of(self.params.buckets, self.bucket, s);
            *y = bias[bucket] + tree(*sums);
        }
    }
}

impl Block<'_> {
    /// e and the terms of the loss, from Y.
    fn put_errors(&mut self) {
        let Some(link) = self.beside.link() else {
            return;
        };
        let p = &self.params;
        let weights = match p.loss.weighted {
            0 => &[],
            _ => &self.lists[p.sample_weights as usize + self.first..],
        };
        let targets = &self.lists[p.targets as usize + self.first..];
        let [e, terms] = &mut self.errors;
        let errors = e.iter_mut().zip(terms.iter_mut());
        let samples = self.y.iter().zip(targets).zip(errors).enumerate();
        for (s, ((&y, &target), (e, term))) in samples {
            let weight = weights.get(s).map_or(1.0, |&bits| f32::from_bits(bits));
            let found = p.loss.term_f32(link, y, f32::from_bits(target), weight);
            (*term, *e) = (found.value, found.gradient);
        }
    }

    /// Computes 16·U lanes of one perspective from sixteen `unit` on, for every sample of the
    /// block. Returns U.
    #[inline(always)]
    fn lanes<S: Simd, const U: usize>(
        &mut self,
        simd: S,
        perspective: usize,
        unit: usize,
        sums: &mut [Sixteen],
    ) -> usize {
        let p = &self.params;
        let (total, units) = (p.total as usize, p.hidden as usize / 16);
        let starts = &self.lists[perspective * (total + 1) + self.first..][..sums.len() + 1];
        let indices = &self.lists[[p.indices_1, p.indices_2][perspective] as usize..];
        let (weights, stride) = self.weights[perspective].parts(unit);
        let small = |at: usize| &self.small[at..].as_chunks().0[unit..][..U];
        let bias = load::<S, U>(simd, small([0, p.bias_2][perspective] as usize));
        let zero = simd.splat(0.0);
        let clip = simd.splat(self.activation.limit(p.clip));
        let power = self.activation.form().power;
        let inside = bytemuck::cast_slice_mut::<u32, u16>(self.inside[perspective]);
        let above = bytemuck::cast_slice_mut::<u32, u16>(self.above[perspective]);
        let slopes = self.slopes[perspective].as_chunks_mut::<16>().0;
        for (bucket, run) in runs(p.buckets, self.bucket, 0..sums.len()) {
            let output = load::<S, U>(simd, small(p.output(bucket, perspective)));
            for (s, sum) in run.clone().zip(&mut sums[run]) {
                let mut z: [S::Vector; U] = bias;
                for &feature in &indices[starts[s] as usize..starts[s + 1] as usize] {
                    let row = &weights[feature as usize * stride..][..U];
                    for i in 0..U {
                        z[i] = simd.add(z[i], simd.load(&row[i]));
                    }
                }
                let mut y = simd.load(sum);
                for i in 0..U {
                    let clamped = simd.clamp(z[i], zero, clip);
                    let h = powered(simd, power, clamped);
                    y = simd.add(y, simd.multiply(h, output[i]));
                }
                simd.store(sum, y);
                if self.beside == Beside::Nothing {
                    continue;
                }
                let at = s * units + unit;
                for i in 0..U {
                    inside[at + i] = simd.between(z[i], zero, clip);
                }
                if self.activation.has_clip() {
                    for i in 0..U {
                        above[at + i] = simd.above(z[i], clip);
                    }
                }
                let mut shorts =
                    self.short_slopes[perspective].chunks_exact_mut(p.hidden as usize / 2);
                if let Some(row) = shorts.nth(s) {
                    for i in 0..U {
                        let mut lanes = [0.0; 16];
                        simd.store(&mut lanes, z[i]);
                        put_short(p, row, unit + i, lanes, inside[at + i]);
                    }
                } else if self.activation.has_slopes() {
                    for i in 0..U {
                        let slope = powered(simd, power - 1, z[i]);
                        let slope = simd.multiply(simd.splat(power as f32), slope);
                        let slope = simd.select(simd.between(z[i], zero, clip), slope, zero);
                        simd.store(&mut slopes[at + i], slope);
                    }
                }
            }
        }
        U
    }
}

/// Writes Z of the lanes of a sixteen, inside the mask, in 16 bits.
fn put_short(p: &Forward, row: &mut [u32], unit: usize, z: Sixteen, inside: u16) {
    let tile = 2 * p.interleave as usize;
    for (i, z) in z.into_iter().enumerate() {
        let inner = if inside >> i & 1 == 1 { z } else { 0.0 };
        let units = (inner * p.units).round_ties_even();
        let place = half::place(p.hidden as usize, 16 * unit + i, tile);
        half::put_units(row, place, units as u16);
    }
}

#[inline(always)]
fn load<S: Simd, const U: usize>(simd: S, from: &[Sixteen]) -> [S::Vector; U] {
    std::array::from_fn(|i| simd.load(&from[i]))
}
