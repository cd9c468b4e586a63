//! Gradients from one bit per lane: the geometry that `forward_sparse` and the kernels after it
//! share.
//!
//! With the mask M, e = ∂Loss/∂Y and the slope S of the activation (1, or 2Z for SCReLU), each
//! perspective has, for each output bucket b and its samples s,
//!
//! ```text
//! G[f, b, r] = Σ_s X[s, f]·M[s, r]·S[s, r]·e[s]        ∂Loss/∂A[f, r] = Σ_b C[b, r]·G[f, b, r]
//! G_B[b, r]  = Σ_s M[s, r]·S[s, r]·e[s]                ∂Loss/∂B[r]    = Σ_b C[b, r]·G_B[b, r]
//! G_T[b, r]  = Σ_s [Z[s, r] > T]·e[s]
//! ∂Loss/∂C[b, r] = Σ_s e[s]·H[s, r] = w·(B[r]·G_B[b, r] + Σ_f A[f, r]·G[f, b, r]) + H(T)·G_T[b, r]
//! ```
//!
//! with w = 1, or ½ for SCReLU, where H = Z². Inside the mask, H = w·S·Z and Z = B + Σ A over the
//! sample's features. So neither Z nor H is stored, and C is applied once per bucket, outside the
//! sums.
//!
//! The samples are in the order of their buckets. The sums over samples are rows of K lanes. First
//! comes one row for each chunk of the transposed index, whose chunks end where the bucket changes.
//! Then comes one row of G_B for each block. A block is a chunk of all samples of a bucket, and it
//! also ends at each multiple of [`CHUNK`](crate::tensor::lists::CHUNK). Then come as many rows of
//! G_T if the activation has a clip. The rows are stored by lane group of [`GROUP`] lanes: all rows
//! of the first lane group, then all of the second, so that a lane group is contiguous.

use crate::engine::libraries::Tiles;
use crate::nnue::activation::Activation;
use std::ops::Range;

/// What the path stores of Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The activation.
    pub activation: Activation,
    /// Whether slopes are stored in 16 bits: Z inside the mask in [`units`], from which the
    /// gradients compute the slope, and 0 outside.
    pub short: bool,
}

impl Kind {
    /// Every kind. The index of a kind is its choice on the kernels' axis.
    pub const ALL: [Self; Activation::ALL.len() + 1] = {
        let mut all = [Self::new(Activation::SCRelu, true); Activation::ALL.len() + 1];
        let mut i = 0;
        while i < Activation::ALL.len() {
            all[i] = Self::new(Activation::ALL[i], false);
            i += 1;
        }
        all
    };

    /// Of an activation, with slopes in 16 bits if they are 2Z up to a clip and `short` asks for
    /// them.
    pub const fn new(activation: Activation, short: bool) -> Self {
        Self {
            activation,
            short: short && activation.form().power == 2 && activation.has_clip(),
        }
    }

    /// The name in kernel variants.
    pub const fn name(self) -> &'static str {
        match self.short {
            true => "screlu_16_bits",
            false => self.activation.name(),
        }
    }

    /// The index among [`Kind::ALL`].
    pub fn index(self) -> usize {
        match self.short {
            true => Activation::ALL.len(),
            false => self.activation as usize,
        }
    }
}

/// The units of a Z up to T = `clip` in 16 bits, per 1: the largest power of 2 with which T fits. A
/// rounding moves Z by at most half a unit, which is less than T ÷ 65,535.
pub fn units(clip: f32) -> f32 {
    (65_535.0 / f64::from(clip)).log2().floor().exp2() as f32
}

/// Lanes of a lane group.
pub const GROUP: usize = 128;

/// Features of a band, whose contributions to ∂Loss/∂C are summed before they are written. With
/// shared tiles a band has a multiple of them: see [`band`].
pub const BAND: usize = 8;

/// The most bands with shared tiles. `masked_head` sums the shares of all bands, and with many
/// inputs the shares of bands of eight features would be a third as large as A for each bucket.
const MOST_BANDS: usize = 1024;

/// Features of a band on an adapter. With tiles in registers the kernel has a constant number.
pub fn band(tiles: Tiles, inputs: usize) -> usize {
    match tiles {
        Tiles::Registers => BAND,
        Tiles::Shared => BAND * inputs.div_ceil(BAND * MOST_BANDS).max(1),
    }
}

/// Rows of one perspective. Each block has one of G_B, and one of G_T if there is a clip.
pub fn rows(activation: Activation, chunks: usize, blocks: usize) -> usize {
    chunks + activation.conditions() * blocks
}

