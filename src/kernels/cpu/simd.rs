//! Sixteen lanes at a time, at the widest level the processor has: what the two-perspective network's hot loops are
//! written in. Every level gives the same bits: lanes never meet, and nothing is contracted.

/// Sixteen floats.
pub type Sixteen = [f32; 16];

/// A level of SIMD, as a token that proves the processor has it.
pub trait Simd: Copy + Send + Sync {
    /// Sixteen lanes in registers.
    type Vector: Copy;
    /// How many vectors are kept in registers at once: half of the registers, or all where there are few.
    const UNITS: usize;

    /// Runs `work`, which must be inlined, compiled for this level.
    fn run<T>(self, work: impl FnOnce() -> T) -> T;
    /// The same value in each lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// From memory.
    fn load(self, from: &Sixteen) -> Self::Vector;
    /// To memory.
    fn store(self, to: &mut Sixteen, from: Self::Vector);
    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b.
    fn multiply(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// min(max(a, low), high) that keeps a NaN.
    fn clamp(self, a: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector;
    /// One bit a lane: low ≤ a ≤ high.
    fn between(self, a: Self::Vector, low: Self::Vector, high: Self::Vector) -> u16;
    /// One bit a lane: a > b.
    fn above(self, a: Self::Vector, b: Self::Vector) -> u16;
    /// a where the lane's bit is set, else b.
    fn select(self, bits: u16, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a + b where the lane's bit is set, else a.
    fn add_where(self, bits: u16, a: Self::Vector, b: Self::Vector) -> Self::Vector;
}

/// Work that is written once for every level.
pub trait Work {
    /// What it gives.
    type Output;
    /// Does it at a level; to be inlined into [`Simd::run`].
    fn at<S: Simd>(self, simd: S) -> Self::Output;
}

/// Does `work` at the widest level the processor has.
pub fn widest<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return simd.run(
                #[inline(always)]
                || work.at(simd),
            );
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.run(
                #[inline(always)]
                || work.at(simd),
            );
        }
    }
    work.at(Plain)
}

/// What every target has; compiled to the vectors of its baseline.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Simd for Plain {
    type Vector = Sixteen;
    const UNITS: usize = 2;

    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Sixteen {
        [value; 16]
    }
    #[inline(always)]
    fn load(self, from: &Sixteen) -> Sixteen {
        *from
    }
    #[inline(always)]
    fn store(self, to: &mut Sixteen, from: Sixteen) {
        *to = from;
    }
    #[inline(always)]
    fn add(self, a: Sixteen, b: Sixteen) -> Sixteen {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    fn multiply(self, a: Sixteen, b: Sixteen) -> Sixteen {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }
    #[inline(always)]
    fn clamp(self, a: Sixteen, low: Sixteen, high: Sixteen) -> Sixteen {
        std::array::from_fn(|lane| a[lane].clamp(low[lane], high[lane]))
    }
    #[inline(always)]
    fn between(self, a: Sixteen, low: Sixteen, high: Sixteen) -> u16 {
        bits(|lane| (a[lane] >= low[lane]) & (a[lane] <= high[lane]))
    }
    #[inline(always)]
    fn above(self, a: Sixteen, b: Sixteen) -> u16 {
        bits(|lane| a[lane] > b[lane])
    }
    #[inline(always)]
    fn select(self, bits: u16, a: Sixteen, b: Sixteen) -> Sixteen {
        std::array::from_fn(|lane| {
            if bits >> lane & 1 == 1 {
                a[lane]
            } else {
                b[lane]
            }
        })
    }
    #[inline(always)]
    fn add_where(self, bits: u16, a: Sixteen, b: Sixteen) -> Sixteen {
        self.select(bits, self.add(a, b), a)
    }
}

#[inline(always)]
fn bits(of: impl Fn(usize) -> bool) -> u16 {
    (0..16).fold(0, |bits, lane| bits | u16::from(of(lane)) << lane)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Simd, Sixteen};
    use bytemuck::cast;
    use pulp::x86::{V3, V4};
    use std::arch::x86_64::{__m256, __m512, _CMP_GE_OQ, _CMP_GT_OQ, _CMP_LE_OQ};

    impl Simd for V4 {
        type Vector = __m512;
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
        // Where an operand is NaN, `min` and `max` give the second.
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
    }

    /// Lane i of the low and of the high half has bit i and i + 8.
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

    /// All ones in the lanes whose bit is set.
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation of a level, on its vectors, as plain values.
    struct Everything {
        a: Sixteen,
        b: Sixteen,
        bits: u16,
    }

    impl Work for Everything {
        type Output = (Vec<Sixteen>, Vec<u16>);

        #[inline(always)]
        fn at<S: Simd>(self, simd: S) -> Self::Output {
            let (a, b) = (simd.load(&self.a), simd.load(&self.b));
            let (low, high) = (simd.splat(0.0), simd.splat(0.75));
            let vectors = [
                simd.add(a, b),
                simd.multiply(a, b),
                simd.clamp(a, low, high),
                simd.select(self.bits, a, b),
                simd.add_where(self.bits, a, b),
            ];
            let vectors = vectors.map(|vector| {
                let mut values = [0.0; 16];
                simd.store(&mut values, vector);
                values
            });
            let words = [simd.between(a, low, high), simd.above(a, high)];
            (vectors.to_vec(), words.to_vec())
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        for seed in 0..64u32 {
            let value = |lane: u32| match (seed + lane) % 5 {
                0 => 0.0,
                1 => 0.75,
                _ => ((seed * 31 + lane * 17) % 64) as f32 / 32.0 - 0.7,
            };
            let work = || Everything {
                a: std::array::from_fn(|lane| value(lane as u32)),
                b: std::array::from_fn(|lane| value(lane as u32 * 3 + 1)),
                bits: (seed * 40_503) as u16,
            };
            let plain = work().at(Plain);
            #[cfg(target_arch = "x86_64")]
            {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    assert_eq!(simd.run(|| work().at(simd)), plain);
                }
                if let Some(simd) = pulp::x86::V4::try_new() {
                    assert_eq!(simd.run(|| work().at(simd)), plain);
                }
            }
            assert_eq!(widest(work()), plain);
        }
    }
}
