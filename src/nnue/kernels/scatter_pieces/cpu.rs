//! The CPU implementation of `scatter_pieces`. It runs each sample forward and backward while the
//! sample's data are in the caches.

use crate::engine::cpu;
use crate::engine::cpu::simd::{Simd, Sixteen, Work, widest};
use crate::engine::kernel::Call;
use crate::nnue::kernels::grouped::{Grouped, powered};
use crate::nnue::kernels::masked::GROUP;
use crate::nnue::kernels::scatter_pieces::{Params, meaning};
use crate::nnue::kernels::{bucket_of, runs};
use aligned_vec::avec;
use rayon::prelude::*;
use std::ops::Range;

/// The lanes of Z of one perspective that a block of samples writes and then reads. A block has at
/// least [`SMALLEST_BLOCK`] samples, so that the weights and gradients of a lane group are used
/// often enough after they are fetched.
const BLOCK_LANES: usize = 1 << 15;
const SMALLEST_BLOCK: usize = 128;

/// A stretch: the shared inputs, and its own part of the outputs.
struct Piece<'a> {
    params: Params,
    variant: usize,
    samples: Range<usize>,
    lists: [(&'a [u32], &'a [u32]); 2],
    weights: [&'a Grouped<'a>; 2],
    small: &'a [f32],
    targets: &'a [f32],
    /// The weights of the samples, if they have weights.
    sample_weights: &'a [f32],
    /// The bucket of each sample; empty with 1 bucket.
    bucket: &'a [u32],
    y: &'a mut [f32],
    terms: &'a mut [f32],
    e: Vec<f32>,
    gradients: &'a mut [f32],
}

/// The CPU implementation.
pub(super) fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (params, buffers) = call.open::<Params>();
    let lists = buffers.lists;
    let bucket = params.sample_buckets(lists);
    let lists = [0, 1].map(|perspective| params.lists(lists, perspective));
    let [first, second] =
        [buffers.weights_1, buffers.weights_2].map(|weights| weights.as_chunks().0);
    let (small, targets) = (buffers.small, buffers.targets);
    let (y, terms, gradients) = (buffers.y, buffers.terms, buffers.gradients);
    let is_tied = params.tied == 1;
    let reads = params.entries as usize / if is_tied { 1 } else { 2 };
    let units = params.hidden as usize / 16;
    let first = Grouped::new(first, units, reads);
    let second = (!is_tied).then(|| Grouped::new(second, units, reads));
    let weights = [&first, second.as_ref().unwrap_or(&first)];
    let (samples, piece) = (params.samples as usize, params.piece as usize);
    let outputs = y[..samples]
        .par_chunks_mut(piece)
        .zip(terms[..samples].par_chunks_mut(piece));
    let gradients = gradients.par_chunks_mut(params.pieces().stride());
    let pieces = outputs.zip(gradients).enumerate().with_max_len(1);
    pieces.for_each(|(index, ((y, terms), gradients))| {
        let samples = index * piece..index * piece + y.len();
        let own_targets = &targets[samples.clone()];
        let bucket = bucket.get(samples.clone()).unwrap_or_default();
        widest(Piece {
            params,
            variant,
            lists,
            weights,
            small,
            targets: own_targets,
            sample_weights: params.loss.of_samples(targets, &samples, params.samples),
            bucket,
            e: vec![0.0; y.len()],
            samples,
            y,
            terms,
            gradients,
        });
    });
}

impl Work for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(mut self, simd: S) {
        let hidden = self.params.hidden as usize;
        self.gradients.fill(0.0);
        let size = (BLOCK_LANES / hidden).max(SMALLEST_BLOCK).min(self.y.len());
        let mut z = avec![[0.0; 16]; 2 * size * hidden / 16];
        let mut sums = avec![[0.0; 16]; size];
        for first in (0..self.y.len()).step_by(size) {
            let block = first..self.y.len().min(first + size);
            sums.fill([0.0; 16]);
            self.each_group::<S>(|piece, perspective, unit, width| match width {
                8 => piece.forward::<S, 8>(simd, &block, (perspective, unit), &mut z, &mut sums),
                4 => piece.forward::<S, 4>(simd, &block, (perspective, unit), &mut z, &mut sums),
                _ => piece.forward::<S, 2>(simd, &block, (perspective, unit), &mut z, &mut sums),
            });
            self.losses(&block, &sums);
            self.each_group::<S>(|piece, perspective, unit, width| match width {
                8 => piece.backward::<S, 8>(simd, &block, (perspective, unit), &z),
                4 => piece.backward::<S, 4>(simd, &block, (perspective, unit), &z),
                _ => piece.backward::<S, 2>(simd, &block, (perspective, unit), &z),
            });
        }
        let (params, buckets) = (self.params, self.params.buckets);
        let of_output_bias = params.pieces().head() + params.output_bias();
        for own in 0..buckets as usize {
            let e = |s| match bucket_of(buckets, self.bucket, s) == own {
                true => self.e[s],
                false => 0.0,
            };
            self.gradients[of_output_bias + own] = cpu::sum_lanes(self.e.len(), e);
        }
    }
}

