//! ∂Loss/∂A\[f, r\] = Σ dz\[s, column + r\] over the samples that have feature f: the sums of rows by index
//! (sections 1 and 4).

use crate::engine::cpu;
use crate::engine::kernel::inputs::{Inputs, sum_bound};
use crate::engine::kernel::{Call, Case, Kernel, PLAIN, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use rayon::prelude::*;

crate::interface! {
    /// Sizes of an accumulator on index lists.
    pub struct Params {
        /// N.
        pub inputs: u32,
        /// K.
        pub hidden: u32,
        /// Elements from one sample of dz to the next: K, or 2K for two perspectives.
        pub stride: u32,
        /// The offset of the accumulator's lanes in a row of dz, 0 or K.
        pub column: u32,
        /// 1 adds to the values in the output, 0 overwrites them.
        pub accumulate: u32,
        /// Samples in this micro-batch.
        pub samples: u32,
        /// Samples in the lists of all features.
        pub entries: u32,
    }
    pub struct Buffers {
        /// The start of each feature's list in `samples`, `[N + 1]`.
        pub offsets: Read<u32>,
        /// The samples of each feature, ascending.
        pub samples: Read<u32>,
        /// ∂Loss/∂Z, `[L, stride]`.
        pub dz: Read<f32>,
        /// ∂Loss/∂A, `[N, K]`.
        pub gradient: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.inputs * self.hidden.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "weights_gradient_sparse",
    operation: Some("accumulator"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/tensor/weights_gradient_sparse.wgsl"),
    libraries: &[GRID],
    axes: PLAIN,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let (p, buffers) = call.open::<Params>();
    let (offsets, samples) = (buffers.offsets, buffers.samples);
    let dz = buffers.dz;
    let gradient = buffers.gradient;
    let hidden = p.hidden as usize;
    for f in 0..p.inputs as usize {
        for r in 0..hidden {
            let at = f * hidden + r;
            let mut sum = if p.accumulate == 1 { gradient[at] } else { 0.0 };
            for i in offsets[f]..offsets[f + 1] {
                let s = samples[i as usize] as usize;
                sum += dz[s * p.stride as usize + p.column as usize + r];
            }
            gradient[at] = sum;
        }
    }
}

/// The floats of dz that one pass over the features reads, so that they stay in the second cache:
/// each row of dz is read once for every feature of its sample.
const CACHED: usize = 1 << 16;

fn body(call: Call<'_, f32>) {
    let (p, buffers) = call.open::<Params>();
    let Slices {
        offsets,
        samples,
        dz,
        gradient,
    } = buffers;
    let (inputs, hidden) = (p.inputs as usize, p.hidden as usize);
    let gradient = &mut gradient[..inputs * hidden];
    let lists = Lists {
        offsets: &offsets[..=inputs],
        samples,
        dz,
        stride: p.stride as usize,
        column: p.column as usize,
        count: p.samples as usize,
        accumulate: p.accumulate == 1,
    };
    let is_cached = lists.count * hidden <= 2 * CACHED;
    match inputs {
        ..=4096 if !is_cached => lists.add_by_tiles::<64>(gradient, hidden),
        ..=8192 if !is_cached => lists.add_by_tiles::<32>(gradient, hidden),
        ..=16_384 if !is_cached => lists.add_by_tiles::<16>(gradient, hidden),
        _ => lists.add_by_features(gradient, hidden),
    }
}

/// The samples of each feature, and their rows of dz. Both ways of adding add the samples of a
/// feature in ascending order, so they give the same bits.
struct Lists<'a> {
    offsets: &'a [u32],
    samples: &'a [u32],
    dz: &'a [f32],
    stride: usize,
    column: usize,
    count: usize,
    accumulate: bool,
}

impl Lists<'_> {
    /// Adds all rows of a feature, then those of the next.
    fn add_by_features(&self, gradient: &mut [f32], hidden: usize) {
        let rows = gradient
            .par_chunks_mut(hidden)
            .zip(self.offsets.par_windows(2));
        rows.for_each(|(row, ends)| {
            if !self.accumulate {
                row.fill(0.0);
            }
            for &s in &self.samples[ends[0] as usize..ends[1] as usize] {
                cpu::add(row, &self.dz[self.place(s)..][..hidden]);
            }
        });
    }

    /// Where the row of a sample begins in dz.
    #[inline(always)]
    fn place(&self, sample: u32) -> usize {
        sample as usize * self.stride + self.column
    }

    /// Adds the rows of a tile of samples to all features, then those of the next tile. A task takes
    /// WIDTH lanes.
    fn add_by_tiles<const WIDTH: usize>(&self, gradient: &mut [f32], hidden: usize) {
        let before = &*gradient;
        let parts = (0..hidden.div_ceil(WIDTH)).into_par_iter().with_max_len(1);
        let parts = parts.map(|part| {
            let first = part * WIDTH;
            let lanes = WIDTH.min(hidden - first);
            let mut sums = vec![[0.0; WIDTH]; self.offsets.len() - 1];
            if self.accumulate {
                for (sums, row) in sums.iter_mut().zip(before.chunks_exact(hidden)) {
                    sums[..lanes].copy_from_slice(&row[first..][..lanes]);
                }
            }
            cpu::vectorized(
                #[inline(always)]
                || self.add_lanes(first, lanes, &mut sums),
            );
            sums
        });
        let parts: Vec<Vec<[f32; WIDTH]>> = parts.collect();
        let rows = gradient.par_chunks_mut(hidden).with_min_len(16);
        rows.enumerate().for_each(|(feature, row)| {
            for (row, sums) in row.chunks_mut(WIDTH).zip(&parts) {
                row.copy_from_slice(&sums[feature][..row.len()]);
            }
        });
    }

    /// Adds the lanes from `first` on to the sums of the features, tile by tile.
    #[inline(always)]
    fn add_lanes<const WIDTH: usize>(&self, first: usize, lanes: usize, sums: &mut [[f32; WIDTH]]) {
        let mut next = self.offsets.to_vec();
        for end in (0..self.count).step_by(CACHED / WIDTH) {
            let end = (end + CACHED / WIDTH) as u32;
            let ends = self.offsets[1..].iter();
            for ((next, list_end), sums) in next.iter_mut().zip(ends).zip(sums.iter_mut()) {
                let list = &self.samples[*next as usize..*list_end as usize];
                let mut sum = *sums;
                for &s in list.iter().take_while(|&&s| s < end) {
                    let row = &self.dz[self.place(s) + first..][..lanes];
                    match row.as_array::<WIDTH>() {
                        Some(row) => (0..WIDTH).for_each(|lane| sum[lane] += row[lane]),
                        None => cpu::add(&mut sum, row),
                    }
                    *next += 1;
                }
                *sums = sum;
            }
        }
    }
}

fn traffic(_: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [inputs, hidden] = [p.inputs, p.hidden].map(u64::from);
    let entries = u64::from(p.entries);
    let before = u64::from(p.accumulate) * inputs * hidden;
    Traffic {
        read: 4 * (inputs + 1 + entries + before),
        written: 4 * inputs * hidden,
        gathered_issued: 4 * entries * hidden,
        gathered_distinct: 4 * entries.min(p.samples.into()) * hidden,
        operations: entries * hidden + before,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N]: 1, tile − 1, tile, tile + 1, primes, features of no sample and of every
    // sample, and more than 65,535 workgroups.
    let shapes = [
        [1, 1, 1, 1],
        [3, 63, 7, 40],
        [40, 64, 32, 768],
        [33, 65, 32, 768],
        [1031, 37, 5, 13],
        [20_011, 3, 4, 7],
        [4, 2, 19, 66_001],
        // More of dz than stays in a cache.
        [3001, 133, 5, 50],
        [2999, 64, 3, 5003],
        [3001, 50, 3, 9001],
    ];
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, [samples, hidden, width, features])| {
            let terms = samples + 1;
            let mut inputs = Inputs::new(800 + seed as u64);
            let sparse = inputs.sparse(samples, width, features);
            let params = Params {
                inputs: features as u32,
                hidden: hidden as u32,
                stride: 2 * hidden as u32,
                column: (seed / 2 % 2 * hidden) as u32,
                accumulate: (seed % 2) as u32,
                samples: samples as u32,
                entries: sparse.samples().len() as u32,
            };
            Case::new(
                format!(
                    "L={samples} K={hidden} F={width} N={features} accumulate={}",
                    seed % 2
                ),
                0,
                params,
                Slots {
                    offsets: Slot::Words(sparse.offsets().to_vec()),
                    samples: Slot::Words(sparse.samples().to_vec()),
                    dz: Slot::Floats(inputs.for_sum(samples * 2 * hidden, terms)),
                    gradient: Slot::Update {
                        values: inputs.for_sum(features * hidden, terms),
                        bound: sum_bound(terms, 1.0),
                    },
                },
            )
        })
        .collect()
}
