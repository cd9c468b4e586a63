//! The levels AVX2 and AVX-512.

use super::{Simd, Sixteen, UNITS_OF_ROW};
use bytemuck::cast;
use pulp::x86::{V3, V4};
use std::arch::x86_64::{__m256, __m256i, __m512, __m512i, _CMP_GE_OQ, _CMP_GT_OQ, _CMP_LE_OQ};

impl Simd for V4 {
    type Vector = __m512;
    type Words = __m512i;
    const UNITS: usize = 8;

    #[inline(always)]
    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.vectorize(work)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        self.avx512f._mm512_set1_ps(value)
    }
    #[inline(always)]
    fn load(self, from: &Sixteen) -> __m512 {
        cast(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut Sixteen, from: __m512) {
        *to = cast(from);
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_add_ps(a, b)
    }
    #[inline(always)]
    fn multiply(self, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_mul_ps(a, b)
    }
    // If an operand is NaN, `min` and `max` return the second operand.
    #[inline(always)]
    fn clamp(self, a: __m512, low: __m512, high: __m512) -> __m512 {
        let above = self.avx512f._mm512_max_ps(low, a);
        self.avx512f._mm512_min_ps(high, above)
    }
    #[inline(always)]
    fn between(self, a: __m512, low: __m512, high: __m512) -> u16 {
        self.avx512f._mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, low)
            & self.avx512f._mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, high)
    }
    #[inline(always)]
    fn above(self, a: __m512, b: __m512) -> u16 {
        self.avx512f._mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b)
    }
    #[inline(always)]
    fn select(self, bits: u16, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_mask_blend_ps(bits, b, a)
    }
    #[inline(always)]
    fn add_where(self, bits: u16, a: __m512, b: __m512) -> __m512 {
        self.avx512f._mm512_mask_add_ps(a, bits, a, b)
    }
    #[inline(always)]
    fn nibbles(self, rows: [&[u32; 4]; 4]) -> __m512i {
        let f = self.avx512f;
        let mut nibbles = f._mm512_setzero_si512();
        for (s, row) in rows.into_iter().enumerate() {
            let row = f._mm512_broadcast_i32x4(cast(*row));
            let rotations: __m512i = cast(rotations(s));
            let own = f._mm512_set1_epi32(0x1111_1111 << s);
            let rotated = f._mm512_rorv_epi32(row, rotations);
            // nibbles | rotated & own
            nibbles = f._mm512_ternarylogic_epi32::<0xF8>(nibbles, rotated, own);
        }
        nibbles
    }
    #[inline(always)]
    fn look_up(self, table: __m512, nibbles: __m512i, nibble: usize) -> __m512 {
        let shift = self.sse2._mm_cvtsi32_si128(4 * nibble as i32);
        let own = self.avx512f._mm512_srl_epi32(nibbles, shift);
        self.avx512f._mm512_permutexvar_ps(own, table)
    }
    #[inline(always)]
    fn in_lane_order(self, sums: [__m512; UNITS_OF_ROW]) -> [__m512; UNITS_OF_ROW] {
        let f = self.avx512f;
        let order: __m512i = cast(ORDER);
        let mut lanes = sums;
        for half in 0..2 {
            let (a, b) = (sums[4 * half], sums[4 * half + 1]);
            let (c, d) = (sums[4 * half + 2], sums[4 * half + 3]);
            let pairs = [
                [f._mm512_unpacklo_ps(a, b), f._mm512_unpacklo_ps(c, d)],
                [f._mm512_unpackhi_ps(a, b), f._mm512_unpackhi_ps(c, d)],
            ];
            for word in 0..4 {
                let [first, second] = pairs[word / 2];
                let (first, second) = (f._mm512_castps_pd(first), f._mm512_castps_pd(second));
                let four = match word % 2 {
                    0 => f._mm512_unpacklo_pd(first, second),
                    _ => f._mm512_unpackhi_pd(first, second),
                };
                let four = f._mm512_castpd_ps(four);
                lanes[2 * word + half] = f._mm512_permutexvar_ps(order, four);
            }
        }
        lanes
    }
}

/// The number of places by which the four copies of a row of bits rotate right, for row s of four.
const fn rotations(s: usize) -> [u32; 16] {
    let mut rotations = [0; 16];
    let mut lane = 0;
    while lane < 16 {
        rotations[lane] = (32 + lane as u32 / 4 - s as u32) % 32;
        lane += 1;
    }
    rotations
}

