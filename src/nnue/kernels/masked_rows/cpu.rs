//! The CPU implementation of `masked_rows`: sums over the transposed index, from one bit or one
//! slope per lane.

use crate::engine::cpu::simd::{Simd, Sixteen, UNITS_OF_ROW, Work, widest};
use crate::engine::kernel::Call;
use crate::nnue::activation::Activation;
use crate::nnue::kernels::half;
use crate::nnue::kernels::masked::{self, GROUP, Kind};
use crate::nnue::kernels::masked_rows::{Params, Side};
use rayon::prelude::*;
use std::borrow::Cow;

/// Mask words of a lane group.
const WORDS: usize = GROUP / 32;

/// Four values have sixteen subsets. Subset b contains value s if bit b of `SUBSETS[s]` is set:
/// this is bit s of b.
const SUBSETS: [u16; 4] = [0xAAAA, 0xCCCC, 0xF0F0, 0xFF00];

/// Samples whose bits of a lane group stay in the second cache.
const NEAR_SAMPLES: usize = 1 << 15;

/// Rows that one task sums.
const BAND: usize = 128;
/// The same if slopes are read, because each band reads the slopes of a strip once.
const SLOPED_BAND: usize = 1024;

/// A band of rows for a lane group.
struct Band<'a> {
    sums: &'a Sums<'a>,
    side: Side,
    group: usize,
    /// The number of the first row.
    first: usize,
    rows: &'a mut [f32],
}

/// The inputs that all bands share.
struct Sums<'a> {
    params: Params,
    activation: Activation,
    index: &'a [u32],
    /// All samples.
    every: Vec<u32>,
    e: &'a [f32],
    /// One bit per lane, in the order of the lanes.
    bits: &'a [u32],
    /// The bits of M in whole lane groups, `[2, groups, total]`, if they are gathered. Then the
    /// words that one row reads are close together, whatever K is.
    whole: Cow<'a, [[u32; WORDS]]>,
    slopes: &'a [Sixteen],
}

/// The slopes of the lanes in order, from Z in 16 bits.
fn unpacked(p: &Params, activation: Activation, short_slopes: &[u32]) -> Vec<Sixteen> {
    let (hidden, tile) = (p.hidden as usize, 2 * p.interleave as usize);
    let units = (0..2 * p.samples as usize * hidden / 16).map(|unit| {
        std::array::from_fn(|i| {
            let (row, lane) = (16 * unit / hidden, 16 * unit % hidden + i);
            let place = row * hidden + half::place(hidden, lane, tile);
            let z = f32::from(half::get_units(short_slopes, place)) * p.unit;
            activation.slope(z, f32::INFINITY)
        })
    });
    units.collect()
}

/// The CPU implementation.
pub(super) fn body(call: Call<'_, f32>) {
    let variant = call.variant;
    let (params, buffers) = call.open::<Params>();
    let Kind { activation, short } = Kind::ALL[variant];
    let index = buffers.index;
    let (e, bits) = (&buffers.results[params.total as usize..], buffers.bits);
    let slopes = match short {
        false => Cow::Borrowed(buffers.slopes.as_chunks().0),
        true => Cow::Owned(unpacked(&params, activation, buffers.short_slopes)),
    };
    let mut rows = buffers.rows;
    let (total, hidden) = (params.total as usize, params.hidden as usize);
    let kinds = activation.conditions();
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
        index,
        every: (0..params.total).collect(),
        e,
        bits,
        whole: match activation.has_slopes() {
            true => Cow::default(),
            false => whole_groups(bits, total, hidden / 32),
        },
        slopes: &slopes,
    };
    let most = if activation.has_slopes() {
        SLOPED_BAND
    } else {
        BAND
    };
    let mut bands = Vec::new();
    for side in params.sides(activation) {
        let own = rows
            .split_off_mut(..side.total * hidden)
            .unwrap_or_default();
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
    bands.into_par_iter().with_max_len(1).for_each(widest);
}

/// The words of M in lane groups: see [`Sums::whole`].
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
        let sloped = sums.activation.has_slopes();
        let rows = self.rows.as_chunks_mut::<16>().0;
        let blocks = sums.params.blocks as usize;
        let entries = |row: usize| match row.checked_sub(side.chunks) {
            None => (0, sums.chunk(side, row)),
            Some(block) => (block / blocks, sums.block(block % blocks)),
        };
        let mut order: Vec<usize> = (0..rows.len() / units).collect();
        if strip.len() > NEAR_SAMPLES {
            // Rows whose first samples are near each other read bits that are near each other.
            order.sort_by_cached_key(|row| entries(self.first + row).1.first().copied());
        }
        for index in order {
            let row = self.first + index;
            let out = &mut rows[index * units..][..units];
            let (plane, entries) = entries(row);
            let adds = row < side.chunks && strip.start > 0;
            let is_nothing = match row < side.chunks {
                true => sums.is_room(side, row),
                false => entries.is_empty(),
            };
            if is_nothing {
                continue;
            }
            let row = Row {
                side,
                plane,
                group: self.group,
                entries,
                adds,
            };
            match sloped && plane == 0 {
                true => sums.sloped(simd, row, out),
                false => sums.masked(simd, row, out),
            }
        }
    }
}

