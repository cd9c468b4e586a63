//! Rows of Σ X·M·S·e, the sums over samples that every gradient of an accumulator is made of: see [`masked`].

use super::cpu::simd::{Simd, Sixteen, UNITS_OF_ROW, Work, widest};
use super::inputs::Inputs;
use super::libraries::{ACTIVATION, ACTIVATIONS, BITS, GRID};
use super::masked::{self, GROUP};
use crate::activation::Activation;
use crate::batch::{CHUNK, SparseInputs};
use crate::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot, Traffic};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

crate::parameters! {
    /// Both perspectives' rows: those of the second stand behind those of the first.
    pub struct Params {
        /// Samples of this strip.
        pub samples: u32,
        /// The strip's first sample among all, a multiple of [`CHUNK`].
        pub first: u32,
        /// Samples of all strips.
        pub total: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// Chunks of the first perspective's transposed index.
        pub chunks_1: u32,
        /// Chunks of the second's.
        pub chunks_2: u32,
        /// Where the second perspective's samples begin in `list`.
        pub list_2: u32,
        /// How lanes lie in words, as in `forward_sparse`.
        pub interleave: u32,
        /// Samples in all chunks.
        pub entries: u32,
    }
}

impl crate::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        // For ReLU the last of them find no row.
        let rows = self.chunks_1 + self.chunks_2 + 4 * self.total.div_ceil(CHUNK as u32);
        rows * self.hidden.div_ceil(GROUP as u32)
    }
}

/// One perspective's share of the buffers.
#[derive(Clone, Copy, Debug)]
struct Side {
    perspective: usize,
    chunks: usize,
    /// Where its chunk starts begin.
    starts: usize,
    /// Where its samples begin.
    list: usize,
    /// Rows.
    total: usize,
}

impl Params {
    fn strip(&self) -> Range<usize> {
        self.first as usize..(self.first + self.samples) as usize
    }

    fn sides(&self, activation: Activation) -> [Side; 2] {
        let chunks = [self.chunks_1 as usize, self.chunks_2 as usize];
        [0, 1].map(|perspective| Side {
            perspective,
            chunks: chunks[perspective],
            starts: perspective * (chunks[0] + 1),
            list: perspective * self.list_2 as usize,
            total: masked::rows(activation, chunks[perspective], self.total as usize),
        })
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "masked_rows",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../shaders/masked_rows.wgsl"),
    libraries: &[GRID, ACTIVATION, BITS],
    variants: ACTIVATIONS,
    bindings: &[
        Binding::words("chunk_starts"),
        Binding::words("list"),
        Binding::floats("e"),
        Binding::words("bits"),
        Binding::floats("slopes"),
        Binding::update("rows"),
    ],
    fields: FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (chunk_starts, list) = (call.words(0), call.words(1));
    let (e, bits, slopes) = (call.floats(2), call.words(3), call.floats(4));
    let rows = call.floats_mut(5);
    let (total, hidden) = (p.total as usize, p.hidden as usize);
    let (blocks, words) = (masked::blocks(total), hidden / 32);
    let strip = p.strip();
    let mut first = 0;
    for side in p.sides(activation) {
        let (starts, list) = (&chunk_starts[side.starts..], &list[side.list..]);
        for row in 0..side.total {
            let of_row: Vec<usize> = if row < side.chunks {
                let entries = &list[starts[row] as usize..starts[row + 1] as usize];
                let entries = entries.iter().map(|&sample| sample as usize);
                entries.filter(|sample| strip.contains(sample)).collect()
            } else {
                strip.clone().filter(|s| s / CHUNK == (row - side.chunks) % blocks).collect()
            };
            if row >= side.chunks && of_row.is_empty() {
                continue;
            }
            for r in 0..hidden {
                let (word, bit) = masked::word_and_bit(r, p.interleave as usize);
                                let mut sum = 0.0;
                for &s in &of_row {
                    let is_set = |kind: usize| {
                        let plane = 2 * kind + side.perspective;
                        bits[(plane * total + s) * words + word] >> bit & 1 == 1
                    };
                    if row >= side.chunks + blocks {
                        sum += if is_set(1) { e[s] } else { 0.0 };
                    } else if activation == Activation::SCRelu {
                        sum += e[s] * slopes[(side.perspective * strip.len() + s - strip.start) * hidden + r];
                    } else {
                        sum += if is_set(0) { e[s] } else { 0.0 };
                    }
                }
                let place = masked::place(hidden, side.total, row, r / GROUP);
                let out = &mut rows[first + place.start + r % GROUP];
                let is_added = row < side.chunks && strip.start > 0;
                *out = if is_added { *out + sum } else { sum };
            }
        }
        first += side.total * hidden;
    }
}

/// Words of a group's bits.
const WORDS: usize = GROUP / 32;

/// Of each of four values the sixteen subsets that have it: bit b of s is bit s of b.
const SUBSETS: [u16; 4] = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00];