/// Element 4j + i comes from 4i + j.
const ORDER: [u32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

/// Lane i of the low half has bit i, and lane i of the high half has bit i + 8.
const BITS: [[i32; 8]; 2] = [
    [1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7],
    [
        1 << 8,
        1 << 9,
        1 << 10,
        1 << 11,
        1 << 12,
        1 << 13,
        1 << 14,
        1 << 15,
    ],
];

/// All ones in the lanes whose bit is 1.
#[inline(always)]
fn lanes(simd: V3, bits: u16, half: usize) -> __m256 {
    let own = cast(BITS[half]);
    let all = simd.avx._mm256_set1_epi32(i32::from(bits));
    let set = simd.avx2._mm256_and_si256(all, own);
    simd.avx
        ._mm256_castsi256_ps(simd.avx2._mm256_cmpeq_epi32(set, own))
}

impl Simd for V3 {
    type Vector = [__m256; 2];
    type Words = [__m256i; 2];
    const UNITS: usize = 4;

    #[inline(always)]
    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.vectorize(work)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> [__m256; 2] {
        [self.avx._mm256_set1_ps(value); 2]
    }
    #[inline(always)]
    fn load(self, from: &Sixteen) -> [__m256; 2] {
        cast(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut Sixteen, from: [__m256; 2]) {
        *to = cast(from);
    }
    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        [0, 1].map(|half| self.avx._mm256_add_ps(a[half], b[half]))
    }
    #[inline(always)]
    fn multiply(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        [0, 1].map(|half| self.avx._mm256_mul_ps(a[half], b[half]))
    }
    #[inline(always)]
    fn clamp(self, a: [__m256; 2], low: [__m256; 2], high: [__m256; 2]) -> [__m256; 2] {
        [0, 1].map(|half| {
            let above = self.avx._mm256_max_ps(low[half], a[half]);
            self.avx._mm256_min_ps(high[half], above)
        })
    }
    #[inline(always)]
    fn between(self, a: [__m256; 2], low: [__m256; 2], high: [__m256; 2]) -> u16 {
        let [l, h] = [0, 1].map(|half| {
            let from = self.avx._mm256_cmp_ps::<_CMP_GE_OQ>(a[half], low[half]);
            let to = self.avx._mm256_cmp_ps::<_CMP_LE_OQ>(a[half], high[half]);
            self.avx
                ._mm256_movemask_ps(self.avx._mm256_and_ps(from, to)) as u16
        });
        l | h << 8
    }
    #[inline(always)]
    fn above(self, a: [__m256; 2], b: [__m256; 2]) -> u16 {
        let [l, h] = [0, 1].map(|half| {
            let above = self.avx._mm256_cmp_ps::<_CMP_GT_OQ>(a[half], b[half]);
            self.avx._mm256_movemask_ps(above) as u16
        });
        l | h << 8
    }
    #[inline(always)]
    fn select(self, bits: u16, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        [0, 1].map(|half| {
            self.avx
                ._mm256_blendv_ps(b[half], a[half], lanes(self, bits, half))
        })
    }
    #[inline(always)]
    fn add_where(self, bits: u16, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        [0, 1].map(|half| {
            let set = self.avx._mm256_and_ps(b[half], lanes(self, bits, half));
            self.avx._mm256_add_ps(a[half], set)
        })
    }
    #[inline(always)]
    fn nibbles(self, rows: [&[u32; 4]; 4]) -> [__m256i; 2] {
        let simd = self.avx2;
        let ones = self.avx._mm256_set1_epi32(0x1111_1111);
        [0, 1].map(|half| {
            let places: __m256i = cast([[2 * half; 4], [2 * half + 1; 4]]);
            let mut nibbles = self.avx._mm256_setzero_si256();
            for (s, row) in rows.into_iter().enumerate() {
                let row = simd._mm256_broadcastsi128_si256(cast(*row));
                let bits = simd._mm256_and_si256(simd._mm256_srlv_epi32(row, places), ones);
                let bits = simd._mm256_sllv_epi32(bits, self.avx._mm256_set1_epi32(s as i32));
                nibbles = simd._mm256_or_si256(nibbles, bits);
            }
            nibbles
        })
    }
    #[inline(always)]
    fn look_up(
        self,
        [low, high]: [__m256; 2],
        nibbles: [__m256i; 2],
        nibble: usize,
    ) -> [__m256; 2] {
        let shift = |count: usize| self.avx._mm256_set1_epi32(count as i32);
        nibbles.map(|nibbles| {
            let own = self.avx2._mm256_srlv_epi32(nibbles, shift(4 * nibble));
            let [low, high] =
                [low, high].map(|table| self.avx2._mm256_permutevar8x32_ps(table, own));
            // Moves the highest bit of the nibble to where a blend reads it.
            let is_high = self.avx2._mm256_sllv_epi32(nibbles, shift(28 - 4 * nibble));
            self.avx
                ._mm256_blendv_ps(low, high, self.avx._mm256_castsi256_ps(is_high))
        })
    }
}