impl Piece<'_> {
    /// Calls `work` for each set of lanes that is computed together, with the perspective, the
    /// first sixteen, and the number of sixteens.
    #[inline(always)]
    fn each_group<S: Simd>(&mut self, mut work: impl FnMut(&mut Self, usize, usize, usize)) {
        let units = self.params.hidden as usize / 16;
        let mut unit = 0;
        while unit < units {
            let width = match (S::UNITS, units - unit) {
                (8.., 8..) => 8,
                (4.., 4..) => 4,
                _ => 2,
            };
            for perspective in 0..2 {
                work(self, perspective, unit, width);
            }
            unit += width;
        }
    }

    /// The range of Z of the block for a perspective's lanes from sixteen `unit` on,
    /// `[samples, U]`.
    fn z_place<const U: usize>(
        &self,
        block: usize,
        (perspective, unit): (usize, usize),
    ) -> Range<usize> {
        let start = (perspective * self.params.hidden as usize / 16 + unit) * block;
        start..start + block * U
    }

    fn clip<S: Simd>(&self, simd: S) -> S::Vector {
        simd.splat(meaning(self.variant).0.limit(self.params.clip))
    }

    /// Computes Z of 16·U lanes for the samples of a block, and adds these lanes to Y.
    #[inline(always)]
    fn forward<S: Simd, const U: usize>(
        &self,
        simd: S,
        block: &Range<usize>,
        (perspective, unit): (usize, usize),
        z: &mut [Sixteen],
        sums: &mut [Sixteen],
    ) {
        let (activation, _) = meaning(self.variant);
        let (starts, indices) = self.lists[perspective];
        let starts = &starts[self.samples.start + block.start..][..block.len() + 1];
        let (weights, stride) = self.weights[perspective].parts(unit);
        let p = &self.params;
        let small = |at: usize| load(simd, &self.small[at + 16 * unit..]);
        let bias: [S::Vector; U] = small(p.bias(perspective));
        let (zero, clip) = (simd.splat(0.0), self.clip(simd));
        let place = self.z_place::<U>(block.len(), (perspective, unit));
        let z = z[place].as_chunks_mut::<U>().0;
        for (bucket, run) in runs(p.buckets, self.bucket, block.clone()) {
            let output: [S::Vector; U] = small(p.output(bucket, perspective));
            let run = run.start - block.start..run.end - block.start;
            let starts = &starts[run.start..=run.end];
            let outputs = z[run.clone()].iter_mut().zip(&mut sums[run]);
            for (ends, (to, sum)) in starts.windows(2).zip(outputs) {
                let mut z = bias;
                for &feature in &indices[ends[0] as usize..ends[1] as usize] {
                    let row = &weights[feature as usize * stride..][..U];
                    for i in 0..U {
                        z[i] = simd.add(z[i], simd.load(&row[i]));
                    }
                }
                let mut y = simd.load(sum);
                for i in 0..U {
                    let h = powered(simd, activation.form().power, simd.clamp(z[i], zero, clip));
                    y = simd.add(y, simd.multiply(h, output[i]));
                    simd.store(&mut to[i], z[i]);
                }
                simd.store(sum, y);
            }
        }
    }

    /// Computes Y, the loss terms and e of a block.
    fn losses(&mut self, block: &Range<usize>, sums: &[Sixteen]) {
        let p = &self.params;
        let (_, link) = meaning(self.variant);
        let bias = &self.small[p.output_bias()..];
        for (s, sum) in block.clone().zip(sums) {
            let bucket = bucket_of(p.buckets, self.bucket, s);
            self.y[s] = bias[bucket] + cpu::tree(*sum);
            (self.terms[s], self.e[s]) = match link {
                Some(link) => {
                    let weight = p.loss.weight(self.sample_weights, s);
                    let term = p.loss.term_f32(link, self.y[s], self.targets[s], weight);
                    (term.value, term.gradient)
                }
                None => (0.0, self.targets[s]),
            };
        }
    }

    /// Adds the contributions of 16·U lanes of a block's samples to the gradients of A, B and C.
    #[inline(always)]
    fn backward<S: Simd, const U: usize>(
        &mut self,
        simd: S,
        block: &Range<usize>,
        (perspective, unit): (usize, usize),
        z: &[Sixteen],
    ) {
        let (activation, _) = meaning(self.variant);
        let (pieces, hidden) = (self.params.pieces(), self.params.hidden as usize);
        let (starts, indices) = self.lists[perspective];
        let starts = &starts[self.samples.start + block.start..][..block.len() + 1];
        let (zero, clip) = (simd.splat(0.0), self.clip(simd));
        let power = activation.form().power;
        let factor = simd.splat(power as f32);
        let past_clip = simd.splat(activation.limit(self.params.clip).next_up());
        let place = self.z_place::<U>(block.len(), (perspective, unit));
        let z = z[place].as_chunks::<U>().0;
        let accumulator = perspective % pieces.accumulators;
        let lane = 16 * unit;
        let (weights, small) = self.gradients.split_at_mut(pieces.head());
        let of_group = pieces.weights(accumulator) + lane / GROUP * GROUP * pieces.inputs;
        let width = GROUP.min(hidden - lane / GROUP * GROUP);
        let weights = weights[of_group + lane % GROUP..].as_chunks_mut::<16>().0;
        let of_bias = pieces.bias(accumulator) - pieces.head() + lane;
        let mut bias_sums: [S::Vector; U] = load(simd, &small[of_bias..]);
        for (bucket, run) in runs(self.params.buckets, self.bucket, block.clone()) {
            let of_output = self.params.output(bucket, perspective) + lane;
            let output: [S::Vector; U] = load(simd, &self.small[of_output..]);
            let multiples = output.map(|weight| simd.multiply(factor, weight));
            let mut output_sums: [S::Vector; U] = load(simd, &small[of_output..]);
            let own = run.start - block.start..run.end - block.start;
            let starts = &starts[own.start..=own.end];
            for ((ends, z), e) in starts.windows(2).zip(&z[own]).zip(&self.e[run]) {
                let e = simd.splat(*e);
                let mut terms = [zero; U];
                for i in 0..U {
                    let z = simd.load(&z[i]);
                    let clamped = simd.clamp(z, zero, clip);
                    let scaled = simd.multiply(e, clamped);
                    let (h, term, inside) = match power {
                        1 => (
                            scaled,
                            simd.multiply(e, output[i]),
                            simd.between(z, zero, clip),
                        ),
                        // Below 0 the term is 0 by itself.
                        2 => (
                            simd.multiply(scaled, clamped),
                            simd.multiply(scaled, multiples[i]),
                            simd.above(past_clip, z),
                        ),
                        _ => {
                            let squared = simd.multiply(scaled, clamped);
                            (
                                simd.multiply(squared, clamped),
                                simd.multiply(squared, multiples[i]),
                                simd.above(past_clip, z),
                            )
                        }
                    };
                    output_sums[i] = simd.add(output_sums[i], h);
                    terms[i] = simd.select(inside, term, zero);
                    bias_sums[i] = simd.add(bias_sums[i], terms[i]);
                }
                for &feature in &indices[ends[0] as usize..ends[1] as usize] {
                    let row = &mut weights[feature as usize * (width / 16)..][..U];
                    for i in 0..U {
                        let sum = simd.add(simd.load(&row[i]), terms[i]);
                        simd.store(&mut row[i], sum);
                    }
                }
            }
            store(simd, &output_sums, &mut small[of_output..]);
        }
        store(simd, &bias_sums, &mut small[of_bias..]);
    }
}

#[inline(always)]
fn load<S: Simd, const U: usize>(simd: S, from: &[f32]) -> [S::Vector; U] {
    let from = &from.as_chunks().0[..U];
    std::array::from_fn(|i| simd.load(&from[i]))
}

#[inline(always)]
fn store<S: Simd, const U: usize>(simd: S, from: &[S::Vector; U], to: &mut [f32]) {
    for (to, from) in to.as_chunks_mut().0.iter_mut().zip(from) {
        simd.store(to, *from);
    }
}