/// Samples whose bits of a group stay in the second cache.
const NEAR_SAMPLES: usize = 1 << 15;

/// Rows that one task sums.
const BAND: usize = 128;
/// The same where slopes are read: each band goes through the slopes of a strip once.
const SLOPED_BAND: usize = 1024;

/// A band of rows for a group of lanes.
struct Band<'a> {
    sums: &'a Sums<'a>,
    side: Side,
    group: usize,
    /// The number of the first.
    first: usize,
    rows: &'a mut [f32],
}

/// What is read of all.
struct Sums<'a> {
    params: Params,
    activation: Activation,
    chunk_starts: &'a [u32],
    list: &'a [u32],
    /// All samples.
    every: Vec<u32>,
    e: &'a [f32],
    /// A bit a lane, in order.
    bits: &'a [u32],
    /// Those of M in whole groups of lanes, `[2, groups, total]`: what is gathered lies close together, whatever K.
    whole: Cow<'a, [[u32; WORDS]]>,
    slopes: &'a [Sixteen],
}

fn body(mut call: Call<'_, f32>) {
    let params: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (chunk_starts, list) = (call.words(0), call.words(1));
    let (e, bits, slopes) = (call.floats(2), call.words(3), call.floats(4));
    let mut rows = call.floats_mut(5);
    let (total, hidden) = (params.total as usize, params.hidden as usize);
    let kinds = if activation == Activation::Relu { 1 } else { 2 };
    let bits = match params.interleave {
        1 => Cow::Borrowed(bits),
        interleave => {
            let words = bits[..kinds * total * 2 * hidden / 32].chunks(hidden / 32);
            let words = words.flat_map(|words| masked::in_order(words, interleave as usize));
            Cow::Owned(words.collect())
        }
    };
    let bits = bits.as_ref();
    let sums = Sums {
        params,
        activation,
        chunk_starts,
        list,
        every: (0..params.total).collect(),
        e,
        bits,
        whole: whole_groups(bits, total, hidden / 32),
        slopes: slopes.as_chunks().0,
    };
    let most = if activation == Activation::SCRelu { SLOPED_BAND } else { BAND };
    let mut bands = Vec::new();
    for side in params.sides(activation) {
        let own = rows.split_off_mut(..side.total * hidden).unwrap_or_default();
        let groups = own.chunks_mut((GROUP * side.total).max(1));
        for (group, rows) in groups.enumerate() {
            let width = masked::lanes(hidden, group).len();
            let rows = rows.chunks_mut(most * width).enumerate();
            bands.extend(rows.map(|(band, rows)| Band {
                sums: &sums,
                side,
                group,
                first: band * most,
                rows,
            }));
        }
    }
    bands.into_par_iter().for_each(widest);
}

/// The words of M in groups: see [`Sums::whole`].
fn whole_groups(bits: &[u32], total: usize, words: usize) -> Cow<'_, [[u32; WORDS]]> {
    if words == WORDS {
        return Cow::Borrowed(&bits.as_chunks().0[..2 * total]);
    }
    let groups = words / WORDS;
    let mut whole = vec![[0; WORDS]; 2 * groups * total];
    let parts = whole.par_chunks_mut(total.max(1)).enumerate();
    parts.for_each(|(index, part)| {
        let (perspective, group) = (index / groups, index % groups);
        let samples = bits[perspective * total * words..].chunks_exact(words);
        for (to, sample) in part.iter_mut().zip(samples) {
            to.copy_from_slice(&sample[group * WORDS..][..WORDS]);
        }
    });
    Cow::Owned(whole)
}