/// One sum: the perspective, the bits or slopes, the lanes and the samples.
#[derive(Clone, Copy)]
struct Row<'a> {
    side: Side,
    /// 0 for M, 1 for Z > T.
    plane: usize,
    group: usize,
    entries: &'a [u32],
    /// Whether the sum is added to the old values.
    adds: bool,
}

impl Sums<'_> {
    /// Whether a chunk has no samples in any strip.
    fn is_room(&self, side: Side, row: usize) -> bool {
        let starts = &self.index[side.starts + row..];
        starts[0] == starts[1]
    }

    /// The samples of a chunk that belong to the strip.
    fn chunk(&self, side: Side, row: usize) -> &[u32] {
        let strip = self.params.strip();
        let starts = &self.index[side.starts + row..];
        let list = &self.index[side.list..][starts[0] as usize..starts[1] as usize];
        if strip.len() == self.params.total as usize {
            return list;
        }
        let before = |end: usize| list.partition_point(|&sample| (sample as usize) < end);
        &list[before(strip.start)..before(strip.end)]
    }

    /// The same for a block.
    fn block(&self, block: usize) -> &[u32] {
        &self.every[self.params.block(self.index, block)]
    }

    /// Writes Σ e·slope over samples to `out`, or adds it to `out`.
    #[inline(always)]
    fn sloped<S: Simd>(&self, simd: S, row: Row<'_>, out: &mut [Sixteen]) {
        let mut unit = 0;
        while unit < out.len() {
            let own = &mut out[unit..];
            unit += match (S::UNITS, own.len()) {
                (8.., 8..) => self.sloped_lanes::<S, 8>(simd, row, unit, own),
                (4.., 4..) => self.sloped_lanes::<S, 4>(simd, row, unit, own),
                _ => self.sloped_lanes::<S, 2>(simd, row, unit, own),
            };
        }
    }

    /// The same for 16·U lanes of the lane group from sixteen `unit` on. Returns U.
    #[inline(always)]
    fn sloped_lanes<S: Simd, const U: usize>(
        &self,
        simd: S,
        row: Row<'_>,
        unit: usize,
        out: &mut [Sixteen],
    ) -> usize {
        let sample_units = self.params.hidden as usize / 16;
        let first = self.params.first as usize;
        let own = row.side.perspective * self.params.samples as usize * sample_units;
        let all = &self.slopes[own + row.group * UNITS_OF_ROW + unit..];
        let out = &mut out[..U];
        let mut totals = [simd.splat(0.0); U];
        if row.adds {
            totals = std::array::from_fn(|i| simd.load(&out[i]));
        }
        for &sample in row.entries {
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

    /// Writes Σ e over the samples whose bit is set to `out`, or adds it to `out`.
    ///
    /// It takes four samples at a time. Their four e have sixteen possible sums, and the four bits
    /// of a lane choose one of them.
    #[inline(always)]
    fn masked<S: Simd>(&self, simd: S, row: Row<'_>, out: &mut [Sixteen]) {
        let (total, words) = (self.params.total as usize, self.params.hidden as usize / 32);
        let Row {
            side,
            plane,
            group,
            entries,
            adds,
        } = row;
        let bits = &self.bits[(2 * plane + side.perspective) * total * words + group * WORDS..];
        let mut sums = [simd.splat(0.0); UNITS_OF_ROW];
        // If the subsets were constants, the compiler would turn the masked additions into
        // shuffles.
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
        // The last few samples, or all samples if a row has fewer words.
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
            let before = if adds {
                simd.load(out)
            } else {
                simd.splat(0.0)
            };
            simd.store(out, simd.add(before, sum));
        }
    }

    /// Adds the e of the samples, four at a time, to the sums of 128 lanes.
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
            // The compiler may call the closure of an array's `map` instead of inlining it. Then
            // the closure is not compiled for the SIMD level.
            for i in 0..4 {
                let sample = samples[i] as usize;
                e[i] = self.e[sample];
                rows[i] = row(sample);
            }
            add_four(simd, (e, subsets), rows, sums);
        }
    }
}

/// Adds to the sum of each lane the e, of four, whose bits are set.
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
