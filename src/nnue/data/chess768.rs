//! The features of plain chess positions.

use super::features::{FeatureSet, Perspective};
use super::record::Position;
use crate::nnue::records::{Decoder, VIEWS};

/// N.
pub(super) const INPUTS: usize = 768;
/// The most pieces on a board.
pub(super) const PIECES: usize = 32;

/// The plain piece-square features, N = 768: one for each color, kind of piece and square.
///
/// From the view of the side to move, a piece of kind k on square s is feature 64·k + s if it
/// belongs to the side to move, and 384 + 64·k + s otherwise. The view of the other side replaces s
/// by s ^ 56 and swaps the colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chess768;

/// The feature of each piece code on square 0, for both perspectives. Codes from 8 on are the
/// opponent's pieces. On square s the feature is this number ^ s, because `OWN` holds multiples of
/// 64, and `OTHER` holds multiples of 64 plus 56.
const OWN: [u32; 16] = first_features()[0];
const OTHER: [u32; 16] = first_features()[1];

const fn first_features() -> [[u32; 16]; 2] {
    let mut first = [[0; 16]; 2];
    let mut code = 0;
    while code < 16 {
        first[0][code] = 384 * (code as u32 >> 3) + 64 * (code as u32 & 7);
        first[1][code] = other_name(first[0][code]);
        code += 1;
    }
    first
}

impl FeatureSet for Chess768 {
    type Position = Position;

    fn inputs(&self) -> usize {
        INPUTS
    }

    fn max_indices(&self) -> usize {
        PIECES
    }

    #[inline(always)]
    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize {
        let first = match perspective {
            Perspective::Own => &OWN,
            Perspective::Other => &OTHER,
        };
        let board = position.board();
        let mut squares = board.occ;
        let count = squares.count_ones() as usize;
        // The loop takes pairs, because a byte of the record holds two codes. For an odd count the
        // last pair writes one feature too many.
        let (pairs, _) = list.as_chunks_mut::<2>();
        for (pair, codes) in pairs.iter_mut().zip(&board.pcs).take(count.div_ceil(2)) {
            for (feature, code) in pair.iter_mut().zip([codes & 15, codes >> 4]) {
                *feature = first[usize::from(code)] ^ squares.trailing_zeros();
                squares &= squares.wrapping_sub(1);
            }
        }
        count
    }

    fn other_names(&self) -> Option<Vec<u32>> {
        Some((0..INPUTS as u32).map(other_name).collect())
    }

    #[inline(always)]
    fn write_both(
        &self,
        position: &Position,
        _: Option<&[u32]>,
        [own, other]: [&mut [u32]; 2],
    ) -> [usize; 2] {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            let board = position.board();
            if let Some(count) = quarters(simd, board, [&mut *own, &mut *other]) {
                return [count; 2];
            }
        }
        let count = self.write(position, Perspective::Own, own);
        // This converts the whole list in whole vectors, because the contents after the features do
        // not matter.
        for (to, &feature) in other.iter_mut().zip(&*own).take(PIECES) {
            *to = other_name(feature);
        }
        [count; 2]
    }

    fn decoder(&self) -> Option<Decoder> {
        Some(Decoder {
            inputs: INPUTS,
            views: [0; VIEWS],
        })
    }

    fn is_distinct(&self) -> bool {
        // A position has at most one piece per square.
        true
    }
}

/// The name of a feature from the other perspective.
#[inline(always)]
const fn other_name(feature: u32) -> u32 {
    let other_color = if feature < 384 {
        feature + 384
    } else {
        feature.wrapping_sub(384)
    };
    other_color ^ 56
}

/// Both lists of a board, sixteen squares at a time; `None` if a list has no room for a vector
/// after its features. This function must be inlined into code that is compiled for this SIMD
/// level, such as the loop of a loader. Elsewhere each operation would be a call.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn quarters(
    simd: pulp::x86::V4,
    board: &bulletformat::ChessBoard,
    lists: [&mut [u32]; 2],
) -> Option<usize> {
    const SQUARES: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    /// Sixteen codes of 4 bits fill eight bytes. Lane i finds its code in the 32-bit half
    /// `HALVES[i]` of them, after a shift to the right by `SHIFTS[i]` bits.
    const HALVES: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    const SHIFTS: [u32; 16] = [0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28];
    use bytemuck::cast;
    use std::arch::x86_64::__m512i;
    let f = simd.avx512f;
    let [own, other] = lists;
    let own = own.first_chunk_mut::<{ PIECES + 16 }>()?;
    let other = other.first_chunk_mut::<{ PIECES + 16 }>()?;
    let mut codes = u128::from_le_bytes(board.pcs);
    let mut occupied = board.occ;
    let mut squares: __m512i = cast(SQUARES);
    let mut count = 0;
    for _ in 0..4 {
        let next = f._mm512_set1_epi64(codes as i64);
        let next = f._mm512_permutexvar_epi32(cast(HALVES), next);
        let code = f._mm512_srlv_epi32(next, cast(SHIFTS));
        let square = f._mm512_maskz_compress_epi32(occupied as u16, squares);
        for (list, first) in [(&mut *own, OWN), (&mut *other, OTHER)] {
            // A look-up uses the lowest four bits of its index.
            let first = f._mm512_permutexvar_epi32(code, cast(first));
            let features: [u32; 16] = cast(f._mm512_xor_si512(first, square));
            list[count..][..16].copy_from_slice(&features);
        }
        let pieces = (occupied as u16).count_ones();
        count += pieces as usize;
        codes >>= 4 * pieces;
        occupied >>= 16;
        squares = f._mm512_add_epi32(squares, f._mm512_set1_epi32(16));
    }
    Some(count)
}