impl Work for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(self, simd: S) {
        let (sums, side) = (self.sums, self.side);
        let strip = sums.params.strip();
        let units = masked::lanes(sums.params.hidden as usize, self.group).len() / 16;
        let sloped = sums.activation == Activation::SCRelu;
        let rows = self.rows.as_chunks_mut::<16>().0;
        let blocks = masked::blocks(sums.params.total as usize);
        let entries = |row: usize| match row.checked_sub(side.chunks) {
            None => (0, sums.chunk(side, row)),
            Some(block) => (block / blocks, sums.block(block % blocks)),
        };
        let mut order: Vec<usize> = (0..rows.len() / units).collect();
        if strip.len() > NEAR_SAMPLES {
            // Rows that begin near each other read bits that lie near each other.
            order.sort_by_cached_key(|row| entries(self.first + row).1.first().copied());
        }
        for index in order {
            let row = self.first + index;
            let out = &mut rows[index * units..][..units];
            let (plane, entries) = entries(row);
            let adds = row < side.chunks && strip.start > 0;
            if row >= side.chunks && entries.is_empty() {
                continue;
            }
            let place = Place {
                side,
                plane,
                group: self.group,
            };
            match sloped && plane == 0 {
                true => sums.sloped(simd, place, entries, adds, out),
                false => sums.masked(simd, place, entries, adds, out),
            }
        }
    }
}

/// Whose bits or slopes, of which lanes.
#[derive(Clone, Copy)]
struct Place {
    side: Side,
    /// 0 for M, 1 for Z > T.
    plane: usize,
    group: usize,
}

