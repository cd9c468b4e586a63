//! Rows of Σ X·M·S·e, the sums over samples that every gradient of an accumulator is made of: see [`masked`](super::masked).

use super::cpu::simd::{Simd, Sixteen, Work, widest};
use super::inputs::Inputs;
use super::libraries::{ACTIVATION, ACTIVATIONS, BITS, GRID};
use super::masked::{self, GROUP};
use crate::activation::Activation;
use crate::batch::CHUNK;
use crate::kernel::{Binding, Bound, Call, Case, Kernel, Pass, Slot};
use rayon::prelude::*;
use std::borrow::Cow;

crate::parameters! {
    /// One perspective's rows.
    pub struct Params {
        /// Samples in this slice of the batch.
        pub samples: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// 0 or 1.
        pub perspective: u32,
        /// Chunks of the perspective's transposed index.
        pub chunks: u32,
        /// Where its rows begin in `rows`, a multiple of 32.
        pub first: u32,
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
        let rows = self.chunks + 2 * self.samples.div_ceil(CHUNK as u32);
        rows * self.hidden.div_ceil(GROUP as u32)
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
    cases,
};

fn twin(mut call: Call<'_, f64>) {
    let p: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (chunk_starts, list) = (call.words(0), call.words(1));
    let (e, bits, slopes) = (call.floats(2), call.words(3), call.floats(4));
    let rows = call.floats_mut(5);
    let (samples, hidden, chunks) = (p.samples as usize, p.hidden as usize, p.chunks as usize);
    let (blocks, words) = (masked::blocks(samples), 2 * hidden / 32);
    let total = masked::rows(activation, chunks, samples);
    for row in 0..total {
        let of_row: Vec<usize> = if row < chunks {
            let entries = &list[chunk_starts[row] as usize..chunk_starts[row + 1] as usize];
            entries.iter().map(|&sample| sample as usize).collect()
        } else {
            let block = (row - chunks) % blocks;
            (block * CHUNK..samples.min((block + 1) * CHUNK)).collect()
        };
        for r in 0..hidden {
            let (word, bit) = masked::word_and_bit(r, p.interleave as usize);
            let word = p.perspective as usize * words / 2 + word;
            let mut sum = 0.0;
            for &s in &of_row {
                let is_set = |plane: usize| bits[(plane * samples + s) * words + word] >> bit & 1 == 1;
                if row >= chunks + blocks {
                    sum += if is_set(1) { e[s] } else { 0.0 };
                } else if activation == Activation::SCRelu {
                    sum += e[s] * slopes[s * 2 * hidden + p.perspective as usize * hidden + r];
                } else {
                    sum += if is_set(0) { e[s] } else { 0.0 };
                }
            }
            let group = r / GROUP;
            let place = masked::place(hidden, total, row, group);
            rows[p.first as usize + place.start + r % GROUP] = sum;
        }
    }
}

/// Rows that one task sums.
const BAND: usize = 128;
/// Samples whose slopes stay near while all rows of a band take theirs of them.
const NEAR: usize = 2048;

/// A band of rows for a group of lanes.
struct Band<'a> {
    sums: &'a Sums<'a>,
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
    e: &'a [f32],
    /// A bit a lane, sixteen a word.
    bits: Cow<'a, [u16]>,
    slopes: &'a [Sixteen],
}

fn body(mut call: Call<'_, f32>) {
    let params: Params = call.params();
    let activation = Activation::ALL[call.variant];
    let (chunk_starts, list) = (call.words(0), call.words(1));
    let (e, bits, slopes) = (call.floats(2), call.words(3), call.floats(4));
    let rows = call.floats_mut(5);
    let (samples, hidden) = (params.samples as usize, params.hidden as usize);
    let kinds = if activation == Activation::Relu { 1 } else { 2 };
    let bits = match params.interleave {
        1 => Cow::Borrowed(bytemuck::cast_slice(bits)),
        interleave => {
            let words = bits[..kinds * samples * 2 * hidden / 32].chunks(hidden / 32);
            let words = words.flat_map(|words| masked::in_order(words, interleave as usize));
            Cow::Owned(bytemuck::cast_slice(&words.collect::<Vec<u32>>()).to_vec())
        }
    };
    let sums = Sums {
        params,
        activation,
        chunk_starts,
        list,
        e,
        bits,
        slopes: slopes.as_chunks().0,
    };
    let total = masked::rows(activation, params.chunks as usize, samples);
    let rows = &mut rows[params.first as usize..][..total * hidden];
    let groups = rows.chunks_mut((GROUP * total).max(1)).enumerate();
    let bands = groups.flat_map(|(group, rows)| {
        let width = masked::lanes(hidden, group).len();
        let bands = rows.chunks_mut(BAND * width).enumerate();
        bands.map(move |(band, rows)| (group, band * BAND, rows))
    });
    let bands: Vec<_> = bands.collect();
    bands.into_par_iter().for_each(|(group, first, rows)| {
        widest(Band {
            sums: &sums,
            group,
            first,
            rows,
        });
    });
}

