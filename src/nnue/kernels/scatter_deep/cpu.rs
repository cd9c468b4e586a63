//! The CPU implementation of `scatter_deep`. It runs a block of samples forward and backward while
//! the block's data are in the caches.
//!
//! Lanes are computed a tile at a time: a tile has some sixteens of lanes of a perspective, and the
//! same of the other half if lanes are multiplied in pairs. So the rows of A, and of its gradient,
//! that a tile needs are used by all samples of a block before the next tile needs others.

use super::head::{Block, Run};
use super::{Params, meaning};
use crate::engine::cpu::simd::{Simd, Sixteen, Work, widest};
use crate::engine::kernel::Call;
use crate::nnue::activation::Activation;
use crate::nnue::kernels::grouped::{Grouped, powered};
use crate::nnue::kernels::head::Layer;
use crate::nnue::kernels::masked::GROUP;
use crate::nnue::kernels::runs;
use crate::nnue::loss::Link;
use aligned_vec::{AVec, avec};
use rayon::prelude::*;
use std::ops::Range;

/// Lanes of Z of a block of samples, and the fewest samples of a block. The bits of a run depend on
/// these numbers.
const BLOCK_LANES: usize = 1 << 18;
const SMALLEST_BLOCK: usize = 128;

/// A stretch: the shared inputs, and its own part of the outputs.
struct Piece<'a> {
    params: Params,
    activation: Activation,
    link: Option<Link>,
    layers: &'a [Layer],
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
    gradients: &'a mut [f32],
}

/// Lanes that are computed together: sixteens of a perspective from `unit` on.
#[derive(Clone, Copy)]
struct Tile {
    perspective: usize,
    unit: usize,
}

/// What a stretch keeps for one block of samples.
struct Space {
    /// Z and then D, tile by tile, `[samples, tile]`.
    z: AVec<Sixteen>,
    /// x of a tile, and its gradient.
    x: AVec<Sixteen>,
    by_x: AVec<Sixteen>,
}