impl Sums<'_> {
    /// The samples of a chunk that are of the strip.
    fn chunk(&self, side: Side, row: usize) -> &[u32] {
        let strip = self.params.strip();
        let starts = &self.chunk_starts[side.starts + row..];
        let list = &self.list[side.list..][starts[0] as usize..starts[1] as usize];
        if strip.len() == self.params.total as usize {
            return list;
        }
        let before = |end: usize| list.partition_point(|&sample| (sample as usize) < end);
        &list[before(strip.start)..before(strip.end)]
    }

    /// The same of a block, which has every sample.
    fn block(&self, block: usize) -> &[u32] {
        let strip = self.params.strip();
        let [start, end] = [block, block + 1].map(|block| (block * CHUNK).clamp(strip.start, strip.end));
        &self.every[start..end]
    }

    /// Σ e·slope over samples, to or onto `out`.
    #[inline(always)]
    fn sloped<S: Simd>(
        &self,
        simd: S,
        place: Place,
        entries: &[u32],
        adds: bool,
        out: &mut [Sixteen],
    ) {
        let mut unit = 0;
        while unit < out.len() {
            let own = &mut out[unit..];
            unit += match (S::UNITS, own.len()) {
                (8.., 8..) => self.sloped_lanes::<S, 8>(simd, (place, unit), entries, adds, own),
                (4.., 4..) => self.sloped_lanes::<S, 4>(simd, (place, unit), entries, adds, own),
                _ => self.sloped_lanes::<S, 2>(simd, (place, unit), entries, adds, own),
            };
        }
    }

    /// The same for 16·U lanes of the group from `unit` on; gives U.
    #[inline(always)]
    fn sloped_lanes<S: Simd, const U: usize>(
        &self,
        simd: S,
        (place, unit): (Place, usize),
        entries: &[u32],
        adds: bool,
        out: &mut [Sixteen],
    ) -> usize {
        let sample_units = self.params.hidden as usize / 16;
        let first = self.params.first as usize;
        let own = place.side.perspective * self.params.samples as usize * sample_units;
        let all = &self.slopes[own + place.group * UNITS_OF_ROW + unit..];
        let out = &mut out[..U];
        let mut totals = [simd.splat(0.0); U];
        if adds {
            totals = std::array::from_fn(|i| simd.load(&out[i]));
        }
        for &sample in entries {
            let sample = sample as usize;
            let e = simd.splat(self.e[sample]);
            let slopes = &all[(sample - first) * sample_units..][..U];
            for i in 0..U {
                let term = simd.multiply(e, simd.load(&slopes[i]));
                totals[i] = simd.add(totals[i], term);
            }
        }
        for i in 0..U {
            simd.store(&mut out[i], totals[i]);
        }
        U
    }

    /// Σ e over those samples whose bit is set, to or onto `out`.
    ///
    /// Four samples at a time: sixteen sums there can be of their e, and the four bits of a lane say which is its own.
    #[inline(always)]
    fn masked<S: Simd>(
        &self,
        simd: S,
        place: Place,
        entries: &[u32],
        adds: bool,
        out: &mut [Sixteen],
    ) {
        let (total, words) = (self.params.total as usize, self.params.hidden as usize / 32);
        let Place { side, plane, group } = place;
        let bits = &self.bits[(2 * plane + side.perspective) * total * words + group * WORDS..];
        let mut sums = [simd.splat(0.0); UNITS_OF_ROW];
        // Were they constants, the masked additions would become shuffles.
        let subsets = std::hint::black_box(SUBSETS);
        let (fours, _) = entries.as_chunks::<4>();
        let fours = match (plane, out.len()) {
            (0, UNITS_OF_ROW) => {
                let groups = words / WORDS;
                let rows = &self.whole[(side.perspective * groups + group) * total..][..total];
                self.add_fours(simd, subsets, fours, |sample| &rows[sample], &mut sums);
                fours.len()
            }
            (_, UNITS_OF_ROW) => {
                let none = &[0; WORDS];
                let row = |sample: usize| bits[sample * words..].first_chunk().unwrap_or(none);
                self.add_fours(simd, subsets, fours, row, &mut sums);
                fours.len()
            }
            _ => 0,
        };
        // The last few, and all where a row has fewer words.
        for samples in entries[4 * fours..].chunks(4) {
            let (mut e, mut rows) = ([0.0; 4], [[0; WORDS]; 4]);
            for (i, &sample) in samples.iter().enumerate() {
                let sample = sample as usize;
                e[i] = self.e[sample];
                let row = &bits[sample * words..][..out.len() / 2];
                rows[i][..row.len()].copy_from_slice(row);
            }
            add_four(simd, (e, subsets), rows.each_ref(), &mut sums);
        }
        let sums = simd.in_lane_order(sums);
        for (out, sum) in out.iter_mut().zip(sums) {
            let before = if adds { simd.load(out) } else { simd.splat(0.0) };
            simd.store(out, simd.add(before, sum));
        }
    }

    /// Adds those of the samples in fours to the sums of 128 lanes.
    #[inline(always)]
    fn add_fours<'r, S: Simd>(
        &self,
        simd: S,
        subsets: [u16; 4],
        fours: &[[u32; 4]],
        row: impl Fn(usize) -> &'r [u32; WORDS],
        sums: &mut [S::Vector; UNITS_OF_ROW],
    ) {
        for samples in fours {
            let (mut e, mut rows) = ([0.0; 4], [&[0; WORDS]; 4]);
            // A closure of an array's `map` may be called, and then not compiled for the level.
            for i in 0..4 {
                let sample = samples[i] as usize;
                e[i] = self.e[sample];
                rows[i] = row(sample);
            }
            add_four(simd, (e, subsets), rows, sums);
        }
    }
}

