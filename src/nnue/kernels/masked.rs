//! Gradients from one bit per lane: the geometry that `forward_sparse` and the kernels after it
//! share.
//!
//! With the mask M, e = ∂Loss/∂Y and the slope S of the activation (1, or 2Z for SCReLU), each
//! perspective has
//!
//! ```text
//! G[f, r]  = Σ_s X[s, f]·M[s, r]·S[s, r]·e[s]          ∂Loss/∂A[f, r] = C[r]·G[f, r]
//! G_B[r]   = Σ_s M[s, r]·S[s, r]·e[s]                  ∂Loss/∂B[r]    = C[r]·G_B[r]
//! G_T[r]   = Σ_s [Z[s, r] > T]·e[s]
//! ∂Loss/∂C[r] = Σ_s e[s]·H[s, r] = w·(B[r]·G_B[r] + Σ_f A[f, r]·G[f, r]) + H(T)·G_T[r]
//! ```
//!
//! with w = 1, or ½ for SCReLU, where H = Z². Inside the mask, H = w·S·Z and Z = B + Σ A over the
//! sample's features. So neither Z nor H is stored, and C is applied once, outside the sums.
//!
//! The sums over samples are rows of K lanes: first one row for each chunk of the transposed index,
//! then one row of G_B for each [`CHUNK`] samples, then as many rows of G_T if the activation has a
//! clip. They are stored by lane group of [`GROUP`] lanes: all rows of the first lane group, then
//! all of the second, so that a lane group is contiguous.

use crate::nnue::activation::Activation;
use crate::tensor::lists::CHUNK;
use std::ops::Range;

/// Lanes of a lane group.
pub const GROUP: usize = 128;

/// Features of a band, whose contributions to ∂Loss/∂C are summed before they are written.
pub const BAND: usize = 8;

/// The number of rows of G_B and, if the activation has a clip, of G_T.
pub fn blocks(samples: usize) -> usize {
    samples.div_ceil(CHUNK)
}

/// Rows of one perspective.
pub fn rows(activation: Activation, chunks: usize, samples: usize) -> usize {
    chunks + activation.conditions() * blocks(samples)
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
    /// The first chunk of each feature, `[N + 1]` for each perspective.
    pub first_chunks: &'a [u32],
    /// All rows.
    pub rows: &'a [R],
    /// N.
    pub inputs: usize,
    /// K.
    pub hidden: usize,
    /// The offset of the second perspective's rows.
    pub second: usize,
    /// Rows of each perspective.
    pub totals: [usize; 2],
}

impl<R: Copy> Rows<'_, R> {
    /// The lanes of a lane group in each row of a feature.
    #[inline(always)]
    pub fn of(
        &self,
        perspective: usize,
        feature: usize,
        group: usize,
    ) -> impl Iterator<Item = &[R]> {
        let chunks = &self.first_chunks[perspective * (self.inputs + 1) + feature..];
        let rows = &self.rows[perspective * self.second..];
        let total = self.totals[perspective];
        let chunks = chunks[0] as usize..chunks[1] as usize;
        chunks.map(move |chunk| &rows[place(self.hidden, total, chunk, group)])
    }
}

impl Rows<'_, f32> {
    /// Computes G of a feature in a lane group, and writes it to the first elements of `sums`.
    #[inline(always)]
    pub fn sum(&self, perspective: usize, feature: usize, group: usize, sums: &mut [f32; GROUP]) {
        sums.fill(0.0);
        for row in self.of(perspective, feature, group) {
            for (sum, term) in sums.iter_mut().zip(row) {
                *sum += term;
            }
        }
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