impl Work for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn at<S: Simd>(mut self, simd: S) {
        let units = masked::lanes(self.sums.params.hidden as usize, self.group).len() / 16;
        let mut unit = 0;
        while unit < units {
            unit += match (S::UNITS, units - unit) {
                (8.., 8..) => self.lanes::<S, 8>(simd, unit, units),
                (4.., 4..) => self.lanes::<S, 4>(simd, unit, units),
                _ => self.lanes::<S, 2>(simd, unit, units),
            };
        }
    }
}

impl Band<'_> {
    /// 16·U of the group's lanes from `unit` on, of every row; gives U.
    #[inline(always)]
    fn lanes<S: Simd, const U: usize>(&mut self, simd: S, unit: usize, units: usize) -> usize {
        let Sums {
            params, activation, ..
        } = *self.sums;
        let (samples, chunks) = (params.samples as usize, params.chunks as usize);
        let blocks = masked::blocks(samples);
        let sloped = activation == Activation::SCRelu;
        if sloped {
            self.slopes::<S, U>(simd, unit, units);
        }
        let sums = self.sums;
        let rows = self.rows.as_chunks_mut::<16>().0;
        let band = self.first..self.first + rows.len() / units;
        for (row, out) in band.zip(rows.chunks_mut(units)) {
            let out = &mut out[unit..][..U];
            if row < chunks {
                if !sloped {
                    let entries = sums.chunk_starts[row] as usize..sums.chunk_starts[row + 1] as usize;
                    let entries = sums.list[entries].iter().map(|&sample| sample as usize);
                    sums.masked::<S, U>(simd, (0, self.group, unit), entries, out);
                }
                continue;
            }
            let plane = (row - chunks) / blocks;
            if plane == 0 && sloped {
                continue;
            }
            let block = (row - chunks) % blocks;
            let entries = block * CHUNK..samples.min((block + 1) * CHUNK);
            sums.masked::<S, U>(simd, (plane, self.group, unit), entries, out);
        }
        U
    }

    /// The rows of slopes, [`NEAR`] samples after the others.
    #[inline(always)]
    fn slopes<S: Simd, const U: usize>(&mut self, simd: S, unit: usize, units: usize) {
        let sums = self.sums;
        let p = &sums.params;
        let (samples, chunks) = (p.samples as usize, p.chunks as usize);
        let sample_units = 2 * p.hidden as usize / 16;
        let column = p.perspective as usize * sample_units / 2 + self.group * GROUP / 16 + unit;
        let rows = self.rows.as_chunks_mut::<16>().0;
        let band = self.first..self.first + rows.len() / units;
        let mut next: Vec<u32> = band
            .clone()
            .map(|row| sums.chunk_starts[row.min(chunks)])
            .collect();
        for start in (0..samples).step_by(NEAR) {
            let end = samples.min(start + NEAR);
            for ((row, out), next) in band.clone().zip(rows.chunks_mut(units)).zip(&mut next) {
                let out = &mut out[unit..][..U];
                let mut totals = [simd.splat(0.0); U];
                if start > 0 {
                    totals = std::array::from_fn(|i| simd.load(&out[i]));
                }
                let mut add = |sample: usize| {
                    let e = simd.splat(sums.e[sample]);
                    let slopes = &sums.slopes[sample * sample_units + column..][..U];
                    for i in 0..U {
                        let term = simd.multiply(e, simd.load(&slopes[i]));
                        totals[i] = simd.add(totals[i], term);
                    }
                };
                if row < chunks {
                    let rest = &sums.list[*next as usize..sums.chunk_starts[row + 1] as usize];
                    let mut taken = 0;
                    for &sample in rest {
                        if sample as usize >= end {
                            break;
                        }
                        add(sample as usize);
                        taken += 1;
                    }
                    *next += taken;
                } else if row < chunks + masked::blocks(samples) {
                    let block = (row - chunks) * CHUNK;
                    (start.max(block)..end.min(block + CHUNK)).for_each(add);
                }
                for i in 0..U {
                    simd.store(&mut out[i], totals[i]);
                }
            }
        }
    }
}

