//! Sixteen lanes at a time, at the widest SIMD level of the processor: the hot loops of the
//! two-perspective network are written in these operations.
//!
//! Every level gives the same bits, because lanes never meet and nothing is contracted.

#[cfg(target_arch = "x86_64")]
mod x86;

/// Sixteen floats.
pub type Sixteen = [f32; 16];

/// Sixteens of lanes in a row of four mask words.
pub const UNITS_OF_ROW: usize = 8;

/// A SIMD level, as a token that proves that the processor has it.
pub trait Simd: Copy + Send + Sync {
    /// Sixteen lanes in registers.
    type Vector: Copy;
    /// Sixteen words in registers.
    type Words: Copy;
    /// The number of vectors to keep in registers at once: half of the registers, or all of them
    /// where there are few.
    const UNITS: usize;

    /// Runs `work`, which must be inlined, compiled for this level.
    fn run<T>(self, work: impl FnOnce() -> T) -> T;
    /// The same value in each lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// Loads from memory.
    fn load(self, from: &Sixteen) -> Self::Vector;
    /// Stores to memory.
    fn store(self, to: &mut Sixteen, from: Self::Vector);
    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b.
    fn multiply(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// min(max(a, low), high), which keeps a NaN.
    fn clamp(self, a: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector;
    /// One bit per lane: low ≤ a ≤ high.
    fn between(self, a: Self::Vector, low: Self::Vector, high: Self::Vector) -> u16;
    /// One bit per lane: a > b.
    fn above(self, a: Self::Vector, b: Self::Vector) -> u16;
    /// a where the lane's bit is 1, else b.
    fn select(self, bits: u16, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a + b where the lane's bit is 1, else a.
    fn add_where(self, bits: u16, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Brings the four bits of each lane, one from each of four rows of 128 bits, side by side.
    /// Nibble n of word 4i + d is lane 32d + 4n + i, and bit s of the nibble comes from row s.
    fn nibbles(self, rows: [&[u32; 4]; 4]) -> Self::Words;
    /// table\[nibble n of each word\].
    fn look_up(self, table: Self::Vector, nibbles: Self::Words, nibble: usize) -> Self::Vector;
    /// The sums of [`Simd::look_up`], one vector per nibble, in the order of the lanes.
    #[inline(always)]
    fn in_lane_order(self, sums: [Self::Vector; UNITS_OF_ROW]) -> [Self::Vector; UNITS_OF_ROW] {
        let mut from: [Sixteen; UNITS_OF_ROW] = [[0.0; 16]; UNITS_OF_ROW];
        for (to, sums) in from.iter_mut().zip(sums) {
            self.store(to, sums);
        }
        std::array::from_fn(|unit| {
            let lane = |j: usize| {
                let lane = 16 * unit + j;
                from[lane % 32 / 4][lane % 4 * 4 + lane / 32]
            };
            self.load(&std::array::from_fn(lane))
        })
    }
}

/// Work that is written once for every level.
pub trait Work {
    /// The result of the work.
    type Output;
    /// Does the work at a level, inlined into [`Simd::run`].
    fn at<S: Simd>(self, simd: S) -> Self::Output;
}

/// Does `work` at the widest level of the processor.
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

/// The level that every target has, compiled to the vectors of its baseline.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Simd for Plain {
    type Vector = Sixteen;
    type Words = [u32; 16];
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
    #[inline(always)]
    fn nibbles(self, rows: [&[u32; 4]; 4]) -> [u32; 16] {
        let bit = |s: usize, word: usize| (rows[s][word % 4] >> (word / 4) & 0x1111_1111) << s;
        std::array::from_fn(|word| (0..4).fold(0, |nibbles, s| nibbles | bit(s, word)))
    }
    #[inline(always)]
    fn look_up(self, table: Sixteen, nibbles: [u32; 16], nibble: usize) -> Sixteen {
        nibbles.map(|nibbles| table[(nibbles >> (4 * nibble) & 15) as usize])
    }
}

#[inline(always)]
fn bits(of: impl Fn(usize) -> bool) -> u16 {
    (0..16).fold(0, |bits, lane| bits | u16::from(of(lane)) << lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of every operation of a level, as plain values.
    struct Everything {
        a: Sixteen,
        b: Sixteen,
        bits: u16,
        rows: [[u32; 4]; 4],
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
            let table = simd.load(&std::array::from_fn(|i| i as f32 * 0.75 - 3.0));
            let nibbles = simd.nibbles(self.rows.each_ref());
            let found = std::array::from_fn(|nibble| simd.look_up(table, nibbles, nibble));
            let vectors = vectors.into_iter().chain(simd.in_lane_order(found));
            let vectors = vectors.map(|vector| {
                let mut values = [0.0; 16];
                simd.store(&mut values, vector);
                values
            });
            let words = [simd.between(a, low, high), simd.above(a, high)];
            (vectors.collect(), words.to_vec())
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
                rows: std::array::from_fn(|row| {
                    std::array::from_fn(|word| {
                        (seed + 1).wrapping_mul(0x9E37_79B9 + (4 * row + word) as u32)
                    })
                }),
            };
            let plain = work().at(Plain);
            let looked_up = &plain.0[5..];
            for lane in 0..128 {
                let of_row = |row: usize| work().rows[row][lane / 32] >> (lane % 32) & 1;
                let own = (0..4).map(|row| of_row(row) << row).sum::<u32>();
                assert_eq!(looked_up[lane / 16][lane % 16], own as f32 * 0.75 - 3.0);
            }
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