/// The CPU implementation.
pub(super) fn body(call: Call<'_, f32>) {
    let (activation, link) = meaning(call.variant);
    let (params, buffers) = call.open::<Params>();
    let lists = buffers.lists;
    let (bucket, layers) = (params.sample_buckets(lists), params.layers(lists));
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
        widest(Piece {
            params,
            activation,
            link,
            layers: &layers,
            lists,
            weights,
            small,
            targets: &targets[samples.clone()],
            sample_weights: params.loss.of_samples(targets, &samples, params.samples),
            bucket: bucket.get(samples.clone()).unwrap_or_default(),
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
        let size = (BLOCK_LANES / (2 * hidden))
            .max(SMALLEST_BLOCK)
            .min(self.y.len());
        let mut space = Space {
            z: avec![[0.0; 16]; 2 * size * hidden / 16],
            x: avec![[0.0; 16]; size * GROUP / 16],
            by_x: avec![[0.0; 16]; size * GROUP / 16],
        };
        let mut head = Block::new(self.layers, self.small, size);
        for first in (0..self.y.len()).step_by(size) {
            let block = first..self.y.len().min(first + size);
            let of_block = |(bucket, run): Run| (bucket, run.start - first..run.end - first);
            let runs = runs(self.params.buckets, self.bucket, block.clone());
            let runs: Vec<Run> = runs.map(of_block).collect();
            head.begin(0, &runs);
            self.each_tile::<S>(
                #[inline(always)]
                |piece, tile, width| {
                    let (space, head) = (&mut space, &mut head);
                    match width {
                        8 => piece.forward::<S, 8>(simd, &block, tile, space, (head, &runs)),
                        4 => piece.forward::<S, 4>(simd, &block, tile, space, (head, &runs)),
                        _ => piece.forward::<S, 2>(simd, &block, tile, space, (head, &runs)),
                    }
                },
            );
            head.forward(&runs, block.len());
            self.losses(&block, &mut head);
            let of_head = self.params.pieces().head();
            head.backward(&runs, block.len(), &mut self.gradients[of_head..]);
            self.each_tile::<S>(
                #[inline(always)]
                |piece, tile, width| {
                    let (space, head) = (&mut space, &head);
                    match width {
                        8 => piece.backward::<S, 8>(simd, &block, tile, space, (head, &runs)),
                        4 => piece.backward::<S, 4>(simd, &block, tile, space, (head, &runs)),
                        _ => piece.backward::<S, 2>(simd, &block, tile, space, (head, &runs)),
                    }
                },
            );
        }
    }
}

impl Piece<'_> {
    /// Sixteens from one half to the other, if lanes are multiplied in pairs.
    fn half(&self) -> Option<usize> {
        (self.params.pairwise == 1).then_some(self.params.hidden as usize / 32)
    }

    /// Calls `work` for each tile, with its number of sixteens. No tile reaches into the next lane
    /// group.
    #[inline(always)]
    fn each_tile<S: Simd>(&mut self, mut work: impl FnMut(&mut Self, Tile, usize)) {
        let units = self.half().unwrap_or(self.params.hidden as usize / 16);
        let mut unit = 0;
        while unit < units {
            // The tile of the other half, if there is one, begins at a multiple of the width too.
            let fits = |width: usize| {
                width <= S::UNITS
                    && width <= units - unit
                    && self.half().unwrap_or(0).is_multiple_of(width)
            };
            let width = [8, 4].into_iter().find(|&width| fits(width)).unwrap_or(2);
            for perspective in 0..2 {
                work(self, Tile { perspective, unit }, width);
            }
            unit += width;
        }
    }

    /// The columns of a tile in the input of the first layer: the first one, and their number.
    fn columns<const U: usize>(&self, tile: Tile) -> [usize; 2] {
        let units = self.half().unwrap_or(self.params.hidden as usize / 16);
        [16 * (tile.perspective * units + tile.unit), 16 * U]
    }

    /// The place of a tile's Z in [`Space::z`].
    fn z_place<const U: usize>(&self, samples: usize, tile: Tile) -> Range<usize> {
        let units = self.params.hidden as usize / 16;
        let start = (tile.perspective * units + tile.unit) * samples;
        start..start + samples * U
    }

    fn starts(&self, block: &Range<usize>, perspective: usize) -> &[u32] {
        let first = self.samples.start + block.start;
        &self.lists[perspective].0[first..][..block.len() + 1]
    }

    /// Z of a tile and of its other half, and what they add to z of the first layer.
    #[inline(always)]
    fn forward<S: Simd, const U: usize>(
        &self,
        simd: S,
        block: &Range<usize>,
        tile: Tile,
        space: &mut Space,
        (head, runs): (&mut Block<'_>, &[Run]),
    ) {
        let len = block.len();
        self.gather::<S, U>(simd, block, tile, &mut space.z);
        if let Some(half) = self.half() {
            let other = Tile {
                unit: tile.unit + half,
                ..tile
            };
            self.gather::<S, U>(simd, block, other, &mut space.z);
        }
        self.activate::<S, U>(simd, len, tile, space);
        let x = space.x[..len * U].as_flattened();
        head.add_first(runs, x, self.columns::<U>(tile));
    }

    /// Z of a tile for the samples of a block.
    #[inline(always)]
    fn gather<S: Simd, const U: usize>(
        &self,
        simd: S,
        block: &Range<usize>,
        tile: Tile,
        z: &mut [Sixteen],
    ) {
        let indices = self.lists[tile.perspective].1;
        let (weights, stride) = self.weights[tile.perspective].parts(tile.unit);
        let bias = &self.small[self.params.bias(tile.perspective) + 16 * tile.unit..];
        let bias = bias.as_chunks().0;
        let bias: [S::Vector; U] = std::array::from_fn(|i| simd.load(&bias[i]));
        let place = self.z_place::<U>(block.len(), tile);
        let starts = self.starts(block, tile.perspective);
        let rows = z[place].as_chunks_mut::<U>().0;
        for (ends, to) in starts.windows(2).zip(rows) {
            let mut z = bias;
            for &feature in &indices[ends[0] as usize..ends[1] as usize] {
                let row = &weights[feature as usize * stride..][..U];
                for i in 0..U {
                    z[i] = simd.add(z[i], simd.load(&row[i]));
                }
            }
            for i in 0..U {
                simd.store(&mut to[i], z[i]);
            }
        }
    }

    /// x of a tile from its Z.
    #[inline(always)]
    fn activate<S: Simd, const U: usize>(
        &self,
        simd: S,
        samples: usize,
        tile: Tile,
        space: &mut Space,
    ) {
        let lanes = Lanes::new(self.activation, self.params.clip, simd);
        let first = self.z_place::<U>(samples, tile);
        let to = space.x[..samples * U].iter_mut();
        match self.half() {
            None => {
                for (z, x) in space.z[first].iter().zip(to) {
                    simd.store(x, lanes.value(z));
                }
            }
            Some(half) => {
                let second = first.start + half * samples..first.end + half * samples;
                let z = space.z[first].iter().zip(&space.z[second]);
                for ((a, b), x) in z.zip(to) {
                    simd.store(x, simd.multiply(lanes.value(a), lanes.value(b)));
                }
            }
        }
    }

    /// Y, the loss terms and e of a block.
    fn losses(&mut self, block: &Range<usize>, head: &mut Block<'_>) {
        let last = head.z.len() - 1;
        let e = head.delta[last].iter_mut().zip(&head.z[last]);
        for (s, (e, y)) in block.clone().zip(e) {
            self.y[s] = *y;
            (self.terms[s], *e) = match self.link {
                Some(link) => {
                    let numbers = &self.params.loss;
                    let weight = numbers.weight(self.sample_weights, s);
                    let term = numbers.term_f32(link, *y, self.targets[s], weight);
                    (term.value, term.gradient)
                }
                None => (0.0, self.targets[s]),
            };
        }
    }

    /// Adds what the tile's lanes of a block's samples add to the gradients of W1, A and B.
    #[inline(always)]
    fn backward<S: Simd, const U: usize>(
        &mut self,
        simd: S,
        block: &Range<usize>,
        tile: Tile,
        space: &mut Space,
        (head, runs): (&Block<'_>, &[Run]),
    ) {
        let (len, columns) = (block.len(), self.columns::<U>(tile));
        self.activate::<S, U>(simd, len, tile, space);
        let x = space.x[..len * U].as_flattened();
        let of_head = self.params.pieces().head();
        head.first_weights(runs, x, columns, &mut self.gradients[of_head..]);
        let by_x = space.by_x[..len * U].as_flattened_mut();
        head.first_input(runs, by_x, columns);
        self.slope::<S, U>(simd, len, tile, space);
        self.scatter::<S, U>(simd, block, tile, &space.z);
        if let Some(half) = self.half() {
            let other = Tile {
                unit: tile.unit + half,
                ..tile
            };
            self.scatter::<S, U>(simd, block, other, &space.z);
        }
    }

    /// Replaces Z of a tile by D, from the gradient of x.
    #[inline(always)]
    fn slope<S: Simd, const U: usize>(
        &self,
        simd: S,
        samples: usize,
        tile: Tile,
        space: &mut Space,
    ) {
        let lanes = Lanes::new(self.activation, self.params.clip, simd);
        let first = self.z_place::<U>(samples, tile);
        let by_x = space.by_x[..samples * U].iter();
        let penalty = simd.splat(self.params.penalty);
        match self.half() {
            None => {
                for (z, by_x) in space.z[first].iter_mut().zip(by_x) {
                    let (_, slope) = lanes.value_and_slope(z);
                    let by_x = simd.add(simd.load(by_x), penalty);
                    simd.store(z, simd.multiply(by_x, slope));
                }
            }
            Some(half) => {
                let (before, after) = space.z.split_at_mut(first.start + half * samples);
                let pairs = before[first].iter_mut().zip(after);
                for ((a, b), by_x) in pairs.zip(by_x) {
                    let by_x = simd.add(simd.load(by_x), penalty);
                    let ((value_a, slope_a), (value_b, slope_b)) =
                        (lanes.value_and_slope(a), lanes.value_and_slope(b));
                    let (by_a, by_b) = (
                        simd.multiply(slope_a, value_b),
                        simd.multiply(slope_b, value_a),
                    );
                    simd.store(a, simd.multiply(by_x, by_a));
                    simd.store(b, simd.multiply(by_x, by_b));
                }
            }
        }
    }

    /// Adds D of a tile to the gradients of A and B.
    #[inline(always)]
    fn scatter<S: Simd, const U: usize>(
        &mut self,
        simd: S,
        block: &Range<usize>,
        tile: Tile,
        d: &[Sixteen],
    ) {
        let (pieces, hidden) = (self.params.pieces(), self.params.hidden as usize);
        let (starts, indices) = self.lists[tile.perspective];
        let starts = &starts[self.samples.start + block.start..][..block.len() + 1];
        let (accumulator, lane) = (tile.perspective % pieces.accumulators, 16 * tile.unit);
        let place = self.z_place::<U>(block.len(), tile);
        let (weights, small) = self.gradients.split_at_mut(pieces.head());
        let of_group = pieces.weights(accumulator) + lane / GROUP * GROUP * pieces.inputs;
        let width = GROUP.min(hidden - lane / GROUP * GROUP);
        let weights = weights[of_group + lane % GROUP..].as_chunks_mut::<16>().0;
        let bias = &mut small[accumulator * hidden + lane..];
        let bias = bias.as_chunks_mut::<16>().0;
        let mut sums: [S::Vector; U] = std::array::from_fn(|i| simd.load(&bias[i]));
        for (ends, d) in starts.windows(2).zip(d[place].as_chunks::<U>().0) {
            let terms: [S::Vector; U] = std::array::from_fn(|i| simd.load(&d[i]));
            for i in 0..U {
                sums[i] = simd.add(sums[i], terms[i]);
            }
            for &feature in &indices[ends[0] as usize..ends[1] as usize] {
                let row = &mut weights[feature as usize * (width / 16)..][..U];
                for i in 0..U {
                    let sum = simd.add(simd.load(&row[i]), terms[i]);
                    simd.store(&mut row[i], sum);
                }
            }
        }
        for i in 0..U {
            simd.store(&mut bias[i], sums[i]);
        }
    }
}

/// The activation of sixteen lanes at a time.
struct Lanes<S: Simd> {
    simd: S,
    power: u32,
    zero: S::Vector,
    clip: S::Vector,
    factor: S::Vector,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    fn new(activation: Activation, clip: f32, simd: S) -> Self {
        let power = activation.form().power;
        Self {
            simd,
            power,
            zero: simd.splat(0.0),
            clip: simd.splat(activation.limit(clip)),
            factor: simd.splat(power as f32),
        }
    }

    /// H.
    #[inline(always)]
    fn value(&self, z: &Sixteen) -> S::Vector {
        let clamped = self.simd.clamp(self.simd.load(z), self.zero, self.clip);
        powered(self.simd, self.power, clamped)
    }

    /// H and ∂H/∂Z.
    #[inline(always)]
    fn value_and_slope(&self, z: &Sixteen) -> (S::Vector, S::Vector) {
        let (simd, z) = (self.simd, self.simd.load(z));
        let clamped = simd.clamp(z, self.zero, self.clip);
        let inside = simd.between(z, self.zero, self.clip);
        let slope = match self.power {
            1 => self.factor,
            2 => simd.multiply(self.factor, clamped),
            _ => simd.multiply(self.factor, simd.multiply(clamped, clamped)),
        };
        (
            powered(simd, self.power, clamped),
            simd.select(inside, slope, self.zero),
        )
    }
}