/// The lanes of a lane group in a row of K = `hidden`.
pub fn lanes(hidden: usize, group: usize) -> Range<usize> {
    group * GROUP..hidden.min((group + 1) * GROUP)
}

/// The range of a row's lanes of a lane group, among all `total` rows.
pub fn place(hidden: usize, total: usize, row: usize, group: usize) -> Range<usize> {
    let width = lanes(hidden, group).len();
    let start = group * GROUP * total + row * width;
    start..start + width
}

/// The word, counted within a perspective, and the bit of a lane, as `first_vector` in
/// shaders/nnue/lib/bits.wgsl defines them.
pub fn word_and_bit(lane: usize, interleave: usize) -> (usize, usize) {
    let (block, rest) = (lane / (32 * interleave), lane % (32 * interleave));
    let (round, rest) = (rest / (4 * interleave), rest % (4 * interleave));
    (block * interleave + rest / 4, 4 * round + rest % 4)
}

/// Reorders the words of one perspective from consecutive lanes to the order of `interleave`.
pub fn interleave(words: &mut [u32], interleave: usize) {
    if interleave == 1 {
        return;
    }
    let plain = words.to_vec();
    words.fill(0);
    for lane in 0..32 * plain.len() {
        let (word, bit) = word_and_bit(lane, interleave);
        words[word] |= (plain[lane / 32] >> (lane % 32) & 1) << bit;
    }
}

/// The inverse of [`interleave`].
pub fn in_order(words: &[u32], interleave: usize) -> Vec<u32> {
    let mut plain = vec![0; words.len()];
    for lane in 0..32 * words.len() {
        let (word, bit) = word_and_bit(lane, interleave);
        plain[lane / 32] |= (words[word] >> bit & 1) << (lane % 32);
    }
    plain
}

/// The rows of both perspectives, and the index of the rows of each feature.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, R> {
    /// The first chunk of each pair of a feature and a bucket, `[N·buckets + 1]` for each
    /// perspective.
    pub first_chunks: &'a [u32],
    /// All rows.
    pub rows: &'a [R],
    /// N.
    pub inputs: usize,
    /// Output buckets.
    pub buckets: usize,
    /// K.
    pub hidden: usize,
    /// The offset of the second perspective's rows.
    pub second: usize,
    /// Rows of each perspective.
    pub totals: [usize; 2],
}

impl<R: Copy> Rows<'_, R> {
    /// The chunks of the samples of a bucket that have a feature.
    #[inline(always)]
    pub fn chunks(&self, perspective: usize, feature: usize, bucket: usize) -> Range<usize> {
        let first = perspective * (self.inputs * self.buckets + 1);
        let chunks = &self.first_chunks[first + feature * self.buckets + bucket..];
        chunks[0] as usize..chunks[1] as usize
    }

    /// The parts of the rows of these chunks in a group of lanes.
    #[inline(always)]
    pub fn of(
        &self,
        perspective: usize,
        chunks: Range<usize>,
        group: usize,
    ) -> impl Iterator<Item = &[R]> {
        let rows = &self.rows[perspective * self.second..];
        let total = self.totals[perspective];
        chunks.map(move |chunk| &rows[place(self.hidden, total, chunk, group)])
    }
}

impl Rows<'_, f32> {
    /// The sum of the rows of these chunks in a group of lanes: the row itself if there is one,
    /// else the first of `sums`.
    #[inline(always)]
    pub fn sum<'s>(
        &'s self,
        perspective: usize,
        chunks: Range<usize>,
        group: usize,
        sums: &'s mut [f32; GROUP],
    ) -> &'s [f32] {
        let mut rows = self.of(perspective, chunks.clone(), group);
        if chunks.len() == 1
            && let Some(row) = rows.next()
        {
            return row;
        }
        sums.fill(0.0);
        for row in rows {
            for (sum, term) in sums.iter_mut().zip(row) {
                *sum += term;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_one_bit_and_the_way_back() {
        for (count, step) in [(4, 1), (2, 2), (4, 2), (8, 4), (4, 4)] {
            let mut seen = vec![0u32; count];
            for lane in 0..32 * count {
                let (word, bit) = word_and_bit(lane, step);
                assert_eq!(seen[word] >> bit & 1, 0);
                seen[word] |= 1 << bit;
            }
            assert!(seen.iter().all(|&word| word == u32::MAX));
            let plain: Vec<u32> = (0..count as u32)
                .map(|word| word.wrapping_mul(0x9E37_79B9))
                .collect();
            let mut words = plain.clone();
            interleave(&mut words, step);
            assert_eq!(in_order(&words, step), plain);
        }
    }
}