impl Sums<'_> {
    /// Σ e over the entries whose bit is set, for 16·U lanes from `unit` of a group on.
    #[inline(always)]
    fn masked<S: Simd, const U: usize>(
        &self,
        simd: S,
        (plane, group, unit): (usize, usize, usize),
        entries: impl Iterator<Item = usize>,
        out: &mut [Sixteen],
    ) {
        let p = &self.params;
        let sample_units = 2 * p.hidden as usize / 16;
        let column = p.perspective as usize * sample_units / 2 + group * GROUP / 16 + unit;
        let bits = &self.bits[plane * p.samples as usize * sample_units..];
        let mut totals = [simd.splat(0.0); U];
        for sample in entries {
            let e = simd.splat(self.e[sample]);
            let bits = &bits[sample * sample_units + column..][..U];
            for i in 0..U {
                totals[i] = simd.add_where(bits[i], totals[i], e);
            }
        }
        for i in 0..U {
            simd.store(&mut out[i], totals[i]);
        }
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N, interleave, perspective]: 0, 1, tile − 1, tile, tile + 1, a chunk and one more, every interleave,
    // groups of lanes that are not full, primes, and past 65,535 workgroups.
    let shapes = [
        [0, 32, 2, 5, 1, 0],
        [1, 32, 1, 1, 1, 1],
        [15, 64, 7, 40, 2, 0],
        [16, 96, 32, 768, 1, 1],
        [17, 128, 32, 768, 4, 0],
        [1024, 32, 2, 3, 1, 1],
        [1025, 160, 5, 45, 1, 0],
        [4099, 256, 3, 7, 2, 1],
        [6, 640, 9, 31, 4, 1],
        [3, 32, 2, 66_001, 1, 0],
    ];
    let mut cases = Vec::new();
    for variant in 0..ACTIVATIONS.len() {
        for (seed, shape) in shapes.into_iter().enumerate() {
            cases.push(case(variant, seed, shape));
        }
    }
    // Past 65,535 workgroups: more than half as many features have a sample.
    cases.push(case(0, shapes.len(), [33_000, 256, 3, 66_001, 4, 0]));
    cases
}

fn case(variant: usize, seed: usize, shape: [usize; 6]) -> Case {
    let [samples, hidden, width, features, interleave, perspective] = shape;
    let activation = Activation::ALL[variant];
    let mut inputs = Inputs::new(1400 + seed as u64);
    let sparse = inputs.sparse(samples, width, features);
    let chunks = sparse.chunk_starts().len() - 1;
    let first = seed % 2 * 96;
    let params = Params {
        samples: samples as u32,
        hidden: hidden as u32,
        perspective: perspective as u32,
        chunks: chunks as u32,
        first: first as u32,
        interleave: interleave as u32,
        entries: sparse.samples().len() as u32,
    };
    let words = samples * 2 * hidden / 32;
    let (kinds, slopes) = match activation {
        Activation::CRelu => (2, 0),
        Activation::SCRelu => (2, samples * 2 * hidden),
        Activation::Relu => (1, 0),
    };
    let rows = masked::rows(activation, chunks, samples) * hidden;
    Case::new(
        format!("L={samples} K={hidden} F={width} N={features} interleave={interleave} p={perspective}"),
        variant,
        params,
        vec![
            Slot::Words(sparse.chunk_starts().to_vec()),
            Slot::Words(sparse.samples().to_vec()),
            Slot::Floats(inputs.floats(samples, -1.0, 1.0)),
            Slot::Words(inputs.words(kinds * words, u32::MAX)),
            Slot::Floats(inputs.floats(slopes, -1.0, 1.0)),
            Slot::Update {
                // What stands before the perspective's rows must stay.
                values: vec![0.25; first + rows],
                bound: Bound::Sum {
                    terms: samples.clamp(1, CHUNK),
                    c: 1.0,
                },
            },
        ],
    )
}