/// Adds to the sum of each lane those of four e whose bit is set.
#[inline(always)]
fn add_four<S: Simd>(
    simd: S,
    (e, subsets): ([f32; 4], [u16; 4]),
    rows: [&[u32; WORDS]; 4],
    sums: &mut [S::Vector; UNITS_OF_ROW],
) {
    let mut table = simd.splat(0.0);
    for (e, subset) in e.into_iter().zip(subsets) {
        table = simd.add_where(subset, table, simd.splat(e));
    }
    let nibbles = simd.nibbles(rows);
    for (nibble, sum) in sums.iter_mut().enumerate() {
        *sum = simd.add(*sum, simd.look_up(table, nibbles, nibble));
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let activation = Activation::ALL[variant];
    let [samples, hidden, chunks, entries] =
        [p.samples, p.hidden, p.chunks_1 + p.chunks_2, p.entries].map(u64::from);
    let blocks = samples.div_ceil(CHUNK as u64);
    // Bytes of a lane that G and G_B read, and of one that G_T reads.
    let (of_lane, above) = match activation {
        Activation::CRelu => (hidden / 8, hidden / 8),
        Activation::SCRelu => (4 * hidden, hidden / 8),
        Activation::Relu => (hidden / 8, 0),
    };
    let kinds = if activation == Activation::Relu { 1 } else { 2 };
    let terms = entries + kinds * 2 * samples;
    let rows = chunks + kinds * 2 * blocks;
    let before = if p.first > 0 { chunks } else { 0 };
    Traffic {
        read: 4 * (chunks + 2 + entries + before * hidden),
        written: 4 * rows * hidden,
        gathered_issued: 4 * terms + (entries + 2 * samples) * of_lane + 2 * samples * above,
        gathered_distinct: 4 * samples + 2 * samples * (of_lane + above),
        operations: terms * hidden,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N, interleave]: 0, 1, tile − 1, tile, tile + 1, a chunk and one more, every interleave,
    // groups of lanes that are not full, primes, and past 65,535 workgroups.
    let shapes = [
        [0, 32, 2, 5, 1],
        [1, 32, 1, 1, 1],
        [15, 64, 7, 40, 2],
        [16, 96, 32, 768, 1],
        [17, 128, 32, 768, 4],
        [1024, 32, 2, 3, 1],
        [1025, 160, 5, 45, 1],
        [2300, 256, 3, 7, 2],
        [6, 640, 9, 31, 4],
        [3, 32, 2, 66_001, 1],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups: about half of the features have a sample.
    cases.push(case(0, shapes.len(), [33_000, 160, 3, 66_001, 1]));
    cases
}

fn case(variant: usize, seed: usize, shape: [usize; 5]) -> Case {
    let [samples, hidden, width, features, interleave] = shape;
    let activation = Activation::ALL[variant];
    let mut inputs = Inputs::new(1400 + seed as u64);
    let sparse = [(); 2].map(|()| inputs.sparse(samples, width, features));
    let [chunks_1, chunks_2] = sparse.each_ref().map(|p| p.chunk_starts().len() - 1);
    let joined = |of: fn(&SparseInputs) -> &[u32]| sparse.iter().flat_map(of).copied().collect();
    let list: Vec<u32> = joined(SparseInputs::samples);
    // Every other shape with room for it is the second of two strips.
    let first = if seed % 2 == 1 { samples.saturating_sub(1) / CHUNK * CHUNK } else { 0 };
    let params = Params {
        samples: (samples - first) as u32,
        first: first as u32,
        total: samples as u32,
        hidden: hidden as u32,
        chunks_1: chunks_1 as u32,
        chunks_2: chunks_2 as u32,
        list_2: sparse[0].samples().len() as u32,
        interleave: interleave as u32,
        entries: list.len() as u32,
    };
    let words = samples * 2 * hidden / 32;
    let (kinds, slopes) = match activation {
        Activation::CRelu => (2, 0),
        Activation::SCRelu => (2, (samples - first) * 2 * hidden),
        Activation::Relu => (1, 0),
    };
    let rows: usize = params.sides(activation).iter().map(|side| side.total).sum();
    Case::new(
        format!("L={samples} K={hidden} F={width} N={features} interleave={interleave}"),
        variant,
        params,
        vec![
            Slot::Words(joined(SparseInputs::chunk_starts)),
            Slot::Words(list),
            Slot::Floats(inputs.floats(samples, -1.0, 1.0)),
            Slot::Words(inputs.words(kinds * words, u32::MAX)),
            Slot::Floats(inputs.floats(slopes, -1.0, 1.0)),
            Slot::Update {
                values: inputs.floats(rows * hidden, -1.0, 1.0),
                bound: Bound::Sum {
                    terms: samples.clamp(1, CHUNK) + 1,
                    c: 1.0,
                },
            },
        ],
    )
}
